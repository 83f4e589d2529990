"""`keras-attn web`: bundles in a browser, offline after the first visit."""

from pathlib import Path
from typing import Annotated

import typer

from keras_attn.commands.bundle_argument import found_bundle
from keras_attn.commands.terminal.screen import note, say
from keras_attn.commands.web.server import addresses, is_local, open_server
from keras_attn.device.files.atomic_write import scratch_folder

EXAMPLES = """[bold]Examples[/bold]

  keras-attn web runs/demo/dates-int8 --serve

  keras-attn web en-ja ja-en dates --serve --host 0.0.0.0

  keras-attn web "Dates=runs/demo/dates-int8" "English to Japanese=runs/enja-int8" --output site

The app is built once with Node 20 or newer and npm: in demos/web of a checkout, otherwise in ~/.cache.
The site that is written is static files, and needs nothing but a web server. Service workers, which make it
work offline and let a phone install it, need HTTPS, or localhost.
"""


def web(
    bundles: Annotated[
        list[str],
        typer.Argument(metavar="[TITLE=]BUNDLE...", help="Bundles, the first of which opens first."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write the site to.")
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Serve it on this machine until Ctrl-C.")] = False,
    host: Annotated[
        str, typer.Option(help="Address for --serve; 0.0.0.0 is for phones in the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for --serve; 0 takes a free one.")] = 8000,
) -> None:
    """Write a web app that runs bundles on a phone, or serve it here."""
    from keras_attn.commands.web.app import built_app
    from keras_attn.commands.web.site import titles_of, write_site
    from keras_attn.device.files.bundle import Bundle

    if output is None and not serve:
        raise typer.BadParameter("give --output FOLDER, --serve, or both")
    given = [_titled(each) for each in bundles]
    found = [Bundle.open(found_bundle(path)) for _, path in given]
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
            serve_site(site, host, port)


def _titled(given: str) -> tuple[str, Path]:
    title, equals, path = given.partition("=")
    return (title, Path(path)) if equals and not Path(given).exists() else ("", Path(given))


def serve_site(site: Path, host: str, port: int) -> None:
    """Serve a site until Ctrl-C, and say where.

    Raises:
        InputError: nothing can listen at that host and port.
    """
    with open_server(site, host, port) as server:
        for who, address in addresses(server):
            say(f"For {who}:".ljust(28), address)
        if not is_local(server):
            note(
                "Everybody in the network can read the site. From there the app runs, but browsers neither "
                "install it nor keep it offline: that needs HTTPS, or localhost."
            )
        note(
            "An Android phone on USB: `adb reverse tcp:8000 tcp:"
            f"{server.server_port}` makes http://localhost:8000/ work on it. Ctrl-C ends the server."
        )
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            note("the server has ended")
