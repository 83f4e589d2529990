"""Distillation and back-translation: which pairs are trained on, and what is kept when one is interrupted."""

import json
import shutil

import pytest

from keras_attn import translation_worker
from keras_attn.data import ParallelCorpus
from keras_attn.training import TrainingError, TranslationConfig, load_run, train
from keras_attn.training import machine_translation as module
from keras_attn.training.distillation import Teaching
from keras_attn.training.machine_translation import MachineTranslator
from keras_attn.training.progress import Silent

NUMBERS = ("one", "two", "three", "four", "five", "six")
SIZES = {
    "model": "seq2seq",
    "source_language": "en",
    "target_language": "xx",
    "vocabulary_size": 290,
    "max_tokens": 40,
    "boundaries": (40,),
    "batch_tokens": 640,
    "steps": 2,
    "warmup": 1,
    "evaluations": 1,
    "validation_sentences": 2,
    "average": 0,
    "bpe_dropout": 0.0,
}


class Notes(Silent):
    """Records what is shown of the translations."""

    def __init__(self):
        self.translated_texts, self.notes = [], []

    def translated(self, done, total):
        self.translated_texts.append((done, total))

    def note(self, text):
        self.notes.append(text)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for split, rows in (("train", 24), ("validation", 4), ("mono", 6)):
        texts = [f"{NUMBERS[i % 6]} {NUMBERS[i // 6]} {split}" for i in range(rows)]
        (folder / f"{split}.en").write_text("".join(f"{text}\n" for text in texts), "utf-8")
        (folder / f"{split}.xx").write_text("".join(f"{text.upper()}\n" for text in texts), "utf-8")
    return folder


def config(corpus, **changes):
    return TranslationConfig(
        train=str(corpus / "train"), validation=str(corpus / "validation"), **{**SIZES, **changes}
    )


@pytest.fixture(scope="module")
def teacher(corpus):
    """A run that translates badly, and always the same."""
    return train(config(corpus), corpus / "teacher").folder


class Backwards:
    """Stands in for a translator: the words backwards, and a few others."""

    languages = ("en", "xx")

    def __init__(self):
        self.asked = []

    def fits(self, text):
        return "LONG" not in text.upper()

    def translate(self, texts, *, beam, n_best, source, target):
        self.asked.append((len(texts), source, target))
        return [Result([text.upper(), *[" ".join(reversed(text.split()))] * 4][:n_best]) for text in texts]


class Result:
    def __init__(self, texts):
        self.outputs = [type("Output", (), {"text": text}) for text in texts]


@pytest.fixture
def in_this_process(monkeypatch):
    """Workers that are functions, with a translator that stands in."""
    translator, loads = Backwards(), []

    class Done:
        returncode = 0
        poll = wait = kill = staticmethod(lambda: 0)

    def start(arguments, environment, errors):
        _, _, folder, number, workers = arguments
        translation_worker.translate_parts(module.Path(folder), int(number), int(workers))
        return Done()

    monkeypatch.setattr(module, "start_python", start)
    monkeypatch.setattr(module, "_POLL", 0)
    monkeypatch.setattr("keras_attn.loading.load", lambda *_, **__: loads.append(1) or translator)
    return translator


# ---- what is trained on ----


def taught(settings, tmp_path, pairs, texts=(), started=False):
    corpus = ParallelCorpus(pairs, [], [], "en", "xx", "some")
    notes = Notes()
    return Teaching(settings, tmp_path, started, notes).taught(corpus, texts).train, notes.notes


def test_a_teachers_translations_replace_the_targets(corpus, tmp_path, in_this_process):
    pairs = [("a b", "B A"), ("too long", "x"), ("c d", "d c")]
    found, notes = taught(config(corpus, teacher="T"), tmp_path, pairs)
    assert found == [("a b", "A B"), ("c d", "C D")]
    assert notes == ["1 texts left out: the teacher has no translation of them"]
    assert in_this_process.asked == [(2, "en", "xx")]


def test_the_best_of_a_beam_is_the_nearest_to_the_reference(corpus, tmp_path, in_this_process):
    pairs = [("a b c d e", "e d c b a"), ("f g h i j", "F G H I J")]
    for pick in ("best", "best-chrf"):
        settings = config(corpus, teacher="T", teacher_pick=pick, teacher_keep_references=True)
        found, _ = taught(settings, tmp_path / pick, pairs)
        assert found == [*pairs, ("a b c d e", "e d c b a"), ("f g h i j", "F G H I J")]
    first, _ = taught(config(corpus, teacher="T"), tmp_path / "first", pairs)
    assert first == [("a b c d e", "A B C D E"), ("f g h i j", "F G H I J")]


def test_back_translated_texts_are_added_with_their_translations_as_sources(
    corpus, tmp_path, in_this_process
):
    settings = config(corpus, back_translate=str(corpus / "mono"), reverse_model="R")
    found, _ = taught(settings, tmp_path, [("a", "b")], ["new text", "long"])
    assert found == [("a", "b"), ("NEW TEXT", "new text")]
    assert in_this_process.asked == [(1, "xx", "en")]


def test_contradicting_settings_are_refused(corpus):
    for changes, message in (
        ({"back_translate": "mono"}, "need each other"),
        ({"teacher_pick": "best"}, "need a `teacher`"),
        ({"teacher": "T", "teacher_pick": "best", "teacher_beam": 1}, "teacher_beam"),
        ({"teacher": "T", "teacher_processes": 0}, "teacher_processes"),
    ):
        with pytest.raises(TrainingError, match=message):
            config(corpus, **changes)


# ---- what is kept ----


def test_translations_continue_with_the_part_that_is_missing(tmp_path, in_this_process, monkeypatch):
    monkeypatch.setattr(module, "PART", 4)
    texts, notes = [f"text {n}" for n in range(10)], Notes()
    model = tmp_path / "model"
    model.mkdir()
    translator = MachineTranslator(str(model), beam=2, n_best=2, processes=2, backend="jax")

    def translate(texts=texts, **more):
        return translator.translate(texts, tmp_path / "kept", "en", "xx", notes.translated, **more)

    whole = translate()
    assert whole == [[text.upper(), f"{text.split()[1]} text"] for text in texts]
    assert notes.translated_texts[-1] == (10, 10)
    asked = len(in_this_process.asked)
    assert translate() == whole and len(in_this_process.asked) == asked == 3
    (tmp_path / "kept" / "translations-00001.json").unlink()
    assert translate() == whole and in_this_process.asked[asked:] == [(4, "en", "xx")]
    # Other texts, or another model, have other translations.
    assert translate(texts[:3]) == whole[:3] and len(in_this_process.asked) == asked + 2
    (model / "weights").write_text("changed", "utf-8")
    translate(texts[:3])
    assert len(in_this_process.asked) == asked + 3
    # Once the training has started, they stay what they were.
    (model / "weights").write_text("changed again", "utf-8")
    translate(texts[:3], started=True)
    assert len(in_this_process.asked) == asked + 3


class Broken(Silent):
    """Stops a training at its first step."""

    def stepped(self, step, loss, target_tokens):
        raise KeyboardInterrupt


def test_a_student_learns_from_a_run_in_another_process(corpus, teacher, tmp_path):
    """The road itself: a teacher's process, an interruption, and the run that continues without a teacher."""
    moved = tmp_path / "teacher"
    shutil.copytree(teacher, moved)
    settings = config(
        corpus,
        teacher=str(moved),
        teacher_beam=2,
        teacher_pick="best",
    )
    output = tmp_path / "student"
    with pytest.raises(KeyboardInterrupt):
        train(settings, output, progress=Broken())
    kept = output / "translations" / "teacher-en-xx"
    written = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert written
    result = train(settings, output, progress=Notes())
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == written
    run = load_run(result.folder)
    assert run.config["data"]["train_pairs"] > 0
    found = json.loads((kept / "translations-00000.json").read_text("utf-8"))
    assert len(found) == 24 and all(len(each) == 2 for each in found)


def test_a_model_that_is_not_there_is_refused_before_a_process_starts(corpus, tmp_path):
    with pytest.raises(TrainingError, match="nothing does not exist"):
        train(config(corpus, teacher=str(tmp_path / "nothing")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_ends_a_process_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WORKER", "no_such_module_of_ours")
    translator = MachineTranslator(str(tmp_path), beam=1, n_best=1, processes=2, backend="jax")
    with pytest.raises(TrainingError, match=r"cannot translate: .*no_such_module_of_ours"):
        translator.translate(["a"], tmp_path / "kept", "en", "xx", Notes().translated)
