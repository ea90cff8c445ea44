"""Listening to a responder: what it says is passed on as it grows, until it ends or a person wants no more.

Rules of this file: the responder runs in a task of its own, so it is cut off between two words of ours, and never while
one is on its way to Slack. It waits until what it said was passed on. It fails with errors of our tree; any other is
its defect, of which only the kind and the place are logged (its words may hold content), and which counts as a failed
try, so that the person hears of it soon.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from stateroom.model.errors import ModelError, StateroomError

log = logging.getLogger("stateroom.model")
Say = Callable[[str], Awaitable[None]]


async def listen(growing: AsyncGenerator[str, None], say: Say, stopped: asyncio.Event) -> str | None:
    """Pass every text to `say`. The last one when `stopped` came first, else None; the responder fails through here."""
    news: asyncio.Queue[str] = asyncio.Queue(1)
    said = ""

    async def read() -> None:
        async with aclosing(growing):
            async for text in growing:
                news.put_nowait(text)
                await news.join()

    reading, stopping = asyncio.create_task(read()), asyncio.create_task(stopped.wait())
    try:
        while not stopped.is_set():
            getting = asyncio.create_task(news.get())
            await asyncio.wait({reading, stopping, getting}, return_when=asyncio.FIRST_COMPLETED)
            if getting.done() and not stopped.is_set():
                said = getting.result()
                await say(said)
                news.task_done()
                continue
            getting.cancel()
            if reading.done() and news.empty() and not stopped.is_set():
                _told(reading)
                return None
        return said
    finally:
        for task in (reading, stopping):
            task.cancel()
        await asyncio.wait({reading, stopping})


def _told(reading: asyncio.Task[None]) -> None:
    """Raise what ended the responder, if anything did."""
    error = reading.exception()
    if error is None:
        return
    if isinstance(error, StateroomError):
        raise error
    log.error("the responder has a defect: %s at %s", type(error).__name__, place_of(error))
    raise ModelError(f"defect_{type(error).__name__}", retryable=True)


def place_of(error: BaseException) -> str:
    """File and line of where an error was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
