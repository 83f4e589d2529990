"""MarianMT: Hugging Face's logits and the tokens of its generate(), and saving back to its folders."""

import json

import numpy as np
import pytest
from keras import ops

from keras_attn import pretrained
from keras_attn.device.search.search import search
from keras_attn.generation import KerasStepModel
from keras_attn.models import Transformer

pytestmark = pytest.mark.parity

PAD, END = 39, 0
SIZES = {
    "vocab_size": 40, "decoder_vocab_size": 40, "d_model": 24, "encoder_layers": 2, "decoder_layers": 2,
    "encoder_ffn_dim": 20, "decoder_ffn_dim": 20, "encoder_attention_heads": 3, "decoder_attention_heads": 3,
    "max_position_embeddings": 32, "pad_token_id": PAD, "eos_token_id": END, "decoder_start_token_id": PAD,
    "forced_eos_token_id": END, "scale_embedding": True, "activation_function": "swish",
}  # fmt: skip
# Options, and how much likelier the end is made, so that some hypotheses end and some reach the limit.
CASES = {
    "shared": ({}, 2.5),
    "relu, two and one layers": (
        {"activation_function": "relu", "decoder_layers": 1, "scale_embedding": False},
        3,
    ),
    "separate": ({"share_encoder_decoder_embeddings": False}, 1),
    "untied": (
        {"share_encoder_decoder_embeddings": False, "tie_word_embeddings": False, "encoder_layers": 1},
        0.5,
    ),
}


@pytest.fixture(scope="module", params=CASES)
def pair(request, tmp_path_factory):
    """A model of theirs whose weights are large enough to tell mistakes, and its folder."""
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    torch.manual_seed(1)
    options, end = CASES[request.param]
    model = transformers.MarianMTModel(transformers.MarianConfig(**{**SIZES, **options})).eval()
    for name, parameter in model.named_parameters():
        if "embed_positions" not in name:
            torch.nn.init.normal_(parameter, mean=float("norm.weight" in name), std=0.3)
            # The source shall matter.
            parameter.data *= 5 if "encoder_attn.out_proj.weight" in name else 1
    torch.nn.init.normal_(model.final_logits_bias, std=0.3)
    model.final_logits_bias[0, END] += end
    model.generation_config.forced_eos_token_id = None
    model.generation_config.bad_words_ids = [[PAD]]
    model.generation_config.num_beams = 4
    folder = tmp_path_factory.mktemp("marian")
    model.save_pretrained(folder)
    return model, folder


def source(rows=12):
    rng = np.random.default_rng(0)
    mask = np.arange(7)[None] < rng.integers(2, 8, (rows, 1))
    return np.where(mask, rng.integers(1, PAD, (rows, 7)), PAD), mask


def logits(model, target):
    torch = pytest.importorskip("torch")
    ids, mask = source(len(target))
    if isinstance(model, Transformer):
        inputs = {"encoder_token_ids": ids, "decoder_token_ids": target}
        return np.asarray(ops.convert_to_numpy(model(inputs)))
    given = {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": target}
    with torch.no_grad():
        return model(**{name: torch.tensor(x).long() for name, x in given.items()}).logits.numpy()


def test_logits_are_hugging_face_s_both_ways(pair, tmp_path):
    model, folder = pair
    target = np.random.default_rng(1).integers(1, PAD, (3, 6))
    target[:, 0] = PAD
    loaded, expected = pretrained.load(folder), logits(model, target)
    assert loaded.pad_id == PAD
    np.testing.assert_allclose(logits(loaded, target), expected, atol=1e-5)
    pretrained.save(loaded, tmp_path / "ours", {"eos_token_id": END})
    theirs = type(model).from_pretrained(tmp_path / "ours").eval()
    np.testing.assert_allclose(logits(theirs, target), expected, atol=1e-5)
    again = pretrained.load(tmp_path / "ours")
    assert again.get_config() == {**loaded.get_config(), "name": again.name}
    for one, other in zip(loaded.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("length_penalty", [0.6, 1.0])
@pytest.mark.parametrize("beam", [1, 4])
def test_the_search_gives_the_tokens_of_generate(pair, beam, length_penalty):
    torch = pytest.importorskip("torch")
    model, folder = pair
    ids, mask = source()
    options = {**pretrained.search_options(folder), "beam": beam, "length_penalty": length_penalty}
    assert (options["start_id"], options["end_id"], options["suppress"]) == (PAD, END, (PAD,))
    options |= {"max_length": 10, "early_stopping": True}
    found = search(KerasStepModel(pretrained.load(folder), 10), ids, mask, n_best=beam, **options)
    # At the limit generate() lets unfinished hypotheses compete with the finished ones.
    best = [max(sentence, key=lambda hypothesis: hypothesis.score).ids for sentence in found]
    assert len({tuple(ids) for ids in best}) > 2
    expected = model.generate(
        torch.tensor(ids),
        attention_mask=torch.tensor(mask).long(),
        num_beams=beam,
        length_penalty=length_penalty,
        early_stopping=beam > 1,
        max_new_tokens=10,
    ).tolist()
    assert best == [[token for token in tokens if token not in (PAD, END)] for tokens in expected]


def test_the_defaults_of_the_search_are_read(pair):
    assert pretrained.search_options(pair[1])["beam"] == 4


def edited(folder, to, **options):
    """A copy of a folder with another configuration."""
    to.mkdir()
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    config = json.loads((to / "config.json").read_text(encoding="utf-8"))
    (to / "config.json").write_text(json.dumps({**config, **options}), encoding="utf-8")
    return to


def test_all_unsupported_options_are_reported_together(pair, tmp_path):
    folder = edited(
        pair[1], tmp_path / "one", normalize_before=True, decoder_ffn_dim=8, activation_dropout=0.1
    )
    with pytest.raises(pretrained.PretrainedError) as message:
        pretrained.load(folder)
    for part in (
        "normalize_before=True",
        "decoder_ffn_dim=8 and encoder_ffn_dim=20",
        "activation_dropout=0.1",
    ):
        assert part in str(message.value)
    folder = edited(pair[1], tmp_path / "two", repetition_penalty=1.5, eos_token_id=[0, 1])
    (folder / "generation_config.json").unlink()
    with pytest.raises(pretrained.PretrainedError, match=r"repetition_penalty=1.5(.|\n)*must be one token"):
        pretrained.search_options(folder)
    with pytest.raises(pretrained.PretrainedError, match="only a MarianMTModel"):
        pretrained.load(pair[1], without_head=True)
    with pytest.raises(pretrained.PretrainedError, match="normalize_first=True"):
        pretrained.save(Transformer.from_preset("tiny", vocabulary_size=10), tmp_path / "three")
