"""What ends: expired rows are absent for every reader at once, and a sweep removes them for good.

Rules of this file: it knows tables, no layer. Every removal says "only if it is past its expiry now", so a row that was
renewed meanwhile stays; a sweep that is killed anywhere has left nothing half done, and the next one goes on with what
is still there. In a log the entry's words go and its number stays: numbering has no gaps and never goes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stateroom.engines.port import Engine, Query, Row, Table
from stateroom.layers.walking import BATCH, Pace, commit_each, pages_if_any, removal
from stateroom.model.errors import ConditionFailed


@dataclass
class Swept:
    """What a sweep met in one table. `kept`: renewed or gone before their turn came."""

    datastore: str
    seen: int = 0
    removed: int = 0
    kept: int = 0

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Sweep:
    """All tables of a sweep. `finished`: nothing that had expired at its time is left behind the last batch."""

    tables: list[Swept]
    finished: bool


async def sweep(
    engine: Engine,
    tables: Iterable[Table],
    pace: Pace,
    *,
    team: str | None = None,
    batch: int = BATCH,
    dry_run: bool = False,
    told: Callable[[Swept], None] = lambda _: None,
) -> Sweep:
    """Remove what has expired, `batch` rows a commit; `told` hears the figures of a table after every batch.

    Tables that do not end, and engines that remove expired rows themselves, have nothing to be swept. With `dry_run`
    rows are counted and stay.
    """
    done: list[Swept] = []
    for table in tables:
        if not table.expires or not engine.capabilities.expired:
            continue
        figures = Swept(table.name)
        done.append(figures)
        async for rows, _ in pages_if_any(engine, Query(table.name, team, batch, expired=True)):
            figures.seen += len(rows)
            removed = 0 if dry_run else await _remove(engine, table, rows)
            figures.removed += removed
            figures.kept += 0 if dry_run else len(rows) - removed
            told(figures)
            if pace.over():
                return Sweep(done, finished=False)
            await pace.batch(len(rows))
    return Sweep(done, finished=True)


async def _remove(engine: Engine, table: Table, rows: Sequence[Row]) -> int:
    writes = [removal(table, row) for row in rows]
    done = await commit_each(engine, writes)
    return sum(not isinstance(one, ConditionFailed) and one.changed for one in done)
