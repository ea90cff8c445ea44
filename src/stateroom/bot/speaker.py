"""Brings Slack to the answer of one turn: streams while it grows, then settles every part, exactly once.

Rules of this file: nothing is sent without an outbox row first and the lane's lease verified just before (invariant
2); every call ends before the lease does. Streaming is comfort: when Slack refuses it the answer is posted whole.
After a crash or an unanswered call the parts are found again (`outbox.adopt`), ended and brought to the full text by
`chat.update`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from stateroom.engines.leases import Lease
from stateroom.engines.port import Engine, Row, Write
from stateroom.layers import outbox
from stateroom.model.errors import SlackError, Throttled
from stateroom.slack.prompts import Prompt
from stateroom.slack.split import LIMIT, LOOKAHEAD, split
from stateroom.slack.text import neutralise, stable_prefix

_HELD_BACK: Final = 600  # characters of a growing part that wait until its end is known
_BLANK: Final = "…"  # in place of a part that the answer no longer has
_SLACK_OF_FENCES: Final = 200  # what a reopened fence may add to a part
STOPPED_BY_USER: Final = "stopped_by_user"
_OVER: Final = frozenset({"message_not_in_streaming_state", "streaming_state_conflict", STOPPED_BY_USER})


Blocks = Sequence[Mapping[str, Any]]


class Part(NamedTuple):
    """One message: its text, and the blocks below it."""

    text: str
    below: Blocks = ()

    @property
    def whole(self) -> str:
        """All of it as one text, for its digest."""
        return self.text + (json.dumps(self.below) if self.below else "")


class Slack(Protocol):
    """The calls of slack/client.py that this file makes; each ends by `deadline`."""

    async def post_message(
        self, *, channel: str, thread_ts: str, markdown: str, metadata: Any, deadline: float, below: Blocks
    ) -> str:
        """Post, with blocks below the text; the message's ts."""

    async def update(
        self, *, channel: str, ts: str, markdown: str, metadata: Any, deadline: float, below: Blocks
    ) -> None:
        """Replace the text and what is below it."""

    async def start_stream(
        self, *, channel: str, thread_ts: str, markdown: str, team: str, user: str, deadline: float
    ) -> str:
        """Begin a streaming message; its ts."""

    async def append_stream(self, *, channel: str, ts: str, markdown: str, deadline: float) -> None:
        """Add to it."""

    async def stop_stream(
        self, *, channel: str, ts: str, markdown: str, metadata: Any, deadline: float, below: Blocks
    ) -> None:
        """End it, with blocks below its text."""

    async def delete(self, *, channel: str, ts: str, deadline: float) -> None:
        """Remove one of our messages."""

    async def set_status(self, *, channel: str, thread_ts: str, status: str, deadline: float) -> None:
        """The line under the thread."""

    async def set_session(
        self, *, channel: str, thread_ts: str, status: str, deadline: float, title: str = "", user: str = ""
    ) -> None:
        """An agent's session: its status, and at its beginning its title and whose it is."""

    async def set_title(self, *, channel: str, thread_ts: str, title: str, deadline: float) -> None:
        """The name of a conversation in the assistant pane."""

    async def set_prompts(
        self, *, channel: str, thread_ts: str | None, prompts: Sequence[Prompt], deadline: float
    ) -> None:
        """What a person may click instead of writing."""

    async def replies(self, *, channel: str, thread_ts: str, oldest: str, deadline: float) -> list[dict[str, Any]]:
        """The thread's messages with all metadata."""


Commit = Callable[..., Any]  # writes under the lease's check; gives the rows written


class Speaker:
    """One turn's voice. `commit(*writes)` writes under the fencing token; `own`: our user and bot ids."""

    def __init__(
        self,
        engine: Engine,
        slack: Slack,
        lease: Lease,
        row: Row,
        *,
        kind: str,
        own: Sequence[str],
        allowed: Container[str],
        commit: Commit,
        clock: Callable[[], float],
        interval: float,
        margin: float,
    ) -> None:
        self._engine = engine
        self._slack = slack
        self._lease = lease
        self._turn = row
        self._kind = kind
        self._own = own
        self._allowed = allowed
        self._commit = commit
        self._clock = clock
        self._interval = interval
        self._margin = margin
        self._rows: dict[int, Row] = {}
        self._shown: dict[int, str] = {}  # what Slack shows of streams that this run began
        self._refused: set[int] = set()  # parts whose stream Slack refused: nothing was posted for them
        self._live = True
        self.stopped = False  # a person stopped the stream in Slack
        self.mended = False  # an earlier run's messages were brought to the answer, so none of them is new
        self._last = 0.0
        self._part = 0

    async def load(self) -> None:
        """Learn what an earlier run began. After it streaming is off: settled parts are posted whole."""
        rows = await outbox.of_turn(self._engine, self._turn)
        voice = outbox.voice(self._kind)
        self._rows = {int(r.item["part"]): r for r in rows if outbox.voice(r.item["kind"]) == voice}
        self._live = not self._rows
        self.mended = bool(self._rows)

    async def grow(self, text: str) -> None:
        """The answer so far: stream what is safe to show, not more often than the interval."""
        if not self._live or self._clock() - self._last < self._interval:
            return
        self._last = self._clock()
        parts = split(neutralise(text[: stable_prefix(text)], self._allowed))
        try:
            while self._live and self._is_final(parts, self._part):
                await self._append(self._part, parts[self._part])
                await self._stop(self._part)
                self._part += 1
            if self._live and self._part < len(parts):
                await self._append(self._part, parts[self._part][: LIMIT - _HELD_BACK])
        except Throttled as busy:
            self._last = self._clock() + busy.retry_after - self._interval
        except SlackError as failed:
            if failed.maybe_applied:
                raise
            self._live = False

    async def settle(self, text: str, *, below: Blocks = ()) -> None:
        """Make Slack show exactly `text`, and `below` under its end, whatever earlier runs left there."""
        texts = split(neutralise(text, self._allowed))
        parts = [Part(one, below if number + 1 == len(texts) else ()) for number, one in enumerate(texts)]
        for number, part in enumerate(parts):
            row = self._rows.get(number)
            if row is None or row.item.get("digest") != outbox.digest(part.whole):
                ts = await self._settle(number, part, row)
                await self._write(number, outbox.posted(self._rows[number], ts, self._kind, part.whole))
        for number in [n for n in self._rows if n >= len(parts)]:
            await self._take_back(number)

    @property
    def rows(self) -> Sequence[Row]:
        """The outbox rows of this turn."""
        return tuple(self._rows.values())

    async def _settle(self, number: int, part: Part, row: Row | None) -> str:
        """One part, whole in Slack; its ts."""
        if row is None or number in self._refused:
            return await self._post(number, part)
        ts = row.item.get("ts") or await self._adopted(row)
        if ts is None:
            return await self._post(number, part)
        await self._note(number, ts)
        try:
            await self._mend(number, ts, part)
        except SlackError as failed:
            if failed.code != "message_not_found":
                raise
            return await self._post(number, part)  # somebody removed it, and nobody has read the answer
        return str(ts)

    async def _mend(self, number: int, ts: str, part: Part) -> None:
        """Make a message that is there show exactly `part`."""
        row = self._rows[number]
        if row.item["stream"] and row.item["state"] != "posted" and await self._ended(number, ts, part):
            return
        await self._slack.update(
            channel=row.item["channel"],
            ts=ts,
            markdown=part.text,
            metadata=outbox.metadata(row, self._kind),
            deadline=await self._deadline(),
            below=part.below,
        )

    async def _ended(self, number: int, ts: str, part: Part) -> bool:
        """End a stream with what it lacks; whether Slack now shows exactly `part`."""
        shown = self._shown.get(number)
        exact = shown is not None and part.text.startswith(shown)
        rest = part.text[len(shown) :] if shown is not None and exact else ""
        row = self._rows[number]
        try:
            await self._slack.stop_stream(
                channel=row.item["channel"],
                ts=ts,
                markdown=rest,
                metadata=outbox.metadata(row, self._kind),
                deadline=await self._deadline(),
                below=part.below if exact else (),
            )
        except SlackError as failed:
            if failed.code not in _OVER:
                raise
            return False
        return exact

    async def _adopted(self, row: Row) -> str | None:
        """The message that an interrupted run posted for this intent, if it did."""
        item = row.item
        messages = await self._slack.replies(
            channel=item["channel"], thread_ts=item["thread_ts"], oldest=item["since"], deadline=await self._deadline()
        )
        thread = await outbox.of_thread(self._engine, row.team, f"{item['channel']}:{item['thread_ts']}:")
        claimed = [str(r.item["ts"]) for r in thread if "ts" in r.item]
        return outbox.adopt(row, messages, self._own, claimed)

    async def _post(self, number: int, part: Part) -> str:
        deadline = await self._deadline()
        row = await self._intend(number, stream=False, deadline=deadline)
        return await self._slack.post_message(
            channel=row.item["channel"],
            thread_ts=row.item["thread_ts"],
            markdown=part.text,
            metadata=outbox.metadata(row, self._kind),
            deadline=await self._deadline(),
            below=part.below,
        )

    async def _append(self, number: int, part: str) -> None:
        """Bring the stream of a part to `part`, as far as it only grows."""
        if not part.strip():
            return
        if number not in self._rows:
            await self._start(number, part)
            return
        shown = self._shown[number]
        if part.startswith(shown) and len(part) > len(shown):
            row = self._rows[number]
            deadline = await self._deadline()
            rest = part[len(shown) :]
            try:
                await self._slack.append_stream(
                    channel=row.item["channel"], ts=row.item["ts"], markdown=rest, deadline=deadline
                )
            except SlackError as failed:
                self.stopped = failed.code == STOPPED_BY_USER
                del self._shown[number]  # it may have been applied: the end sets the whole text
                self._live = False
                return
            self._shown[number] = part

    async def _start(self, number: int, part: str) -> None:
        row = await self._intend(number, stream=True, deadline=await self._deadline())
        try:
            ts = await self._slack.start_stream(
                channel=row.item["channel"],
                thread_ts=row.item["thread_ts"],
                markdown=part,
                team=self._turn.team,
                user=str(self._turn.item["user"]),
                deadline=await self._deadline(),
            )
        except (SlackError, Throttled) as failed:
            if failed.maybe_applied:
                raise
            self._refused.add(number)
            self._live = False
            return
        self._shown[number] = part
        await self._note(number, ts)

    async def _stop(self, number: int) -> None:
        if not self._live or number not in self._shown:
            return
        row = self._rows[number]
        shown = Part(self._shown[number])
        if await self._ended(number, row.item["ts"], shown):
            await self._write(number, outbox.posted(row, row.item["ts"], self._kind, shown.whole))

    async def _intend(self, number: int, *, stream: bool, deadline: float) -> Row:
        await self._write(number, outbox.intend(self._turn, self._kind, number, stream=stream, deadline=deadline))
        return self._rows[number]

    async def _note(self, number: int, ts: str) -> None:
        row = self._rows[number]
        if row.item.get("ts") != ts:
            await self._write(number, outbox.sent(row, ts))

    async def _write(self, number: int, write: Write) -> None:
        (self._rows[number],) = await self._commit(write)

    async def _take_back(self, number: int) -> None:
        """An earlier try had more parts than the answer has now."""
        row = self._rows[number]
        ts = row.item.get("ts") or (None if number in self._refused else await self._adopted(row))
        if ts is not None:
            try:
                await self._slack.delete(channel=row.item["channel"], ts=ts, deadline=await self._deadline())
            except SlackError as failed:
                if failed.retryable:
                    raise
                if failed.code != "message_not_found":
                    await self._blank(number, ts)
        await self._commit(outbox.forget(row))
        del self._rows[number]

    async def _blank(self, number: int, ts: str) -> None:
        """Slack does not let us delete it: nothing is left streaming, and the rest is no reason to fail an answer."""
        try:
            await self._note(number, ts)
            await self._mend(number, ts, Part(_BLANK))
        except SlackError as failed:
            if failed.retryable:
                raise

    async def _deadline(self) -> float:
        """When the next call must have ended; LeaseLost when the lane is not ours any more."""
        await self._lease.verify(self._margin)
        return self._lease.until - self._margin / 2

    @staticmethod
    def _is_final(parts: Sequence[str], number: int) -> bool:
        """Whether more text cannot change part `number` (split's promise about its look-ahead)."""
        return sum(map(len, parts[number:])) >= LIMIT + LOOKAHEAD + _SLACK_OF_FENCES
