"""New data keys: people's words sealed anew with them, while others go on reading and writing.

Rules of this file: in this order, from which a rerun recovers: every team gets a next key, and the older ones are
retired, after which no commit that seals with one goes through (`DataKeys.check`); what is sealed with them is opened
and sealed with the next. Then a look over everything, which began after a key was retired, counts what is under it, and
a key under which nothing is goes: so neither a clock nor the lease keeps words readable, they only save work. What
cannot be opened stays, is counted, and keeps its key. Where a row and the look at its key cannot be one commit, a
retired key may still seal, so there it is refused (docs/keys.md).
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from stateroom.engines import leases
from stateroom.engines.port import Delete, Engine, Put, Query, Rewrite, Row, Table, Update, Write
from stateroom.engines.steps import unit_of
from stateroom.expr.builder import attr
from stateroom.layers.catalogue import PROGRESS
from stateroom.layers.keys import KEYS, RETIRED, RUN, WORDS, DataKeys
from stateroom.layers.keys_rotate import LEASE, RotationRuns
from stateroom.layers.walking import BATCH, EVERYWHERE, TRIES, Pace, Renewing, pages_if_any, removal, settle, stream_of
from stateroom.model.codec import normalise
from stateroom.model.errors import ConditionFailed, KeyMissing, KeyServiceError, SealBroken, Unsupported
from stateroom.model.sealing import Cipher, Place, Sealer, hidden, read, write

NAME: Final = "keys:text"  # of the record of a run; its walks' have the table's name behind it
Words = Mapping[Table, Sequence[str]]  # the tables that hold words, and their attributes


class Under(NamedTuple):
    """Where sealed words were met: under which data key of which team, in which table."""

    table: str
    team: str
    id: str


@dataclass
class TextFigures:
    """What a run did. `left`: values that are not on their team's newest key, by table."""

    seen: int = 0
    sealed: int = 0  # rows
    raced: int = 0  # rows that others kept changing; run it again
    keys: int = 0  # data keys that went
    resumed: bool = False  # it went on with a run that was killed, and with that one's keys
    failed: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)


@dataclass
class _Ring:
    """A team's keys: what seals, what opens, and why others do not."""

    sealer: Sealer
    opens: dict[str, Cipher]
    lost: dict[str, str]


def check_text(engine: Engine, words: Words) -> None:
    """Unsupported where a write and the look at its key are not one commit."""
    for table in (KEYS.name, *(one.name for one in words)):
        if unit_of(engine, table) == 1:
            raise Unsupported(engine.capabilities.name, f"new data keys for words: {table} commits one row at a time")


async def count_text(engine: Engine, words: Words, pace: Pace) -> Counter[Under]:
    """How many values are under each data key. Opens nothing."""
    found: Counter[Under] = Counter()
    for table, names in words.items():
        async for rows, _ in pages_if_any(engine, Query(table.name, None, BATCH, whole=True)):
            for row in rows:
                found.update(Under(table.name, row.team, id) for _, _, id in _sealed(row, names))
            await pace.batch(len(rows))
    return found


async def keys_by_team(engine: Engine) -> dict[str, list[Row]]:
    """Each team's data keys, the newest last."""
    found: dict[str, list[Row]] = {}
    async for rows, _ in pages_if_any(engine, Query(KEYS.name, None, BATCH, whole=True)):
        for row in rows:
            found.setdefault(row.team, []).append(row)
    return {team: sorted(rows, key=lambda row: row.id) for team, rows in found.items()}


class TextRotation:
    """Gives every team a new data key, and removes the older ones."""

    def __init__(
        self,
        engine: Engine,
        pace: Pace,
        keys: DataKeys,
        words: Words,
        *,
        told: Callable[[int], None] = lambda _: None,
        batch: int = BATCH,
    ) -> None:
        check_text(engine, words)
        self._engine = engine
        self._pace = pace
        self._keys = keys
        self._words = words
        self._told = told
        self._batch = batch if pace.rate is None else max(1, min(batch, int(pace.rate)))  # a page a second at most

    async def run(self) -> TextFigures:
        """All of it. RotationRuns when another process is at it."""
        holder = secrets.token_hex(6)
        lease = await leases.acquire(
            self._engine, self._pace.clock, EVERYWHERE, "keys:rotate", holder=holder, seconds=LEASE
        )
        if lease is None:
            raise RotationRuns
        try:
            return await self._run(Renewing(self._pace, lease, LEASE))
        finally:
            await lease.release()

    async def _run(self, pace: Pace) -> TextFigures:
        figures = TextFigures()
        run = await self._begin(figures)
        for team in await keys_by_team(self._engine):
            await self._fence(team, run)
            await pace.batch(1)
        for table, names in self._words.items():
            await self._walk(table, names, run, pace, figures)
        await self._remove(pace, figures)
        await self._note(NAME, run, None, finished=True)
        return figures

    # --- which keys there are

    async def _begin(self, figures: TextFigures) -> str:
        """A name for this run, or that of one that was ended before its time."""
        (row,) = await self._engine.get(PROGRESS.name, EVERYWHERE, [NAME])
        figures.resumed = row is not None and not row.item["finished"]
        if row is not None and figures.resumed:
            return str(json.loads(row.item["after"])[0])
        run = secrets.token_hex(8)
        await self._note(NAME, run, ())
        return run

    async def _fence(self, team: str, run: str) -> None:
        """See that the team has a key of this run, and that no other one seals."""
        for _ in range(TRIES):
            rows = (await self._keys.rows(team))[::-1]
            if not rows:
                return  # erased just now
            if rows[0].item.get(RUN) != run:
                await self._keys.make(team, after=rows[0].id, run=run)
                continue
            try:
                for one in rows[1:]:
                    if RETIRED not in one.item:
                        retired = Update(KEYS.name, team, one.id, set={RETIRED: True}, if_version=one.version)
                        await self._engine.commit([retired])
            except ConditionFailed:
                continue
            self._keys.forget(team)
            return

    async def _remove(self, pace: Pace, figures: TextFigures) -> None:
        """Look at everything, and take away the retired keys under which nothing is any more."""
        before = await keys_by_team(self._engine)  # what was retired before the look seals nothing during and after it
        found = await count_text(self._engine, self._words, pace)
        used = {(one.team, one.id) for one in found}
        for team, rows in before.items():
            for row in rows:
                if RETIRED in row.item and (team, row.id) not in used:
                    figures.keys += await self._gone(row)
        newest = {team: rows[-1].id for team, rows in (await keys_by_team(self._engine)).items()}
        for one, number in found.items():
            if one.id != newest.get(one.team):
                figures.left[one.table] += number

    async def _gone(self, row: Row) -> bool:
        same = attr(RETIRED).exists() & (
            attr("wrapped") == row.item["wrapped"]
        )  # a team that is back has the number again
        try:
            await self._engine.commit([Delete(KEYS.name, row.team, row.id, condition=same)])
        except ConditionFailed:
            return False
        self._keys.forget(row.team)
        return True

    # --- the words

    async def _walk(self, table: Table, names: Sequence[str], run: str, pace: Pace, figures: TextFigures) -> None:
        name = f"{NAME}:{table.name}"
        stands = await self._stands(name, run)
        if stands is None:
            return
        query = Query(table.name, None, self._batch, after=stands or None, whole=True)
        async for rows, position in pages_if_any(self._engine, query):
            rings = {team: await self._ring(team) for team in {row.team for row in rows}}

            def anew(row: Row, rings: Mapping[str, _Ring | None] = rings) -> Write | None:
                return self._anew(table, names, row, rings.get(row.team), figures)

            changed, raced = await settle(self._engine, rows, anew)
            figures.seen += len(rows)
            figures.sealed += len(changed)
            figures.raced += raced
            if position is not None:
                await self._note(name, run, position)
            self._told(len(rows))
            await pace.batch(len(rows))
        await self._note(name, run, None, finished=True)

    async def _ring(self, team: str) -> _Ring | None:
        """The team's keys; None where nothing can be sealed anew. A service that is down ends the run."""
        opens: dict[str, Cipher] = {}
        lost: dict[str, str] = {}
        rows = await self._keys.rows(team)
        for row in rows:
            try:
                opens[row.id] = await self._keys.opener(team, row.id)
            except (KeyMissing, SealBroken) as error:
                lost[row.id] = str(error)
            except KeyServiceError as error:
                if error.retryable:
                    raise
                lost[row.id] = str(error)
        newest = rows[-1].id if rows else ""
        return _Ring(Sealer(newest, opens[newest], WORDS), opens, lost) if newest in opens else None

    def _anew(
        self, table: Table, names: Sequence[str], row: Row, ring: _Ring | None, figures: TextFigures
    ) -> Write | None:
        """The row with its words under the team's newest key; None where they are, or cannot be opened."""
        changed = {} if ring is None else self._resealed(table, names, row, ring, figures)
        if not changed:
            return None
        if row.expires_at is not None and row.expires_at <= self._pace.clock():
            return removal(table, row)  # nobody sees it any more
        item = {**row.item, **changed}
        if table.log:
            return Rewrite(table.name, row.team, stream_of(row), row.version, item, before=row.item)
        return Put(table.name, row.team, row.id, item, row.expires_at, if_version=row.version)

    @staticmethod
    def _resealed(table: Table, names: Sequence[str], row: Row, ring: _Ring, figures: TextFigures) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, text, id in _sealed(row, names):
            if id == ring.sealer.id:
                continue
            if id not in ring.opens:
                figures.failed[ring.lost.get(id, f"their data key {id} is gone, and they with it")] += 1
                continue
            place = Place(row.team, table.name, row.id, name)
            try:
                value = read(text, lambda id, _place: ring.opens[id], place, WORDS)
            except SealBroken as error:
                figures.failed[str(error)] += 1
                continue
            found[hidden(name)] = write(ring.sealer, value, place)
        return found

    # --- where it stands

    async def _stands(self, name: str, run: str) -> tuple[Any, ...] | None:
        """Behind which row this run goes on; (): at the beginning; None: it is through."""
        (row,) = await self._engine.get(PROGRESS.name, EVERYWHERE, [name])
        if row is None or "after" not in row.item:
            return ()
        of, after = json.loads(row.item["after"])
        if of != run:
            return ()
        return None if row.item["finished"] else tuple(after)

    async def _note(self, name: str, run: str, after: tuple[Any, ...] | None, *, finished: bool = False) -> None:
        item: dict[str, Any] = {"id": name, "version": 1, "seen": 0, "rewritten": 0, "failed": 0}
        item |= {"finished": finished, "after": json.dumps([run, after])}
        item["at"] = normalise(round(self._pace.clock(), 6), "at")
        await self._engine.commit([Put(PROGRESS.name, EVERYWHERE, name, item)])


def _sealed(row: Row, names: Sequence[str]) -> list[tuple[str, str, str]]:
    """The sealed words of a row: attribute, text, and the id of its data key."""
    found = [(name, str(row.item[hidden(name)])) for name in names if hidden(name) in row.item]
    return [(name, text, text.removeprefix(WORDS).partition(":")[0]) for name, text in found]
