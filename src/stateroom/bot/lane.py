"""One conversation while we hold its lease: its turns, one after another, oldest first.

Rules of this file: every write carries the fencing token; LeaseLost ends everything at once. What happens to a turn is
`bot/turn.py`'s table; this file does the work between two states, in an order from which a rerun recovers:
claim, intend, say, post, then answer, history and outbox in one commit.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stateroom.bot import offers
from stateroom.bot.asking import listen
from stateroom.bot.config import BotConfig
from stateroom.bot.limits import plain, refusal_of
from stateroom.bot.responder import Answer, Ask, Responder, exchange, prompt_of
from stateroom.bot.speaker import Slack, Speaker
from stateroom.bot.surface import PATIENCE, Surface
from stateroom.bot.turn import backoff, step
from stateroom.engines.leases import Lease
from stateroom.engines.port import Engine, Row, Write
from stateroom.layers import outbox
from stateroom.layers.inbox import Inbox, waits
from stateroom.layers.threads import Thread
from stateroom.model import codec
from stateroom.model.codec import normalise
from stateroom.model.errors import (
    ConditionFailed,
    CorruptData,
    FormatTooNew,
    InvalidValue,
    ItemTooLarge,
    LeaseLost,
    ModelError,
    SlackError,
    StateroomError,
    StoreUnavailable,
    Throttled,
)
from stateroom.slack.text import strip_mention

HELP: Final = (
    "Hello! Write your question after my name, or just write to me here in the thread, and I will answer. "
    "I remember what was said in this thread."
)
SORRY: Final = "Sorry, I could not answer this one. Please try again in a few minutes."
STOPPED: Final[dict[str, Any]] = {"text": "Stopped, before I had said anything.", "stopped": True}
GREETED: Final = 3600.0  # seconds that an opened conversation is remembered: Slack redelivers for minutes
NOTICE: Final = "I was already answering your first version. Please send what you changed as a new message."
_SLACK_TRIES: Final = 5  # times `max_attempts`: an outage of Slack is waited out longer than one of the model
_CLAIMS: Final = 25  # a turn that was begun this often in a row and never ended kills its worker: give up and say so
_PASSING: Final = (Throttled, SlackError, StoreUnavailable)  # what waiting for Slack or for the store may mend
_ENDS: Final = {"failed": "fail", "refused": "refuse"}  # how a turn of that kind of answer ends; else `finish`
_FAILURES: Final = (*_PASSING, ModelError, CorruptData, ItemTooLarge, InvalidValue)  # all else is a defect
_MENTION: Final = re.compile(r"<@([UWB][A-Z0-9]+)")
log = logging.getLogger("stateroom.turn")


@dataclass(frozen=True)
class Identity:
    """Who we are in a team: our user and bot ids."""

    team: str
    user: str
    bot: str = ""


@dataclass(frozen=True)
class Tools:
    """What a lane works with; all of it handed in."""

    config: BotConfig
    engine: Engine
    clock: Callable[[], float]
    chance: Callable[[], float] = random.random


class Lane:
    """The open turns of one conversation."""

    def __init__(
        self, tools: Tools, lease: Lease, lane: str, *, slack: Slack, identity: Identity, responder: Responder
    ) -> None:
        self._tools = tools
        self._lease = lease
        self._name = lane
        self._slack = slack
        self._identity = identity
        self._responder = responder
        self._inbox = Inbox(tools.engine, tools.clock)
        self._surface = Surface(slack, tools.config, lambda: min(tools.clock() + PATIENCE, lease.until))
        self._kinds = {
            "message": self._message,
            "edit": self._notice,
            "deleted": self._tombstone,
            "opened": self._opened,
        }

    async def run(self) -> None:
        """Every turn that is due, until the head of the line has to wait."""
        while True:
            rows = await self._inbox.lane(self._lease.team, self._name, limit=1)
            if not rows or waits(rows[0], self._tools.clock()):
                return
            claims = int(rows[0].item.get("claims", 0)) + 1
            try:
                row = await self._move(rows[0], step(rows[0].item["state"], "claim"), claims=claims)
            except ConditionFailed:
                continue  # it was withdrawn just now
            log.info("turn claimed", extra={"turn": row.id, "team": row.team, "claims": claims})
            await self._turn(row, claims)

    async def _turn(self, row: Row, claims: int) -> None:
        if claims > 2 * _CLAIMS:  # not even the apology could be said
            await self._close(row, "fail", "crashed", *self._followed(row))
            return
        try:
            if claims > _CLAIMS and _may_be_told(row) and "answer" not in row.item:
                row = await self._apologise(row, "crashed")
            await self._kinds[row.item["kind"]](row)
        except FormatTooNew:
            raise  # a newer release wrote it, which is being deployed: the turn is for its workers
        except _FAILURES as failed:
            await self._failed(row, failed)

    # --- the kinds of rows

    async def _message(self, row: Row) -> None:
        if "user" not in row.item:  # `erase` took the person and their words: there is nobody to answer
            await self._close(row, "refuse", "erased")
            return
        kind, prepared = str(row.item.get("answer_kind", "answer")), row.item.get("answer")
        own_user = row.item.get("own_user", self._identity.user)
        text = strip_mention(str(row.item.get("text", "")), own_user)
        if prepared is None and not text.strip() and not row.item.get("files"):
            kind, prepared = "help", {"text": HELP}
            row = await self._prepare(row, kind, prepared)
        if prepared is None and (refusal := refusal_of(text, self._tools.config.max_prompt)) is not None:
            kind, prepared = "refused", {"text": refusal.says, "reason": refusal.reason}
            row = await self._prepare(row, kind, prepared)
        speaker = self._speaker(row, kind, allowed=[*_MENTION.findall(text), str(row.item.get("user", ""))])
        await speaker.load()
        if prepared is None:
            row = await self._move(row, step(row.item["state"], "intend"))
            prepared = STOPPED if "stopped_at" in row.item else await self._ask(row, text, speaker)
            row = await self._prepare(row, kind, prepared)
        elif row.item["state"] == "claimed":
            row = await self._move(row, step(row.item["state"], "intend"))
        await speaker.settle(str(prepared["text"]), below=offers.blocks(prepared.get("offers", ())))
        await self._surface.end(row, mended=speaker.mended)
        if row.item["state"] == "answering":
            row = await self._move(row, step("answering", "post"))
        await self._finish(row, kind, prepared, speaker.rows)

    async def _notice(self, row: Row) -> None:
        row = await self._move(row, step(row.item["state"], "intend")) if row.item["state"] != "posted" else row
        speaker = self._speaker(row, "notice", allowed=())
        await speaker.load()
        await speaker.settle(NOTICE)
        row = await self._move(row, step(row.item["state"], "post")) if row.item["state"] != "posted" else row
        await self._finish(row, "notice", {"text": NOTICE}, speaker.rows)

    async def _tombstone(self, row: Row) -> None:
        message = f"{row.item['channel']}:{row.item['ts']}"
        await self._thread(row).tombstone(message)
        await self._close(row, "finish", "tombstone", *await self._inbox.forget_words(row.team, message))

    async def _opened(self, row: Row) -> None:
        await self._surface.greet(row)
        state = step(row.item["state"], "finish")
        await self.commit(self._inbox.close(row, state, "prompts", kept=GREETED))

    # --- the steps

    async def _ask(self, row: Row, text: str, speaker: Speaker) -> dict[str, Any]:
        """The model's answer, streamed while it grows."""
        await self._surface.begin(row, text)
        thread, config = self._thread(row), self._tools.config
        window = await thread.messages(max_tokens=config.window_tokens, limit=config.window_limit)
        first = await thread.first()
        ask = Ask(
            text=text,
            history=window.messages,
            turns=await thread.count(),
            first=_first_words(first.messages) if first is not None else "",
            files=plain(str(f.get("name", "")) for f in row.item.get("files", [])),
            now=self._tools.clock(),
        )
        if ask.turns == 0:
            await self._surface.name(row, text)
        result = Answer()
        cut = await self._listen(row, self._responder.answer(ask, result), speaker)
        if cut is not None:
            # What the person saw is what was said; before the first word, one sentence is the outcome.
            result.text, result.messages = cut, exchange(prompt_of(ask), cut, ask.now, config.model)
            if not cut.strip():
                return STOPPED
        if not result.text.strip():
            raise ModelError("empty", retryable=True)
        return self._whole(result, stopped=cut is not None)

    def _whole(self, result: Answer, *, stopped: bool) -> dict[str, Any]:
        """The answer as the row keeps it until the turn is over."""
        answer: dict[str, Any] = {"text": result.text}
        if result.messages:
            answer["messages"] = codec.encode(result.messages).decode()
        if result.reason:
            answer["reason"] = result.reason
        if stopped:
            answer["stopped"] = True
        else:
            config = self._tools.config
            more = result.more and config.content.kind != "none"  # nobody goes on with what is not kept
            below = [*([offers.CONTINUE] if more else []), *([offers.FEEDBACK] if config.feedback else [])]
            answer |= {"offers": below} if below else {}
        return answer

    async def _listen(self, row: Row, growing: AsyncGenerator[str, None], speaker: Speaker) -> str | None:
        """Stream what grows; None when it came to its end, else what it was when a person stopped it."""
        stopped = asyncio.Event()

        async def say(grown: str) -> None:
            await speaker.grow(grown)
            if speaker.stopped:
                stopped.set()

        watching = asyncio.create_task(self._watch(row, stopped))
        try:
            async with asyncio.timeout(self._tools.config.model_seconds):
                return await listen(growing, say, stopped)
        except TimeoutError:
            raise ModelError("timeout", retryable=True) from None
        finally:
            watching.cancel()
            await asyncio.wait({watching})

    async def _watch(self, row: Row, stopped: asyncio.Event) -> None:
        """The row says so when somebody stopped the turn; whichever process heard of it wrote it there."""
        while not stopped.is_set():
            await asyncio.sleep(self._tools.config.poll_seconds)
            try:
                fresh = await self._inbox.get(row.team, row.id)
            except StateroomError as failed:
                log.debug("cannot see whether the turn is stopped: %s", failed)
                continue
            if fresh is not None and "stopped_at" in fresh.item:
                stopped.set()

    async def _prepare(self, row: Row, kind: str, answer: dict[str, Any]) -> Row:
        """The whole answer is durable before Slack shows the end of it."""
        changes: dict[str, Any] = {"answer": answer, "answer_kind": kind}
        return await self._move(row, row.item["state"], **changes)

    async def _finish(self, row: Row, kind: str, answer: dict[str, Any], rows: Sequence[Row]) -> None:
        """History, outbox and inbox in one commit: the turn is over."""
        until = self._tools.clock() + self._tools.config.kept_seconds
        writes: list[Write] = [outbox.aged(r, until) for r in rows]
        if "messages" in answer:
            messages = codec.decode(answer["messages"], f"{row.id} answer")
            user = row.item.get("user")
            writes += self._thread(row).writes(messages, turn_id=row.id, author=user, ts=row.item["ts"])
        else:
            writes.append(self._thread(row).follow())
        reason = "stopped" if "stopped" in answer else str(answer.get("reason", kind))
        if kind == "failed":
            reason = str(row.item.get("reason", "model"))
        await self._close(row, _ENDS.get(kind, "finish"), reason, *writes)

    async def _failed(self, row: Row, failed: StateroomError) -> None:
        """Try again later, or tell the person that it ends here."""
        fresh = await self._inbox.get(row.team, row.id)
        if fresh is None:
            return
        config, row = self._tools.config, fresh
        attempts = int(row.item.get("attempts", 0)) + 1
        reason = getattr(failed, "code", None) or getattr(failed, "reason", None) or type(failed).__name__
        log.warning("turn failed: %s", failed, extra={"turn": row.id, "team": row.team, "attempts": attempts})
        asked = getattr(failed, "retry_after", None) or 0.0
        at = self._tools.clock() + backoff(attempts, config.backoff_seconds, self._tools.chance, asked=asked)
        until = float(row.item.get("retry_until", self._tools.clock() + config.retry_seconds))
        late = isinstance(failed, ModelError) and at > until
        last = attempts >= config.max_attempts * (_SLACK_TRIES if _is_passing(failed) else 1)
        if failed.retryable and not last and not late:
            state = step(row.item["state"], "retry")
            # One claim: this one came to an end in good order, so those before it did not kill their workers.
            changes: dict[str, Any] = {"claims": 1, "attempts": attempts, "reason": reason}
            if isinstance(failed, ModelError):
                changes["retry_until"] = normalise(until)
            await self._move(row, state, due_at=at, **changes)
        elif _may_be_told(row):
            await self._message_again(await self._apologise(row, reason))
        else:
            await self._close(row, "fail", reason, *self._followed(row))

    async def _apologise(self, row: Row, reason: str) -> Row:
        """From now on the answer of this turn is the apology."""
        apology: dict[str, Any] = {"answer": {"text": SORRY}, "answer_kind": "failed"}
        return await self._move(row, row.item["state"], attempts=0, reason=reason, **apology)

    async def _message_again(self, row: Row) -> None:
        """Say the one friendly sentence in the same claim."""
        try:
            await self._message(row)
        except _FAILURES as failed:
            await self._failed(row, failed)

    def _followed(self, row: Row) -> list[Write]:
        """We were asked in this thread, however it ended."""
        return [self._thread(row).follow()] if row.item["kind"] == "message" else []

    # --- writing under the lease

    async def commit(self, *writes: Write) -> list[Row]:
        """All writes or none, and none when somebody else has the lane."""
        try:
            done = await self._tools.engine.commit([self._lease.check(), *writes])
        except ConditionFailed as failed:
            if failed.index == 0:
                raise LeaseLost(self._lease.name, self._lease.token) from None
            raise
        return [d.row for d in done[1:] if d.row is not None]

    async def _move(self, row: Row, state: str, *, due_at: float | None = None, **changes: Any) -> Row:
        due = self._lease.until if due_at is None else due_at
        (moved,) = await self.commit(self._inbox.move(row, state, due_at=due, **changes))
        return moved

    async def _close(self, row: Row, event: str, reason: str, *writes: Write) -> None:
        state = step(row.item["state"], event)
        config = self._tools.config
        keep_words = state == "failed" and self._may_keep_words()
        closing = self._inbox.close(row, state, reason, kept=config.kept_seconds, keep_words=keep_words)
        await self.commit(closing, *writes)
        log.info("turn %s", state, extra={"turn": row.id, "team": row.team, "reason": reason})

    def _may_keep_words(self) -> bool:
        """Whether words may stay as long as the row, which must outlive Slack's last redelivery (invariant 11)."""
        content = self._tools.config.content
        return content.kind == "full" or (content.seconds or 0) >= self._tools.config.kept_seconds

    def _thread(self, row: Row) -> Thread:
        tools = self._tools
        channel, thread_ts = str(row.item["channel"]), str(row.item["thread_ts"])
        return Thread(tools.engine, tools.clock, row.team, channel, thread_ts, content=tools.config.content)

    def _speaker(self, row: Row, kind: str, *, allowed: Sequence[str]) -> Speaker:
        config = self._tools.config
        return Speaker(
            self._tools.engine,
            self._slack,
            self._lease,
            row,
            kind=kind,
            own=[i for i in (self._identity.user, self._identity.bot) if i],
            allowed=frozenset(allowed),
            commit=self.commit,
            clock=self._tools.clock,
            interval=config.stream_interval,
            margin=config.lease_seconds / 5,
        )


def _may_be_told(row: Row) -> bool:
    """Whether somebody waits for an answer and was not told yet that there is none."""
    return row.item["kind"] == "message" and row.item.get("answer_kind") != "failed"


def _is_passing(failed: StateroomError) -> bool:
    """Whether waiting may mend it: it gets more tries."""
    return isinstance(failed, _PASSING) or (isinstance(failed, ModelError) and failed.reason == "throttled")


def _first_words(messages: Sequence[dict[str, Any]]) -> str:
    """The first thing a person said, from pydantic-ai's message JSON."""
    for message in messages:
        for part in message.get("parts", ()):
            if part.get("part_kind") == "user-prompt" and isinstance(part.get("content"), str):
                return str(part["content"])
    return ""
