"""Serves a site's files to this machine, or to its network where that is asked for."""

import contextlib
import http.server
import ipaddress
import os
import socket
import sys
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from keras_attn.commands.terminal.screen import note
from keras_attn.device.errors import InputError

# Whatever the machine's own tables say: browsers refuse scripts and WebAssembly of another type.
_TYPES = {
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".npz": "application/octet-stream",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tflite": "application/octet-stream",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}
REQUEST_SECONDS = 20.0  # to send a request's lines
IDLE_SECONDS = 30.0  # without a byte, in either direction


def open_server(site: Path, host: str, port: int) -> "SiteServer":
    """Return a server of a site that listens already.

    Args:
        site: folder of the site.
        host: address or name to listen at.
        port: 0 takes a free one.

    Raises:
        InputError: the host is unknown or not this machine's, or the port is taken or not allowed.
    """
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return SiteServer(family, (str(address[0]), port), site, host)
    except (OSError, UnicodeError) as error:
        reason = (error.strerror or error) if isinstance(error, OSError) else error
        raise InputError(
            f"cannot listen at {host}, port {port}: {reason}; choose others with --host and --port "
            "(0 takes a free port)"
        ) from None


class SiteServer(http.server.ThreadingHTTPServer):
    """A server of one folder; requests that break off leave no trace.

    Attributes:
        site: the folder, links resolved.
        host: what it was asked to listen at.
    """

    def __init__(self, family: int, address: tuple[str, int], site: Path, host: str):
        self.address_family = family  # pyright: ignore[reportIncompatibleVariableOverride]
        self.site, self.host = Path(os.path.realpath(site)), host
        super().__init__(address, SiteHandler)

    def server_bind(self) -> None:
        """Bind, without the question to a name server that `http.server` asks here."""
        super(http.server.HTTPServer, self).server_bind()
        self.server_name, self.server_port = self.host, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore connections that broke; print a line for anything else."""
        error = sys.exception()
        if not isinstance(error, OSError):
            note(f"a request failed: {type(error).__name__}: {error}")

    def answers_to(self, header: str | None) -> bool:
        """Return whether a request's Host names this machine.

        A page of a foreign site whose name suddenly leads here (DNS rebinding) could read the site otherwise.
        """
        name = _without_port(header or "")
        machine = socket.gethostname().lower()
        own = {"localhost", self.host.lower(), machine, f"{machine}.local"}
        return name in own or name.endswith(".localhost") or _is_address(name)


class SiteHandler(http.server.SimpleHTTPRequestHandler):
    """Sends the files of a site, and nothing else."""

    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, **_TYPES}  # noqa: RUF012
    server_version, sys_version = "keras-attn", ""
    timeout = IDLE_SECONDS  # pyright: ignore[reportAssignmentType]
    server: SiteServer

    def __init__(self, request: Any, address: Any, server: SiteServer):
        super().__init__(request, address, server, directory=str(server.site))

    def setup(self) -> None:
        """Limit how long a client may take to send its request."""
        super().setup()
        self._deadline = threading.Timer(REQUEST_SECONDS, self._hang_up)
        self._deadline.daemon = True
        self._deadline.start()

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RD)

    def parse_request(self) -> bool:
        """Read the request's lines, and refuse one that is for another host."""
        good = super().parse_request()
        self._deadline.cancel()
        if good and not self.server.answers_to(self.headers.get("Host")):
            self.send_error(
                HTTPStatus.MISDIRECTED_REQUEST, explain="This server answers to its own names only."
            )
            return False
        return good

    def finish(self) -> None:
        """End the connection."""
        self._deadline.cancel()
        super().finish()

    def send_head(self) -> Any:
        """Send the headers of a file of the site; what is not one is not found."""
        if not self._is_of_the_site():
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def _is_of_the_site(self) -> bool:
        """Return whether the path is a visible file or folder of the site, not linked out of it."""
        try:
            path = Path(os.path.realpath(self.translate_path(self.path)))
            if not path.is_relative_to(self.server.site):
                return False
            hidden = any(name.startswith(".") for name in path.relative_to(self.server.site).parts)
            return not hidden and (path.is_file() or path.is_dir())
        except (OSError, ValueError):  # a name that no file can have
            return False

    def list_directory(self, path: Any) -> None:
        """List nothing: a folder is found where it has an index.html only."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        """Add what each answer has."""
        # A site that was written again is seen at once; what is unchanged is not sent again.
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Log no requests."""


def lan_address() -> str | None:
    """This machine's address in its network; None without a network. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if address.startswith("127.") else address


def is_local(server: SiteServer) -> bool:
    """Return whether only this machine reaches a server."""
    return _listens(server).is_loopback


def addresses(server: SiteServer) -> Iterator[tuple[str, str]]:
    """Yield who reaches a server, and at which address."""
    port, listens = server.server_port, _listens(server)
    literal = f"http://{f'[{listens}]' if listens.version == 6 else listens}:{port}/"
    if str(listens) == "127.0.0.1" or listens.is_unspecified:
        yield "this machine", f"http://localhost:{port}/"
    elif listens.is_loopback:  # which localhost may not lead to
        yield "this machine", literal
    if listens.is_unspecified and (address := lan_address()):
        yield "a phone in its network", f"http://{address}:{port}/"
    if not listens.is_loopback and not listens.is_unspecified:
        yield "machines in its network", literal


def _listens(server: SiteServer) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(str(server.server_address[0]).partition("%")[0])


def _without_port(header: str) -> str:
    name = header.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
