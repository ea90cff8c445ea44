"""Where things lie: ids as parts of paths, tables, teams and streams as folders (docs/format.md, "Objects").

Rules of this file: pure. Every part of a path that comes from outside goes through `part`, so that nothing leaves its
folder (invariant 5); two ids never have one name. Part by part: a team's rows are below its own folder, always.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

CATALOGUE: Final = "stateroom.json"
SNAPSHOT: Final = "snapshot.json"
TURNS: Final = "turns.json"
THREADS: Final = "sr_entries"  # the one log whose streams are two folders deep, below `threads`
SHOWN: Final = 180  # bytes of an encoded part; file systems take 255 for a name
END: Final = ".json"
_SAFE: Final = "-_.:@=+,"
_HASHED: Final = "%~"  # no escape begins so
_NUMBER: Final = re.compile(r"(\d{10})\.json")
_GENERATION: Final = re.compile(r"again-(\d+)")


@lru_cache(4096)  # a stream's are asked for with each append
def part(text: str) -> str:
    """One part of a path for any text but an empty one."""
    name = quote(text, safe=_SAFE)
    if not name.strip("."):
        return name.replace(".", "%2E")
    if name[0] == ".":  # hidden names are ours, for what is not yet written
        name = "%2E" + name[1:]
    if len(name) <= SHOWN:
        return name
    return name[: SHOWN - 66] + _HASHED + hashlib.sha256(text.encode()).hexdigest()


def text_of(name: str) -> str | None:
    """The text that `part` gave this name to; None where only the object can tell, or it is none of ours."""
    if _HASHED in name:
        return None
    try:
        text = unquote(name, errors="strict")
    except UnicodeDecodeError:
        return None
    return text if text and part(text) == name else None


def is_hashed(name: str) -> bool:
    """Whether the text is in the object alone."""
    return _HASHED in name


def items(table: str) -> str:
    """The folder of a table of items; below it one for each team."""
    return f"items/{part(table)}"


def item(table: str, team: str, row_id: str) -> str:
    """The key of a row."""
    return f"items/{part(table)}/{part(team)}/{part(row_id)}{END}"


def log(table: str) -> str:
    """The folder of a log; below it one for each team."""
    return "threads" if table == THREADS else f"logs/{part(table)}"


class Stream(NamedTuple):
    """A stream of a log."""

    table: str
    team: str
    name: str

    @property
    def folder(self) -> str:
        """Where it lies: `threads/<team>/<channel>/<thread_ts>`, or `logs/<table>/<team>/<stream>`."""
        return _folder(self)

    @property
    def snapshot(self) -> str:
        return f"{self.folder}/{SNAPSHOT}"

    def within(self, generation: int) -> str:
        """The folder of its entries: the stream's own, and another one after each erasing."""
        return f"{self.folder}/again-{generation}" if generation else self.folder

    def turns(self, generation: int) -> str:
        return f"{self.within(generation)}/{TURNS}"

    def entry(self, generation: int, number: int) -> str:
        return f"{self.within(generation)}/{number_name(number)}"


@lru_cache(maxsize=1024)
def _folder(stream: Stream) -> str:
    within = f"{log(stream.table)}/{part(stream.team)}"
    if stream.table == THREADS:
        channel, _, ts = stream.name.partition(":")
        return f"{within}/{part(channel)}/{part(ts) if ts else '%'}"
    return f"{within}/{part(stream.name)}"


def number_name(number: int) -> str:
    return f"{number:010d}{END}"


def number_of(name: str) -> int | None:
    """The number of an entry's object; None for one of the others that a stream has."""
    found = _NUMBER.fullmatch(name)
    return int(found[1]) if found else None


def is_ours(name: str) -> bool:
    """Whether an object that is no entry belongs into a stream's folder (`name` relative to it)."""
    first, _, rest = name.partition("/")
    if not rest:
        return name in (SNAPSHOT, TURNS)
    return _GENERATION.fullmatch(first) is not None and (rest == TURNS or number_of(rest) is not None)


def thread_of(channel: str, ts: str) -> str | None:
    """The stream of two folders of `threads`."""
    one, two = text_of(channel), text_of(ts)
    if two is None and ts == "%":
        return one
    return None if one is None or two is None else f"{one}:{two}"
