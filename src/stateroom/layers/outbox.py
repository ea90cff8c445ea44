"""The outbox: what we are about to say in Slack is recorded before it is said (invariant 2).

Rules of this file: one page over the port. One row is one Slack message, keyed by thread, turn, kind and part, so a
rerun finds what an earlier run began. Rows are written only together with the lane's fencing token. After a crash
`adopt` decides, from what Slack shows, which message is the one that a row began: pure, no clock.

`chat.startStream` takes no metadata, so a stream that was begun by a worker that died before it could record the
message's ts is known only by exclusion: our own later message in that thread that no row claims. This is safe because
the turns of a thread are serial.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from stateroom.engines.port import Delete, Engine, Put, Query, Row, Update
from stateroom.model.attributes import Attribute
from stateroom.model.codec import normalise
from stateroom.model.definition import Definition

METADATA_EVENT: Final = "stateroom_turn"

OUTBOX: Final = Definition(
    name="sr_outbox",
    key="id",
    attributes={
        "id": Attribute("string", required=True),  # <channel>:<thread_ts>:<ts of the message answered>:<voice>:<part>
        "turn": Attribute("string", required=True),
        "kind": Attribute("string", required=True),  # answer | help | refused | failed | notice
        "part": Attribute("integer", required=True),
        "channel": Attribute("slack#/types/channel_id", required=True),
        "thread_ts": Attribute("slack#/types/message_ts", required=True),
        "since": Attribute("slack#/types/message_ts", required=True),  # Slack's clock: ours comes later than this
        "deadline": Attribute("number", required=True),  # no call of this intent is sent or awaited after it
        "state": Attribute("string", required=True),  # intended | open | posted
        "stream": Attribute("boolean", required=True),
        "ts": Attribute("slack#/types/message_ts"),
        "digest": Attribute("string"),  # of text and blocks that Slack shows, once posted: not the text
    },
    expires=True,
)
DEFINITIONS: Final = (OUTBOX,)
# What `encrypt_content` seals: from its digest a short answer could be guessed.
WORDS: Final[dict[str, tuple[str, ...]]] = {OUTBOX.name: ("digest",)}


def intend(row: Row, kind: str, part: int, *, stream: bool, deadline: float) -> Put:
    """The record of a message that is about to be sent for the inbox row `row`."""
    item = row.item
    turn = f"{item['channel']}:{item['ts']}"
    body = {
        "id": f"{item['channel']}:{item['thread_ts']}:{item['ts']}:{voice(kind)}:{part:03d}",
        "turn": turn,
        "kind": kind,
        "part": part,
        "channel": item["channel"],
        "thread_ts": item["thread_ts"],
        "since": item["ts"],
        "deadline": normalise(round(deadline, 6)),
        "state": "intended",
        "stream": stream,
    }
    return Put(OUTBOX.name, row.team, str(body["id"]), body)


def voice(kind: str) -> str:
    """Answer, help and apology are one message of a turn, whichever it becomes; a notice stands beside it."""
    return "notice" if kind == "notice" else "answer"


def sent(row: Row, ts: str) -> Update:
    """Slack gave the message `ts`; it may not be whole yet."""
    return Update(OUTBOX.name, row.team, row.id, set={"ts": ts, "state": "open"})


def posted(row: Row, ts: str, kind: str, text: str) -> Update:
    """Slack shows exactly `text` in the message `ts`."""
    body = {"ts": ts, "state": "posted", "kind": kind, "digest": digest(text)}
    return Update(OUTBOX.name, row.team, row.id, set=body)


def digest(text: str) -> str:
    """Tells whether Slack already shows a text, without keeping the text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def aged(row: Row, until: float) -> Update:
    """The row goes at `until`: its thread has moved on."""
    return Update(OUTBOX.name, row.team, row.id, expires_at=until)


def forget(row: Row) -> Delete:
    """The message was taken back."""
    return Delete(OUTBOX.name, row.team, row.id)


def metadata(row: Row, kind: str) -> dict[str, Any]:
    """What the Slack message carries, so that it can be recognised: ids only."""
    return {
        "event_type": METADATA_EVENT,
        "event_payload": {"turn": row.item["turn"], "kind": kind, "part": row.item["part"]},
    }


def _is_ours(row: Row, payload: Mapping[str, Any]) -> bool:
    same = payload.get("turn") == row.item["turn"] and payload.get("part") == row.item["part"]
    return same and voice(str(payload.get("kind"))) == voice(row.item["kind"])


async def of_turn(engine: Engine, row: Row) -> list[Row]:
    """What was begun for this inbox row, by kind and part."""
    return await of_thread(engine, row.team, f"{row.item['channel']}:{row.item['thread_ts']}:{row.item['ts']}:")


async def of_thread(engine: Engine, team: str, prefix: str) -> list[Row]:
    """Every row whose id begins with `prefix`, which ends in a colon."""
    found: list[Row] = []
    after: tuple[Any, ...] | None = None
    while True:
        page = await engine.query(Query(OUTBOX.name, team, 100, low=prefix, high=prefix[:-1] + ";", after=after))
        found += page.rows
        if page.position is None:
            return found
        after = page.position


def adopt(row: Row, messages: Iterable[Mapping[str, Any]], own: Sequence[str], claimed: Iterable[str]) -> str | None:
    """The ts of the Slack message that this intent became, or None: it was never posted.

    `messages` as `conversations.replies` gives them with metadata; `own` our user and bot ids; `claimed` the ts of all
    rows of the thread.
    """
    taken = set(claimed)
    candidates: list[str] = []
    for message in messages:
        ts = message.get("ts")
        mine = message.get("user") in own or message.get("bot_id") in own
        if not isinstance(ts, str) or not mine:
            continue
        about = message.get("metadata") or {}
        if about.get("event_type") == METADATA_EVENT:
            if _is_ours(row, about.get("event_payload") or {}):
                return ts
            continue
        if ts > row.item["since"] and ts not in taken:
            candidates.append(ts)
    return min(candidates) if row.item["stream"] and candidates else None
