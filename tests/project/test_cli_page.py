"""docs/cli.md is what the commands' `--help` prints today."""

from test_docs import ROOT, load

cli_page = load(ROOT / "tools" / "cli_page.py")


def test_the_page_is_up_to_date():
    assert cli_page.PAGE.read_text("utf-8") == cli_page.page(), "docs/cli.md is old: run `make docs`"


def test_every_command_has_a_section_without_colors():
    text = cli_page.page()
    for name in ("demo", "train translation", "export", "verify", "run", "evaluate", "attention", "web"):
        assert f"\n## keras-attn {name}\n" in text
    assert "\x1b" not in text
    assert max(map(len, text.split("```text")[-1].splitlines())) <= 100


def test_the_callers_screen_changes_nothing(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert cli_page.page() == cli_page.PAGE.read_text("utf-8")
