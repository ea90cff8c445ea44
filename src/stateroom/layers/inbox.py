"""The inbox: every accepted message is one durable row, and the row is the turn (invariants 1 and 2).

Rules of this file: one page over the port. The key is the message itself (channel and ts), never the delivery, so a
redelivery and the `message`/`app_mention` pair are the same row. Changes of state are written only together with the
lane's fencing token. Which state may follow which is not decided here but in bot/turn.py.

A *lane* is a conversation: its turns run one after another, oldest message first. `lane` and `due_at` exist only
while a row is open, so their sparse indexes hold just the work that is left.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from stateroom.engines.port import Engine, Gathering, Put, Query, Row, Update, Written
from stateroom.expr.builder import attr
from stateroom.expr.tree import Condition
from stateroom.model.attributes import Attribute
from stateroom.model.codec import moment, normalise
from stateroom.model.definition import Definition, Index
from stateroom.model.errors import ConditionFailed
from stateroom.model.sealing import check_readable
from stateroom.slack.events import Deleted, Edited, FileRef, Message, Opened

OPEN: Final = ("received", "claimed", "answering", "posted")
CLOSED: Final = ("done", "failed", "refused")
_STOPS: Final = 50  # turns of one conversation, or of one person in a channel, that one stop ends
_CONTENT: Final = ("text", "files", "answer")  # what goes when a turn is done with

INBOX: Final = Definition(
    name="sr_inbox",
    key="id",
    attributes={
        # <channel>:<ts>, with :edit, :deleted or :opened for side rows, :continue for a turn that a button began
        "id": Attribute("string", required=True),
        "kind": Attribute("string", required=True),  # message | edit | deleted | opened
        "state": Attribute("string", required=True),
        "channel": Attribute("slack#/types/channel_id", required=True),
        "thread_ts": Attribute("slack#/types/message_ts", required=True),
        "ts": Attribute("slack#/types/message_ts", required=True),
        "user": Attribute("slack#/types/user_id", personal=True),
        "text": Attribute("string", personal=True),
        "files": Attribute("array", personal=True),
        "own_user": Attribute("string"),
        "event_id": Attribute("string"),
        "edited_at": Attribute("string"),
        "received_at": Attribute("number", required=True),
        "lane": Attribute("string"),
        "due_at": Attribute("number"),
        "claims": Attribute("integer"),
        "attempts": Attribute("integer"),
        "reason": Attribute("string"),
        "answer": Attribute("object", personal=True),  # what was prepared but is not known to be in Slack yet
        "answer_kind": Attribute("string"),
        "closed_at": Attribute("number"),
        "retry_until": Attribute("number"),  # the model failed: after this it is not asked again
        "stopped_at": Attribute("number"),  # a person wants no more of the answer
        "held": Attribute("object"),  # of a copied row: what lets a worker find it, until the copy is released
    },
    indexes=(
        Index("due_at", across_teams=True),
        Index("lane", "ts", current=True),  # whose turn is next rests on it
        Index("closed_at", across_teams=True),
    ),
    expires=True,
    on_erase="clear",  # the id stays as long as Slack may redeliver the message, or it would be answered again
)
DEFINITIONS: Final = (INBOX,)
WORDS: Final[dict[str, tuple[str, ...]]] = {INBOX.name: _CONTENT}  # what `encrypt_content` seals


HELD: Final[dict[str, tuple[str, ...]]] = {INBOX.name: ("lane", "due_at")}  # what a copy puts aside


def arrival(message: Message, now: float) -> Put:
    """The row of a message that was accepted; a row that is there stays."""
    ts = message.ts
    item = _received(message.channel, message.thread_ts or ts, ts, user=message.user, text=message.text, now=now)
    item["event_id"] = message.event_id
    if message.own_user:
        item["own_user"] = message.own_user
    if message.files:
        item["files"] = _files(message.files)
    return _work(message.team, item)


def _work(team: str, item: dict[str, Any]) -> Put:
    return Put(INBOX.name, team, item["id"], item, keep=True, wake=True)


def _received(
    channel: str, thread: str, ts: str, *, user: str, text: str, now: float, suffix: str = ""
) -> dict[str, Any]:
    at = moment(now)
    return {
        "id": f"{channel}:{ts}{suffix}",
        "kind": "message",
        "state": "received",
        "channel": channel,
        "thread_ts": thread,
        "ts": ts,
        "user": user,
        "text": text,
        "received_at": at,
        "lane": f"{channel}:{thread}",
        "due_at": at,
        "claims": 0,
        "attempts": 0,
    }


class Inbox:
    """The rows of all teams, for ingress and workers."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock
        self._keep = cast(Gathering, engine).keep if engine.capabilities.gathers else None

    def accept_soon(self, message: Message) -> Future[list[Written]] | None:
        """As `accept`, without a task that waits; None where that is impossible: then it is to be awaited."""
        if self._keep is None or message.files:
            return None
        return self._keep(arrival(message, self._clock()))

    async def accept(self, message: Message) -> bool:
        """Make the message durable; False when it was there before."""
        done = await self._engine.commit([arrival(message, self._clock())])
        row = done[0].row
        if not done[0].changed and message.files and row is not None and "files" not in row.item:
            await self._adopt_files(message, row)
        return done[0].changed

    async def edited(self, event: Edited) -> str:
        """An edit: `replaced` (the message was not claimed yet), `notice` (it is being answered), or `ignored`."""
        row = await self.get(event.team, f"{event.channel}:{event.ts}")
        if row is None or row.item["state"] in CLOSED or str(row.item.get("edited_at", "")) >= event.edited_at:
            return "ignored"
        if row.item["state"] == "received" and not row.item.get("claims"):
            change = {"text": event.text, "edited_at": event.edited_at, "files": _files(event.files)}
            try:
                await self._engine.commit([_change(row, change, attr("state") == "received")])
            except ConditionFailed:
                return await self.edited(event)  # it was claimed just now: states only move on, so this ends
            return "replaced"
        if row.item.get("text") == event.text:
            return "ignored"
        await self._engine.commit([self._side(row.team, row.item, "edit", lane=f"{row.id}:edit")])
        return "notice"

    async def deleted(self, event: Deleted, *, followed: bool) -> str:
        """A deletion: `withdrawn` (not claimed yet), `tombstone` (history is to forget it), or `ignored`."""
        row = await self.get(event.team, f"{event.channel}:{event.ts}")
        if row is None:
            return await self._forgotten(event) if followed else "ignored"
        if row.item["state"] == "received" and not row.item.get("claims"):
            try:
                condition = attr("state") == "received"
                await self._engine.commit([self.close(row, "refused", "deleted", condition=condition)])
            except ConditionFailed:
                return await self.deleted(event, followed=followed)
            return "withdrawn"
        await self._engine.commit([self._side(row.team, row.item, "deleted", lane=_lane(row.item))])
        return "tombstone"

    async def opened(self, event: Opened) -> bool:
        """A conversation was opened: a worker shall suggest prompts there. False when that is on record."""
        thread = event.thread_ts or event.at
        about = {"channel": event.channel, "thread_ts": thread, "ts": event.at, "user": event.user}
        done = await self._engine.commit([self._side(event.team, about, "opened", lane=_lane(about))])
        return done[0].changed

    async def go_on(self, team: str, channel: str, thread: str, ts: str, *, user: str, text: str) -> bool:
        """A person asks for more by a button below our message `ts`, and so says `text`. False after the first press:
        the turn is on record."""
        item = _received(channel, thread, ts, user=user, text=text, now=self._clock(), suffix=":continue")
        return (await self._engine.commit([_work(team, item)]))[0].changed

    async def stop(self, team: str, lane: str, *, before: str) -> int:
        """A person wants no more of what is said in a conversation: how many open turns of messages from `before` it
        is told to. A turn that began later goes on, so that a stop that comes twice does not end the next answer."""
        query = Query(INBOX.name, team, _STOPS, index="lane_ts", equals=(lane,), condition=_unstopped(before))
        return await self._stop((await self._engine.query(query)).rows)

    async def stop_of(self, team: str, channel: str, user: str, *, before: str) -> int:
        """As `stop`, for all that is said to one person in a channel."""
        theirs = _unstopped(before) & (attr("channel") == channel) & (attr("user") == user)
        low, high = f"{channel}:", f"{channel};"  # `;` is behind the colon
        query = Query(INBOX.name, team, _STOPS, index="lane_ts", low=low, high=high, condition=theirs)
        return await self._stop((await self._engine.query(query)).rows)

    async def _stop(self, rows: Sequence[Row]) -> int:
        told = 0
        for row in rows:
            change = {"stopped_at": normalise(self._clock())}
            write = Update(INBOX.name, row.team, row.id, set=change, condition=attr("lane").exists())
            try:
                await self._engine.commit([write])
            except ConditionFailed:
                continue  # it ended just now
            told += 1
        return told

    async def get(self, team: str, turn_id: str) -> Row | None:
        """One row."""
        (row,) = await self._engine.get(INBOX.name, team, [turn_id])
        return row

    async def due(
        self, *, limit: int, after: tuple[Any, ...] | None = None
    ) -> tuple[list[Row], tuple[Any, ...] | None]:
        """Open rows of all teams whose time has come, longest due first, and where to go on."""
        high = normalise(self._clock() + 0.001)  # `high` is exclusive
        query = Query(INBOX.name, None, limit, index="due_at", high=high, after=after)
        page = await self._engine.query(query)
        return page.rows, page.position

    async def lane(self, team: str, lane: str, *, limit: int = 20) -> list[Row]:
        """The open rows of one conversation, oldest message first."""
        query = Query(INBOX.name, team, limit, index="lane_ts", equals=(lane,))
        rows = (await self._engine.query(query)).rows
        for row in rows:
            check_readable(row.item, "text", INBOX.name)
        return rows

    def move(self, row: Row, state: str, *, due_at: float, **changes: Any) -> Update:
        """Go to another open state. Add the lease's check to the same commit."""
        body = {"state": state, "due_at": normalise(due_at), **changes}
        return Update(INBOX.name, row.team, row.id, set=body, condition=attr("state") == row.item["state"])

    def close(
        self,
        row: Row,
        state: str,
        reason: str = "",
        *,
        kept: float = 7 * 86400.0,
        keep_words: bool = False,
        condition: Condition | None = None,
    ) -> Update:
        """End the turn; its id stays for `kept` seconds, so that a late redelivery is known.

        Its content goes, unless `keep_words` (a failed turn, so that it can be tried again).
        """
        now = self._clock()
        body: dict[str, Any] = {"state": state, "closed_at": normalise(now)}
        if reason:
            body["reason"] = reason
        return Update(
            INBOX.name,
            row.team,
            row.id,
            set=body,
            remove=("answer", "lane", "due_at") if keep_words else (*_CONTENT, "lane", "due_at"),
            expires_at=now + kept,
            condition=(attr("state") == row.item["state"]) if condition is None else condition,
        )

    async def forget_words(self, team: str, turn_id: str) -> list[Update]:
        """The write that takes the words of a closed turn (a failed one keeps them); none when there are none."""
        row = await self.get(team, turn_id)
        words = () if row is None else tuple(name for name in _CONTENT if name in row.item)
        if row is None or row.item["state"] not in CLOSED or not words:
            return []
        return [Update(INBOX.name, team, turn_id, remove=words)]

    async def _forgotten(self, event: Deleted) -> str:
        """The message's row has aged out of the inbox, but its words may be in the thread's history."""
        about = {"channel": event.channel, "thread_ts": event.thread, "ts": event.ts, "user": event.user}
        await self._engine.commit([self._side(event.team, about, "deleted", lane=_lane(about))])
        return "tombstone"

    def _side(self, team: str, about: Mapping[str, Any], kind: str, *, lane: str) -> Put:
        """A row beside a message's own: a notice or a tombstone still to be made."""
        now = normalise(self._clock())
        item = {k: about[k] for k in ("channel", "thread_ts", "ts", "user", "own_user") if about.get(k)}
        row_id = f"{about['channel']}:{about['ts']}:{kind}"
        item |= {"id": row_id, "kind": kind, "state": "received", "lane": lane, "received_at": now, "due_at": now}
        return Put(INBOX.name, team, row_id, {**item, "claims": 0, "attempts": 0}, keep=True, wake=True)

    async def _adopt_files(self, message: Message, row: Row) -> None:
        """`app_mention` carries no files; the `message` event of the same message does, and may come second."""
        try:
            condition = attr("state") == "received"
            await self._engine.commit([_change(row, {"files": _files(message.files)}, condition)])
        except ConditionFailed:
            return  # it is being answered without them


def _unstopped(before: str) -> Condition:
    """Turns of messages that were written before a moment of Slack's clock, and are not to stop yet."""
    return (attr("kind") == "message") & (attr("ts") <= before) & ~attr("stopped_at").exists()


def _change(row: Row, body: Mapping[str, Any], condition: Condition) -> Update:
    filled = {k: v for k, v in body.items() if v not in (None, [])}
    gone = tuple(k for k, v in body.items() if v == [] and k in row.item)
    both = condition & (attr("claims") == 0)
    return Update(INBOX.name, row.team, row.id, set=filled, remove=gone, condition=both)


def _lane(item: Mapping[str, Any]) -> str:
    return f"{item['channel']}:{item['thread_ts']}"


def _files(files: Sequence[FileRef]) -> list[dict[str, Any]]:
    return [{"id": f.id, "name": f.name, "mimetype": f.mimetype, "size": f.size} for f in files]


def waits(row: Row, now: float) -> bool:
    """Whether the head of a lane has its next try later. In any other state it was begun by whoever had the lease."""
    return row.item["state"] == "received" and float(row.item["due_at"]) > now


def describe(row: Row) -> dict[str, Any]:
    """A turn for people and machines: where it stands, without a word of its content."""
    item = row.item
    names = ("id", "kind", "state", "channel", "thread_ts", "ts", "user", "attempts", "claims", "reason", "answer_kind")
    found: dict[str, Any] = {name: item[name] for name in names if name in item}
    found |= {name: float(item[name]) for name in ("received_at", "due_at", "closed_at") if name in item}
    return {"team": row.team, **found}


async def turns(engine: Engine, *, state: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """Turns of all teams: the open ones by due time, then the closed ones, newest first."""
    condition = None if state is None else attr("state") == state
    found: list[Row] = []
    for index, descending in (("due_at", False), ("closed_at", True)):
        if len(found) < limit:
            query = Query(INBOX.name, None, limit - len(found), index=index, descending=descending, condition=condition)
            found += (await engine.query(query)).rows
    return [describe(row) for row in found]


async def retry(engine: Engine, clock: Callable[[], float], team: str, turn_id: str) -> dict[str, Any] | None:
    """Make an open turn due now, or answer a failed one again; None when there is nothing to try again."""
    (row,) = await engine.get(INBOX.name, team, [turn_id])
    if row is None or row.item["state"] not in (*OPEN, "failed"):
        return None
    if row.item["state"] == "failed" and row.item["kind"] == "message" and "text" not in row.item:
        return None  # the content setting let its words go: an answer to nothing would be worse than none
    state = row.item["state"] if row.item["state"] in OPEN else "received"
    body = {"state": state, "due_at": normalise(clock()), "lane": row.item.get("lane", _lane(row.item)), "attempts": 0}
    body["claims"] = min(int(row.item.get("claims", 0)), 1) if state == row.item["state"] else 0
    over = ("closed_at", "reason", "answer", "answer_kind", "stopped_at") if state != row.item["state"] else ()
    remove = ("retry_until", "held", *over)
    write = Update(INBOX.name, team, turn_id, set=body, remove=remove, expires_at=None, if_version=row.version)
    (done,) = await engine.commit([write])
    return None if done.row is None else describe(done.row)
