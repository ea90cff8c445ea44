"""A model whose answer stands still until a test lets it go: what a test does meanwhile never comes too late."""

import asyncio
from collections.abc import AsyncGenerator

from stateroom.bot.responder import Answer, Ask, exchange


class Slow:
    """A model that says one piece, then waits until it is let go."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces
        self.go = asyncio.Event()
        self.asked = 0
        self.cut = 0

    async def answer(self, ask: Ask, result: Answer) -> AsyncGenerator[str, None]:
        self.asked += 1
        try:
            for piece in self.pieces:
                yield piece
            await self.go.wait()
        except (asyncio.CancelledError, GeneratorExit):
            self.cut += 1
            raise
        result.text = "the whole answer"
        result.messages = exchange(ask.text, result.text, ask.now, "slow")
        yield result.text
