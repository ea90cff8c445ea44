"""Real child processes for the suite: start, wait for `ready`, let go together, read what they report."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from stateroom.engines.conformance import EngineCase

DEADLINE: Final = 240.0  # seconds for any one step of a child; a hung child fails the test instead of the run


class Child:
    """One worker process. `lines` are what it has acknowledged so far (after `run` or `killed`)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def ready(self) -> None:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), DEADLINE)
        assert line == b"ready\n", line

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")

    async def run(self) -> list[str]:
        """Its lines, once it has ended by itself without a fault."""
        out, _ = await asyncio.wait_for(self.process.communicate(), DEADLINE)
        assert self.process.returncode == 0, f"the child ended with {self.process.returncode}"
        self.lines = out.decode().splitlines()
        return self.lines

    async def killed(self) -> list[str]:
        """Kill it with SIGKILL; the whole lines it had written by then."""
        self.process.kill()
        out, _ = await asyncio.wait_for(self.process.communicate(), DEADLINE)
        self.lines = out.decode().split("\n")[:-1]
        return self.lines


@asynccontextmanager
async def children(case: EngineCase, job: str, options: Sequence[Mapping[str, Any]]) -> AsyncIterator[list[Child]]:
    """Workers that are ready, one for each of `options`; whatever happens, none is left."""
    assert case.recipe is not None, "an engine that declares `processes` must say how a child opens the store"
    found: list[Child] = []
    try:
        for option in options:
            command = [sys.executable, "-m", "stateroom.engines.conformance.worker", *case.recipe, job]
            process = await asyncio.create_subprocess_exec(
                *command,
                json.dumps(option),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                limit=2**24,
            )
            found.append(Child(process))
        for child in found:
            await child.ready()
        yield found
    finally:
        for child in found:
            if child.process.returncode is None:
                child.process.kill()
                await child.process.wait()


async def run_all(case: EngineCase, job: str, options: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Let the workers go at once; what each has reported."""
    async with children(case, job, options) as workers:
        for worker in workers:
            worker.go()
        return list(await asyncio.gather(*(worker.run() for worker in workers)))
