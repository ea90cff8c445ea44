"""`stateroom` in a process that sends itself a signal in the midst of its work: `dying.py SPEC ARGS…`, SPEC as JSON.

Rules of this file: the moment is one of the work, not one of the clock, so it is the same on any machine and whoever
watches is never too late. It is where the `count`th statement to SQLite begins, of those that start with one of
`statements`; BEGIN and COMMIT: before a commit, or right behind one. Counting begins once the state file `state` (of an
export or import) says more than `than`.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

COMMITS = ("BEGIN", "COMMIT")
READS = ("SELECT",)


def dying(
    count: int,
    *args: str,
    number: int = signal.SIGKILL,
    statements: tuple[str, ...] = COMMITS,
    state: Path | None = None,
    than: int = 0,
) -> list[str]:
    """The command line of it."""
    spec = {"count": count, "number": number, "statements": statements, "state": state and str(state), "than": than}
    return [sys.executable, __file__, json.dumps(spec), *args]


def place_of(state: Path) -> int:
    """How far a state file says the work is."""
    try:
        return int(json.loads(state.read_bytes())["place"])
    except FileNotFoundError:
        return -1


def _armed(spec: dict[str, Any]) -> None:
    left, connect = spec["count"], sqlite3.connect

    def seen(statement: str) -> None:
        nonlocal left
        if not statement.startswith(tuple(spec["statements"])):
            return
        if left == spec["count"] and spec["state"] and place_of(Path(spec["state"])) <= spec["than"]:
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), spec["number"])

    def traced(*args: Any, **more: Any) -> sqlite3.Connection:
        connection = connect(*args, **more)
        connection.set_trace_callback(seen)
        return connection

    sqlite3.connect = traced  # type: ignore[assignment]


if __name__ == "__main__":
    _armed(json.loads(sys.argv[1]))
    del sys.argv[1]
    sys.path.pop(0)  # this folder: `python -m stateroom` has the current one there
    sys.path.insert(0, os.getcwd())
    from stateroom.cli import main

    main()
