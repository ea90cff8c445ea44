"""Long text in parts that Slack takes, cut where a reader would cut.

Rules of this file: pure; left to right, and the first part depends on the first `limit + LOOKAHEAD` characters
alone, so a streamer knows it before the text is whole; nothing but whitespace is lost, nothing but fences is added;
linear, as every part looks at one window of bounded size. Lengths are code points, as Slack counts them.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from stateroom.model.errors import WrongUse
from stateroom.slack.graphemes import breakable, last_break

LIMIT: Final = 3900
"""Slack takes 4,000 characters in a message that can be updated later; the rest is room for a note."""

LOOKAHEAD: Final = 512
"""`split(text)[0] == split(text[:n])[0]` for n >= limit + LOOKAHEAD, where the text starts with no whitespace."""

# A fence may be indented inside a list. A run of backticks longer than these is text; so is an info with backticks.
_FENCE: Final = re.compile(r"(?P<indent>[ \t]{0,16}+)(?P<run>`{3,16}+|~{3,16}+)(?P<info>[^\n]*+)")
_MAX_INFO: Final = 40
_SPACE: Final = re.compile(r"\s*\n|\s+")
# A token that has begun and shows no sign of being something else. Longer than a window, it counts as text.
_TOKEN: Final = re.compile(r"<[@#!a-zA-Z][^<>\n]*+(?P<end>>|\Z)?")
_STOPS: Final = frozenset(".!?…")
_WIDE_STOPS: Final = frozenset("。！？｡．")
_CLOSERS: Final = frozenset("\"')]}*_~’”»」』）】〉》］｝")
# Scripts that are written without blanks between words: there a cut between any two characters is a word's end.
_UNSPACED: Final = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0xA4CF), (0xF900, 0xFAFF))
_UNSPACED_HIGH: Final = 0xFF00


class _Fence(NamedTuple):
    indent: str
    run: str
    info: str

    @property
    def opener(self) -> str:
        return f"{self.indent}{self.run}{self.info}\n"

    @property
    def closer(self) -> str:
        return f"\n{self.indent}{self.run}"

    def closed_by(self, line: str) -> bool:
        bare = line.strip()
        return len(bare) >= len(self.run) and bare == self.run[0] * len(bare)


class _Block(NamedTuple):
    """A fenced block of a window: `start` of its first line, `body` after it, `end` after its closing fence or None."""

    fence: _Fence
    start: int
    body: int
    end: int | None


class _Cut(NamedTuple):
    """Cut a window: the part is window[:end] + tail; go on at `resume`, inside `fence` when not None.

    `at_line` is False when a line of code was cut.
    """

    end: int
    tail: str
    resume: int
    fence: _Fence | None
    at_line: bool = True


def split(text: str, limit: int = LIMIT) -> list[str]:
    """Return the text in parts of at most `limit` code points; [] for a text without a visible character.

    Cuts are, best first: before a fenced block that would not fit, between paragraphs, lines, sentences, words; only
    a block longer than a part is cut inside, at a line's end, its fence closed and opened again. Raise WrongUse for a
    limit below 1.
    """
    if limit < 1:
        raise WrongUse("the limit of a part must be at least 1 character")
    parts: list[str] = []
    at, fence = 0, None
    while at < len(text):
        head = "" if fence is None else fence.opener
        room = limit - len(head)
        if len(text) - at <= room:
            parts.append(head + text[at:])
            break
        window = text[at : at + limit + LOOKAHEAD]
        cut = _cut(window, room, limit, fence, full=len(window) == limit + LOOKAHEAD)
        parts.append(head + window[: cut.end] + cut.tail)
        at, fence = at + cut.resume, cut.fence
        if fence is None:
            at = _after_space(text, at)
    return [part for part in parts if part.strip()]


def _cut(window: str, room: int, limit: int, open_fence: _Fence | None, *, full: bool) -> _Cut:
    blocks = _blocks(window, room, open_fence)
    last = blocks[-1] if blocks else None
    if last is not None and (last.end is None or last.end > room):
        end = last.end if last.end is not None or full else len(window)
        prose = len(window[: last.start].rstrip())
        if prose and not _hopeless(last.start, end, limit):
            return _Cut(prose, "", prose, None)
        if (cut := _cut_block(window, room, limit, last)) is not None:
            # A line that has no room here may have it in the next part.
            return cut if cut.at_line or not prose else _Cut(prose, "", prose, None)
        blocks.pop()
    at = _cut_prose(window, room, _whole(window, room, blocks, full=full))
    return _Cut(len(window[:at].rstrip()), "", at, None)


def _hopeless(start: int, end: int | None, limit: int) -> bool:
    """Say whether a block fits in no part, as far as the window shows; then the part it starts in may be filled.

    Further in than the look-ahead it is not known, and the block gets a part of its own.
    """
    return start < LOOKAHEAD and (end is None or end - start > limit)


# --- fenced blocks


def _blocks(window: str, room: int, open_fence: _Fence | None) -> list[_Block]:
    """Return the blocks that start before `room`."""
    blocks: list[_Block] = []
    current = None if open_fence is None else _Block(open_fence, 0, 0, None)
    at = 0
    while at < len(window) and (current is not None or at < room):
        stop = window.find("\n", at)
        stop = len(window) if stop < 0 else stop
        if current is None:
            found = _FENCE.match(window, at, stop)
            if found is not None and not (found["run"][0] == "`" and "`" in found["info"]):
                current = _Block(_fence_of(found), at, min(stop + 1, len(window)), None)
        elif current.fence.closed_by(window[at:stop]):
            blocks.append(current._replace(end=at + len(window[at:stop].rstrip())))
            current = None
        at = stop + 1
    return blocks if current is None else [*blocks, current]


def _fence_of(found: re.Match[str]) -> _Fence:
    info = found["info"].rstrip()
    return _Fence(found["indent"], found["run"], info if len(info) <= _MAX_INFO else "")


def _cut_block(window: str, room: int, limit: int, block: _Block) -> _Cut | None:
    """Cut inside a block at a line's end, or inside a line that is longer than a part. None: no room to do so."""
    fence = block.fence
    most = room - len(fence.closer)
    if most <= block.body or limit < 2 * (len(fence.opener) + len(fence.closer)):
        return None
    end = window.rfind("\n", block.body + 1, most + 1)
    if end < 0:
        end = _cut_prose(window, most, bytearray(most + 1))
        end = end if end > block.body else most
        return _Cut(end, fence.closer, end, fence, at_line=False)
    after = window.find("\n", end + 1)
    after = len(window) if after < 0 else after
    if fence.closed_by(window[end + 1 : after]):
        return _Cut(end, fence.closer, after, None)
    return _Cut(end, fence.closer, end + 1, fence)


# --- prose


def _whole(window: str, room: int, blocks: list[_Block], *, full: bool) -> bytearray:
    """Return a mark for each position of the window up to `room` where a cut would be inside a block or a token."""
    marks = bytearray(room + 1)
    spans = [(block.start, block.end or len(window)) for block in blocks]
    for found in _TOKEN.finditer(window):
        if found["end"] == ">" or (found["end"] == "" and full):
            spans.append(found.span())
    for start, end in spans:
        if start == 0 and end > room:
            continue
        stop = min(end, room + 1)
        marks[start + 1 : stop] = b"\1" * max(0, stop - start - 1)
    return marks


def _cut_prose(window: str, ceiling: int, marks: bytearray) -> int:
    """Return the best position from 1 to `ceiling`: the last paragraph's end of the second half, else line's, …"""
    floor = max(1, ceiling // 2)
    for between in ("\n\n", "\n"):
        at = window.rfind(between, floor, ceiling + len(between))
        while at >= 0 and marks[at]:
            at = window.rfind(between, floor, at + len(between) - 1)
        if at >= 0:
            return at
    positions = range(ceiling, floor - 1, -1)
    for fits in (_sentence_ends, _word_ends):
        for at in positions:
            if not marks[at] and fits(window, at) and breakable(window, at):
                return at
    return _cut_anywhere(window, ceiling, floor, marks)


def _cut_anywhere(window: str, ceiling: int, floor: int, marks: bytearray) -> int:
    """No word ends in the second half: a long word, a long token, or a script without blanks."""
    at = last_break(window, ceiling)
    while at > 0 and marks[at]:
        at = last_break(window, at - 1)
    if at == 0:
        return last_break(window, ceiling) or ceiling
    if _inside_word(window, at):
        for earlier in range(min(at, floor), 0, -1):
            if not marks[earlier] and _word_ends(window, earlier) and breakable(window, earlier):
                return earlier
    return at


def _sentence_ends(window: str, at: int) -> bool:
    after = window[at]
    if after in _CLOSERS or after in _STOPS or after in _WIDE_STOPS:
        return False
    stop = at - 1
    while stop > 0 and window[stop] in _CLOSERS:
        stop -= 1
    return window[stop] in _WIDE_STOPS or (window[stop] in _STOPS and after.isspace())


def _word_ends(window: str, at: int) -> bool:
    return window[at].isspace() and not window[at - 1].isspace()


def _inside_word(window: str, at: int) -> bool:
    return not (window[at].isspace() or window[at - 1].isspace() or _unspaced(window[at]) or _unspaced(window[at - 1]))


def _unspaced(char: str) -> bool:
    code = ord(char)
    return code >= _UNSPACED_HIGH or any(low <= code <= high for low, high in _UNSPACED)


def _after_space(text: str, at: int) -> int:
    """Skip the whitespace at a cut, but keep the indentation of the line that follows."""
    found = _SPACE.match(text, at)
    return at if found is None else found.end()
