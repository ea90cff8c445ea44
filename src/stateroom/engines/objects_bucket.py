"""What the engine over objects asks of a place that keeps them: blocking calls, and a write whose answer was lost.

Rules of this file: put-if-absent and put-if-match are the only concurrency control there is. Every object that is
written carries a mark of its own write (`write`, 16 hexadecimal digits), so that no two writes are the same bytes:
whoever finds exactly its own bytes in the place has written them, whatever became of the answer.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from stateroom.model.errors import StateroomError, StoreUnavailable, Throttled

TRIES: Final = 5  # at one request that may be sent again
PAUSE: Final = 0.05  # seconds before the second one; doubles
PATIENCE: Final = 30.0  # seconds in which a write may lose races
LONG = 25.0  # seconds after which nothing is sent again: five times a request's own limit would be minutes
T = TypeVar("T")


class Found(NamedTuple):
    """An object: its bytes, and the tag that a later put must match."""

    data: bytes
    tag: str


class Lost(Exception):
    """The condition of a put does not hold: nothing was written by it."""


class Bucket(Protocol):
    """Objects by key. Keys are relative and have slashes; `names` and `folders` are relative to the folder asked for.

    Errors are StoreUnavailable (`maybe_applied` where the answer of a put was lost) and Throttled; never anything that
    holds a URL.
    """

    place: str  # for errors: scheme, bucket and prefix
    lists_after: bool  # a listing behind a name costs as much as what it gives
    near: bool  # a disk of this machine: a put is too short for a thread, as long as the disk is quick
    drops: bool  # `drop` is there
    every: int  # appends to a stream from one snapshot to the next: so many gets a reader of the newest may need
    readers: int  # gets at once that are quicker than one after the other

    def get(self, key: str) -> Found | None:
        """The object, or None."""

    def put(self, key: str, data: bytes, tag: str | None) -> str:
        """Write it if it is as `tag` says (None: if it is absent), durably; its new tag. Lost."""

    def sure(self, key: str) -> None:
        """What was read there lasts from here on, although whoever wrote it may not have been told so."""

    def drop(self, key: str, tag: str) -> None:
        """Remove it if it is as `tag` says. Lost."""

    def remove(self, keys: Sequence[str]) -> None:
        """Remove them, whatever they hold; those that are absent are fine."""

    def names(self, folder: str, after: str = "") -> list[str]:
        """Names of all objects below a folder that sort behind `after`, in order."""

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder, in order."""

    def close(self) -> None:
        """Let go of what is held."""


def mark() -> str:
    """What makes the bytes of one write its own."""
    return secrets.token_hex(8)


def pause(attempt: int) -> float:
    """Seconds to wait before another try: growing, and not the same for everybody."""
    return min(PAUSE * float(2**attempt), 1.0) * (0.5 + random.random())


class Race:
    """A write that others may come before, over and over."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._ends = time.monotonic() + PATIENCE
        self._lost = 0

    def lost(self, most: float = 0.25, *, first: bool = True) -> None:
        """Wait for the next try, `most` seconds or less; `first`: behind the first loss, too. StoreUnavailable when it
        has gone on for too long."""
        if time.monotonic() > self._ends:
            detail = "other writers came between too many times; try again"
            raise StoreUnavailable(self._place, "busy", detail, retryable=True) from None
        if first or self._lost:
            time.sleep(min(pause(self._lost - (not first)), most))
        self._lost += 1


def settled(bucket: Bucket, key: str, data: bytes, tag: str | None) -> str:
    """A put whose outcome is known when it returns or raises Lost; its tag.

    An answer that was lost is found out by reading: our bytes are there, or the object is as before (then the same put
    is sent again: it cannot be applied twice), or somebody else's are there. `maybe_applied` is left only where none
    of that could be seen, or where ours may have been replaced since.
    """
    unsure: StateroomError | None = None
    ends = time.monotonic() + LONG
    for attempt in range(TRIES):
        if attempt:
            time.sleep(pause(attempt))
        last = attempt == TRIES - 1 or time.monotonic() >= ends
        try:
            return bucket.put(key, data, tag)
        except Lost:
            if unsure is None:
                raise
        except StoreUnavailable as error:
            if not error.maybe_applied:
                error.maybe_applied = unsure is not None
                if not error.retryable or last:
                    raise
                continue
            unsure = error
        except Throttled as error:
            error.maybe_applied = unsure is not None
            if last:
                raise
            continue
        found = _seen(bucket, key, unsure)
        if found is not None and found.data == data:
            bucket.sure(key)
            return found.tag
        if found is not None and tag is None:
            raise Lost(key)  # it can no longer be applied
        if last or (tag is not None and (found is None or found.tag != tag)):
            raise unsure  # ours may have been there, and gone again
    raise AssertionError("the last try returns or raises")


def _seen(bucket: Bucket, key: str, unsure: StateroomError) -> Found | None:
    try:
        return again(lambda: bucket.get(key))
    except StateroomError:
        raise unsure from None


def again(call: Callable[[], T]) -> T:
    """What a request that changes nothing gives, asked a few times where that may help."""
    ends = time.monotonic() + LONG
    for attempt in range(TRIES - 1):
        try:
            return call()
        except StateroomError as error:
            if not error.retryable or time.monotonic() >= ends:
                raise
        time.sleep(pause(attempt))
    return call()
