"""A DynamoDB that refuses, slows down, leaves over and breaks off, as AWS's does and moto cannot: a server before moto.

Rules of this file: the bodies are those that AWS sends. A fault stands for the next requests of an action, or for those
that name a partition; whatever has none goes to moto. `asked` counts what came, by action.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from support.dynamodb import credentials, moto, served

COMMON = "com.amazonaws.dynamodb.v20120810#"
CORAL = "com.amazon.coral.availability#"
SLOW = {
    "throughput": (
        400,
        {
            "__type": f"{COMMON}ProvisionedThroughputExceededException",
            "message": "The level of configured provisioned throughput for the table was exceeded. "
            "Consider increasing your provisioning level with the UpdateTable API.",
        },
    ),
    "throttling": (
        400,
        {
            "__type": f"{CORAL}ThrottlingException",
            "message": "Throughput exceeds the current capacity of your table or index.",
        },
    ),
    "requests": (
        400,
        {"__type": f"{COMMON}RequestLimitExceeded", "message": "Throughput exceeds the current throughput limit."},
    ),
    "cancelled": (
        400,
        {
            "__type": f"{COMMON}TransactionCanceledException",
            "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons "
            "[None, ThrottlingError]",
            "CancellationReasons": [
                {"Code": "None"},
                {"Code": "ThrottlingError", "Message": "Throughput exceeds the current capacity of your table."},
            ],
        },
    ),
}


def cancelled(code: str, why: str) -> tuple[int, Any]:
    """A transaction of two writes, of which the first cannot be done."""
    return 400, {
        "__type": f"{COMMON}TransactionCanceledException",
        "Message": f"Transaction cancelled, please refer cancellation reasons for specific reasons [{code}, None]",
        "CancellationReasons": [{"Code": code, "Message": why}, {"Code": "None"}],
    }


OVERSIZED = {
    "alone": (
        400,
        {
            "__type": "com.amazon.coral.validate#ValidationException",
            "message": "Item size has exceeded the maximum allowed size",
        },
    ),
    "together": cancelled("ValidationError", "Item size to update has exceeded the maximum allowed size"),
}
REFUSED = cancelled("ConditionalCheckFailed", "The conditional request failed")
CONFLICT = cancelled("TransactionConflict", "Transaction is ongoing for the item")
FAULT = (500, {"__type": f"{COMMON}InternalServerError", "message": "Internal server error"})
AWAY = (503, {"__type": f"{CORAL}ServiceUnavailableException"})

Answer = tuple[int, Any]


@dataclass
class Fault:
    """What becomes of some requests: `answer` in the place of moto's, after moto has done it (`done`) or not."""

    action: str
    answer: Answer | None = None
    times: int = 1
    done: bool = False
    partition: str = ""  # only of requests that name this one
    keep: int | None = None  # rows of a batch that are done; the others are left over
    raw: bytes | None = None  # the answer's whole body, with status 200


class Faulty:
    """One server."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.asked: Counter[str] = Counter()
        credentials()
        self.endpoint = served(self._answer)

    def add(self, action: str, answer: Answer | None = None, times: int = 1, **more: Any) -> None:
        """A fault of the next requests."""
        self.faults.append(Fault(action, answer, times, **more))

    def _next(self, action: str, text: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.action in (action, "*") and fault.partition in text:
                fault.times -= 1
                return fault
        return None

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        action = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        self.asked[action] += 1
        fault = self._next(action, data.decode())
        if fault is None:
            return self._moto(environ, data, start)
        if fault.keep is not None:
            return self._partly(environ, action, json.loads(data), fault.keep, start)
        if fault.done:
            self._moto(environ, data, lambda *_: None)
        if fault.raw is not None:
            return _say(200, fault.raw, start)
        assert fault.answer is not None
        status, body = fault.answer
        return _say(status, json.dumps(body).encode(), start)

    def _moto(self, environ: dict[str, Any], data: bytes, start: Callable[..., Any]) -> list[bytes]:
        app, lock = moto()
        with lock:
            return list(app({**environ, "wsgi.input": BytesIO(data), "CONTENT_LENGTH": str(len(data))}, start))

    def _partly(
        self, environ: dict[str, Any], action: str, body: dict[str, Any], keep: int, start: Callable[..., Any]
    ) -> Iterable[bytes]:
        """The first rows of a batch; the others are said to be left over."""
        ((table, asked),) = body["RequestItems"].items()
        rows = asked["Keys"] if action == "BatchGetItem" else asked
        done, left = rows[:keep], rows[keep:]
        name = "UnprocessedKeys" if action == "BatchGetItem" else "UnprocessedItems"
        found: dict[str, Any] = {"Responses": {table: []}} if action == "BatchGetItem" else {}
        if done:
            part = {**asked, "Keys": done} if action == "BatchGetItem" else done
            request = json.dumps({**body, "RequestItems": {table: part}}).encode()
            found = json.loads(b"".join(self._moto(environ, request, lambda *_: None)))
        over = {**asked, "Keys": left} if action == "BatchGetItem" else left
        return _say(200, json.dumps({**found, name: {table: over} if left else {}}).encode(), start)


def _say(status: int, body: bytes, start: Callable[..., Any]) -> list[bytes]:
    start(f"{status} So", [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", str(len(body)))])
    return [body]
