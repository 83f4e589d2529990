"""The tasks of models, named once for manifests, `load` and both programs. This file imports nothing."""

METHODS = {
    "translation": "translate",
    "generation": "generate",
    "classification": "classify",
    "embedding": "embed",
    "masked-lm": "fill_mask",
}
"""The method that answers a text, by the task's name in manifests. A training calls generation causal-lm."""

TASKS = tuple(METHODS)
ENCODER_TASKS = ("classification", "embedding", "masked-lm")
"""The tasks whose models read a text at once; the others produce one token after the other."""
