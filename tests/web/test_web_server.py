"""`keras-attn web --serve`: who reaches it, what it sends, and what it does with clients that misbehave."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from keras_attn import cli
from keras_attn.commands.web import server as web_server
from keras_attn.commands.web import web

ROOT = Path(__file__).resolve().parents[2]
CONTENTS = {
    "index.html": "<p>page</p>",
    "sw.js": "// worker",
    "app.mjs": "// module",
    "app.wasm": "wasm",
    "manifest.webmanifest": "{}",
    "bundles/one/model.tflite": "model" * 5,
    "bundles/one/manifest.json": "{}",
}


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    for name, content in CONTENTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "outside").symlink_to(tmp_path)
    (folder / "inside.html").symlink_to("index.html")
    os.mkfifo(folder / "fifo.html")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("secret")
    (folder / ".app.mjs.part-0").write_text("half a file")
    return folder


@pytest.fixture
def server(site):
    with web_server.open_server(site, "127.0.0.1", 0) as opened:
        thread = threading.Thread(target=opened.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield opened
        opened.shutdown()


def ask(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request(method, path, headers={name.replace("_", "-"): each for name, each in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def test_files_come_with_their_types_and_headers(server):
    types = {
        "/": "text/html; charset=utf-8",
        "/sw.js": "text/javascript",
        "/app.mjs": "text/javascript",
        "/app.wasm": "application/wasm",
        "/manifest.webmanifest": "application/manifest+json",
        "/bundles/one/model.tflite": "application/octet-stream",
        "/bundles/one/manifest.json": "application/json",
        "/inside.html": "text/html; charset=utf-8",
    }
    for path, kind in types.items():
        answer, content = ask(server, path)
        name = "index.html" if path in ("/", "/inside.html") else path[1:]
        assert (answer.status, content.decode()) == (200, CONTENTS[name])
        assert answer.getheader("Content-Type") == kind
        assert answer.getheader("X-Content-Type-Options") == "nosniff"
        assert answer.getheader("Cache-Control") == "no-cache"  # the service worker's above all
        assert "Python" not in answer.getheader("Server")


def test_head_has_no_content_and_a_range_gets_the_whole_file(server):
    answer, content = ask(server, "/bundles/one/model.tflite", "HEAD")
    assert (answer.status, answer.getheader("Content-Length"), content) == (200, "25", b"")
    answer, content = ask(server, "/bundles/one/model.tflite", Range="bytes=0-3")
    assert (answer.status, len(content)) == (200, 25)
    answer, _ = ask(server, "/sw.js")
    answer, content = ask(server, "/sw.js", If_Modified_Since=answer.getheader("Last-Modified"))
    assert (answer.status, content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/bundles/",
            "/bundles/one/",
            "/out.txt",
            "/outside/secret.txt",
            "/outside/",
            "/missing",
            "/fifo.html",
        ),
        *("/../secret.txt", "/%2e%2e/secret.txt", "//../secret.txt", "/..%2fsecret.txt", "/a%00b"),
        *("/.git/config", "/.git/", "/%2egit/config", "/.app.mjs.part-0"),
        "/" + "x" * 999,
    ],
)
def test_nothing_else_is_found(server, path):
    answer, content = ask(server, path)
    assert answer.status == 404 and b"secret" not in content.replace(b"secret.txt", b"")
    assert answer.getheader("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(server, method):
    assert ask(server, "/", method)[0].status == 501


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200),
        ("127.0.0.1", 200),
        ("[::1]:8000", 200),
        ("192.168.1.7:8000", 200),
        ("app.localhost", 200),
        ("evil.example", 421),
        ("localhost.evil.example:8000", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ],
)
def test_a_foreign_name_that_leads_here_is_refused(server, host, status):
    assert ask(server, "/", Host=host)[0].status == status


def test_broken_connections_leave_no_trace(server, capfd):
    for sent in (
        b"",
        b"GET",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x00\xff",
        b"GET /a b c\r\n",
    ):
        client = socket.create_connection(("127.0.0.1", server.server_port))
        client.sendall(sent)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # reset
        client.close()
    assert ask(server, "/")[0].status == 200
    streams = capfd.readouterr()
    assert "Traceback" not in streams.err and streams.out == ""


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_idle_connections_are_closed(site, monkeypatch, sent):
    monkeypatch.setattr(web_server, "REQUEST_SECONDS", 0.2)
    with web_server.open_server(site, "127.0.0.1", 0) as opened:
        threading.Thread(target=opened.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        with socket.create_connection(("127.0.0.1", opened.server_port), timeout=20) as client:
            client.sendall(sent)
            while client.recv(1000):  # it ends by itself, long before the client's 20 seconds
                pass
        opened.shutdown()


def test_server_is_local_by_default(site):
    with web_server.open_server(site, "127.0.0.1", 0) as opened:
        assert opened.socket.getsockname()[0] == "127.0.0.1" and web_server.is_local(opened)
        assert [address for _, address in web_server.addresses(opened)] == [
            f"http://localhost:{opened.server_port}/"
        ]
    with web_server.open_server(site, "127.0.0.2", 0) as opened:
        assert [address for _, address in web_server.addresses(opened)] == [
            f"http://127.0.0.2:{opened.server_port}/"
        ]
        assert web_server.is_local(opened)
    with web_server.open_server(site, "0.0.0.0", 0) as opened:
        shown = [address for _, address in web_server.addresses(opened)]
        expected = [web_server.lan_address()] if web_server.lan_address() else []
        assert shown == [f"http://{each}:{opened.server_port}/" for each in ["localhost", *expected]]
        assert not web_server.is_local(opened)


@pytest.fixture
def written_site(monkeypatch, site):
    """Lets the command serve the made-up site, whatever the bundles."""
    monkeypatch.setattr("keras_attn.commands.web.app.built_app", lambda: site)
    monkeypatch.setattr("keras_attn.commands.web.site.titles_of", lambda found: ["title"] * len(found))
    monkeypatch.setattr("keras_attn.commands.web.site.write_site", lambda app, opened, output: None)
    monkeypatch.setattr("keras_attn.device.files.bundle.Bundle.open", lambda path: None)


def test_the_default_is_this_machine(written_site, monkeypatch):
    seen = []
    monkeypatch.setattr(web, "serve_site", lambda *arguments: seen.append(arguments[1:]))
    assert cli.run_program(["web", "bundle", "--serve"]) == 0
    assert cli.run_program(["web", "bundle", "--serve", "--host", "0.0.0.0", "--port", "0"]) == 0
    assert seen == [("127.0.0.1", 8000), ("0.0.0.0", 0)]


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid", "192.0.2.1", "a" * 80])
def test_unavailable_address_is_reported_in_one_line(written_site, capsys, host):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert cli.run_program(["web", "bundle", "--serve", "--host", host, "--port", port]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 and f"cannot listen at {host}, port {port}" in shown and "--port" in shown


def test_ctrl_c_ends_it_with_one_line(site):
    program = (
        "import sys; from keras_attn import cli; from keras_attn.commands.web import web\n"
        f"cli._run_process(lambda: web.serve_site(web.Path({str(site)!r}), '127.0.0.1', 0) or 0)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    address = process.stdout.readline().split()[-1]
    assert address.startswith("http://localhost:")
    process.stderr.readline()
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "the server has ended\n")
