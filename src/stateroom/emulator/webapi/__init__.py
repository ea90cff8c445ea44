"""The Web API of the local Slack: one table from method name to what it takes, needs and does.

Rules of this unit: a file is a family of methods; families never import each other; what they share is in `method.py`,
`arguments.py` and `content.py`. No handler does I/O or reads a clock.
"""

from __future__ import annotations

from stateroom.emulator.webapi import (
    agents,
    apps,
    assistant,
    chat,
    conversations,
    datastore,
    datastore_bulk,
    datastore_query,
    files,
    lookups,
    membership,
    oauth,
    people,
    reactions,
    scheduling,
    sockets,
    streaming,
    views,
)
from stateroom.emulator.webapi.method import Method

METHODS: dict[str, Method] = {
    method.name: method
    for family in (
        *(
            agents,
            apps,
            assistant,
            chat,
            conversations,
            files,
            lookups,
            membership,
            oauth,
            people,
            reactions,
            scheduling,
        ),
        *(sockets, streaming, views),
        *(datastore, datastore_bulk, datastore_query),
    )
    for method in family.METHODS
}
