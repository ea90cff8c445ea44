"""The moment at which a store is another one: the source is frozen, the rest is carried, compared, and then let go.

Rules of this file: nothing acknowledged is lost, since nothing is acknowledged behind the freeze; nothing is answered
twice, since workers find nothing in the target before the source can no longer be written and every lease there has run
out. If anything fails before the first is let go, the source is thawed and goes on; from then on both would answer, so
it stays frozen. A kill leaves it frozen, too: the same command goes on, or `--unfreeze` goes back. A source that was
frozen before, which another store may have taken over, is thawed by nobody but `--unfreeze`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

from stateroom.engines import leases
from stateroom.engines.port import Engine, Freezing, Query, Row
from stateroom.layers.copy import Copied, Copier
from stateroom.layers.copy_state import COPIED, FROZEN, RELEASING
from stateroom.layers.copy_verify import Verdict
from stateroom.layers.walking import Clock, Wait, pages_if_any
from stateroom.model.errors import StateroomError, Unsupported

QUIET: Final = 10.0  # seconds to wait for a moment in which nobody works
POLL: Final = 0.1
PASSES: Final = 6  # behind the freeze two are enough: one that carries and one that finds nothing


class CutoverFailed(StateroomError):
    """The stores were not the same behind the freeze. `.verdicts` says where they differ.

    The source goes on, unless it was frozen before.
    """

    def __init__(self, verdicts: list[Verdict], *, thawed: bool) -> None:
        names = sorted({one.datastore for one in verdicts if not one.same})
        then = "the source goes on" if thawed else "the source stays frozen, as it was; `--unfreeze` lets it go on"
        super().__init__(f"the target differs in {', '.join(names)}; nothing was switched, {then}")
        self.verdicts = verdicts


@dataclass
class Switched:
    """What a cut-over did. `frozen_for`: seconds until the target was ready."""

    copied: Copied
    verdicts: list[Verdict] = field(default_factory=list)
    released: int = 0
    frozen_for: float = 0.0


async def cut_over(copier: Copier, *, quiet: float = QUIET, told: Callable[[str], None] = lambda _: None) -> Switched:
    """Carry everything over and switch. Unsupported where the source cannot be frozen; CutoverFailed."""
    source = copier.source
    freezing = freezing_of(source.engine)
    if copier.notes.state == RELEASING:
        if await freezing.frozen():
            return Switched(Copied(settled=True), released=await copier.release())
        await copier.begin()
    told("copying")
    await copier.run()
    told("waiting for a quiet moment")
    await _until_quiet(source.engine, source.clock, source.wait, quiet)
    takes = source.engine.capabilities.freeze_seconds
    told(f"freezing the source, {takes:.0f} s until every process has seen it" if takes else "freezing the source")
    began = source.clock()
    before = await freezing.frozen()
    try:
        await freezing.freeze(frozen=True)
        await copier.notes.enter(FROZEN)
        told("waiting until nobody works on it")
        await _until_over(source.engine, source.clock, source.wait)
        told("carrying the rest")
        copied = await copier.run(passes=PASSES)
        told("comparing")
        verdicts = await copier.verify()
        if not copied.settled or copied.failures.count or not all(one.same for one in verdicts):
            raise CutoverFailed(verdicts, thawed=not before)
    except BaseException:
        if not before:
            await freezing.freeze(frozen=False)
        await copier.notes.enter(COPIED)
        raise
    await copier.notes.enter(RELEASING)
    released = await copier.release()
    return Switched(copied, verdicts, released, source.clock() - began)


def freezing_of(engine: Engine) -> Freezing:
    """The engine, which a cut-over freezes. Unsupported."""
    if not engine.capabilities.freezes:
        raise Unsupported(engine.capabilities.name, "a cut-over: stop what writes there, then copy with --verify")
    return cast(Freezing, engine)


async def live_leases(engine: Engine, now: float) -> list[Row]:
    """The leases that somebody holds."""
    found: list[Row] = []
    async for rows, _ in pages_if_any(engine, Query(leases.TABLE.name, None, 100, whole=True)):
        found += [row for row in rows if row.id.startswith("lane:") and float(row.item["until"]) > now]
    return found


async def _until_quiet(engine: Engine, clock: Clock, wait: Wait, seconds: float) -> None:
    """A moment in which no conversation is worked on, if one comes within the time."""
    ends = clock() + seconds
    while clock() < ends and await live_leases(engine, clock()):
        await wait(POLL)


async def _until_over(engine: Engine, clock: Clock, wait: Wait) -> None:
    """Behind a freeze no lease is renewed, so all of them run out; who held one says nothing in Slack behind that."""
    while held := await live_leases(engine, clock()):
        last = max(float(row.item["until"]) for row in held)
        await wait(max(0.0, last - clock()))


async def unfreeze(engine: Engine) -> bool:
    """Take writes again; whether it was frozen. Unsupported."""
    if not engine.capabilities.freezes:
        raise Unsupported(engine.capabilities.name, "freezing")
    freezing = cast(Freezing, engine)
    was = await freezing.frozen()
    await freezing.freeze(frozen=False)
    return was
