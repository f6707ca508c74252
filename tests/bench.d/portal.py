"""A DLX portal for the bench: one large file behind one link, as fast, as slowly, as broken as a run wants it."""

import http.server
import json
import os
import threading
import time

TOKEN = "BENCH-TOKEN"
PIECE = 1 << 20


class Portal:
    """`rate` bytes a second at most; `stall` seconds of silence after each `stall_every` bytes; cut at `cuts`."""

    def __init__(self, path, rate=None, stall=0, stall_every=0, cuts=()):
        self.path, self.rate, self.stall, self.stall_every = path, rate, stall, stall_every
        self.cuts, self.size = sorted(cuts), path.stat().st_size
        self.downloads, self.ranges = 0, 0
        portal = self

        class Calls(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def tell(self, body, kind="application/json"):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.tell(b"eyJh.e30.bench", "application/jwt")

            def do_GET(self):
                if self.path.endswith("/list"):
                    self.tell(json.dumps({"dataItem": [
                        {"id": "1", "mimeType": "application/zip", "description": "large", "fileCount": 2},
                    ]}).encode())
                elif "/download" in self.path:
                    portal.send(self)
                else:
                    base = f"http://127.0.0.1:{portal.port}/dlx/v1"
                    self.tell(json.dumps({
                        "apiInfo": [{"dlxVersion": "v1", "apiBasePath": base}],
                        "tfaQuestion": [{"questionId": "1", "questionType": "PAT_BIRTH_DATE", "answerFormat": "DATE"}],
                    }).encode())

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Calls)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def send(self, call):
        self.downloads += 1
        begin = 0
        asked = call.headers.get("Range")
        if asked and call.headers.get("If-Range") == '"bench"':
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.ranges += 1
        call.send_response(206 if begin else 200)
        if begin:
            call.send_header("Content-Range", f"bytes {begin}-{self.size - 1}/{self.size}")
        call.send_header("Accept-Ranges", "bytes")
        call.send_header("ETag", '"bench"')
        call.send_header("Content-Length", str(self.size - begin))
        call.end_headers()
        call.wfile.flush()
        cut = next((cut for cut in self.cuts if cut > begin), None)
        end = cut or self.size
        started, since = time.monotonic(), 0
        with open(self.path, "rb") as file:
            at = begin
            while at < end:
                step = min(PIECE if self.rate is None else 64 << 10, end - at)
                try:
                    sent = os.sendfile(call.connection.fileno(), file.fileno(), at, step)
                except OSError:
                    break
                at += sent
                since += sent
                if self.rate:
                    time.sleep(max(0.0, started + (at - begin) / self.rate - time.monotonic()))
                if self.stall_every and since >= self.stall_every:
                    since = 0
                    time.sleep(self.stall)
                    started += self.stall
        call.close_connection = True

    @property
    def link(self):
        return f"http://127.0.0.1:{self.port}/portal?token={TOKEN}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
