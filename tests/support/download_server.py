"""A small server on this machine that resumes, breaks off and takes its time; not a test itself."""

import contextlib
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 1 << 14


class Server:
    """Serves ``files``; ``cut`` maps a name to how many bytes of its next answers are sent.

    After each ``PIECE`` of an answer it rests for ``pause`` seconds.
    """

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.cut: dict[str, list[int]] = {}
        self.ranges = True
        self.pause = 0.0
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/raw"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def answer(self, handler):
        name = handler.path.rpartition("/")[2]
        wanted = handler.headers.get("Range")
        self.asked.append((name, wanted))
        if name not in self.files:
            return handler.send_error(404)
        data, start = self.files[name], 0
        if wanted and self.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(data):
                return handler.send_error(416)
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            handler.send_response(200)
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        cut = self.cut.get(name)
        body = data[start : start + cut.pop(0)] if cut else data[start:]
        with contextlib.suppress(ConnectionError):  # the reader was killed
            for at in range(0, len(body), PIECE):
                handler.wfile.write(body[at : at + PIECE])
                time.sleep(self.pause)

    def close(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()
