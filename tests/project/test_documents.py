"""Every block of code in README and docs: it runs, with tiny models in place of large ones, or is listed."""

import contextlib
import inspect
import io
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from tiny_encoders import LABELS, encoder_tokenizer
from tiny_language import prompt_tokenizer
from tiny_models import in_process, scratch, stir, tiny, tokenizer

import keras_attn
from keras_attn import cli
from keras_attn.bundles import registry
from keras_attn.training import load_run

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)

# Commands whose options are read, by the real program, and no more.
PARSED = {
    "train": "trains",
    "export": "converts and proves what was trained or downloaded; the other tests do it",
    "plan": "compiles for a TPU",
    "web": "builds the app with Node",
    "evaluate": "reads test sets",
}
# Other programs, and why they are not run here.
LISTED = {
    "make": "the demo and the tests themselves",
    "pip": "needs a network",
    "jupyter": "opens the notebooks, which tests/lesson runs",
    "keras_attn-device.pyz": "made by export --with-runtime, and run in tests/commands/test_end_to_end.py",
    "demos/": "each has tests of its own",
}
LANGUAGES = {
    "kotlin": "the device tier compiles it",
    "swift": "the device tier compiles it",
    "text": "shows what a program prints; tests/project/test_cli_page.py compares it",
}
# Blocks of Python that need packages which are not always there, by a word of theirs.
NEEDS = {
    "SELECT_TFTEXT_OPS": "tensorflow-text; tests/parity/test_parity_in_graph.py runs it",
    "OneCall": "a bundle of export --one-call; tests/device/search/test_one_call.py runs it",
}
# How `made_smaller` exports.
PROOF = {"recipe": "fp32", "proof_sentences": 4, "metric_sentences": 8}


def blocks(language):
    """The blocks in a language, by page and number."""
    found = []
    for page in PAGES:
        for number, match in enumerate(FENCE.finditer((ROOT / page).read_text(encoding="utf-8"))):
            if match[2] == language:
                text = re.sub(rf"^{match[1]}", "", match[3], flags=re.MULTILINE)
                found.append(pytest.param(text, id=f"{page}-{number}"))
    return found


def long_enough(make, **sizes):
    """A tiny model that has room for the texts of the pages."""
    import keras

    keras.utils.set_random_seed(3)
    small = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 24}
    model = make({**small, "max_sequence_length": 64, **sizes})
    stir(model)
    return model


@pytest.fixture(scope="module")
def stand_ins():
    """A folder in which the names of the pages are tiny bundles and models."""
    from keras_attn_export import export

    from keras_attn import models, pretrained

    folder = scratch() / "documents"
    folder.mkdir()
    words, bytes_ = encoder_tokenizer(), prompt_tokenizer()
    masks = encoder_tokenizer(written_specials=True)
    size = {"vocabulary_size": words.tokenizer.get_vocab_size()}
    of_bytes = {"vocabulary_size": bytes_.tokenizer.get_vocab_size()}
    embedder = long_enough(lambda sizes: models.TextEmbedder(models.Bert(**sizes)), **size)
    prompts = {"query": "query: "}
    prompted = long_enough(lambda sizes: models.TextEmbedder(models.Bert(**sizes), prompts=prompts), **size)
    made = {
        "dates-int8": (tiny("rnnsearch"), tokenizer(), (64,), {}),
        "news-int8": (
            long_enough(lambda sizes: models.TextClassifier(models.Bert(**sizes), LABELS), **size),
            *(words, (64,), {"pairs": True}),
        ),
        "words-int8": (
            long_enough(lambda sizes: models.MaskedLM(models.Bert(**sizes)), **size),
            *(masks, (64,), {}),
        ),
        "minilm": (embedder, words, (64,), {"heads": True}),
        "e5-int8": (prompted, words, (64,), {}),
        "stories-int8": (
            long_enough(lambda sizes: models.CausalLM(models.GPT2(**sizes)), **of_bytes),
            *(bytes_, ((48, 16),), {"heads": True}),
        ),
    }
    with in_process():
        for name, (model, tokens, lengths, options) in made.items():
            export(
                model, folder / name, "fp32", tokenizer=tokens, buckets=lengths, proof_sentences=4, **options
            )
    # Traced models need a process of their own.
    names = models.TokenClassifier(long_enough(lambda sizes: models.Bert(**sizes), **size), ["O", "B-PER"])
    export(names, folder / "names-int8", "fp32", tokenizer=words, buckets=(64,), proof_sentences=4)
    others = {
        "dates-int8": ("runs/demo/dates-int8", "runs/dates-int8", "runs/enja-int8", "runs/multi30k-int8"),
        "news-int8": ("mnli-int8",),
        "minilm": ("minilm-int8",),
        "stories-int8": ("gpt2-int8", "gpt2-heads"),
    }
    (folder / "runs/demo").mkdir(parents=True)
    for name, copies in others.items():
        for copy in (
            *copies,
            *(("en-de-int8", "runs/multi30k-many", "BUNDLE") if name == "dates-int8" else ()),
        ):
            (folder / copy).symlink_to(folder / name)
    (folder / "folder/of").mkdir(parents=True)
    (folder / "sentence-transformers").mkdir()
    for path in ("folder/of/all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"):
        pretrained.save(embedder, folder / path)
        words.tokenizer.save(str(folder / path / "tokenizer.json"))
    pretrained.save(embedder.backbone, folder / "folder/of/bert-base-uncased")
    (folder / "sentences.txt").write_text("the cat\nthe dog\n", "utf-8")
    (folder / "dates.tsv").write_text("".join(f"{n}.{n}.\t{n}-{n}\n" for n in range(1, 29)), "utf-8")
    train = [
        *(
            "--model",
            "rnnsearch",
            "--train",
            "dates.tsv",
            "--source-language",
            "xx",
            "--target-language",
            "iso",
        ),
        *("--vocabulary-size", "270", "--max-tokens", "32", "--batch-tokens", "256", "--steps", "2"),
        *("--evaluations", "1", "--output", "runs/dates"),
    ]
    with contextlib.chdir(folder):
        assert cli.run_program(["train", "translation", *train]) == 0
    return folder


@pytest.fixture
def here(stand_ins, tmp_path, monkeypatch):
    """A copy of the folder, which a page's code may change."""
    folder = shutil.copytree(stand_ins, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def made_smaller(here, monkeypatch):
    """Training that was done before, exports with a short proof, and evaluation of a few pairs."""
    export = keras_attn.export

    def short_proof(source, bundle, recipe="int8", **options):
        if Path(bundle).is_symlink():
            Path(bundle).unlink()
        return export(source, bundle, **{**options, **PROOF})

    monkeypatch.setattr(keras_attn, "export", short_proof)
    translation, evaluate = keras_attn.train.translation, keras_attn.evaluation.evaluate

    def trained_before(**options):
        inspect.signature(translation).bind(**options)
        return load_run(options["output"])

    def few_pairs(source, **options):
        inspect.signature(evaluate).bind(source, **options)
        return evaluate(source, test="dates.tsv")

    monkeypatch.setattr(keras_attn.train, "translation", trained_before)
    monkeypatch.setattr(keras_attn.evaluation, "evaluate", few_pairs)


def names_of_the_page():
    """Names that the snippets assume."""
    rng = np.random.default_rng(0)
    return {
        "query": rng.normal(size=(2, 3, 8)).astype("float32"),
        "annotations": rng.normal(size=(2, 5, 8)).astype("float32"),
        "source_mask": np.ones((2, 5), bool),
        "token_ids": np.ones((2, 6), "int32"),
        "padding_mask": np.ones((2, 6), bool),
        "labels": np.zeros(2, "int32"),
    }


@pytest.mark.parametrize("text", blocks("python"))
def test_python_runs(text, here, made_smaller):
    if any(word in text for word in NEEDS):
        return
    exec(compile(text, "the page", "exec"), names_of_the_page())


def commands(text):
    """The commands of a block: words, and what is read from standard input."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        read = None
        if "<" in words:
            at = words.index("<")
            read, words = words[at + 1], words[:at] + words[at + 2 :]
        if ">" in words:
            words = words[: words.index(">")]
        if words:
            yield words, read


@pytest.mark.parametrize("text", blocks(""))
def test_commands_run(text, here, monkeypatch, capsys):
    for words, read in commands(text):
        program, *arguments = words
        if program == "keras-attn":
            run_command(arguments, read, here, monkeypatch)
        elif words[:3] == ["python", "-m", "keras_attn.device"]:
            done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True)
            assert done.returncode == 0, (words, done.stderr)
        else:
            assert any(name in f"{words[0]} {words[1]}" for name in LISTED), f"{words}: run it, or list it"
    capsys.readouterr()


def run_command(arguments, read, folder, monkeypatch):
    """Run a command, or only read its options where it is one of `PARSED` or wants what is not here."""
    with monkeypatch.context() as patched:
        there = (folder / arguments[1]).exists() or arguments[1] in registry.entries()
        if arguments[0] in PARSED or not there or "--against" in arguments:
            assert arguments[0] in PARSED or arguments[1].startswith("runs/") or "--against" in arguments
            patched.setattr(typer.core.TyperCommand, "invoke", lambda self, context: None)
        if read is not None:
            patched.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((folder / read).read_bytes())))
        assert cli.run_program(arguments) == 0, arguments


def test_other_languages_are_listed():
    for page in PAGES:
        for match in FENCE.finditer((ROOT / page).read_text(encoding="utf-8")):
            assert match[2] in ("", "python", *LANGUAGES), f"{page}: {match[2]} is neither run nor listed"


def test_an_option_that_is_not_there_is_found(here, monkeypatch, capsys):
    """The check itself can fail."""
    with pytest.raises(AssertionError, match="--beams"):
        run_command(["evaluate", "runs/dates-int8", "--beams", "4"], None, here, monkeypatch)
    with pytest.raises(AssertionError, match="--beams"):
        run_command(["run", "runs/dates-int8", "text", "--beams", "4"], None, here, monkeypatch)
