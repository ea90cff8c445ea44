"""What PostgreSQL's and psycopg's errors mean for a caller: one table from SQLSTATE to a clear error.

Rules of this file: pure. The codes are those of https://www.postgresql.org/docs/current/errcodes-appendix.html; the
longest prefix decides. The server's own sentences are never shown: some of them hold values of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import psycopg

from stateroom.engines.tables import FROZEN
from stateroom.model.errors import StoreUnavailable


class _Meaning(NamedTuple):
    reason: str
    sentence: str
    retryable: bool


_LOST: Final = _Meaning("io", "the connection was lost; try again", True)
_MEANINGS: Final[Mapping[str, _Meaning]] = {
    "08": _LOST,
    "0A": _Meaning("io", "the server lacks something; it must be PostgreSQL 14 or later", False),
    "28": _Meaning("refused", "the server refuses this user or password; look at the URL and pg_hba.conf", False),
    "3D000": _Meaning("missing", "there is no such database or role; create it, or mend the URL", False),
    "3F000": _Meaning("missing", "there is no such schema; run `stateroom migrate apply`", False),
    "42P01": _Meaning("missing", "a table is not there; run `stateroom migrate apply`", False),
    "42501": _Meaning("readonly", "the role lacks a right on the schema; docs/engines.md has the grants", False),
    "25006": _Meaning("readonly", "the server is read-only (a replica, or a failover); try again", True),
    "53100": _Meaning("full", "the server's disk is full; make room and try again", True),
    "53200": _Meaning("busy", "the server is out of memory; try again", True),
    "53300": _Meaning("busy", "the server has no connection left; try again, or use fewer processes", True),
    "53": _Meaning("busy", "the server is short of something; try again", True),
    "55P03": _Meaning("busy", "a lock was not to be had in time; try again", True),
    "57014": _Meaning("busy", "the server cancelled the statement (a time-out); try again", True),
    "57P": _Meaning("io", "the server is stopping or starting; try again", True),
    "40": _Meaning("busy", "too many writers met at one row; try again", True),
    "SR": _Meaning("frozen", FROZEN, True),  # postgresql_freeze.py
    "XX": _Meaning("io", "the server found its data damaged; look at its log", False),
}
_OTHER: Final = _Meaning("io", "the server refused the statement", False)


_STALLED: Final = _Meaning("busy", "the server has not answered in time (`?timeout=` seconds); try again", True)
# A failed connection comes with the server's words alone, and those are of its own language: what is not known here
# is taken for a server that cannot be reached.
_WORDS: Final[Mapping[str, str]] = {
    "authentication failed": "28",
    "no password supplied": "28",
    "pg_hba.conf": "28",
    "is not permitted to log in": "28",
    "too many clients": "53300",
    "remaining connection slots": "53300",
    "starting up": "57P03",
    "shutting down": "57P03",
    "does not exist": "3D000",
}


class Unreachable(psycopg.OperationalError):
    """No connection could be made, so nothing was sent; `code` stands for its SQLSTATE, where that is known."""

    def __init__(self, told: psycopg.Error) -> None:
        said = str(told)
        self.code = told.sqlstate or next((code for words, code in _WORDS.items() if words in said), "")
        super().__init__(self.code)


class Stalled(psycopg.OperationalError):
    """The deadline of a call has passed."""


def translate(error: psycopg.Error, place: str, *, committing: bool = False) -> StoreUnavailable:
    """The error for a caller; `committing`: when the connection is lost the write may have been applied."""
    code = error.code if isinstance(error, Unreachable) else error.sqlstate or ""
    if isinstance(error, Unreachable) and not code:
        told = "the server cannot be reached; see that it runs, and that host, port, user and password are right"
        return StoreUnavailable(place, "io", told, retryable=True)
    meaning = _LOST if not code and isinstance(error, psycopg.OperationalError) else _OTHER
    if isinstance(error, Stalled):
        meaning = _STALLED
    for length in (2, 3, 5):
        meaning = _MEANINGS.get(code[:length], meaning) if code else meaning
    told = f"{meaning.sentence} (SQLSTATE {code})" if code else meaning.sentence
    unknown = committing and is_lost(error)
    if unknown:
        told += "; whether it was written is not known"
    return StoreUnavailable(place, meaning.reason, told, retryable=meaning.retryable, maybe_applied=unknown)


def is_lost(error: psycopg.Error) -> bool:
    """Whether the connection is gone with it."""
    code = error.sqlstate or ""
    if isinstance(error, Unreachable):
        return False
    return isinstance(error, psycopg.OperationalError) and (not code or code.startswith(("08", "57P")))


def closed(place: str) -> StoreUnavailable:
    """For a call on a store that is closed."""
    return StoreUnavailable(place, "closed", "the store is closed; open it first", retryable=False)
