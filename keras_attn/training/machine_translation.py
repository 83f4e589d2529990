"""Machine translations of texts that a training asks for, made once by processes of their own and kept.

The texts lie in parts of a few hundred; a part is done when its translations are written, so that what was
interrupted continues with the next part.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from keras_attn.child_process import start_python
from keras_attn.data.corpora.checksums import sha256
from keras_attn.device.files.atomic_write import write_text
from keras_attn.device.files.folder_kinds import RUN_FILE
from keras_attn.device.files.manifest import MANIFEST
from keras_attn.pretrained.hub import NAME
from keras_attn.training.errors import TrainingError

PART = 256  # texts
REQUEST, WORKER = "request.json", "keras_attn.translation_worker"
_POLL = 0.2  # seconds


@dataclass(frozen=True)
class MachineTranslator:
    """A translator that works in processes of its own.

    Attributes:
        model: a bundle, a run folder, a checkpoint's folder or its name on the hub.
        beam: int, beam size.
        n_best: int, translations of each text.
        processes: int; each opens the model.
        backend: of Keras, for a model that is not a bundle.
    """

    model: str
    beam: int
    n_best: int
    processes: int
    backend: str

    def translate(
        self,
        texts: Sequence[str],
        folder: Path,
        source: str,
        target: str,
        report: Callable[[int, int], None],
        *,
        started: bool = False,
    ) -> list[list[str]]:
        """Translate texts, or read the translations that a folder has already.

        Args:
            texts: the texts.
            folder: keeps the translations.
            source: language of the texts, for a model of several.
            target: language of the translations, as `source`.
            report: called with the number of texts that are done, and that of all.
            started: whether the training has started, so that its translations stay as they are: then the
                model need not be there any more.

        Returns:
            The translations of each text, the best first; empty for a text that the model is too small for.

        Raises:
            TrainingError: if there is no such model, or it does not translate this direction.
        """
        if not started and not Path(self.model).exists() and not NAME.fullmatch(self.model):
            raise TrainingError(
                f"{self.model} does not exist: give a bundle, a run folder, or a checkpoint's folder or hub "
                "name."
            )
        request = self._request(texts, source, target, hashed=not started)
        parts = self._prepare(folder, request, texts)
        missing = [part for part in parts if not translations_of(part).is_file()]
        if missing:
            self._run(folder, parts, len(texts), report)
        found: list[list[str]] = []
        for part in parts:
            found += json.loads(translations_of(part).read_text("utf-8"))
        return found

    def _request(self, texts: Sequence[str], source: str, target: str, hashed: bool) -> dict[str, Any]:
        digest = hashlib.sha256("\0".join(texts).encode("utf-8")).hexdigest()
        path = Path(self.model)
        return {
            # A worker has the same working folder, but the request outlives it.
            "model": str(path.resolve()) if path.exists() else self.model,
            "model_sha256": _identity(path) if hashed else None,
            "source": source,
            "target": target,
            "beam": self.beam,
            "n_best": self.n_best,
            "texts_sha256": digest,
        }

    def _prepare(self, folder: Path, request: dict[str, Any], texts: Sequence[str]) -> list[Path]:
        """Write the texts, unless the folder has been prepared by the same request; return the parts."""
        count = -(-len(texts) // PART)
        parts = [folder / f"texts-{number:05d}.json" for number in range(count)]
        if _same(folder / REQUEST, request):
            return parts
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for number, part in enumerate(parts):
            chosen = texts[number * PART : (number + 1) * PART]
            write_text(part, json.dumps(list(chosen), ensure_ascii=False))
        write_text(folder / REQUEST, json.dumps(request, indent=1, ensure_ascii=False))
        return parts

    def _run(
        self, folder: Path, parts: Sequence[Path], total: int, report: Callable[[int, int], None]
    ) -> None:
        def done() -> int:
            return min(total, PART * sum(translations_of(part).is_file() for part in parts))

        with self._workers(folder) as workers:
            running = True
            while running:
                report(done(), total)
                time.sleep(_POLL)
                running = any(process.poll() is None for process, _ in workers)
                for process, errors in workers:
                    if process.returncode:
                        raise TrainingError(f"{self.model} cannot translate: {_last_line(errors)}")
        report(total, total)

    @contextmanager
    def _workers(self, folder: Path) -> Iterator[list[tuple[Any, IO[str]]]]:
        environment = {**os.environ, "KERAS_BACKEND": self.backend}
        with ExitStack() as stack:
            workers: list[tuple[Any, IO[str]]] = []
            for number in range(self.processes):
                errors = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace"))
                arguments = ["-m", WORKER, str(folder), str(number), str(self.processes)]
                process = start_python(arguments, environment, errors)
                stack.callback(process.wait)
                stack.callback(process.kill)  # first; it does nothing to one that has ended
                workers.append((process, errors))
            yield workers


def translations_of(part: Path) -> Path:
    """Return the file of a part's translations."""
    return part.with_name(part.name.replace("texts-", "translations-"))


def _same(path: Path, request: dict[str, Any]) -> bool:
    """Return whether a folder was prepared by the same request; a model that was not hashed may be any."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    if request["model_sha256"] is None:
        return found.get("texts_sha256") == request["texts_sha256"]
    return found == request


def _identity(path: Path) -> str:
    """Return what changes with a model: a SHA-256 over the file, or over what lists a folder's files."""
    if path.is_file():
        return sha256(path)
    for name in (MANIFEST, RUN_FILE):  # which have the SHA-256 of the other files
        if (path / name).is_file():
            return sha256(path / name)
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else []
    listed = [(each.relative_to(path).as_posix(), sha256(each)) for each in files]
    return hashlib.sha256(json.dumps(listed).encode("utf-8")).hexdigest()


def _last_line(errors: IO[str]) -> str:
    errors.seek(0)
    lines = [line.strip() for line in errors.read().splitlines() if line.strip()]
    return lines[-1] if lines else "its process was killed, for lack of memory perhaps"
