"""Attention in every shape and masking that the kernels must get right, and its definition."""

from dataclasses import dataclass, replace

import numpy as np

SCALE = 0.3  # not 1/sqrt(dh), so that a kernel that scales by itself is found out


@dataclass(frozen=True)
class Case:
    """Sizes (T, S, H, K, dh, dv) and what restricts the attention."""

    length: int = 128
    key_length: int = 128
    heads: int = 2
    key_heads: int = 2
    head_dim: int = 16
    value_dim: int = 16
    causal: bool = False
    sliding_window: int | None = None
    key_mask: str | None = None  # "right", "left" or "holes"; each has an example in which no key exists

    def arrays(self, seed=0):
        """Queries, keys, values, the mask of the keys or None, and a gradient for the outputs; B = 3."""
        rng = np.random.default_rng(seed)

        def normal(*shape):
            return rng.normal(size=(3, *shape)).astype("float32")

        mask, keys = None, np.arange(self.key_length)
        if self.key_mask:
            rows = {
                "right": keys < self.key_length // 3,
                "left": keys >= self.key_length // 3,
                "holes": rng.random(self.key_length) < 0.5,
            }
            mask = np.stack([rows[self.key_mask], keys >= 0, keys < 0])  # (B, S)
        return (
            normal(self.length, self.heads, self.head_dim),
            normal(self.key_length, self.key_heads, self.head_dim),
            normal(self.key_length, self.key_heads, self.value_dim),
            mask,
            normal(self.length, self.heads, self.value_dim),
        )

    @property
    def options(self):
        """Return the arguments of every kernel besides the arrays."""
        return {"causal": self.causal, "sliding_window": self.sliding_window, "scale": SCALE}

    def allowed(self, key_mask=None):
        """The whole mask (B or 1, 1, T, S), from the definitions."""
        i, j = np.arange(self.length)[:, None], np.arange(self.key_length)[None, :]
        allowed = np.ones((1, 1, self.length, self.key_length), bool)
        if self.causal:
            allowed = allowed & (j <= i)
        if self.sliding_window is not None:
            allowed = allowed & (np.abs(i - j) < self.sliding_window)
        return allowed if key_mask is None else allowed & key_mask[:, None, None, :]


CASES = {
    "no mask": Case(),
    "causal": Case(300, 300, causal=True),
    "padding": Case(key_mask="right"),
    "causal, padded on the left": Case(causal=True, key_mask="left"),
    "cross": Case(40, 300, key_mask="holes"),
    "cross, more queries": Case(300, 40),
    "causal cross, more queries": Case(140, 70, causal=True),
    "causal cross, more keys": Case(70, 300, causal=True, key_mask="right"),
    "window": Case(300, 300, sliding_window=5),
    "causal window": Case(300, 300, causal=True, sliding_window=140),
    "window far beyond the keys": Case(300, 40, sliding_window=5),
    "window of one": Case(20, 20, sliding_window=1, key_mask="holes"),
    "grouped heads": Case(60, 60, heads=4, key_heads=2, value_dim=24, causal=True, key_mask="holes"),
    "one key head": Case(9, 130, heads=4, key_heads=1, head_dim=24, value_dim=8),
}
SMALL = {  # the same with fewer blocks, for kernels that have none
    name: replace(
        case,
        length=-(-case.length // 10),
        key_length=-(-case.key_length // 10),
        sliding_window=case.sliding_window and min(case.sliding_window, 7),
    )
    for name, case in CASES.items()
}


BACKWARD = (
    "no mask",
    "causal, padded on the left",
    "causal cross, more keys",
    "window far beyond the keys",
    "grouped heads",
)


def attention(query, key, value, allowed, scale=SCALE):
    """Equation 1 of Vaswani et al., 2017; as in the project, where nothing is allowed, everything is."""
    return _attention(query, key, value, allowed, scale)[0]


def gradients(query, key, value, allowed, cotangent, scale=SCALE):
    """Gradients of queries, keys and values, derived by hand, for a gradient of the outputs (B, T, H, dv)."""
    _, weights, keys, values = _attention(query, key, value, allowed, scale)
    of_weights = np.einsum("bthd,bshd->bhts", cotangent, values)
    of_scores = weights * (of_weights - (weights * of_weights).sum(-1, keepdims=True))
    of_scores = np.where(allowed, of_scores, 0) * scale

    def grouped(x):  # the heads of a group share their key and value
        return x.reshape(*key.shape[:3], -1, x.shape[-1]).sum(3)

    return (
        np.einsum("bhts,bshd->bthd", of_scores, keys),
        grouped(np.einsum("bhts,bthd->bshd", of_scores, query)),
        grouped(np.einsum("bhts,bthd->bshd", weights, cotangent)),
    )


def _attention(query, key, value, allowed, scale):
    groups = query.shape[2] // key.shape[2]
    keys, values = (np.repeat(np.asarray(x, "float64"), groups, axis=2) for x in (key, value))
    scores = np.einsum("bthd,bshd->bhts", query, keys) * scale
    scores = np.where(allowed, scores, -1e9)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)  # (B, H, T, S)
    return np.einsum("bhts,bshd->bthd", weights, values), weights, keys, values
