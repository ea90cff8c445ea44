"""Secrets on the command line: shown sealed unless --show-secrets asks for more, and taken back as they were shown.

Rules of this file: an export without that flag is as safe as the store. What is sealed is bound to its workspace,
datastore, key and attribute, so that a line of it is taken back into that place only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stateroom.engines.handle import Datastore, Page
from stateroom.engines.handle_sealing import Secrets
from stateroom.expr.tree import Condition
from stateroom.model.definition import Definition
from stateroom.model.sealing import Keyring, Place, key_id

Item = dict[str, Any]


class Curtain:
    """What a command shows and takes of the items of one datastore of one workspace."""

    def __init__(self, definition: Definition, team: str, keyring: Keyring | None, *, open: bool) -> None:
        self._secrets = Secrets(definition, keyring)
        self._team = team
        self._open = open

    def shown(self, item: Item) -> Item:
        """The item as it may be shown."""
        definition = self._secrets.definition
        if self._open or not definition.encrypted:
            return item
        return self._secrets.sealed(item, self._team, str(item.get(definition.key)))

    def taken(self, item: Any) -> Any:
        """An item that somebody gives, with what is sealed in it opened. KeyMissing, SealBroken."""
        definition = self._secrets.definition
        if not definition.encrypted or not isinstance(item, Mapping):
            return item
        found = dict(item)
        for name in definition.encrypted & item.keys():
            if key_id(found[name]) is not None:
                place = Place(self._team, definition.name, str(item.get(definition.key)), name)
                found[name] = self._secrets.open(found[name], place)
        return found


class Hidden:
    """The reading verbs, behind a curtain."""

    def __init__(self, reader: Datastore[Item], curtain: Curtain) -> None:
        self._reader = reader
        self._curtain = curtain
        self.version = reader.version
        self.count = reader.count

    async def get(self, id: str) -> Item | None:
        """The item, or None."""
        found = await self._reader.get(id)
        return None if found is None else self._curtain.shown(found)

    async def bulk_get(self, ids: Sequence[str]) -> list[Item | None]:
        """Items in the order asked, None for each that is absent."""
        found = await self._reader.bulk_get(ids)
        return [None if item is None else self._curtain.shown(item) for item in found]

    async def query(self, condition: Condition | None, **more: Any) -> Page[Item]:
        """One page."""
        page = await self._reader.query(condition, **more)
        return page._replace(items=[self._curtain.shown(item) for item in page.items])
