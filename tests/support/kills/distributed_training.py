"""A tiny training in a process of its own, for tests of devices, hosts and interruptions; not a test itself.

    python distributed_training.py CORPUS OUTPUT '{"run_options": {...}, "config": {...}, "resume": true}'

It appends a line (step, loss in full) to OUTPUT.losses after each step, of process 0 alone where there are
several, and writes `OUTPUT.result` at the end. `"task"` is translation (a Transformer, by default),
masked-lm, causal-lm or classification; `"stop_at"` is a step after which it sends itself SIGTERM. A list of
such trainings is tried one after another, and what each is refused for is printed. Exits as the command line
does.
"""

import json
import os
import signal
import sys
from pathlib import Path


def write_corpus(folder: Path) -> None:
    """Sequences of words to be copied backwards, also as plain text and as a labelled table."""
    import numpy as np

    words = ("one", "two", "three", "four", "five", "six", "seven")
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", 150), ("validation", 10)):
        texts = [" ".join(rng.choice(words, rng.integers(1, 6))) for _ in range(count)]
        backwards = [" ".join(reversed(text.split())) for text in texts]
        for ending, lines in (("en", texts), ("xx", backwards), ("txt", texts)):
            (folder / f"{split}.{ending}").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        rows = [f"{text},{'odd' if len(text.split()) % 2 else 'even'}\n" for text in texts]
        (folder / f"{split}.csv").write_text("text,label\n" + "".join(rows), "utf-8")


SHARED = {"steps": 20, "warmup": 2, "evaluations": 2, "average": 2, "dropout": 0.2, "learning_rate": 3e-3}
TEXT = {"preset": "tiny", "vocabulary_size": 300, "max_tokens": 16, "batch_size": 16, "metric": None}
SETTINGS = {
    "translation": {
        "model": "transformer",
        "source_language": "en",
        "target_language": "xx",
        "vocabulary_size": 300,
        "max_tokens": 16,
        "boundaries": (8, 16),
        "batch_tokens": 128,
        "validation_sentences": 4,
        "bpe_dropout": 0.0,
        "label_smoothing": 0.1,
    },
    "masked-lm": TEXT,
    "causal-lm": TEXT,
    "classification": {**TEXT, "boundaries": (8, 16), "label_smoothing": 0.1, "layer_decay": 0.9},
}


SMALLER = {
    "Transformer": {
        "hidden_dim": 16,
        "intermediate_dim": 32,
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
    },
    "Bert": {"hidden_dim": 16, "intermediate_dim": 32, "num_layers": 1},
    "GPT2": {"hidden_dim": 16, "intermediate_dim": 32, "num_layers": 1},
}


def main() -> int:
    """Train as the arguments say."""
    from keras_attn.presets import PRESETS
    from keras_attn.training.errors import TrainingError

    for model, sizes in SMALLER.items():
        PRESETS[model]["tiny"].update(sizes)
    corpus, output, asked = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    if isinstance(asked, dict):
        train(corpus, output, asked)
        return 0
    for each in asked:
        try:
            train(corpus, output, each)
        except TrainingError as error:
            print(error, file=sys.stderr)
    return 0


def train(corpus: Path, output: Path, asked: dict) -> None:
    """Train once."""
    from keras_attn import training
    from keras_attn.training.config.run_options import RunOptions
    from keras_attn.training.progress import Silent

    class Losses(Silent):
        def stepped(self, step, loss, target_tokens):
            with open(f"{output}.losses", "a", encoding="utf-8") as file:
                file.write(f"{json.dumps([step, loss])}\n")
            if step == asked.get("stop_at"):
                os.kill(os.getpid(), signal.SIGTERM)

    task = asked.get("task", "translation")
    name = {"masked-lm": "MaskedLM", "causal-lm": "CausalLM"}.get(task, task.title())
    make = getattr(training, f"{name}Config").recommended
    ending = {"translation": "", "classification": ".csv"}.get(task, ".txt")
    files: dict = {split: f"{corpus / split}{ending}" for split in ("train", "validation")}
    if task.endswith("-lm"):
        files = {split: (path,) for split, path in files.items()}
    config = make(**{**SHARED, **SETTINGS[task], **files, **asked.get("config", {})})
    result = training.train(
        config,
        output,
        resume=asked.get("resume", False),
        progress=Losses(),
        run_options=RunOptions(**asked.get("run_options", {})),
    )
    if os.environ.get("KERAS_DISTRIBUTION_PROCESS_ID", "0") == "0":
        Path(f"{output}.result").write_text(json.dumps([result.chosen, result.score]), "utf-8")


if __name__ == "__main__":
    from keras_attn.cli import run_program

    sys.exit(run_program([], lambda _: main()))
