"""Generated text, next to Hugging Face's: a GPT-2 folder becomes a bundle that says the same."""

import json

import numpy as np
import pytest
from tiny_language import prompt_tokenizer
from tiny_models import in_process, sentences

from keras_attn import device

pytestmark = pytest.mark.parity

END = "<|endoftext|>"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny GPT-2 with weights large enough to have opinions, as Hugging Face writes it."""
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("gpt2")
    tokenizer = prompt_tokenizer().tokenizer
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}), "utf-8")
    end = tokenizer.token_to_id(END)
    config = transformers.GPT2Config(
        vocab_size=tokenizer.get_vocab_size(), n_positions=32, n_embd=24, n_layer=3, n_head=3,
        initializer_range=0.3, bos_token_id=end, eos_token_id=end,
    )  # fmt: skip
    torch.manual_seed(2)
    model = transformers.GPT2LMHeadModel(config).eval()
    model.save_pretrained(folder)
    return folder, model


def test_the_bundle_continues_as_hugging_face_does(checkpoint, tmp_path):
    torch = pytest.importorskip("torch")
    folder, model = checkpoint
    from keras_attn_export import export

    with in_process():
        export(folder, tmp_path / "bundle", "fp32", examples=sentences()[:20], proof_sentences=6)
    generator = device.load(tmp_path / "bundle")
    for prompt in sentences()[20:32]:
        ids = generator.tokenizer.encode(prompt)
        with torch.no_grad():
            wanted = model.generate(
                torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                max_new_tokens=12, do_sample=False, pad_token_id=0,
            )[0, len(ids) :].tolist()  # fmt: skip
        found = generator.generate(prompt, max_length=12).outputs[0].ids
        assert found == [token for token in wanted if token != model.config.eos_token_id]


@pytest.mark.parametrize(
    "temperature,top_k,top_p", [(0.7, None, None), (1.4, 7, None), (0.9, 30, 0.6), (1.0, None, 0.9)]
)
def test_sampling_distribution_is_hugging_faces(temperature, top_k, top_p):
    warpers = pytest.importorskip("transformers").generation.logits_process
    torch = pytest.importorskip("torch")
    from keras_attn.device.search.sampling import Sampling

    scores = np.log(np.random.default_rng(3).dirichlet(np.full(200, 0.2), 16)).astype(np.float32)
    steps = [warpers.TemperatureLogitsWarper(temperature)]
    steps += [warpers.TopKLogitsWarper(top_k)] if top_k else []
    steps += [warpers.TopPLogitsWarper(top_p)] if top_p else []
    wanted = warpers.LogitsProcessorList(steps)(torch.zeros(16, 1), torch.tensor(scores)).softmax(-1).numpy()
    found = [Sampling(temperature, top_k, top_p).probabilities(row) for row in scores]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
