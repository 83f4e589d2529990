"""Writes the notebooks of demos/lesson from their sources, in two languages and for two backends of Keras.

    python tools/lesson_notebooks.py --execute    # run every notebook in English, and keep its outputs
    python tools/lesson_notebooks.py              # new texts only: the outputs stay if the code did
    python tools/lesson_notebooks.py Solution     # one notebook

A source is a Jupytext file of the percent format. A cell's tags say where it goes: `en` and `ja` into the
notebooks of that language, `tensorflow` and `torch` into those on that backend, everything else into all.
Code cells are the same in both languages, so that one run is the output of both.
"""

import argparse
import copy
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from keras_attn.device.files.atomic_write import write_text

LESSON = Path(__file__).resolve().parent.parent / "demos" / "lesson"
LANGUAGES = ("en", "ja")
BACKENDS = ("tensorflow", "torch")
CHAPTERS = (
    "0_start",
    "1_bottleneck",
    "2_attention",
    "3_positions",
    "4_self_attention",
    "5_transformer",
    "6_bert",
    "7_phone",
)
# As nbgrader has them: what stands between these lines is the solution.
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?^ *### END SOLUTION$", re.MULTILINE | re.DOTALL)
LONGEST = 1800  # seconds that a cell may take on a busy machine


@dataclass(frozen=True)
class Lesson:
    """A notebook: the sources it is made of, the backend it runs on, and whether solutions are left out."""

    sources: tuple[str, ...]
    backend: str = "tensorflow"
    blanks: bool = False


NOTEBOOKS = {
    "TransformersTF": Lesson(CHAPTERS),
    "TransformersPyTorch": Lesson(CHAPTERS, "torch"),
    "Assignment": Lesson(("assignment",), blanks=True),
    "Solution": Lesson(("assignment",)),
}


def path_of(name: str, language: str) -> Path:
    """Return where a notebook is written; the English one has no language in its name."""
    return LESSON / (f"{name}.ipynb" if language == "en" else f"{name}.{language}.ipynb")


def made(name: str, language: str) -> NotebookNode:
    """Return a notebook without outputs."""
    lesson = NOTEBOOKS[name]
    left_out = {*LANGUAGES, *BACKENDS} - {language, lesson.backend}
    notebook = nbformat.v4.new_notebook()
    for source in lesson.sources:
        read = jupytext.read(LESSON / "sources" / f"{source}.py", fmt="py:percent")
        kept = [cell for cell in read.cells if not left_out & set(cell.metadata.get("tags", ()))]
        for number, cell in enumerate(kept):
            make = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
            notebook.cells.append(make(_text(cell.source, lesson), id=f"{source.replace('_', '-')}-{number}"))
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def _text(text: str, lesson: Lesson) -> str:
    text = text.replace('["KERAS_BACKEND"] = "tensorflow"', f'["KERAS_BACKEND"] = "{lesson.backend}"')
    return SOLUTION.sub(r"\1raise NotImplementedError", text) if lesson.blanks else text


def code_of(notebook: NotebookNode) -> list[str]:
    """Return the texts of the code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def execute(notebook: NotebookNode) -> None:
    """Run a notebook from top to bottom, in the folder of the lesson, and keep what it shows.

    What compilers and converters log on standard error is not kept.
    """
    options = {"timeout": LONGEST, "kernel_name": "python3", "coalesce_streams": True}
    NotebookClient(notebook, resources={"metadata": {"path": str(LESSON)}}, **options).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]


def take_outputs(notebook: NotebookNode, other: NotebookNode) -> bool:
    """Copy the outputs of a notebook with the same code cells, and return whether it has them."""
    if code_of(notebook) != code_of(other):
        return False
    for mine, theirs in zip(_code(notebook), _code(other), strict=True):
        mine.outputs = copy.deepcopy(theirs.outputs)
        mine.execution_count = theirs.execution_count
    return True


def _code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def main() -> None:
    """Write the notebooks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=[], metavar="NAME", help=", ".join(NOTEBOOKS))
    parser.add_argument("--execute", action="store_true", help="run the notebooks and keep their outputs")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NOTEBOOKS):
        parser.error(f"there is no notebook {min(unknown)}; there are {', '.join(NOTEBOOKS)}")
    for name in arguments.names or NOTEBOOKS:
        english = made(name, "en")
        if arguments.execute and not NOTEBOOKS[name].blanks:
            execute(english)
        elif path_of(name, "en").exists():
            take_outputs(english, nbformat.read(path_of(name, "en"), as_version=4))
        japanese = made(name, "ja")
        if not take_outputs(japanese, english):
            sys.exit(f"{name}: the code cells of the two languages differ")
        for language, notebook in zip(LANGUAGES, (english, japanese), strict=True):
            nbformat.validate(notebook)
            write_text(path_of(name, language), nbformat.writes(notebook) + "\n")
            print(path_of(name, language).relative_to(LESSON.parent.parent))


if __name__ == "__main__":
    main()
