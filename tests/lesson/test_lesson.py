"""The notebooks are those of their sources, complete in both languages, and ran to their end."""

import importlib.util
import json
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("lesson_notebooks", ROOT / "tools" / "lesson_notebooks.py")
assert spec is not None and spec.loader is not None
lesson = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lesson)

JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
EACH = [(name, language) for name in lesson.NOTEBOOKS for language in lesson.LANGUAGES]
MOST_BYTES = 900_000
WITHOUT_OUTPUTS = ("TransformersPyTorch",)  # takes too long for its outputs to be kept


def stored(name, language):
    """A notebook as it lies in the repository."""
    return nbformat.read(lesson.path_of(name, language), as_version=4)


def cells(notebook):
    """What the sources decide: ids, kinds and texts of the cells."""
    return [(cell.id, cell.cell_type, cell.source) for cell in notebook.cells]


def broken_runs(notebook):
    """Code cells that failed, or did not run in their order."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    failed = [cell.id for cell in code if any(each.output_type == "error" for each in cell.outputs)]
    return failed + [cell.id for number, cell in enumerate(code, 1) if cell.execution_count != number]


@pytest.mark.parametrize(("name", "language"), EACH)
def test_a_notebook_is_that_of_its_sources(name, language):
    found = cells(stored(name, language))
    assert found == cells(lesson.made(name, language)), "run `python tools/lesson_notebooks.py`"


@pytest.mark.parametrize("name", lesson.NOTEBOOKS)
def test_both_languages_have_the_same_code_and_as_many_texts(name):
    english, japanese = (stored(name, language) for language in lesson.LANGUAGES)
    assert [cell.cell_type for cell in english.cells] == [cell.cell_type for cell in japanese.cells]
    assert lesson.code_of(english) == lesson.code_of(japanese)
    for one, other in zip(english.cells, japanese.cells, strict=True):
        if one.cell_type == "markdown":
            assert not JAPANESE.search(one.source)
            assert JAPANESE.search(other.source), other.source


@pytest.mark.parametrize(("name", "language"), EACH)
def test_a_notebook_ran_from_top_to_bottom(name, language):
    path, notebook = lesson.path_of(name, language), stored(name, language)
    if lesson.NOTEBOOKS[name].blanks or name in WITHOUT_OUTPUTS:
        assert not any(cell.get("outputs") for cell in notebook.cells)
        return
    assert broken_runs(notebook) == []
    assert path.stat().st_size < MOST_BYTES
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert "image/png" in str(shown)
    assert not re.search(r"/(tmp|home|root)/", json.dumps(shown))


def test_a_run_that_failed_is_found():
    notebook = stored("Solution", "en")
    assert broken_runs(notebook) == []
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    code[1].execution_count = 7
    code[2].outputs = [nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[])]
    assert broken_runs(notebook) == [code[2].id, code[1].id]


def test_the_assignment_has_blanks_where_the_solution_has_answers():
    assignment, solution = stored("Assignment", "en"), stored("Solution", "en")
    blank, answered = "\n".join(lesson.code_of(assignment)), "\n".join(lesson.code_of(solution))
    assert blank.count("raise NotImplementedError") == answered.count("### BEGIN SOLUTION") == 5
    assert "SOLUTION" not in blank
    assert "ops.where(mask" in answered
    assert "ops.where(mask" not in blank


def test_the_two_lessons_differ_only_in_their_backend():
    tensorflow, torch = (
        "\n".join(lesson.code_of(stored(f"Transformers{name}", "en"))) for name in ("TF", "PyTorch")
    )
    assert tensorflow != torch
    assert tensorflow.replace('= "tensorflow"', '= "torch"', 1) == torch
