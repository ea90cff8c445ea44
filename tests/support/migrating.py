"""What the tests of migrations share: the datastore they change, rows of it, and memory that is somebody's server."""

from dataclasses import replace
from typing import Any

from stateroom.engines.memory import MemoryEngine
from stateroom.layers.migrations import Migration
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from stateroom.store import Store, own_tables
from support.retention import OTHER, TEAM, TICKETS


def with_attributes(base: Definition = TICKETS, without: str = "", **more: Attribute) -> Definition:
    kept = {name: one for name, one in base.attributes.items() if name != without}
    return replace(base, attributes={**kept, **more})


SAME = lambda item: item  # noqa: E731
SLIM = with_attributes(without="notes")
OTHERS = Definition("others", "id", {"id": Attribute("string")})


def migration(store: Store, *given: Definition) -> Migration:
    return Migration(store.engine, store.clock, own=own_tables(), given=given)


async def fill(store: Store, *items: dict[str, Any], definition: Definition = TICKETS) -> None:
    for team in (TEAM, OTHER):
        for number, item in enumerate(items):
            await store.team(team).items(definition).put({"id": f"t{number}", **item})


class Server(MemoryEngine):
    """Memory that behaves like a server: others own its tables."""

    capabilities = replace(MemoryEngine.capabilities, name="server", embedded=False)
