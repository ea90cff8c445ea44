"""A language model through pydantic-ai: streams the answer, gives back the messages as JSON.

Rules of this file: pydantic-ai is imported when the first question comes, by the worker only (it takes seconds and
memory). Only models of the allow-list. Every failure of the library becomes a ModelError whose reason is one word:
its own words may hold content.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from stateroom.bot.config import BotConfig
from stateroom.bot.responder import Answer, Ask, prompt_of
from stateroom.model.errors import ModelError, WrongUse

_INSTRUCTIONS = (
    "You answer people in Slack, in the language they write, in standard Markdown, briefly unless asked otherwise. "
    "You have no tools: say so when you are asked to act. You remember this thread only."
)


def check_model(config: BotConfig) -> str:
    """The model's name when the allow-list has it, else WrongUse."""
    allowed = config.models or (config.model,)
    if config.model not in allowed:
        raise WrongUse("STATEROOM_MODEL is not in STATEROOM_MODELS; add it there or choose one of the list")
    return config.model


def probe_model(config: BotConfig) -> None:
    """WrongUse when the model cannot be made here: an unknown name, a missing library or key. Asks nobody anything.

    Imports pydantic-ai: for workers, before they say that they are ready.
    """
    from pydantic_ai.exceptions import UserError
    from pydantic_ai.models import infer_model

    name = check_model(config)
    if name == "offline":
        return
    try:
        infer_model(name)
    except ImportError as missing:
        library = f" ({missing.name} is missing)" if missing.name else ""
        raise WrongUse(f"STATEROOM_MODEL {name}: its library is not installed{library}") from None
    except (UserError, ValueError) as refused:
        # The library's own words name the variable that lacks, and never its value.
        raise WrongUse(f"STATEROOM_MODEL {name} cannot be used: {' '.join(str(refused).split())}") from None


class Agent:
    """One pydantic-ai agent, made on first use."""

    def __init__(self, config: BotConfig) -> None:
        self._name = check_model(config)
        self._agent: Any = None

    async def answer(self, ask: Ask, result: Answer) -> AsyncGenerator[str, None]:
        """Yields the growing text. ModelError: throttled, refused, unavailable, configuration."""
        if self._agent is None:
            self._agent = await asyncio.to_thread(self._make)
        from pydantic_ai import messages
        from pydantic_ai.exceptions import AgentRunError, ModelHTTPError, UserError

        history = messages.ModelMessagesTypeAdapter.validate_python(list(ask.history))
        try:
            async with self._agent.run_stream(prompt_of(ask), message_history=history) as run:
                async for text in run.stream_text():
                    yield text
                    result.text = text
                result.messages = msgspec.json.decode(run.new_messages_json())
        except ModelHTTPError as failed:
            busy = failed.status_code in (408, 409, 429) or failed.status_code >= 500
            raise ModelError(f"http_{failed.status_code}", retryable=busy) from None
        except AgentRunError as failed:
            raise ModelError(type(failed).__name__, retryable=True) from None
        except UserError as failed:
            raise ModelError(type(failed).__name__, retryable=False) from None

    def _make(self) -> Any:
        import pydantic_ai
        from pydantic_ai.exceptions import UserError

        try:
            return pydantic_ai.Agent(self._name, instructions=_INSTRUCTIONS)
        except (UserError, ImportError) as failed:
            raise ModelError(f"configuration_{type(failed).__name__}", retryable=False) from None
