"""docs/format.md says of idempotency keys and deleted items what the handle writes."""

import re
from pathlib import Path
from typing import Any

import stateroom as sr
from stateroom.model.codec import decode
from stateroom.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "format.md"
TEAM = "T00000001"


class Ticket(sr.Datastore, name="tickets", version=2, keep_deleted=3600):
    id: str = sr.key()
    status: str = "open"
    votes: int = 0
    ends: sr.Timestamp | None = sr.ttl()


def vectors() -> dict[str, Any]:
    found = re.search(r"```json handle-vectors\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return dict(decode(found[1]))


async def test_the_rows_are_those_of_the_page() -> None:
    page = vectors()
    async with Store("memory://", clock=lambda: float(page["clock"])) as store:
        tickets = store.team(TEAM).datastore(Ticket)
        await tickets.put(Ticket(id="T-1", ends=1700001000))
        await tickets.update("T-1", {"status": "done"}, add={"votes": 1}, idempotency_key="Ev1")
        (once,) = await store.engine.get("sr_once", TEAM, ["tickets/Ev1"])
        assert once is not None
        assert once.item == page["once"]
        assert once.expires_at == float(page["once_expires"])
        await tickets.delete("T-1")
        (kept,) = await store.engine.get("trash_tickets", TEAM, ["T-1"])
        assert kept is not None
        assert kept.item == page["trash"]
        assert kept.expires_at == page["trash_expires"]
