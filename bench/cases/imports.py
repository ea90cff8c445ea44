"""What `import stateroom` costs over bare Python, each in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from bench.frame import Contenders, Must, case


def interpreter(code: str) -> Callable[[], float]:
    """Seconds from start to end of an interpreter that runs `code`."""

    def run() -> float:
        began = perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return perf_counter() - began

    return run


@case(
    "import",
    "`import stateroom` in a fresh interpreter",
    musts=[Must("import stateroom", minus="bare python", at_most=0.005)],
    rounds=25,
)
@contextmanager
def import_stateroom() -> Iterator[Contenders]:
    yield {
        "bare python": interpreter(""),
        "import stateroom": interpreter("import stateroom"),
        "import pydantic": interpreter("import pydantic"),
        "import slack_sdk": interpreter("import slack_sdk"),
    }
