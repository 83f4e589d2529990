"""`keras-attn web`: bundles in a browser, offline after the first visit."""

import functools
import http.server
import socket
from pathlib import Path
from typing import Annotated

import typer

from keras_attn.commands.screen import console, note
from keras_attn.device.output_file import scratch_folder

EXAMPLES = """[bold]Examples[/bold]

  keras-attn web runs/demo/dates-int8 --serve

  keras-attn web "Dates=runs/demo/dates-int8" "English to Japanese=runs/enja-int8" --output site

The app is built once with Node 20 or newer and npm: in demos/web of a checkout, otherwise in ~/.cache.
The site that is written is static files, and needs nothing but a web server. Service workers, which make it
work offline and let a phone install it, need HTTPS, or localhost.
"""

_TYPES = {".wasm": "application/wasm", ".js": "text/javascript", ".webmanifest": "application/manifest+json"}


def web(
    bundles: Annotated[
        list[str],
        typer.Argument(metavar="[TITLE=]BUNDLE...", help="Bundles, the first of which opens first."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write the site to.")
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Serve it on this machine until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for --serve; 0 takes a free one.")] = 8000,
) -> None:
    """Write a web app that runs bundles on a phone, or serve it here."""
    from keras_attn.commands.web_app import built_app
    from keras_attn.commands.web_site import titles_of, write_site
    from keras_attn.device.bundle import Bundle

    if output is None and not serve:
        raise typer.BadParameter("give --output FOLDER, --serve, or both")
    given = [_titled(each) for each in bundles]
    found = [Bundle.open(path) for _, path in given]
    opened = [
        (title or own, bundle) for (title, _), own, bundle in zip(given, titles_of(found), found, strict=True)
    ]
    app = built_app()
    with scratch_folder("keras_attn_web") as folder:
        site = output or folder / "site"
        write_site(app, opened, site)
        if output is not None:
            note(f"{output} is a site of {len(opened)} bundle(s), for any web server; a phone needs HTTPS.")
        if serve:
            serve_site(site, port)


def _titled(given: str) -> tuple[str, Path]:
    title, equals, path = given.partition("=")
    return (title, Path(path)) if equals and not Path(given).exists() else ("", Path(given))


def serve_site(site: Path, port: int) -> None:
    """Serve a site to this machine and its network until Ctrl-C, and say where."""
    handler = functools.partial(_Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("", port), handler) as server:
        port = server.server_port
        console().print(f"On this machine:           http://localhost:{port}/", soft_wrap=True)
        if address := lan_address():
            console().print(f"On a phone in its network: http://{address}:{port}/", soft_wrap=True)
        note(
            "At the second address the app runs, but browsers neither install it nor keep it offline: that "
            "needs HTTPS, or localhost. With an Android phone on USB, `adb reverse tcp:8000 tcp:"
            f"{port}` makes http://localhost:8000/ work on it. Ctrl-C ends the server."
        )
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            note("")


def lan_address() -> str | None:
    """This machine's address in its network; None without a network. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if address.startswith("127.") else address


class _Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, **_TYPES}  # noqa: RUF012

    def end_headers(self) -> None:
        # A site that was written again is seen at once; what is unchanged is not sent again.
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing of each request."""
