"""A Google Cloud Storage for tests: the XML API that obstore speaks, with generations that are enforced.

Rules of this file: an object's generation grows with each put of it; `x-goog-if-generation-match` is compared before
anything is written (0: it must be absent), under one lock, and refused with 412; listings are in order, from
`start-after` or a token on, by prefix and delimiter. What it does not know it answers with 501, so that nothing passes
by being ignored.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 1000
DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
KNOWN = {"list-type", "prefix", "start-after", "delimiter", "continuation-token", "max-keys"}


class Stub:
    """One that is listening at `url`, with one bucket."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self.objects: dict[str, tuple[int, bytes]] = {}
        self.lock = threading.Lock()
        self.last = 0
        self.asked: list[tuple[str, str]] = []  # method, and key or "?" and the prefix that is listed
        self.faults: list[str] = []  # what becomes of the next puts: throttle, lose, drop
        self.refusing = False  # every request: 403
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stub = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stub: Stub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body go together: apart, each answer would wait 40 ms for the client's delayed ACK
    server: _Server

    def do_GET(self) -> None:
        stub, (bucket, key, query) = self.server.stub, self._place()
        stub.asked.append((self.command, key or f"?{query.get('prefix')}"))
        if stub.refusing:
            self._say(403, b"<Error><Code>AccessDenied</Code></Error>")
        elif bucket != stub.bucket:
            self._say(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        elif not key:
            self._list(query)
        else:
            with stub.lock:
                found = stub.objects.get(key)
            if found is None:
                self._say(404, b"<Error><Code>NoSuchKey</Code></Error>")
            else:
                self._say(200, found[1], generation=found[0])

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        stub, (bucket, key, _) = self.server.stub, self._place()
        data = self.rfile.read(int(self.headers["Content-Length"]))
        wanted = self.headers.get("x-goog-if-generation-match")
        stub.asked.append((self.command, key))
        fault = stub.faults.pop(0) if stub.faults else ""
        if fault == "throttle":
            self._say(503, b"<Error><Code>SlowDown</Code></Error>")
            return
        if fault == "lose":  # it never comes to the server
            self._cut()
            return
        if stub.refusing:
            self._say(403, b"<Error><Code>AccessDenied</Code></Error>")
            return
        if bucket != stub.bucket or not key:
            self._say(404, b"<Error><Code>NoSuchBucket</Code></Error>")
            return
        if any(name.lower() in ("if-match", "if-none-match") for name in self.headers):
            self._say(501, b"<Error><Code>NotImplemented</Code></Error>")  # writes ignore these at Google's
            return
        with stub.lock:
            now = stub.objects.get(key, (0, b""))[0]
            met = wanted is None or int(wanted) == now
            if met:
                stub.last += 1
                stub.objects[key] = (stub.last, data)
                now = stub.last
        if fault == "drop":  # it is done, and nobody is told
            self._cut()
            return
        self._say(200 if met else 412, b"" if met else b"<Error><Code>PreconditionFailed</Code></Error>", now)

    def do_DELETE(self) -> None:
        stub, (bucket, key, _) = self.server.stub, self._place()
        if stub.refusing:
            self._say(403, b"<Error><Code>AccessDenied</Code></Error>")
            return
        with stub.lock:
            there = bucket == stub.bucket and stub.objects.pop(key, None) is not None
        self._say(204 if there else 404, b"")

    def _list(self, query: dict[str, str]) -> None:
        if query.keys() - KNOWN:
            self._say(501, b"<Error><Code>NotImplemented</Code></Error>")
            return
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = query.get("continuation-token", query.get("start-after", ""))
        with self.server.stub.lock:
            keys = sorted(key for key in self.server.stub.objects if key.startswith(prefix) and key > after)
        folders: list[str] = []
        objects: list[str] = []
        for key in keys:
            head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if cut:
                folders += [] if prefix + head in folders else [prefix + head]
            else:
                objects.append(key)
        more = len(objects) > PAGE
        objects = objects[:PAGE]
        parts = [f"<IsTruncated>{str(more).lower()}</IsTruncated>"]
        parts += [f"<NextContinuationToken>{escape(objects[-1])}</NextContinuationToken>"] if more else []
        parts += [
            f"<Contents><Key>{escape(key)}</Key><Size>1</Size><ETag>x</ETag>"
            "<LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in objects
        ]
        parts += [f"<CommonPrefixes><Prefix>{escape(one)}/</Prefix></CommonPrefixes>" for one in folders]
        self._say(200, f"<ListBucketResult>{''.join(parts)}</ListBucketResult>".encode())

    def _place(self) -> tuple[str, str, dict[str, str]]:
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        return bucket, key, {name: values[0] for name, values in parse_qs(parts.query).items()}

    def _say(self, status: int, body: bytes, generation: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", DATE)
        self.send_header("ETag", f'"{generation}"')
        self.send_header("x-goog-generation", str(generation))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(2)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""
