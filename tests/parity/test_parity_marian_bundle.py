"""Text in, text out: a MarianMT folder's bundle translates as generate() and MarianTokenizer do."""

import json
import shutil

import pytest
from keras_attn_export import export
from tiny_marian import PIECES
from tiny_models import in_process
from tiny_pieces import ENGLISH, GERMAN, sentences

from keras_attn import device, pretrained

pytestmark = pytest.mark.parity

END = 0
# Options of the model and of the search, and how much likelier the end is made, so that some translations end
# and some reach the limit.
CASES = {
    "forced end": ({"forced_eos_token_id": END}, 4.0),
    "no forced end": (
        {"forced_eos_token_id": None, "share_encoder_decoder_embeddings": False, "decoder_layers": 1},
        3.0,
    ),
}


@pytest.fixture(scope="module", params=CASES)
def folder(request, tmp_path_factory):
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    options, end = CASES[request.param]
    size = len(json.loads((PIECES / "vocab.json").read_text(encoding="utf-8")))
    sizes = {
        "vocab_size": size, "decoder_vocab_size": size, "d_model": 24, "encoder_layers": 1,
        "decoder_layers": 2, "encoder_ffn_dim": 20, "decoder_ffn_dim": 20, "encoder_attention_heads": 3,
        "decoder_attention_heads": 3, "max_position_embeddings": 48, "pad_token_id": size - 1,
        "eos_token_id": END, "decoder_start_token_id": size - 1, "scale_embedding": True,
        "activation_function": "swish", "forced_eos_token_id": None,
    }  # fmt: skip
    torch.manual_seed(1)
    model = transformers.MarianMTModel(transformers.MarianConfig(**{**sizes, **options})).eval()
    for name, parameter in model.named_parameters():
        if "embed_positions" not in name:
            torch.nn.init.normal_(parameter, mean=float("norm.weight" in name), std=0.3)
            # The source shall matter.
            parameter.data *= 5 if "encoder_attn.out_proj.weight" in name else 1
    torch.nn.init.normal_(model.final_logits_bias, std=0.3)
    model.final_logits_bias[0, END] += end
    model.generation_config.bad_words_ids = [[size - 1]]
    # Without a forced end, generate() lets what is unfinished at the limit compete with all that has ended.
    model.generation_config.early_stopping = options["forced_eos_token_id"] is None
    model.generation_config.num_beams = 4
    folder = tmp_path_factory.mktemp("marian") / "folder"
    model.save_pretrained(folder)
    for path in PIECES.iterdir():
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def bundle(folder):
    path = folder.parent / "bundle"
    with in_process():
        export(folder, path, "fp32", buckets=[(40, 24)], beam=4, proof_sentences=4)
    return device.load(path)


@pytest.mark.parametrize("beam", [1, 4])
def test_translations_are_those_of_generate(folder, bundle, beam):
    transformers = pytest.importorskip("transformers")
    model = transformers.MarianMTModel.from_pretrained(str(folder)).eval()
    with pytest.warns(UserWarning, match="sacremoses"):
        tokenizer = transformers.MarianTokenizer.from_pretrained(str(folder))
    special = {tokenizer.pad_token_id, END}
    texts = [text for text in sentences(ENGLISH, 30) if len(tokenizer(text)["input_ids"]) <= 20][:4]
    texts += [GERMAN.split()[2], ">>deu<< A dog.", "日本 ß", ">>xyz<< the snow"]
    lengths, ended = set(), 0
    for limit in (4, 12):
        for text in texts:
            ids = tokenizer(text, return_tensors="pt")
            produced = model.generate(**ids, num_beams=beam, max_new_tokens=limit).tolist()[0]
            wanted = [token for token in produced if token not in special]
            found = bundle.translate(text, beam=beam, max_length=limit, n_best=beam)
            # Where no end is forced, generate() lets what is unfinished compete.
            best = found.outputs[0] if bundle.force_end else max(found.outputs, key=lambda one: one.score)
            assert found.source_ids == ids["input_ids"][0].tolist()
            assert best.ids == wanted, text
            assert best.text == tokenizer.decode(produced, skip_special_tokens=True)
            lengths.add(len(wanted))
            ended += len(produced) < limit + 1
    assert len(lengths) > 2 and ended
    assert bundle.force_end == pretrained.search_options(folder)["force_end"]
