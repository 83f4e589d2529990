"""Every family of encoders, with each of its heads, gives transformers' outputs and is saved as it was."""

import numpy as np
import pytest
from keras import ops

from keras_attn import pretrained

pytestmark = pytest.mark.parity

SIZES = {
    "vocab_size": 40,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
}
RELATIVE = {
    "relative_attention": True,
    "position_buckets": 4,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "position_biased_input": False,
}
HEADS = ("Model", "ForSequenceClassification", "ForMaskedLM", "ForTokenClassification")
ANSWERS = (*HEADS, "ForQuestionAnswering")
# Class names, options, heads.
CASES = {
    "roberta": ("Roberta", {**SIZES, "type_vocab_size": 1}, ANSWERS),
    "roberta by tanh": ("Roberta", {**SIZES, "hidden_act": "gelu_new", "pad_token_id": 0}, HEADS[:3]),
    "xlm-roberta": ("XLMRoberta", {**SIZES, "type_vocab_size": 1, "layer_norm_eps": 1e-5}, ANSWERS),
    "camembert": ("Camembert", SIZES, ANSWERS),
    "electra": ("Electra", {**SIZES, "embedding_size": 12}, ANSWERS),
    "electra of one size": ("Electra", {**SIZES, "embedding_size": 24, "hidden_act": "relu"}, HEADS[:3]),
    "mpnet": ("MPNet", SIZES, ANSWERS),
    "albert": ("Albert", {**SIZES, "embedding_size": 12}, ANSWERS),
    "albert of groups": (
        "Albert",
        {**SIZES, "embedding_size": 24, "num_hidden_layers": 5, "num_hidden_groups": 2, "inner_group_num": 2},
        HEADS[:2],
    ),
    "deberta-v3": ("DebertaV2", {**SIZES, **RELATIVE}, ANSWERS),
    "deberta-v2": (
        "DebertaV2",
        {
            **SIZES, **RELATIVE, "share_att_key": False, "conv_kernel_size": 3, "conv_act": "gelu",
            "norm_rel_ebd": "none", "position_buckets": -1, "max_relative_positions": 6,
        },
        HEADS,
    ),
    "deberta of contents": (
        "DebertaV2",
        {**SIZES, **RELATIVE, "pos_att_type": ["c2p"], "type_vocab_size": 2, "share_att_key": False},
        HEADS[:2],
    ),
    "deberta by default": ("DebertaV2", SIZES, HEADS[:2]),
    "modernbert": (
        "ModernBert", {**SIZES, "num_hidden_layers": 4, "local_attention": 6, "pad_token_id": 0}, ANSWERS
    ),
    "modernbert with biases": (
        "ModernBert",
        {
            **SIZES, "local_attention": 4, "pad_token_id": 0, "attention_bias": True, "mlp_bias": True,
            "norm_bias": True, "classifier_bias": True, "classifier_pooling": "mean",
            "classifier_activation": "relu", "layer_types": ["sliding_attention"] * 2 + ["full_attention"],
        },
        ANSWERS,
    ),
    "nomic_bert": ("NomicBert", SIZES, HEADS),
}  # fmt: skip
PAIRS = [(name, head) for name, (_, _, heads) in CASES.items() for head in heads]


def hugging_face(case, head):
    """A model of transformers whose weights are large enough to tell mistakes, in evaluation."""
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    kind, options, _ = CASES[case]
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**options)
    if head in ("ForSequenceClassification", "ForTokenClassification"):
        config.id2label = {0: "World", 1: "Sports", 2: "Science"}
    model = getattr(transformers, f"{kind}{head}")(config)
    for name, parameter in model.named_parameters():
        around = float("norm" in name.lower() and name.endswith("weight"))
        torch.nn.init.normal_(parameter, mean=around, std=0.2)
    return model.eval()


def inputs(segments):
    rng = np.random.default_rng(0)
    mask = np.arange(13)[None] < np.array([[13], [7], [1]])
    given = {"token_ids": rng.integers(4, 40, (3, 13)), "padding_mask": mask}
    return given | ({"segment_ids": rng.integers(0, segments, (3, 13))} if segments else {})


def theirs(model, given):
    torch = pytest.importorskip("torch")
    names = {"token_ids": "input_ids", "padding_mask": "attention_mask", "segment_ids": "token_type_ids"}
    with torch.no_grad():
        found = model(**{names[name]: torch.tensor(x).long() for name, x in given.items()})
    if "last_hidden_state" in found:
        pooled = found.get("pooler_output")
        return [found.last_hidden_state] + ([] if pooled is None else [pooled])
    return [found.logits] if "logits" in found else [torch.stack([found.start_logits, found.end_logits], 1)]


def compare(ours, model):
    given = inputs(getattr(ours, "backbone", ours).num_segments)
    found = ours(given)
    if isinstance(found, dict):
        found = [found["sequence_output"]] + ([found["pooled_output"]] if "pooled_output" in found else [])
    found = found if isinstance(found, list) else [found]
    expected, exists = theirs(model, given), given["padding_mask"]
    assert len(found) <= len(expected)  # BertModel makes a pooler where none was saved
    for one, other in zip(found, expected, strict=False):
        mine, wanted = np.asarray(ops.convert_to_numpy(one)), other.numpy()
        if wanted.ndim == 3 and wanted.shape[1] == 2:  # of answers
            mine, wanted = np.swapaxes(mine, 1, 2), np.swapaxes(wanted, 1, 2)
        if wanted.ndim == 3:
            mine, wanted = mine[exists], wanted[exists]
        assert np.abs(mine - wanted).max() <= 2e-6 * np.abs(wanted).max()


@pytest.mark.parametrize(("case", "head"), PAIRS)
def test_a_checkpoint_gives_transformers_outputs_and_is_saved_as_it_was(case, head, tmp_path):
    from safetensors.numpy import load_file

    transformers = pytest.importorskip("transformers")
    model = hugging_face(case, head)
    model.save_pretrained(tmp_path / "theirs")
    ours = pretrained.load(tmp_path / "theirs")
    compare(ours, model)
    pretrained.save(ours, tmp_path / "ours")
    again = pretrained.load(tmp_path / "ours")
    assert again.get_config() == {**ours.get_config(), "name": again.name} or head != "Model"
    for one, other in zip(ours.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    stored, saved = (load_file(tmp_path / side / "model.safetensors") for side in ("theirs", "ours"))
    for name, array in saved.items():
        np.testing.assert_array_equal(array, stored[name])
    loader = getattr(transformers, f"Auto{head}" if head == "Model" else f"AutoModel{head}")
    compare(ours, loader.from_pretrained(tmp_path / "ours").eval())
