"""What a store is to become: the plan from what it remembers to what the code defines, carried out when asked.

Rules of this file: nothing is changed by planning. What would lose rows, values or an order is refused unless it is
allowed, and refused as a whole, before the first step. Every step may be killed and begun again. Rows of older
versions are not the plan's business: they are upgraded when they are read, and rewritten by the backfill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from stateroom.engines.handle import table_of, tables_of
from stateroom.engines.port import Delete, Drifting, Engine, Query, Row, Table, changes_table
from stateroom.engines.steps import fitting, together
from stateroom.expr.tree import Condition, Exists, Path
from stateroom.layers.catalogue import KNOWN, Versions, everything, known, left_over, record, widened
from stateroom.layers.migrations_backfill import has, older, refuse_newer
from stateroom.layers.migrations_compare import Stage, Step, steps_between
from stateroom.layers.migrations_rewrite import Progress, Rewriter, Work, failed_rows, progress_of
from stateroom.layers.walking import BATCH, EVERYWHERE, Clock, Pace, empty, pages_if_any
from stateroom.model.definition import Definition
from stateroom.model.errors import FormatTooNew, MigrationRefused, WrongUse
from stateroom.model.sealing import key_id


@dataclass(frozen=True)
class State:
    """Where one datastore stands. `stored` and `code` are versions; `old_rows`: some are of an older version."""

    datastore: str
    stored: int | None
    code: int | None
    steps: tuple[Step, ...]
    old_rows: bool
    too_new: bool
    failed: int
    progress: Progress | None

    @property
    def to_do(self) -> bool:
        """Whether anything is left to be done about it."""
        return bool(self.steps) or self.old_rows or self.too_new

    @property
    def word(self) -> str:
        """All of it in a word or two."""
        if self.too_new or any(step.kind == "newer" for step in self.steps):
            return "too new"
        if self.steps:
            return "changed" if self.stored is not None else "new"
        return "backfill" if self.old_rows else "current"


class Migration:
    """Plans and applies. `own`: Stateroom's tables; `given`: the code's definitions; none given, none are missed."""

    def __init__(self, engine: Engine, clock: Clock, *, own: Sequence[Table], given: Sequence[Definition]) -> None:
        self._engine = engine
        self._clock = clock
        self._given = {one.name: one for one in given}
        mine = fitting(own, engine.capabilities)
        self._tables = [*mine, *(table for one in given for table in tables_of(one))]
        if not engine.capabilities.expired:
            self._tables = [replace(table, expires=False) for table in self._tables]

    async def plan(self) -> list[Step]:
        """What `apply` would do, in its order, and what stands in the way of it."""
        versions = await known(self._engine)
        steps = [Step("", "engine", text) for text in await self._engine_steps()]
        for name, definition in self._given.items():
            between = steps_between(versions.get(name, {}).values(), definition)
            steps += [await self._weighed(step, definition) for step in between]
        for name, of in versions.items():
            if self._given and name not in self._given:  # without definitions nobody says that there are none
                steps.append(await self._removed(name, of[max(of)]))
        return steps

    async def _engine_steps(self) -> list[str]:
        """What the engine would do: to what its server keeps for it, and to its tables."""
        able, drift = self._engine.capabilities, list[str]()
        if able.drifts:
            beneath = cast("Drifting", getattr(self._engine, "beneath", self._engine))
            drift = await beneath.drift(self._tables)
        return drift + await self._engine.apply(self._tables, dry_run=True)

    async def apply(
        self,
        *,
        allow_data_loss: bool = False,
        stage: Stage | None = None,
        told: Callable[[str], None] = lambda _: None,
    ) -> list[Step]:
        """Carry the plan out, or one stage of it; the steps done. MigrationRefused or FormatTooNew before anything is
        changed, WrongUse for what goes behind a deploy before what goes before it."""
        steps = [step for step in await self.plan() if stage != "pre" or step.stage == "pre"]
        check(steps, allow_data_loss=allow_data_loss)
        if stage == "post" and any(step.kind in ("engine", "new") for step in steps):
            raise WrongUse(
                "what goes before the deploy is not done yet: run `stateroom migrate apply --stage pre` first"
            )
        await self._engine.apply(self._tables)
        versions = await known(self._engine)
        for step in steps:
            told(step.text)
            if step.kind == "datastore":
                await self._forget(versions[step.datastore])
            elif step.destructive:
                await self._lose(step, self._given[step.datastore])
        if self._given:
            records = [
                one if stage != "pre" else _beside(versions.get(one.name, {}), one) for one in self._given.values()
            ]
            await together(self._engine, [record(one, self._clock()) for one in records])
        return steps

    async def states(self) -> list[State]:
        """Where each datastore stands: the code's, then those that it no longer has."""
        versions = await known(self._engine)
        steps = await self.plan()
        failed: dict[str, int] = {}
        async for row in failed_rows(self._engine):
            failed[row.item["datastore"]] = failed.get(row.item["datastore"], 0) + 1
        found = []
        for name in dict.fromkeys([*self._given, *versions]):
            definition, of = self._given.get(name), versions.get(name, {})
            found.append(
                State(
                    name,
                    max(of, default=None),
                    None if definition is None else definition.version,
                    tuple(step for step in steps if step.datastore == name),
                    definition is not None and await self._has_old(definition),
                    definition is not None and await self._has_newer(definition),
                    failed.get(name, 0),
                    await progress_of(self._engine, f"backfill:{name}"),
                )
            )
        return found

    async def _has(self, definition: Definition, condition: Condition | None = None) -> bool:
        return await has(self._engine, definition, condition, self._clock())

    async def _has_old(self, definition: Definition) -> bool:
        return definition.version > 1 and await self._has(definition, older(definition))

    async def _has_newer(self, definition: Definition) -> bool:
        try:
            await refuse_newer(self._engine, definition)
        except FormatTooNew:
            return True
        return False

    async def _weighed(self, step: Step, definition: Definition) -> Step:
        """A doubtful step is destructive only if rows hold what it would lose."""
        if step.kind == "attribute":
            loses = await self._has(definition, Exists(Path((step.name,))))
            return replace(step, destructive=loses, text=step.text + (", and rows hold it" if loses else ""))
        if step.kind == "key":
            loses = await self._has(definition)
            return replace(step, destructive=loses, text=step.text + (", and there are rows" if loses else ""))
        if step.kind == "type" and await self._misfits(step, definition):
            if definition.attributes[step.name].required:
                text = f"{step.text}, and rows hold what does not fit: give it a version and an upgrade step"
                return replace(step, kind="blocked", destructive=False, text=text)
            return replace(step, text=f"{step.text}, and rows hold what does not fit")
        return replace(step, destructive=False) if step.kind == "type" else step

    async def _misfits(self, step: Step, definition: Definition) -> bool:
        """Whether a row has a value that is not of the attribute's new type."""
        work = _without(step, definition)
        query = Query(definition.name, None, BATCH, condition=work.condition, whole=True)
        async for rows, _ in pages_if_any(self._engine, query):
            if any(work.change(row) is not None for row in rows):
                return True
        return False

    async def _removed(self, name: str, definition: Definition) -> Step:
        rows = await self._has(definition)
        text = f"{name} is removed" + (", and there are rows" if rows else "")
        return Step(name, "datastore", text, destructive=rows)

    async def _lose(self, step: Step, definition: Definition) -> None:
        """Do what was allowed to lose something. An index that is gone stays in the store; nobody orders by it."""
        if step.kind == "key":
            await self._empty([definition])
        elif step.kind in ("attribute", "type"):
            await Rewriter(self._engine, Pace(self._clock), _without(step, definition), told=lambda _: None).run()

    async def _forget(self, versions: Versions) -> None:
        """A datastore goes: its rows, what was deleted, its log, and at last what is remembered of it."""
        await self._empty(everything((), {"": versions}))
        keys = [f"{one.name}:{one.version}" for one in versions.values()]
        await together(self._engine, [Delete(KNOWN.name, EVERYWHERE, key) for key in keys])

    async def _empty(self, definitions: Sequence[Definition]) -> None:
        tables = [table_of(one) for one in everything(definitions, {})]
        logs = [Table(changes_table(one.name), log=True) for one in definitions if one.changes]
        for table in (*tables, *logs):
            await empty(self._engine, self._clock, table, None, lambda _: None)


def _beside(versions: Versions, new: Definition) -> Definition:
    """What is remembered while old code still writes: the new definition, with what the old one has and it has not.

    So that what is to be taken away is still in the plan behind the deploy.
    """
    old = versions[max(versions)] if versions else new
    if old.version == new.version or old.key != new.key:
        return widened(old, new)
    kept = left_over(old, new, new.attributes)  # what a step of the version drops is no attribute of it
    return replace(new, indexes=new.indexes + kept)


def check(steps: Sequence[Step], *, allow_data_loss: bool) -> None:
    """FormatTooNew or MigrationRefused where the plan may not be carried out."""
    for step in steps:
        if step.kind == "newer":
            raise FormatTooNew(step.datastore, step.text)
    blocked = [step.text for step in steps if step.kind == "blocked"]
    lossy = [step.text for step in steps if step.destructive]
    if blocked:
        raise MigrationRefused(blocked, blocked=True)
    if lossy and not allow_data_loss:
        raise MigrationRefused(lossy)


def _without(step: Step, definition: Definition) -> Work:
    """The walk that takes an attribute out of rows: where it is removed, or where its value does not fit."""
    attribute = definition.attributes.get(step.name) if step.kind == "type" else None

    def change(row: Row) -> Mapping[str, Any] | None:
        value = row.item.get(step.name)
        fits = attribute is not None and key_id(value) is None and attribute.fault(value) is None
        if value is None or fits:  # of what is sealed nobody can tell
            return None
        return {name: value for name, value in row.item.items() if name != step.name}

    return Work(f"without:{definition.name}.{step.name}", definition, Exists(Path((step.name,))), change)
