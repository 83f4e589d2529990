"""Relative links and anchors of README, CONTRIBUTING, CHANGELOG and docs lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def anchors(page):
    """The anchors of a page's headings, as GitHub and Python-Markdown make them of ASCII headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page):
    """The links of a page that lead nowhere."""
    text = CODE.sub("", page.read_text("utf-8"))
    for match in LINK.finditer(text):
        target, _, anchor = (match[1] or match[2]).partition("#")
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path = page if not target else (page.parent / target).resolve()
        if not path.exists() or not path.is_relative_to(ROOT):
            yield f"{target}: no such file"
        elif anchor and anchor not in anchors(path):
            yield f"{target}#{anchor}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert list(broken(page)) == []


def test_a_broken_link_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("test_links.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](page.md#one) [b](gone.md) [c](#two) `[d](code.md)`\n", "utf-8")
    assert list(broken(page)) == ["gone.md: no such file", "#two: no such heading"]


def test_every_page_is_reached_from_the_readme():
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        for match in LINK.finditer(page.read_text("utf-8")):
            path = (page.parent / (match[1] or match[2]).partition("#")[0]).resolve()
            waiting += [path] if path.is_file() else []
    assert {path for path in PAGES if path not in seen} == set()


def test_files_that_the_contributing_page_names_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"`((?:keras_attn|export|tests|tools|demos|benchmarks|requirements)/[^`*]*)`", text)
    assert len(named) > 30
    assert [path for path in named if "<" not in path and not (ROOT / path).exists()] == []
