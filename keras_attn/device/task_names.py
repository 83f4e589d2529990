"""The tasks of models, named once for manifests, `load` and both programs. This file imports nothing."""

METHODS = {
    "translation": "translate",
    "generation": "generate",
    "classification": "classify",
    "embedding": "embed",
    "masked-lm": "fill_mask",
    "token-classification": "entities",
    "question-answering": "answer",
    "scoring": "score",
    "prediction": "predict",
}
"""The method that answers, by the task's name in manifests. A training calls generation causal-lm."""

TASKS = tuple(METHODS)
TOKEN_TASKS = ("token-classification", "question-answering")
"""The tasks whose models score each token."""
ENCODER_TASKS = ("classification", "embedding", "masked-lm", *TOKEN_TASKS, "scoring")
"""The tasks whose models read a text at once."""
RESULTS = {
    "classification": "scores",
    "embedding": "embedding",
    "masked-lm": "scores",
    "token-classification": "token_scores",
    "question-answering": "position_scores",
    "scoring": "scores",
}
"""The output of an encoder's signatures, by task."""
PREDICTION = "prediction"
"""The task of any other Keras model: arrays in, arrays out."""
