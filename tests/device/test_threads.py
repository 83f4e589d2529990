"""One loaded object in several threads, in processes that are spawned or forked, and pickled or copied."""

import copy
import functools
import multiprocessing
import os
import pickle
import shutil
import threading
import time

import pytest
import toy_bundle
from sharing import check_shared, side_by_side
from test_device_text import CORPUS, SPECIAL_IDS, byte_pair_tokenizer

from keras_attn import device
from keras_attn.device.errors import BundleError
from keras_attn.device.quiet_stderr import quiet
from keras_attn.device.runtime import litert
from keras_attn.device.tasks.translator import Translator
from keras_attn.device.text.tokenizer import EncoderTokenizer, Tokenizer

TEXTS = ["a little text", "numbers", "little 1.5", "文です", "and 20", "about a text"]
kinds = pytest.mark.parametrize("kind", ["recurrent", "cached"])


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    return {
        kind: toy_bundle.make_bundle(folder / kind, kind, byte_pair_tokenizer())
        for kind in ("recurrent", "cached")
    }


def answer(found):
    """An answer as something to compare, its attention included."""
    if isinstance(found, list):
        return [answer(each) for each in found]
    alignments = [each.alignment for each in found.outputs]
    return found.to_json(), [None if each is None else each.tolist() for each in alignments]


def calls():
    """Searches of many kinds."""
    found = []
    for text, other in zip(TEXTS, TEXTS[1:] + TEXTS[:1], strict=True):
        found += [
            lambda made, text=text: answer(made.translate(text, alignments=True)),
            lambda made, text=text: answer(made.translate(text, beam=3, n_best=2, alignments=True)),
            lambda made, text=text: answer(made.translate(f"{text}. {text}. {text}. {text}.")),
            lambda made, text=text, other=other: answer(made.translate([text, other], beam=2)),
            lambda made, text=text: "".join(made.stream(text)),
            lambda made, text=text, other=other: side_by_side(made.stream(text), made.stream(other)),
        ]
    return found


@kinds
@pytest.mark.parametrize("engine", [litert.Interpreted, litert.Compiled], ids=lambda engine: engine.__name__)
@pytest.mark.parametrize("threads", [1, 2])
def test_every_thread_gets_its_own_answers(bundles, monkeypatch, kind, engine, threads):
    monkeypatch.setattr(litert, "_WORTH_SHARING", 0 if engine is litert.Compiled else 1 << 40)
    check_shared(calls(), lambda: device.load(bundles[kind], threads=threads))


@kinds
def test_stream_continues_during_other_calls(bundles, kind):
    """It is left half-way, for calls of the same thread, for another stream, and for good."""
    made, text, other = device.load(bundles[kind]), TEXTS[0], TEXTS[5]
    wanted = made.translate(text).text, made.translate(other).text
    assert len(list(made.stream(text))) > 2
    first, second, never_read = made.stream(text), made.stream(other), made.stream(text)
    parts = [next(first)]
    assert made.translate(other).text == wanted[1]
    found = next(second)
    next(never_read)
    parts += [next(first)]
    assert answer(made.translate([text, other], beam=3)) == answer(made.translate([text, other], beam=3))
    assert found + "".join(second) == wanted[1]
    assert "".join([*parts, *first]) == wanted[0]
    del never_read


def test_waiting_stream_does_not_block_threads(bundles):
    made = device.load(bundles["cached"])
    stream = made.stream(TEXTS[0])
    next(stream)
    done = []
    other = threading.Thread(target=lambda: done.append(made.translate(TEXTS[1]).text), daemon=True)
    other.start()
    other.join(30)
    assert done == [made.translate(TEXTS[1]).text]


def test_progress_may_use_the_translator(bundles):
    made = device.load(bundles["cached"])
    wanted, inner = answer(made.translate(TEXTS)), answer(made.translate(TEXTS[0], beam=3))
    seen = []
    found = made.translate(TEXTS, progress=lambda done: seen.append(answer(made.translate(TEXTS[0], beam=3))))
    assert answer(found) == wanted
    assert seen == [inner] * len(TEXTS)


@kinds
def test_answers_do_not_change_later(bundles, kind):
    made = device.load(bundles[kind])
    found = made.translate(TEXTS[0], beam=3, n_best=3, alignments=True)
    before = answer(found)
    made.translate(TEXTS[1], beam=3, alignments=True)
    made.translate(TEXTS[2])
    assert answer(found) == before


# Processes


def in_another_process(made, text, beam):
    return answer(made.translate(text, beam=beam))


def test_spawned_processes_open_the_bundle_again(bundles, monkeypatch):
    """By its absolute path: where the parent is now does not matter."""
    monkeypatch.chdir(bundles["cached"].parent)
    made = device.load("cached")
    monkeypatch.chdir("/")
    tasks = [(made, text, beam) for text in TEXTS for beam in (1, 3)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.starmap(in_another_process, tasks, chunksize=1)
        texts = [each.text for each in pool.map(made.translate, TEXTS)]
    assert found == [answer(made.translate(text, beam=beam)) for _, text, beam in tasks]
    assert texts == [made.translate(text).text for text in TEXTS]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_copy_has_its_own_model(bundles, copied):
    made = device.load(bundles["cached"], threads=2, whole_vocabulary=True)
    other = copied(made)
    assert other.opening == made.opening
    assert other.step_models(4).model is not made.step_models(4).model
    wanted = ["".join(made.stream(text)) for text in TEXTS[:2]]
    assert side_by_side(made.stream(TEXTS[0]), other.stream(TEXTS[1])) == wanted


def test_failed_reopening_reports_the_reason(bundles, tmp_path):
    path = shutil.copytree(bundles["cached"], tmp_path / "bundle")
    content = pickle.dumps(device.load(path))
    shutil.rmtree(path)
    with pytest.raises(BundleError, match=f"There is no bundle at {path}"):
        pickle.loads(content)
    shutil.copytree(bundles["recurrent"], path)
    with pytest.raises(BundleError, match=f"{path} has changed since"):
        pickle.loads(content)
    parts = Translator(lambda limit: None, Tokenizer(byte_pair_tokenizer(), SPECIAL_IDS), max_source_tokens=8)  # type: ignore[arg-type]
    for how in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"This Translator cannot be pickled or copied.*device\.load"):
            how(parts)


def test_a_copied_tokenizer_reads_as_before():
    """The switch that makes a written ``<eos>`` text is not part of what the library pickles."""
    written = EncoderTokenizer(byte_pair_tokenizer(), {**SPECIAL_IDS, "mask": 3}, written_specials=True)
    for tokenizer in (Tokenizer(byte_pair_tokenizer(), SPECIAL_IDS), written):
        for other in (pickle.loads(pickle.dumps(tokenizer)), copy.deepcopy(tokenizer)):
            for text in (*CORPUS[:3], "a <eos> b <unk>"):
                assert other.encode(text) == tokenizer.encode(text)
            assert other.target is other


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")


def in_a_fork(work):
    """Whether work in a forked process returned true; a child that hangs is ended."""
    child = os.fork()
    if not child:
        result = 1
        try:
            result = 0 if work() else 1
        finally:
            os._exit(result)
    for _ in range(600):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.05)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*")
@pytest.mark.parametrize("engine", [litert.Interpreted, litert.Compiled], ids=lambda engine: engine.__name__)
def test_forked_process_keeps_open_bundles(bundles, monkeypatch, engine):
    """Its parent computes in another thread when it is forked, and with threads that it does not get."""
    monkeypatch.setattr(litert, "_WORTH_SHARING", 0 if engine is litert.Compiled else 1 << 40)
    made = device.load(bundles["cached"], threads=2)
    asked = [functools.partial(made.translate, text, beam=beam) for text in TEXTS for beam in (1, 3)]
    wanted, stop = [answer(call()) for call in asked], threading.Event()

    def compute():
        while not stop.is_set():
            made.translate(TEXTS, beam=3)

    busy = threading.Thread(target=compute)
    busy.start()
    try:
        assert all(in_a_fork(lambda: [answer(call()) for call in asked] == wanted) for _ in range(5))
    finally:
        stop.set()
        busy.join()


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_search_started_before_a_fork_is_refused(bundles, tmp_path):
    path = shutil.copytree(bundles["cached"], tmp_path / "bundle")
    made = device.load(path)
    stream = made.stream(TEXTS[0])
    begun = next(stream)

    def refused():
        with pytest.raises(RuntimeError, match="began before this process was forked"):
            next(stream)
        return True

    assert in_a_fork(refused)
    assert begun + "".join(stream) == made.translate(TEXTS[0]).text

    def changed():
        (path / "model.tflite").write_bytes(b"another")
        with pytest.raises(BundleError, match="has changed since it was opened"):
            made.translate(TEXTS[0])
        return True

    assert in_a_fork(changed)


def test_threads_that_open_models_leave_standard_error_as_it_is():
    """Each sends it elsewhere for a while; one must not take the other's elsewhere for what was there."""
    before, inside, leave = os.fstat(2), threading.Event(), threading.Event()

    def other():
        with quiet():
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=other)
    with quiet():
        thread.start()
        inside.wait(0.3)
    leave.set()
    thread.join()
    after = os.fstat(2)
    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)
