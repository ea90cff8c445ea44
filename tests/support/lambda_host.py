"""AWS Lambda for tests: functions in processes of their own, called by a gateway, a queue and a clock.

Rules of this file: an execution environment is a process that is handed one event at a time and stands still in
between, as AWS's is; killed with SIGKILL it is replaced at the next call. The gateway makes real payloads of real HTTP
requests; the queue is moto's SQS, whose message comes back when the function that got it died. The clock calls every
four seconds, where AWS's calls every minute.

    python -m support.lambda_host ingress      reads events as JSON lines, writes results as JSON lines
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
HERE: Final = Path(__file__).parents[1]
SECONDS: Final = 20.0  # that a worker's invocation gets
VISIBLE: Final = 5  # seconds after which a message that was not deleted comes back
SCHEDULED: Final[Json] = {"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}


class Died(Exception):
    """The process ended while it worked on an event."""


class Environment:
    """One execution environment of a function. `alone`: what is installed here is not there; its path has it all."""

    def __init__(self, name: str, env: Mapping[str, str], log: Path, *, alone: bool = False) -> None:
        self._name, self._env, self._log = name, dict(env), log
        self._options = ["-S"] if alone else []
        self.process: subprocess.Popen[bytes] | None = None
        self.left = 0.0  # seconds that the last invocation did not use

    def call(self, event: Json, seconds: float = SECONDS) -> Json:
        """The result of one invocation. Died; AssertionError with the words of an exception of the handler."""
        if self.process is None or self.process.poll() is not None:
            self._start()
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps([event, seconds]).encode() + b"\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except OSError:
            line = b""
        if not line:
            raise Died(self._name)
        answer: Json = json.loads(line)
        assert "error" not in answer, answer
        self.left = answer["left"]
        return answer["result"]  # type: ignore[no-any-return]

    def kill(self) -> None:
        """SIGKILL, whatever it does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def end(self) -> None:
        process = self.process
        if process is None:
            return
        self.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _start(self) -> None:
        self.end()
        with self._log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, *self._options, "-m", "support.lambda_host", self._name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=self._env,
                cwd=HERE,
            )


class Pool:
    """The environments of one function: an invocation takes one that is free."""

    def __init__(self, name: str, env: Mapping[str, str], log: Path, size: int) -> None:
        self.all = [Environment(name, env, log) for _ in range(size)]
        self._free: SimpleQueue[Environment] = SimpleQueue()
        for one in self.all:
            self._free.put(one)

    def call(self, event: Json) -> Json:
        one = self._free.get()
        try:
            return one.call(event)
        finally:
            self._free.put(one)


@dataclass
class Host:
    """Both functions and what calls them. `url` is the gateway's; `died`: invocations whose process was killed."""

    url: str
    ingress: Pool
    worker: Pool
    calls: list[str] = field(default_factory=list)
    died: int = 0

    def kill_a_worker(self) -> bool:
        """Kill one that runs; whether there was one."""
        for one in self.worker.all:
            if one.process is not None and one.process.poll() is None:
                one.kill()
                return True
        return False


@contextlib.contextmanager
def hosted(env: Mapping[str, str], folder: Path, queue: str = "", *, workers: int = 2) -> Iterator[Host]:
    """Both functions. `env` are their variables; `queue` is what calls the worker beside the clock."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Gateway)
    server.daemon_threads = True
    url = f"http://127.0.0.1:{server.server_port}"
    given = {**env, "STATEROOM_PUBLIC_URL": url, "PYTHONPATH": os.pathsep.join([*sys.path])}
    host = Host(
        url,
        Pool("ingress", given, folder / "ingress.log", 2),
        Pool("worker", given, folder / "worker.log", workers),
    )
    _Gateway.host = host
    stop = threading.Event()
    threads = [threading.Thread(target=server.serve_forever), threading.Thread(target=_clock, args=(host, stop))]
    if queue:
        threads += [threading.Thread(target=_pump, args=(host, queue, stop)) for _ in range(workers)]
    try:
        for one in host.ingress.all:  # as with provisioned concurrency: nobody waits for a cold start
            one.call(request_event("GET", "/healthz", {}, b""))
        for thread in threads:
            thread.start()
        yield host
    finally:
        stop.set()
        for one in (*host.ingress.all, *host.worker.all):
            one.kill()
        if threads[0].is_alive():
            server.shutdown()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        server.server_close()
        for one in (*host.ingress.all, *host.worker.all):
            one.end()


def request_event(method: str, target: str, headers: Mapping[str, str], body: bytes, *, old: bool = False) -> Json:
    """The payload that API Gateway makes of a request."""
    parts = urlsplit(target)
    coded = {"body": base64.b64encode(body).decode(), "isBase64Encoded": True} if body else {"isBase64Encoded": False}
    if old:
        query = parse_qs(parts.query, keep_blank_values=True)
        return {
            "resource": "/{proxy+}",
            "path": parts.path,
            "httpMethod": method,
            "headers": dict(headers),
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
            "multiValueQueryStringParameters": query or None,
            "requestContext": {"stage": "prod", "httpMethod": method, "path": f"/prod{parts.path}"},
            **coded,
        }
    lower = {name.lower(): value for name, value in headers.items()}
    cookies = [one.strip() for one in lower.pop("cookie", "").split(";") if one.strip()]
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": parts.path,
        "rawQueryString": parts.query,
        "headers": lower,
        "requestContext": {"stage": "$default", "http": {"method": method, "path": parts.path, "protocol": "HTTP/1.1"}},
        **({"cookies": cookies} if cookies else {}),
        **coded,
    }


def queue_event(bodies: list[str]) -> Json:
    """The payload that SQS's event source mapping makes of messages."""
    base = {"eventSource": "aws:sqs", "awsRegion": "eu-central-1", "attributes": {"ApproximateReceiveCount": "1"}}
    return {"Records": [{"messageId": str(n), "body": body, **base} for n, body in enumerate(bodies)]}


class _Gateway(BaseHTTPRequestHandler):
    host: Host
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            found = self.host.ingress.call(request_event(self.command, self.path, dict(self.headers.items()), body))
        except Died:
            found = {"statusCode": 502, "body": '{"message":"Internal Server Error"}'}
        data = str(found.get("body") or "").encode()
        if found.get("isBase64Encoded"):
            data = base64.b64decode(data)
        self.send_response(found["statusCode"])
        for name, value in found.get("headers", {}).items():
            self.send_header(name, value)
        for cookie in found.get("cookies", []):
            self.send_header("Set-Cookie", cookie)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):  # Slack has given up waiting
            self.wfile.write(data)

    do_GET = do_POST = _answer

    def log_message(self, *_: Any) -> None:
        pass


def _clock(host: Host, stop: threading.Event) -> None:
    while not stop.wait(4.0):
        _called(host, "schedule", SCHEDULED)


def _pump(host: Host, queue: str, stop: threading.Event) -> None:
    import boto3

    parts = urlsplit(queue)
    client = boto3.client("sqs", region_name="eu-central-1", endpoint_url=f"{parts.scheme}://{parts.netloc}")
    while not stop.is_set():
        asked = {"QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1, "VisibilityTimeout": VISIBLE}
        found = client.receive_message(**asked).get("Messages", [])
        if found and _called(host, "queue", queue_event([one["Body"] for one in found])):
            for one in found:
                client.delete_message(QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"])


def _called(host: Host, why: str, event: Json) -> bool:
    host.calls.append(why)
    try:
        host.worker.call(event)
    except Died:
        host.died += 1
        return False
    return True


@dataclass(frozen=True)
class Context:
    """Of Lambda's context object, what we read."""

    ends: float

    def get_remaining_time_in_millis(self) -> int:
        return int(max(0.0, self.ends - time.monotonic()) * 1000)


def main(name: str) -> None:
    """The loop of an execution environment: the handler is imported once, as Lambda does it."""
    from stateroom import aws_lambda

    handler = getattr(aws_lambda, name)
    write = partial(print, flush=True)
    for line in sys.stdin:
        event, seconds = json.loads(line)
        try:
            context = Context(time.monotonic() + seconds)
            result = handler(event, context)
            write(json.dumps({"result": result, "left": context.ends - time.monotonic()}))
        except Exception as error:  # noqa: BLE001, as Lambda does it
            write(json.dumps({"error": type(error).__name__, "words": str(error)}))


if __name__ == "__main__":
    main(sys.argv[1])
