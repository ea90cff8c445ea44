"""JSON Lines from any file or pipe: lines with their numbers and places, in constant memory.

Rules of this file: nothing is assumed of a line but that it ends; one that is too long is passed over, not collected.
Reading is by whatever is there, so that a slow pipe is written on as it comes. docs/format.md has the format.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, Final, NamedTuple

import msgspec

from stateroom.model.codec import exact

CHUNK: Final = 1024 * 1024
LONGEST: Final = 128 * 1024 * 1024  # bytes of a line: every engine's item limit, escaped as JSON allows
SHOWN: Final = 100_000  # bytes of a bad line that go into the file of rejects
_BOM: Final = b"\xef\xbb\xbf"

_decoder: Final = msgspec.json.Decoder(float_hook=exact)


class Line(NamedTuple):
    """A line, its number from 1, and where it ends in the file. `data` is None when it is too long."""

    number: int
    end: int
    data: bytes | None


class BadLine(ValueError):
    """A line that holds no item; the reason has no word of it."""


class Lines:
    """The lines behind a place in a file."""

    def __init__(self, file: IO[bytes], *, offset: int | None = None, number: int = 0, longest: int = LONGEST) -> None:
        self._file = file
        self._read = getattr(file, "read1", file.read)  # what is there now; a pipe need not be full
        self._longest = longest
        self._number = number
        self._end = offset or 0  # of the last line that was given out
        self._parts: list[bytes] = []  # a line that has begun
        self._size = 0
        self._skipping = False
        if offset is not None:
            file.seek(offset)

    def chunk(self) -> Iterator[Line] | None:
        """The lines that came to an end by now, perhaps none; take them before the next. None behind the last."""
        data = self._read(CHUNK)
        if not data:
            return iter([self._line(b"", 0)]) if self._size else None
        return self._split(data)

    def _split(self, data: bytes) -> Iterator[Line]:
        start = 0
        while (stop := data.find(b"\n", start)) >= 0:
            yield self._line(data[start:stop], 1)
            start = stop + 1
        self._keep(data[start:])

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._longest:
            self._skipping, self._parts = True, []
        elif part:
            self._parts.append(part)

    def _line(self, last: bytes, line_end: int) -> Line:
        self._keep(last)
        self._number += 1
        self._end += self._size + line_end
        data = None if self._skipping else b"".join(self._parts)
        self._parts, self._size, self._skipping = [], 0, False
        return Line(self._number, self._end, data)


def item_of(line: Line) -> dict[str, Any] | None:
    """The item of a line, None for a blank one; BadLine says what is wrong with it."""
    if line.data is None:
        raise BadLine(f"the line is longer than {LONGEST} bytes")
    data = line.data.removeprefix(_BOM) if line.number == 1 else line.data
    if not data or data.isspace():
        return None
    try:
        item = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadLine(f"not JSON: {error}") from None
    except RecursionError:
        raise BadLine("nested too deeply") from None
    if not isinstance(item, dict):
        raise BadLine("not a JSON object; a line is one item")
    return item


def reject(line: Line, reason: str) -> bytes:
    """A refused line as one line of the file of rejects."""
    shown = (line.data or b"")[:SHOWN].decode("utf-8", "replace").rstrip("\r")
    return msgspec.json.encode({"line": line.number, "reason": reason, "item": shown}) + b"\n"
