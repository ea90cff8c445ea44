"""Wakes: work that one process has made durable is told to those that listen, where an engine declares it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final, cast

import pytest

from stateroom.engines.conformance import ITEMS, OTHER, TEAM, EngineCase, needs
from stateroom.engines.port import Delete, Put, Waking
from stateroom.model.errors import Unsupported

PATIENCE: Final = 20.0


async def test_listening_for_work_is_there_or_refused_by_name(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await engine.commit([Put(ITEMS, TEAM, "a", {}, wake=True)])  # the flag alone is fine everywhere
    listen = getattr(engine, "listen", None)
    if engine_case.capabilities.wakes:
        assert callable(listen)
    elif listen is not None:
        with pytest.raises(Unsupported):
            await listen(ITEMS, lambda: None)


@needs("wakes")
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "in a batch"])
async def test_who_listens_is_told_of_each_row_that_is_work(engine_case: EngineCase, beside: bool) -> None:
    engine, told = engine_case.engine, asyncio.Event()
    listening = asyncio.ensure_future(cast("Waking", engine).listen(ITEMS, told.set))
    try:
        ends = time.monotonic() + PATIENCE
        for number in range(3):
            told.clear()
            more = [Delete(ITEMS, OTHER, "none"), Delete(ITEMS, OTHER, "nobody")] if beside else []
            repeated = 0
            while not told.is_set():  # the first may be told before anybody listens: wakes may be lost
                repeated += 1
                await engine.commit([Put(ITEMS, TEAM, f"work{number}.{repeated}", {}, keep=True, wake=True), *more])
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(told.wait(), 1)
                assert time.monotonic() < ends
        assert not listening.done()
    finally:
        listening.cancel()
        await asyncio.wait({listening})
