"""A Bedrock for tests: Converse, whole and streamed, and the control plane's two questions, over HTTP in a thread.

Rules of this file: it trusts nobody. Every request is checked against botocore's own service model (names, types,
enums, lengths, ranges), for a signature, and for what Bedrock asks of a conversation; a wrong one is answered as
Bedrock answers it, and stands in `problems`, which must stay empty (`bedrock()` looks at the end). Answers are a
script of values, one for each request; when it is used up, `say` goes on. The frames of the event stream are made by
hand: prelude, its crc32, typed headers, payload, crc32 of all.

    with bedrock(throttled(), say("Hello ", "there.")) as stub:
        env = environment(slack, store, **stub.environment)
        ...
        assert stub.texts() == ["hello", "hello"]
"""

from __future__ import annotations

import json
import re
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

REGION = "eu-central-1"
MODEL = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
_PATH = re.compile(r"/model/(?P<model>[^/]+)/(?P<operation>converse|converse-stream)")
_CONTROL = re.compile(r"/(?P<kind>foundation-models|inference-profiles)/(?P<name>[^/]+)")


@dataclass(frozen=True)
class Reply:
    """One answer. `pieces` are sent `pace` seconds apart, the first after `wait`.

    `error`: HTTP status, Bedrock's code, its words, instead of an answer. `exception`: an exception event after the
    pieces. `cut`: the connection is closed after the pieces. `ends`: whether the stream says why it stopped.
    """

    pieces: tuple[str, ...] = ()
    stop: str = "end_turn"
    wait: float = 0.0
    pace: float = 0.0
    tool: bool = False
    exception: str = ""
    cut: bool = False
    ends: bool = True
    error: tuple[int, str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def say(*pieces: str, stop: str = "end_turn", wait: float = 0.0, pace: float = 0.0) -> Reply:
    """An answer in pieces, and why it stopped."""
    return Reply(pieces, stop, wait, pace)


def refuse(status: int, code: str, words: str = "no", **headers: str) -> Reply:
    """An error before the answer; `retry_after="2"` is a header."""
    return Reply(error=(status, code, words), headers={k.replace("_", "-"): v for k, v in headers.items()})


def throttled(retry_after: str | None = None) -> Reply:
    """Too many requests."""
    more = {} if retry_after is None else {"retry_after": retry_after}
    return refuse(429, "ThrottlingException", "Too many requests, please wait before trying again.", **more)


def cut(*pieces: str) -> Reply:
    """The connection breaks in the middle of the stream."""
    return Reply(pieces, cut=True)


def fails(*pieces: str, exception: str = "modelStreamErrorException") -> Reply:
    """An exception event in the middle of the stream."""
    return Reply(pieces, exception=exception)


def uses_tool(*pieces: str) -> Reply:
    """The model wants a tool, which nobody offered."""
    return Reply(pieces, stop="tool_use", tool=True)


@dataclass(frozen=True)
class Asked:
    """One request that came: `operation` is `Converse` or `ConverseStream`, `body` its parameters, with the modelId."""

    operation: str
    body: dict[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class Bedrock:
    """The running stub. `url` is both endpoints; `lifecycle` and `profiles` are what the control plane knows."""

    def __init__(self, script: Sequence[Reply]) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.problems: list[str] = []
        self.default = say("Hello from Bedrock.")
        self.lifecycle: dict[str, str] = {"anthropic.claude-haiku-4-5-20251001-v1:0": "ACTIVE"}
        self.profiles: dict[str, list[str]] = {MODEL: ["anthropic.claude-haiku-4-5-20251001-v1:0"]}
        self.regions = (REGION,)  # where profiles lead
        self.denied = False  # whether the control plane refuses
        self._script = list(script)
        self._lock = threading.Lock()

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs to use it."""
        return {
            "STATEROOM_MODEL": f"bedrock:{MODEL}",
            "STATEROOM_MODEL_REGION": REGION,
            "STATEROOM_MODEL_URL": self.url,
            "STATEROOM_MODEL_CONTROL_URL": self.url,
            **CREDENTIALS,
        }

    @property
    def settings(self) -> dict[str, Any]:
        """The same as fields of BotConfig; the credentials must be in the environment (`lends`)."""
        return {"model": f"bedrock:{MODEL}", "model_region": REGION, "model_url": self.url}

    def then(self, *replies: Reply) -> None:
        """More of the script."""
        with self._lock:
            self._script += replies

    def texts(self) -> list[str]:
        """What each request asked last."""
        return [str(one.body["messages"][-1]["content"][-1].get("text")) for one in self.asked]

    def check(self) -> None:
        """No request was wrong."""
        assert not self.problems, "; ".join(self.problems)

    def answer(self, operation: str, body: dict[str, Any], headers: Mapping[str, str]) -> Reply:
        """What a request gets."""
        wrong = [*faults(operation, body), *unsigned(headers)]
        with self._lock:
            self.asked.append(Asked(operation, body, headers))
            if wrong:
                self.problems += wrong
                return refuse(400, "ValidationException", "; ".join(wrong))
            return self._script.pop(0) if self._script else self.default

    def known(self, kind: str, name: str) -> tuple[int, dict[str, Any]]:
        """What the control plane says about a model or a profile."""
        if self.denied:
            return 403, {"message": "not authorized"}
        name = name.rpartition("/")[2] if name.startswith("arn:") else name
        arn = f"arn:aws:bedrock:{REGION}"
        if kind == "foundation-models" and name in self.lifecycle:
            cycle = {"status": self.lifecycle[name]}
            model = {"modelArn": f"{arn}::foundation-model/{name}", "modelId": name, "modelLifecycle": cycle}
            return 200, {"modelDetails": model}
        if kind == "inference-profiles" and name in self.profiles:
            places = [(region, one) for one in self.profiles[name] for region in self.regions]
            models = [{"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{one}"} for region, one in places]
            about = {"inferenceProfileName": name, "inferenceProfileId": name, "status": "ACTIVE", "models": models}
            own = {"inferenceProfileArn": f"{arn}:000000000000:inference-profile/{name}", "type": "SYSTEM_DEFINED"}
            return 200, {**about, **own}
        return 404, {"message": "not found"}


CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDFORTESTS",
    "AWS_SECRET_ACCESS_KEY": "a-secret-that-no-log-may-show",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def bedrock(*script: Reply) -> Iterator[Bedrock]:
    """A running stub; at its end no request may have been wrong."""
    stub = Bedrock(script)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(stub))
    server.daemon_threads = True
    stub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
    stub.check()


def _handler(stub: Bedrock) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            given = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found = _PATH.fullmatch(self.path)
            if found is None:
                return self._json(404, {"message": "no such operation"}, {"x-amzn-errortype": "UnknownOperation"})
            operation = "ConverseStream" if found["operation"].endswith("stream") else "Converse"
            body = {**json.loads(given), "modelId": unquote(found["model"])}
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = stub.answer(operation, body, headers)
            if reply.error is not None:
                status, code, words = reply.error
                return self._json(status, {"message": words}, {"x-amzn-errortype": code, **reply.headers})
            return self._stream(reply) if operation == "ConverseStream" else self._whole(reply)

        def do_GET(self) -> None:
            found = _CONTROL.fullmatch(self.path)
            status, body = stub.known(found["kind"], unquote(found["name"])) if found else (404, {"message": "no"})
            errors = {403: "AccessDeniedException", 404: "ResourceNotFoundException"}
            self._json(status, body, {"x-amzn-errortype": errors[status]} if status in errors else {})

        def log_message(self, *_: Any) -> None:
            pass

        def _json(self, status: int, body: Any, headers: Mapping[str, str]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers, "Content-Length": len(data)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(data)

        def _whole(self, reply: Reply) -> None:
            time.sleep(reply.wait)
            if reply.cut:
                self.close_connection = True
                return
            content: list[dict[str, Any]] = [{"text": "".join(reply.pieces)}] if reply.pieces else []
            if reply.tool:
                content.append({"toolUse": {"toolUseId": "t1", "name": "anything", "input": {}}})
            said = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": reply.stop}
            self._json(200, {**said, **METADATA}, {})

        def _stream(self, reply: Reply) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.amazon.eventstream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for part in _frames(reply):
                    if isinstance(part, float):
                        self.wfile.flush()
                        time.sleep(part)
                        continue
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                if reply.cut:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.wfile.write(b"0\r\n\r\n")
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # whoever asked has gone

    return Handler


METADATA: dict[str, Any] = {
    "usage": {"inputTokens": 12, "outputTokens": 18, "totalTokens": 30},
    "metrics": {"latencyMs": 7},
}


def _frames(reply: Reply) -> Iterator[bytes | float]:
    """The events of a stream, and the seconds to wait before the next."""
    yield frame("messageStart", {"role": "assistant"})
    yield float(reply.wait)
    for piece in reply.pieces:
        yield frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}})
        yield float(reply.pace)
    if reply.exception:
        yield frame(reply.exception, {"message": "it broke"}, exception=True)
        return
    if reply.cut:
        yield 0.05  # so that what was sent is read before the connection is gone
        return
    if reply.pieces:
        yield frame("contentBlockStop", {"contentBlockIndex": 0})
    if reply.tool:
        start = {"toolUse": {"toolUseId": "t1", "name": "anything"}}
        yield frame("contentBlockStart", {"contentBlockIndex": 1, "start": start})
        yield frame("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": "{}"}}})
        yield frame("contentBlockStop", {"contentBlockIndex": 1})
    if reply.ends:
        yield frame("messageStop", {"stopReason": reply.stop})
        yield frame("metadata", METADATA)


def frame(name: str, body: Any, *, exception: bool = False) -> bytes:
    """One message of AWS's event stream encoding."""
    kind = "exception" if exception else "event"
    given = {":message-type": kind, f":{kind}-type": name, ":content-type": "application/json"}
    headers = b"".join(
        struct.pack("!B", len(key)) + key.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for key, value in given.items()
    )
    payload = json.dumps(body).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    head = prelude + struct.pack("!I", zlib.crc32(prelude))
    message = head + headers + payload
    return message + struct.pack("!I", zlib.crc32(message))


# --- what is wrong with a request


@cache
def _service(name: str) -> Any:
    from botocore.session import get_session

    return get_session().get_service_model(name)


def faults(operation: str, body: dict[str, Any]) -> list[str]:
    """What botocore's service model and Bedrock's rules have against the parameters."""
    from botocore.validate import ParamValidator

    shape = _service("bedrock-runtime").operation_model(operation).input_shape
    report = ParamValidator().validate(body, shape)
    found = [report.generate_report()] if report.has_errors() else list(_constraints(body, shape, operation))
    messages = body.get("messages") or [{}]
    roles = [message.get("role") for message in messages]
    if roles != [("user", "assistant")[n % 2] for n in range(len(roles))] or len(roles) % 2 == 0:
        found.append(f"roles do not alternate from user to user: {roles}")
    texts = [block.get("text", "-") for message in messages for block in message.get("content", [{}])]
    if not all(text.strip() for text in texts):
        found.append("a text is blank")
    return found


def _constraints(value: Any, shape: Any, path: str) -> Iterator[str]:
    """Enums and lengths, which ParamValidator leaves to the service."""
    if shape.type_name == "structure":
        for name, inner in value.items():
            if name in shape.members:
                yield from _constraints(inner, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for number, inner in enumerate(value):
            yield from _constraints(inner, shape.member, f"{path}[{number}]")
    elif shape.type_name == "string":
        if shape.enum and value not in shape.enum:
            yield f"{path}: not one of {shape.enum}"
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max")
        if len(value) < low or (high is not None and len(value) > high):
            yield f"{path}: length {len(value)}"
    elif shape.type_name in ("integer", "float", "long", "double"):
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        if (low is not None and value < low) or (high is not None and value > high):
            yield f"{path}: {value} is out of range"


def unsigned(headers: Mapping[str, str]) -> list[str]:
    """Whether the request carries AWS's signature for Bedrock, or an API key."""
    given = headers.get("authorization", "")
    signed = given.startswith("AWS4-HMAC-SHA256") and "/bedrock/aws4_request" in given
    return [] if signed or given.startswith("Bearer ") else ["the request is not signed"]
