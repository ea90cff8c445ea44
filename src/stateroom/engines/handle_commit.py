"""How a write of the handle reaches the engine: at once where the engine can decide it, else read, decided, written.

Rules of this file: nothing is written that was decided on a row which has changed since: the second way always carries
the version that was read, and begins anew when it is refused. It is taken for rows of older code (upgraded before a
condition is asked), idempotency keys, functions (`modify`), results that must be measured or judged, deletes that keep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from stateroom.engines.decide import decide
from stateroom.engines.handle_form import Form
from stateroom.engines.handle_guards import Guards, Refusal
from stateroom.engines.handle_surroundings import Surroundings, attempts
from stateroom.engines.port import Delete, Engine, Put, Row, Update, Write, Written
from stateroom.model.errors import ConditionFailed, TransactionConflict, UniqueViolation

ItemWrite = Put | Update | Delete
Chosen = Callable[[Row | None], ItemWrite]
Beside = Callable[[Row | None, Written], Sequence[Write]]


class Committer:
    """Commits the writes of one datastore of one team."""

    def __init__(self, engine: Engine, form: Form[Any], guards: Guards, team: str, around: Surroundings) -> None:
        self.engine = engine
        self.form = form
        self.team = team
        self.around = around
        self._refusal = Refusal(form, guards)

    async def commit(self, write: ItemWrite) -> Written:
        """Commit one write as the engine decides it."""
        if type(write) is Update and self.form.is_delicate(write) and not self.engine.capabilities.hosted:
            return await self.decided(write.id, lambda _: write)  # a hosted one's platform measures by itself
        try:
            return (await self.engine.commit((write,)))[0]
        except ConditionFailed as error:
            if not self._refusal.is_old(error):
                raise self._refusal.named(error, write) from None
        return await self.decided(write.id, lambda _: write)

    async def decided(self, id: str, choose: Chosen, beside: Beside | None = None) -> Written:
        """Read the row, let `choose` make the write for it, decide it here, and commit if the row is still the same.

        `choose` is called anew for each try, with the row in this code's shape. `beside` gives what is committed with
        it; nothing of that may be conditional.
        """
        async for _ in attempts(self.around):
            row = await self.read(id)
            current = self.current(row)
            write = choose(current)
            done = self.judge(current, write)
            writes = [*replacement(write, row, done), *(beside(current, done) if beside else ())]
            results = await self.attempt(writes, write)
            if results is not None:
                return Written(results[0].row, done.changed) if results else done
        raise self.exhausted(id)

    async def read(self, id: str) -> Row | None:
        """The row as it is stored."""
        return (await self.engine.get(self.form.name, self.team, (id,)))[0]

    def current(self, row: Row | None) -> Row | None:
        """The row in this code's shape; FormatTooNew."""
        return None if row is None else self.form.upgraded(row)

    def judge(self, current: Row | None, write: ItemWrite) -> Written:
        """What `write` makes of `current`, or the error for the user."""
        try:
            done = decide(current, write, self.around.clock())
        except ConditionFailed as error:
            raise self._refusal.named(error, write) from None
        if done.row is not None and type(write) is Update and self.form.is_delicate(write):
            self.form.check_result(done.row.item)
        return done

    async def attempt(self, writes: Sequence[Write], write: ItemWrite) -> list[Written] | None:
        """Commit what was decided; None when something it rests on has changed."""
        if not writes:
            return []
        try:
            return await self.engine.commit(writes)
        except UniqueViolation as error:
            raise self._refusal.named(error, write) from None
        except ConditionFailed:
            return None

    def exhausted(self, id: str) -> TransactionConflict:
        """The error after the last try."""
        return TransactionConflict(f"{self.form.name}/{id}")


def replacement(write: ItemWrite, row: Row | None, done: Written) -> list[Write]:
    """What makes `row` as it was decided, if it is still the row that was read."""
    version = 0 if row is None else row.version
    if (found := done.row) is not None:
        return [Put(write.table, write.team, found.id, found.item, found.expires_at, if_version=version)]
    return [Delete(write.table, write.team, write.id, if_version=version)] if done.changed else []
