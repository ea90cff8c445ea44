"""A language model through pydantic-ai: streams the answer, gives back the messages as JSON.

Rules of this file: pydantic-ai is imported when a model is made, by the worker only (it takes seconds and memory).
Only models of the allow-list, only in the pinned region. One question is one request: no tools are offered, and
another try is the turn's decision. Every failure becomes a ModelError whose reason is one word: a library's own words
may hold content. Why the model stopped decides what is said (bot/endings.py).
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from stateroom.bot import model_clients, model_failures
from stateroom.bot.config import BotConfig
from stateroom.bot.endings import TOO_LONG, outcome
from stateroom.bot.limits import legible
from stateroom.bot.model_names import OFFLINE, check_region, parse
from stateroom.bot.responder import Answer, Ask, prompt_of
from stateroom.model.errors import ModelError, WrongUse

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse

T = TypeVar("T")
_ROLE: Final = (
    "You answer people in Slack, in the language they write, in standard Markdown, briefly unless asked otherwise. "
    "You have no tools: say so when you are asked to act. You remember this thread only."
)
log = logging.getLogger("stateroom.model")
_SHORTER: Final = 2  # times that a conversation is halved for a model whose window it does not fit


def check_model(config: BotConfig) -> str:
    """The model's name when the allow-list has it and it stays in the pinned region, else WrongUse. Imports nothing."""
    allowed = config.models or (config.model,)
    if config.model not in allowed:
        raise WrongUse("STATEROOM_MODEL is not in STATEROOM_MODELS; add it there or choose one of the list")
    if config.model != OFFLINE:
        check_region(parse(config.model), config.model_region)
    return config.model


def probe_model(config: BotConfig) -> None:
    """WrongUse when the model cannot be made here: an unknown name, a missing library or key. Asks nobody anything.

    Imports pydantic-ai: for workers, before they say that they are ready.
    """
    if check_model(config) != OFFLINE:
        model_clients.make(config)


class Agent:
    """The configured model, made on first use."""

    def __init__(self, config: BotConfig) -> None:
        check_model(config)
        self._config = config
        self._asked = model_clients.settings_of(config)
        self._model: Any = None
        self._errors: tuple[type[BaseException], ...] = ()

    async def answer(self, ask: Ask, result: Answer) -> AsyncGenerator[str, None]:
        """Yields the growing text; ModelError with a reason of bot/model_failures.py or bot/endings.py."""
        if self._model is None:
            self._model = await asyncio.to_thread(self._made)
        history = list(ask.history)
        for shorter in range(_SHORTER + 1):
            try:
                async for text in self._once(ask, history, result):
                    yield text
                return
            except ModelError as failed:
                if failed.reason != model_failures.TOO_LONG:
                    raise
            if not history:
                break
            history = halved(history) if shorter + 1 < _SHORTER else []
        result.text, result.reason = TOO_LONG, model_failures.TOO_LONG

    async def _once(self, ask: Ask, history: Sequence[Mapping[str, Any]], result: Answer) -> AsyncGenerator[str, None]:
        """One request; `too_long` comes before the first word."""
        from pydantic_ai.messages import ModelMessagesTypeAdapter, ModelRequest, UserPromptPart

        past = ModelMessagesTypeAdapter.validate_python(list(history))
        parts = [UserPromptPart(prompt_of(ask))]
        text = ""
        try:
            async with AsyncExitStack() as stack:
                pieces, response = await self._begin(stack, [*past, ModelRequest(parts=parts, instructions=_ROLE)])
                while (piece := await self._in_time(anext(pieces, None))) is not None:
                    text += piece
                    yield legible(text)
        except self._errors as failed:
            raise model_failures.failure_of(failed) from None
        text = legible(text)
        said = response()
        ended = outcome((said.provider_details or {}).get("finish_reason") or said.finish_reason, text)
        result.text, result.reason, result.more = ended.text, ended.reason, ended.more
        if ended.kept:
            kept: list[Any] = [ModelRequest(parts=parts), _in_words(said, text)]
            result.messages = ModelMessagesTypeAdapter.dump_python(kept, mode="json")

    async def _begin(
        self, stack: AsyncExitStack, messages: list[Any]
    ) -> tuple[AsyncIterator[str], Callable[[], ModelResponse]]:
        """The request under way: its text in pieces, and the response, once they have come to their end."""
        from pydantic_ai import direct

        asked: Any = self._asked
        if not self._config.model_stream:
            whole = await self._in_time(direct.model_request(self._model, messages, model_settings=asked))
            return _one(whole.text or ""), lambda: whole
        streaming = direct.model_request_stream(self._model, messages, model_settings=asked)
        events = await self._in_time(stack.enter_async_context(streaming))
        return _pieces(aiter(events)), events.get

    async def _in_time(self, waiting: Awaitable[T]) -> T:
        """The first word, and each one after it, comes within STATEROOM_MODEL_FIRST_SECONDS; else TimeoutError."""
        async with asyncio.timeout(self._config.model_first_seconds):
            return await waiting

    def _made(self) -> Any:
        from pydantic_ai.exceptions import AgentRunError, UserError

        try:
            model = model_clients.make(self._config)
        except (WrongUse, ImportError) as failed:
            log.error("%s", failed)
            raise ModelError(model_failures.OTHERS["configuration"].reason, retryable=False) from None
        below = sys.modules.get("botocore.exceptions")  # loaded by now, if it is AWS that we ask
        self._errors = (AgentRunError, UserError, OSError, *([] if below is None else [below.BotoCoreError]))
        return model


def halved(history: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The newer half of a conversation, which begins with what a person said."""
    asked = [n for n, message in enumerate(history) if message.get("kind") == "request" and _is_said(message)]
    newer = [n for n in asked if n >= len(history) / 2]
    return list(history[newer[0] :]) if newer else []


def _is_said(message: Mapping[str, Any]) -> bool:
    return any(part.get("part_kind") == "user-prompt" for part in message.get("parts", ()))


async def _pieces(events: AsyncIterator[Any]) -> AsyncIterator[str]:
    """The text in a stream's events; what a model thinks and which tools it wants are none."""
    async for event in events:
        if event.event_kind == "part_start" and event.part.part_kind == "text":
            piece = event.part.content
        elif event.event_kind == "part_delta" and event.delta.part_delta_kind == "text":
            piece = event.delta.content_delta
        else:
            continue
        if piece:
            yield piece


async def _one(text: str) -> AsyncIterator[str]:
    if text:
        yield text


def _in_words(response: ModelResponse, text: str) -> ModelResponse:
    """A response as history keeps it: its words alone. A tool's call without its return is refused by providers."""
    from pydantic_ai.messages import TextPart

    return replace(response, parts=[TextPart(text)])
