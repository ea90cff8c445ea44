"""Reading: rows by id, and pages in order.

Rules of this file: reads run in autocommit on a connection of their own, so each sees all that is committed and none
waits for a writer. SQL may find too many rows, never too few: `Plan.key` and the condition decide in Python. A page on
the event loop steps through at most `budget` rows, or through so many steps of SQLite where SQLite passes over rows by
itself; the caller then repeats it in a thread. How a page is found is in sqlite_plan.py.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import compress, count, repeat
from math import isqrt
from typing import Any, Final

from msgspec.structs import replace

from stateroom.engines.decide import check_expired, check_whole
from stateroom.engines.port import Page, Query, Row, log_id
from stateroom.engines.sqlite_errors import code_of
from stateroom.engines.sqlite_freeze import is_frozen
from stateroom.engines.sqlite_plan import Column, Plan, Statement, narrowed, ordered, plan_of
from stateroom.engines.sqlite_tables import Layout, groups
from stateroom.expr.compiled import compile
from stateroom.model.codec import decode, decode_all
from stateroom.model.errors import CorruptData

INLINE_ROWS: Final = 256  # rows stepped through on the loop: about a millisecond of small items
STEPS: Final = 1500  # of SQLite between two looks at whether to go on: two of them pass over some 250 small items
SHORT: Final = 64  # ids that are always worth listing
MANY: Final = 2048  # rows taken from SQLite at once, at most
STEP: Final = 256
_made: Final = tuple.__new__  # a named tuple without the call of its own __new__


class Reader:
    """A connection for reading, and the lock that keeps threads apart on it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.lock = threading.RLock()  # a page with a condition holds it around its parts
        self._connection = connection

    def close(self) -> None:
        with self.lock:
            self._connection.close()

    def frozen(self) -> bool:
        """Whether writes are refused."""
        with self.lock:
            return is_frozen(self._connection)

    def get(self, layout: Layout, team: str, ids: Sequence[str], now: float) -> list[Row | None]:
        """Rows by id, None for each that is absent or expired."""
        with self.lock:
            if layout.table.log:
                found = [self._one(layout, (team, *i.partition("/")[::2])) for i in ids]
            elif len(ids) == 1:
                found = [self._one(layout, (team, ids[0]))]
            else:
                found = self._many(layout, team, ids)
        name = layout.table.name
        return [None if r is None or (r[3] is not None and r[3] <= now) else _row(r, name) for r in found]

    def _one(self, layout: Layout, place: tuple[str, ...]) -> Any:
        return self._connection.execute(layout.one, place).fetchone()

    def _many(self, layout: Layout, team: str, ids: Sequence[str]) -> list[Any]:
        by_id: dict[str, Any] = {}
        for start in range(0, len(ids), STEP):
            part = ids[start : start + STEP]
            values = [value for i in part for value in (team, i)]
            for row in self._connection.execute(groups(len(part), 2).join(layout.many), values):
                by_id[row[1]] = row
        return [by_id.get(i) for i in ids]

    def page(self, layout: Layout, query: Query, now: float, budget: int | None) -> Page | None:
        """One page, or None when it would take more than `budget` rows to find it."""
        try:
            if query.condition is None or budget is None:
                return self._page(layout, query, now, budget)
            with self.lock, self._patience():
                return self._page(layout, query, now, budget)
        except sqlite3.OperationalError as error:
            if code_of(error) == sqlite3.SQLITE_INTERRUPT:
                return None
            if "malformed JSON" in str(error):  # met by SQLite, which reads the items that a condition passes over
                raise CorruptData(layout.table.name, "a stored text is not JSON") from error
            raise

    def _page(self, layout: Layout, query: Query, now: float, budget: int | None) -> Page | None:
        if query.expired:
            return self._expired(layout, query, now, budget)
        if query.whole:
            return self._whole(layout, query, budget)
        if layout.table.log and query.condition is None and len(query.equals) == 1:
            found = self._entries(layout, query, now)
            if found is not None:
                return found
        if query.index is None and query.condition is None and query.team is not None and not layout.table.log:
            found = self._plain(layout, query, query.team, now, budget)
            if found is not None:
                return found
        plan = plan_of(layout, query)
        with self.lock:
            ids = None if plan.shortlist is None else self._shortlist(layout, plan.shortlist, query)
            size = min(query.limit + 1, MANY if budget is None else budget)
            parts = self._parts(plan, budget, size) if ids is None else self._by_id(layout, query, ids, budget, size)
            gathered = _gathered_by_id if plan.by_id else _gathered
            return gathered(parts, plan, query, now, layout.table.name)

    def _shortlist(self, layout: Layout, statement: Statement, query: Query) -> list[str] | None:
        """The ids of all that may match, in order; None when they are so many that going by key costs less.

        To find `limit` of m matches among n rows one goes through limit * n / m of them by key, and through m with the
        shortlist. n is the table's highest rowid, which is at least the team's rows.
        """
        (rows,) = self._connection.execute(f"SELECT max(rowid) FROM {layout.sql}").fetchone()
        most = max(SHORT, isqrt((query.limit + 1) * (rows or 0)))
        sql, values = statement
        found = self._connection.execute(f"{sql} LIMIT ?", (*values, most + 1)).fetchall()
        return None if len(found) > most else [row[0] for row in found]

    def _by_id(
        self, layout: Layout, query: Query, ids: list[str], budget: int | None, size: int
    ) -> Iterator[list[Any] | None]:
        """Raw rows of a shortlist; a row that is gone meanwhile is no row."""
        for start in range(0, len(ids), size):
            if budget is not None and start + size > budget:
                yield None
            found = self._many(layout, query.team or "", ids[start : start + size])
            yield [row[1:] for row in found if row is not None]

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """Interrupts a statement that takes more than some steps of SQLite: its first call may come early."""
        calls = count()
        self._connection.set_progress_handler(lambda: next(calls) > 0, STEPS)
        try:
            yield
        finally:
            self._connection.set_progress_handler(None, 0)

    def _entries(self, layout: Layout, query: Query, now: float) -> Page | None:
        """A page of a stream, which is what a conversation is read by; None when an entry in it has expired."""
        (stream,) = query.equals
        statement, values = layout.entries, [query.team, stream]
        after = None if query.after is None else query.after[0]
        for limit, sign in ((query.low, ">="), (query.high, "<"), (after, "<" if query.descending else ">")):
            if limit is not None:
                statement += f" AND e.number {sign} ?"
                values.append(limit)
        statement += " ORDER BY e.number DESC LIMIT ?" if query.descending else " ORDER BY e.number LIMIT ?"
        with self.lock:
            found = self._connection.execute(statement, (*values, query.limit + 1)).fetchall()
        for raw in found:
            if raw[2] is not None and raw[2] <= now:
                return None
        position = (found[-2][1],) if len(found) > query.limit else None
        items = decode_all([raw[3] for raw in found[: query.limit]], layout.table.name)
        team, prefix = query.team or "", log_id(stream, "")
        rows = [_made(Row, (prefix + raw[0], item, raw[1], raw[2], team)) for raw, item in zip(found, items)]  # noqa: B905
        return Page(rows, position)

    def _plain(self, layout: Layout, query: Query, team: str, now: float, budget: int | None) -> Page | None:
        """A page of all items by id, decoded at once; None when one of them has expired or it is over the budget."""
        if budget is not None and query.limit >= budget:
            return None
        select = f"SELECT id, version, expires, item FROM {layout.sql} WHERE team = ?"
        ((statement, values),) = ordered(select, [team], [Column("id")], query)
        with self.lock:
            found = self._connection.execute(f"{statement} LIMIT ?", (*values, query.limit + 1)).fetchall()
        for raw in found:
            if raw[2] is not None and raw[2] <= now:
                return None
        items = decode_all([raw[3] for raw in found[: query.limit]], layout.table.name)
        make = tuple.__new__  # half of what Row(...) costs
        rows = [make(Row, (raw[0], item, raw[1], raw[2], team)) for raw, item in zip(found, items, strict=False)]
        return Page(rows, (rows[-1].id,) if len(found) > query.limit else None)

    def _expired(self, layout: Layout, query: Query, now: float, budget: int | None) -> Page | None:
        """A page of what a sweep removes, earliest first."""
        check_expired("sqlite", layout.table, query)
        statement = layout.expired
        values: list[Any] = [now]
        if query.team is not None:
            statement, values = f"{statement} AND team = ?", [*values, query.team]
        if query.after is not None:
            statement, values = f"{statement} AND ({layout.expired_order}) > (?, ?, ?)", [*values, *query.after]
        plan = Plan([(f"{statement} ORDER BY {layout.expired_order}", values)], query, None, layout.table.log)
        place = (3, 5, 2) if layout.table.log else (3, 0, 1)
        return self._walked(layout, query, plan, place, budget)

    def _whole(self, layout: Layout, query: Query, budget: int | None) -> Page | None:
        """A page of everything that is there, by team and id (stream and number)."""
        check_whole(query)
        names = layout.whole_order
        select, values, after = f"{layout.whole} WHERE true", list[Any](), query.after
        if query.team is not None:
            select, values, names = f"{layout.whole} WHERE {names[0]} = ?", [query.team], names[1:]
            after = after and after[1:]
        select, values = narrowed(select, values, query.condition)
        columns = [Column(name) for name in names]
        statements = ordered(select, values, columns, replace(query, after=None), after=after, bounded=False)
        place = (0, 5, 2) if layout.table.log else (0, 1)
        return self._walked(layout, query, Plan(statements, query, None, layout.table.log), place, budget)

    def _walked(
        self, layout: Layout, query: Query, plan: Plan, place: tuple[int, ...], budget: int | None
    ) -> Page | None:
        """A page of rows dead or alive; their position is in the columns `place`."""
        if query.condition is None and (budget is None or query.limit < budget):
            return self._all(layout, query.limit, plan, place)
        rows: list[Row] = []
        position: tuple[Any, ...] | None = None
        test = None if query.condition is None else compile(query.condition)
        with self.lock:
            for part in self._parts(plan, budget, query.limit + 1):
                if part is None:
                    return None
                for raw in part:
                    row = _row(raw, layout.table.name)
                    if test is not None and not test(row.item):
                        continue
                    if len(rows) == query.limit:
                        return Page(rows, position)
                    rows.append(row)
                    position = tuple(raw[column] for column in place)
        return Page(rows, None)

    def _all(self, layout: Layout, limit: int, plan: Plan, place: tuple[int, ...]) -> Page:
        """The same without a condition, decoded at once."""
        found: list[Any] = []
        with self.lock:
            for statement, values in plan.statements:
                left = limit + 1 - len(found)
                found += self._connection.execute(f"{statement} LIMIT ?", (*values, left)).fetchall() if left else ()
        items = decode_all([raw[4] for raw in found[:limit]], layout.table.name)
        rows = [_made(Row, (raw[1], item, raw[2], raw[3], raw[0])) for raw, item in zip(found, items)]  # noqa: B905
        return Page(rows, tuple([found[limit - 1][column] for column in place]) if len(found) > limit else None)

    def _parts(self, plan: Plan, budget: int | None, size: int) -> Iterator[list[Any] | None]:
        """Raw rows in order, some at a time; None in place of what is over the budget."""
        left = -1 if budget is None else budget
        for statement, values in plan.statements:
            cursor = self._connection.execute(f"{statement} LIMIT ?", (*values, left + 1 if budget is not None else -1))
            try:
                while part := cursor.fetchmany(size):
                    if budget is not None:
                        if len(part) > left:
                            yield part[:left]
                            yield None
                            return
                        left -= len(part)
                    yield part
                    if len(part) < size:
                        break
            finally:
                cursor.close()


def _gathered(parts: Iterator[list[Any] | None], plan: Plan, query: Query, now: float, name: str) -> Page | None:
    """The page that the raw rows make; None when the budget was too small for it."""
    rows: list[Row] = []
    position: tuple[Any, ...] | None = None
    test = None if query.condition is None else compile(query.condition)
    for part in parts:
        if part is None:
            return None
        for raw in part:
            if raw[3] is not None and raw[3] <= now:
                continue
            row = _row(raw, name)
            key = plan.key(row)
            if key is None or (test is not None and not test(row.item)):
                continue
            if len(rows) == query.limit:
                return Page(rows, position)
            rows.append(row)
            position = key
    return Page(rows, None)


def _gathered_by_id(parts: Iterator[list[Any] | None], plan: Plan, query: Query, now: float, name: str) -> Page | None:
    """The same of rows whose position is their id, without a step of Python a row but for the condition's."""
    rows: list[Row] = []
    test = _any if query.condition is None else compile(query.condition)
    limit = query.limit
    for part in parts:
        if part is None:
            return None
        if not part:
            continue
        ids, versions, expires, texts = zip(*part, strict=True)
        items = decode_all(texts, name)
        chosen = list(map(test, items))
        if expires.count(None) < len(expires):
            chosen = [one and (end is None or end > now) for one, end in zip(chosen, expires, strict=True)]
        fields = zip(ids, items, versions, expires, repeat(query.team or ""))
        rows += compress(map(_made, repeat(Row), fields), chosen)
        if len(rows) > limit:
            return Page(rows[:limit], (rows[limit - 1].id,))
    return Page(rows, None)


def _any(item: Any) -> bool:
    return True


def _row(raw: Any, table: str) -> Row:
    return Row(raw[1], decode(raw[4], table), raw[2], raw[3], raw[0])
