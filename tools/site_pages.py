"""Hooks of mkdocs: README, CONTRIBUTING and CHANGELOG as pages, the layers in the navigation, the web app.

Pages of docs/ link to files as a reader of the repository finds them. Links to files that are not pages of
the site, such as source code, become the file's path.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File  # pyright: ignore[reportMissingImports]  # the `docs` extra

from keras_attn.bundles.find import shipped
from keras_attn.bundles.registry import entries

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LIVE_PAGE, APP = "bundles.md", "app"
FRAME = f"""<iframe class="live" src="{APP}/index.html" title="The web app with these bundles"></iframe>

<p><a href="{APP}/index.html">The app on a page of its own</a>: a phone can install it, and from then
on it needs no network.</p>
"""
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)")


def on_config(config: Any) -> None:
    """Add a page for each layer to the navigation."""
    layers = [{path.stem: f"layers/{path.name}"} for path in sorted((ROOT / "docs/layers").glob("*.md"))]
    _section(config.nav, "Layers").extend(layers)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie beside docs/."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text("utf-8")))
    return files


def on_post_build(config: Any) -> None:
    """Write the web app with the bundles of this repository into the site."""
    from keras_attn.commands.web.app import built_app
    from keras_attn.commands.web.site import write_site
    from keras_attn.device.files.bundle import Bundle

    bundles = [(entry.title, shipped(name)) for name, entry in entries().items()]
    opened = [(title, Bundle.open(path)) for title, path in bundles if path is not None]
    if opened:
        write_site(built_app(), opened, Path(config.site_dir) / APP)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Make links between docs/ and the files beside it links between pages; of other files, name the path."""
    here = page.file.src_uri
    if here == LIVE_PAGE and entries():
        title, text = markdown.split("\n", 1)
        markdown = f"{title}\n\n{FRAME}\n{text}"
    source = next((name for name, made in PAGES.items() if made == here), f"docs/{here}")

    def replaced(match: re.Match[str]) -> str:
        image, text, target, anchor = match[1], match[2], match[3], match[4] or ""
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if path in PAGES or path.startswith("docs/"):
            to = PAGES.get(path) or path.removeprefix("docs/")
            return f"{image}[{text}]({posixpath.relpath(to, posixpath.dirname(here) or '.')}{anchor})"
        if not (ROOT / path).exists():
            return match[0]  # mkdocs warns of it
        return text if text.strip("`") == path else f"{text} (`{path}`)"

    return LINK.sub(replaced, markdown)


def _section(entries: list[Any], name: str) -> list[Any]:
    """Return the entries of a section of the navigation, at any depth."""
    for entry in entries:
        for title, content in entry.items() if isinstance(entry, dict) else ():
            if isinstance(content, list):
                if title == name:
                    return content
                try:
                    return _section(content, name)
                except KeyError:
                    continue
    raise KeyError(name)
