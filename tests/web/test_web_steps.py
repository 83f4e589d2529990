"""The step protocol in JavaScript, against that in Python, without a browser: same steps, same scores."""

from types import SimpleNamespace

import numpy as np
import pytest
from web_browser import drive, require_node

from keras_attn.device.search.decoder import LiteRTStepModel

pytestmark = pytest.mark.web
SOURCE, ROWS, TARGETS = 4, 3, (4, 6, 16)


def tensor(*shape, dtype="float32"):
    return {"shape": shape, "dtype": dtype}


def step_signature(target):
    """A step with caches of one head of size 1."""
    slots = ROWS * target
    inputs = {
        "tokens": tensor(ROWS, dtype="int32"),
        "position": tensor(1, dtype="int32"),
        "self_bias": tensor(ROWS, slots),
        "key_cache_00": tensor(1, 1, slots),
        "value_cache_00": tensor(1, 1, slots),
    }
    return {"inputs": inputs, "outputs": {"scores": tensor(ROWS, 2), "row_00": tensor(ROWS, 2)}}


def own_signature(target):
    """The same with a cache of each row, (R, 2, T, 1), as models of the user's own class have them."""
    inputs = {
        "tokens": tensor(ROWS, dtype="int32"),
        "slot": tensor(ROWS),
        "state_01": tensor(ROWS, 2, target, 1),
    }
    outputs = {"scores": tensor(ROWS, 2), "next_slot": tensor(ROWS), "row_state_01": tensor(ROWS, 2, 1, 1)}
    return {"inputs": inputs, "outputs": outputs}


ENCODE = {
    "inputs": {"token_ids": tensor(1, SOURCE, dtype="int32"), "source_mask": tensor(1, SOURCE)},
    "outputs": {},
}
SIGNATURES = {
    kind: {"encode": ENCODE, **{f"step_{target}": make(target) for target in TARGETS}}
    for kind, make in (("shared", step_signature), ("own", own_signature))
}
STEPS = {str(ROWS): {str(target): f"step_{target}" for target in TARGETS}}
BUCKETS = [{"source": SOURCE, "target": TARGETS[-1], "encode": "encode", "steps": STEPS}]


class NumpySignature:
    """The signature of drive/steps.mjs."""

    def __init__(self, name, described):
        self.name = name
        self.inputs, self.outputs = (
            {name: np.zeros(**each) for name, each in tensors.items()} for tensors in described.values()
        )

    def run(self):
        if self.name == "encode":
            return
        inputs, outputs = self.inputs, self.outputs
        if "slot" in inputs:
            self.run_own()
            return
        value = int(inputs["position"][0]) + 1
        attended = inputs["self_bias"] == 0  # (R, slots)
        keys, values = inputs["key_cache_00"][0, 0], inputs["value_cache_00"][0, 0]
        outputs["scores"][:, 0] = attended @ (keys * values) + inputs["tokens"] * value
        outputs["scores"][:, 1] = attended @ values + value
        outputs["row_00"][:] = np.stack([inputs["tokens"], np.full(ROWS, value)], 1)

    def run_own(self):
        inputs, outputs = self.inputs, self.outputs
        value = inputs["slot"] + 1
        past = np.arange(inputs["state_01"].shape[2]) < inputs["slot"][:, None]  # (R, T)
        keys, values = (inputs["state_01"][:, i, :, 0] * past for i in range(2))
        outputs["scores"][:, 0] = (keys * values).sum(1) + inputs["tokens"] * value
        outputs["scores"][:, 1] = values.sum(1) + value
        outputs["row_state_01"][:, :, 0, 0] = np.stack([inputs["tokens"], value], 1)
        outputs["next_slot"][:] = value


def case(seed):
    """A sentence of random tokens, whose rows follow one, a few or all of the rows before."""
    rng = np.random.default_rng(seed)
    rows, ancestors = int(rng.integers(2, ROWS + 1)), int(rng.integers(1, ROWS + 1))
    steps = []
    for _ in range(int(rng.integers(1, TARGETS[-1] + 1))):
        parents = np.arange(rows) if ancestors == ROWS else rng.integers(0, min(ancestors, rows), rows)
        steps.append({"tokens": rng.integers(1, 99, rows).tolist(), "parents": parents.tolist()})
    return {"source": [5] * int(rng.integers(1, SOURCE + 1)), "rows": rows, "steps": steps}


def in_python(asked, signatures):
    """Return the scores of Python's step model, with the past that each row should have."""
    opened = {name: NumpySignature(name, described) for name, described in signatures.items()}
    alone = {"opening": None, "user": None, "hand_to": lambda user: None}
    model = LiteRTStepModel(SimpleNamespace(signature=opened.__getitem__, **alone), BUCKETS, pad_id=0)
    source = np.array([asked["source"]], np.int32)
    state = model.for_length(len(asked["steps"])).start(source, np.ones(source.shape, bool))
    state = state.select(np.zeros(asked["rows"], int))
    pasts, results = [[] for _ in range(asked["rows"])], []
    for each in asked["steps"]:
        pasts = [[*past, token] for past, token in zip(pasts, each["tokens"], strict=True)]
        scores, state = model.step(np.array(each["tokens"]), state)
        values = range(1, len(pasts[0]) + 1)
        remembered = [[np.dot(past, values), sum(values)] for past in pasts]
        assert np.array_equal(scores, remembered)
        results.append({"signature": state.signature, "scores": np.asarray(scores).tolist()})
        state = state.select(np.array(each["parents"]))
        pasts = [pasts[parent] for parent in each["parents"]]
    return results


@pytest.mark.parametrize("kind", list(SIGNATURES))
def test_caches_are_kept_and_freed_as_in_python(kind):
    require_node()
    signatures = SIGNATURES[kind]
    cases = [case(seed) for seed in range(120)]
    found = drive("steps", given={"signatures": signatures, "buckets": BUCKETS, "cases": cases})
    later = 0
    for asked, results in zip(cases, found, strict=True):
        assert results == in_python(asked, signatures), asked
        # Without freed slots, a step holds as many tokens as its name says.
        later += any(int(each["signature"][5:]) <= number for number, each in enumerate(results))
    assert 20 < later < 100 if kind == "shared" else later == 0
