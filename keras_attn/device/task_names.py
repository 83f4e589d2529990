"""The tasks of models, named once for manifests, `load` and both programs. This file imports nothing."""

METHODS = {
    "translation": "translate",
    "generation": "generate",
    "classification": "classify",
    "embedding": "embed",
    "masked-lm": "fill_mask",
    "prediction": "predict",
}
"""The method that answers, by the task's name in manifests. A training calls generation causal-lm."""

TASKS = tuple(METHODS)
ENCODER_TASKS = ("classification", "embedding", "masked-lm")
"""The tasks whose models read a text at once."""
PREDICTION = "prediction"
"""The task of any other Keras model: arrays in, arrays out."""
