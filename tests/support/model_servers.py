"""Providers of models for tests, beside Bedrock: Anthropic's Messages and OpenAI's Chat Completions, over HTTP.

Rules of this file: a request is checked for the shape that the provider's documentation asks for (fields, types, roles,
the key, the version header); a wrong one is a 400 and stands in `problems`. Answers are a script, as in
support/bedrock.py, and say why they stopped in the provider's own words.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "a-key-that-no-log-may-show"
ANTHROPIC, OPENAI = "/v1/messages", "/v1/chat/completions"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_FIELDS: Mapping[str, dict[str, type | tuple[type, ...]]] = {
    ANTHROPIC: {
        "model": str,
        "max_tokens": int,
        "messages": list,
        "system": (str, list),
        "temperature": (int, float),
        "stream": bool,
        "metadata": dict,
    },
    OPENAI: {
        "model": str,
        "messages": list,
        "max_completion_tokens": int,
        "max_tokens": int,
        "temperature": (int, float),
        "stream": bool,
        "stream_options": dict,
    },
}


@dataclass(frozen=True)
class Said:
    """One answer; `stop` in the provider's words, None: it breaks off. `status` other than 200 is an error."""

    pieces: tuple[str, ...] = ()
    stop: str | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0


class Provider:
    """The running stub."""

    def __init__(self, script: Sequence[Said]) -> None:
        self.url = ""
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.problems: list[str] = []
        self._script = list(script)

    def then(self, *said: Said) -> None:
        self._script += said

    def take(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Said:
        self.asked.append((path, body, headers))
        wrong = list(faults(path, body, headers))
        self.problems += wrong
        return Said(status=400) if wrong else self._script.pop(0)


def faults(path: str, body: dict[str, Any], headers: Mapping[str, str]) -> Iterator[str]:
    """What the provider would have against a request."""
    known = _FIELDS.get(path)
    if known is None:
        yield f"no such address: {path}"
        return
    for name, value in body.items():
        if name not in known:
            yield f"unknown field {name}"
        elif not isinstance(value, known[name]):
            yield f"{name} is {type(value).__name__}"
    roles = [message["role"] for message in body["messages"]]
    if path == ANTHROPIC:
        if KEY not in (headers.get("x-api-key"), headers.get("authorization", "").removeprefix("Bearer ")):
            yield "the key is missing"
        if not _DATE.fullmatch(headers.get("anthropic-version", "")):
            yield "the version is missing"
        if "max_tokens" not in body:
            yield "max_tokens is required"
    else:
        if not headers.get("authorization", "").startswith("Bearer "):
            yield "the key is missing"
        roles = [role for role in roles if role not in ("system", "developer")]
    if roles != [("user", "assistant")[n % 2] for n in range(len(roles))] or len(roles) % 2 == 0:
        yield f"roles: {roles}"


@contextmanager
def provider(*script: Said) -> Iterator[Provider]:
    """A running stub; at its end no request may have been wrong."""
    stub = Provider(script)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(stub))
    server.daemon_threads = True
    stub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
    assert not stub.problems, stub.problems


def _handler(stub: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = stub.take(self.path, body, {name.lower(): value for name, value in self.headers.items()})
            streams = body.get("stream") and said.status == 200
            if streams:
                self._stream(said, _events(self.path, said))
            else:
                whole = _error() if said.status != 200 else _whole(self.path, said)
                data = json.dumps(whole).encode()
                time.sleep(said.wait)
                self._head(said, "application/json", ("Content-Length", str(len(data))))
                self.wfile.write(data)

        def _head(self, said: Said, kind: str, length: tuple[str, str]) -> None:
            self.send_response(said.status)
            for name, value in {"Content-Type": kind, **said.headers, length[0]: length[1]}.items():
                self.send_header(name, value)
            self.end_headers()

        def _stream(self, said: Said, events: Iterator[str]) -> None:
            self._head(said, "text/event-stream", ("Transfer-Encoding", "chunked"))
            time.sleep(said.wait)
            try:
                for event in events:
                    data = event.encode()
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
                if said.stop is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.wfile.write(b"0\r\n\r\n")
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _error() -> dict[str, Any]:
    return {"type": "error", "error": {"type": "error", "message": "no", "code": None, "param": None}}


def _whole(path: str, said: Said) -> dict[str, Any]:
    text = "".join(said.pieces)
    if path == ANTHROPIC:
        return {**_message(), "content": [{"type": "text", "text": text}], "stop_reason": said.stop}
    choice = {"index": 0, "finish_reason": said.stop, "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def _message() -> dict[str, Any]:
    usage = {"input_tokens": 1, "output_tokens": 1}
    own = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": []}
    return {**own, "stop_reason": None, "stop_sequence": None, "usage": usage}


def _events(path: str, said: Said) -> Iterator[str]:
    return _anthropic(said) if path == ANTHROPIC else _openai(said)


def _anthropic(said: Said) -> Iterator[str]:
    def event(kind: str, **body: Any) -> str:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **body})}\n\n"

    yield event("message_start", message=_message())
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for piece in said.pieces:
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
    if said.stop is not None:
        yield event("content_block_stop", index=0)
        ended = {"stop_reason": said.stop, "stop_sequence": None}
        yield event("message_delta", delta=ended, usage={"output_tokens": 2})
        yield event("message_stop")


def _openai(said: Said) -> Iterator[str]:
    def chunk(delta: dict[str, Any], stop: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": stop}
        body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        return f"data: {json.dumps(body)}\n\n"

    yield chunk({"role": "assistant", "content": ""})
    for piece in said.pieces:
        yield chunk({"content": piece})
    if said.stop is not None:
        yield chunk({}, said.stop)
        yield "data: [DONE]\n\n"
