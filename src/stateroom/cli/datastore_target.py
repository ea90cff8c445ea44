"""Which datastore of which workspace a command means, and how it is reached.

Rules of this file: a definition comes from --manifest, else from your modules, else from what the store itself knows;
without any, items are read as they are stored and nothing is written. The workspace is given, or it is the only one.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, TypeVar

from stateroom.cli import settings, stores
from stateroom.cli.datastore_argument import Request, Source
from stateroom.cli.datastore_plain import HOW, Plain, unknown
from stateroom.cli.datastore_secrets import Curtain, Hidden
from stateroom.cli.definitions import chosen
from stateroom.cli.settings import Settings
from stateroom.engines.handle import Datastore, table_of
from stateroom.engines.port import Engine, Query
from stateroom.layers import catalogue, threads
from stateroom.model.definition import RESERVED_PREFIX, Definition
from stateroom.model.errors import (
    ConditionFailed,
    CorruptData,
    InvalidValue,
    ItemTooLarge,
    KeyMissing,
    SealBroken,
    StoreUnavailable,
    UnknownDatastore,
    WrongUse,
)
from stateroom.model.ids import check_id
from stateroom.model.profiles import PROFILES
from stateroom.store import Store

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
THERE: Final = "there is one already"
SHOWN: Final = 5  # workspaces that an error lists
LAST_KEY: Final = "\U0010ffff" * 256  # behind every key: 1,024 bytes of the highest character
R = TypeVar("R")
Item = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """One datastore of one workspace. `definition` is None when nobody has it; then only `read` works.

    `stored`: it is what the store remembers, without your code. `any_state`: writes are not held to the lifecycle.
    """

    store: Store
    name: str
    team: str
    definition: Definition | None
    stored: bool = False
    any_state: bool = False
    secrets: bool = False  # encrypted attributes are shown in plain

    @cached_property
    def read(self) -> Datastore[Item] | Hidden | Plain:
        """Items as dicts, without the defaults that a class of yours would fill in."""
        if self.definition is None or (self.stored and self.definition.version > 1):  # the steps to it are code
            return Plain(self.store.engine, self.name, self.team)
        reader = self.store.team(self.team).items(self.definition)
        return Hidden(reader, self._curtain) if self.definition.encrypted else reader

    @cached_property
    def write(self) -> Datastore[Any]:
        """The verbs that write; your class, where there is one, checks what is put. WrongUse without a definition."""
        team, model = self.store.team(self.team), self.known.model
        if self.any_state and self.known.lifecycle is not None:
            free = replace(self.known, lifecycle=None)
            prepare = self.store.preparer(self.known)
            return Datastore(self.store.raw, free, self.team, prepare=prepare, keyring=self.store.keys)
        return team.items(self.known) if model is None else team.datastore(model.cls)

    @property
    def known(self) -> Definition:
        """The definition; WrongUse without it."""
        if self.definition is None:
            raise WrongUse(f"{self.name}: writing needs its definition; {HOW}")
        return self.definition

    @cached_property
    def _curtain(self) -> Curtain:
        return Curtain(self.known, self.team, self.store.keys, open=self.secrets)

    def plain(self, item: Any) -> Item:
        """What a verb of `write` gave back, as a dict that may be shown."""
        model = self.known.model
        return self._curtain.shown(dict(item if model is None else model.dump(item)))

    def taken(self, item: Any) -> Any:
        """An item that was given, with what is sealed in it opened. KeyMissing, SealBroken."""
        return self._curtain.taken(item)

    async def put_all(self, items: Sequence[Item]) -> Mapping[int, str]:
        """Create or replace; why those were refused that were, by their position."""
        failed: dict[int, str] = {}
        size = PROFILES[self.known.profile].bulk or len(items)
        for start in range(0, len(items), size):
            part = await self._put_part(items[start : start + size])
            failed |= {start + position: words for position, words in part.items()}
        return failed

    async def _put_part(self, items: Sequence[Item]) -> Mapping[int, str]:
        failed: dict[int, str] = {}
        opened: dict[int, Item] = {}
        for position, item in enumerate(items):
            try:
                opened[position] = self.taken(item)
            except (KeyMissing, SealBroken) as error:
                failed[position] = str(error)
        if opened:
            done = await self.write.bulk_put(list(opened.values()))
            places = list(opened)
            failed |= {places[position]: str(error) for position, error in done.failed.items()}
        return failed

    async def put_new(self, items: Sequence[Item]) -> Mapping[int, str]:
        """Put those whose keys are not there yet. Why others were refused, by their position; THERE is no refusal."""
        done = await asyncio.gather(*(self._put_new(item) for item in items))
        return {position: told for position, told in enumerate(done) if told is not None}

    async def _put_new(self, item: Item) -> str | None:
        """Why it was not put."""
        try:
            await self.write.put(self.taken(item), if_absent=True)
        except ConditionFailed as error:
            key = self.known.key
            there = error.current is not None and error.current.get(key) == item.get(key)
            return THERE if there else str(error)  # else something of another item is in its way
        except (CorruptData, InvalidValue, ItemTooLarge, KeyMissing) as error:
            return str(error)
        return None


def use(
    source: Source,
    asked: Request,
    job: Callable[[Target], Awaitable[R]],
    *,
    needs: bool = False,
    makes: bool = False,
    any_state: bool = False,
) -> R:
    """`job(target)` on the opened store. `needs`: a definition is needed; `makes`: that, and the store may be new."""
    found = settings.load(store=source.store, definitions=source.definitions)
    name = asked["datastore"]
    if not NAME.fullmatch(name):
        raise WrongUse("a datastore's name is letters, digits and _, at most 63, a letter first")
    if name.startswith(RESERVED_PREFIX):
        raise WrongUse(f"names that begin with {RESERVED_PREFIX} are Stateroom's own; other commands show them")
    given = definition_given(found, source.manifest, name)

    async def whole(opened: Store) -> R:
        definition = given or await remembered(opened, name)
        if (needs or makes) and definition is None:
            raise WrongUse(f"{name}: writing needs its definition; {HOW}")
        team = asked.get("team") or await only_team(opened, name, definition)
        return await job(
            Target(opened, name, opened.team(team).id, definition, given is None, any_state, source.secrets)
        )

    if asked.get("team") is not None:
        check_id("team", asked["team"])
    if makes and (given is None or "team" not in asked):
        _check_known(found.store, [] if given else [HOW.removeprefix("give ")], [] if "team" in asked else ["--team"])
    return stores.use(found, whole, makes=makes)


def _check_known(url: str, *lacking: list[str]) -> None:
    """WrongUse when the store is new: it has neither definitions nor workspaces of its own."""
    try:
        stores.check_there(url)
    except StoreUnavailable as error:
        what = " and ".join(word for words in lacking for word in words)
        raise WrongUse(f"{error.place} is not there yet; to make it, give {what}") from None


def definition_given(found: Settings, manifest: str | None, name: str) -> Definition | None:
    """The definition of that name from the manifest or the modules; None when neither was given."""
    known = chosen(found, manifest, needed=False)
    if not known:
        return None
    for definition in known:
        if definition.name == name:
            return definition
    origin = "the modules have" if manifest is None else f"{manifest} has"
    names = ", ".join(sorted(definition.name for definition in known))
    raise UnknownDatastore(f"{origin} no datastore {name}; there are: {names}")


async def remembered(opened: Store, name: str) -> Definition | None:
    """The definition under which the store's items were last written."""
    return catalogue.newest(await catalogue.known(opened.engine)).get(name)


async def only_team(opened: Store, name: str, definition: Definition | None) -> str:
    """The one workspace that has items there; WrongUse lists what to give when there are several or none."""
    if definition is not None:
        await opened.prepare([table_of(definition)])
    try:
        found = await teams(opened.engine, name)
    except StoreUnavailable as error:
        raise unknown(name, error) from None
    found = found or await threads.teams(opened.engine)
    if not found:
        raise WrongUse(f"which workspace? {name} holds nothing yet; give --team T01234567, say")
    if len(found) > 1:
        shown = ", ".join(found[:SHOWN]) + (" and more" if len(found) > SHOWN else "")
        raise WrongUse(f"which workspace? There are {shown}; give --team {found[0]} or another")
    return found[0]


async def teams(engine: Engine, name: str) -> list[str]:
    """The first workspaces that have items in a datastore, by id: one short look for each."""
    found: list[str] = []
    after: tuple[str, str] | None = None
    while len(found) <= SHOWN:
        page = await engine.query(Query(name, None, 1, whole=True, after=after))
        if not page.rows:
            break
        found.append(page.rows[0].team)
        after = (found[-1], LAST_KEY)
    return found


def place_of_store(url: str) -> str:
    """The store's URL, whatever folder a command is run in."""
    path = url.removeprefix("sqlite:///")
    return url if path == url else os.path.abspath(path)
