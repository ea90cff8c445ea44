"""What `stateroom copy` does: opens both stores as they are, plans, and lets layers/copy*.py work.

Rules of this file: the source is opened as an engine and nothing is prepared in it. Nothing is written before the plan
is known. One copy fills a target at a time, by a lease there. A stop (SIGTERM, Ctrl-C) ends it between two pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import click

from stateroom.cli import stores
from stateroom.cli.copy_alone import alone
from stateroom.cli.copy_shown import place, safe, show_copied, show_plan
from stateroom.cli.definitions import chosen
from stateroom.cli.output import note, print_json
from stateroom.cli.progress import live
from stateroom.cli.running import run
from stateroom.cli.settings import Settings
from stateroom.engines.handle import table_of
from stateroom.engines.port import Engine, Hosted, in_front
from stateroom.engines.steps import fitting
from stateroom.layers import catalogue
from stateroom.layers.copy import Copied, Copier
from stateroom.layers.copy_cutover import CutoverFailed, cut_over, freezing_of, unfreeze
from stateroom.layers.copy_items import Side
from stateroom.layers.copy_plan import Lack, Plan, Size, calls, foreign, plan_of, seconds, too_large
from stateroom.layers.copy_state import Notes, Standing
from stateroom.layers.copy_verify import Verdict
from stateroom.layers.walking import Pace
from stateroom.model.definition import TRASH_PREFIX, Definition
from stateroom.model.errors import MigrationNeeded, MigrationRefused, StateroomError, UnknownDatastore, WrongUse
from stateroom.store import bot_tables, engine_of, held, own_definitions, own_tables

EVERY: Final = 2.0  # seconds between two looks of a copy that follows
TRIES: Final = 5  # passes and comparisons, while the source changes
PLATFORM: Final = 1.5  # seconds that a bulk call to a platform takes, paced by its tier
_PROBES: Final = 3


@dataclass(frozen=True)
class Given:
    """What was asked for."""

    found: Settings
    target: str
    as_json: bool = False
    datastores: tuple[str, ...] = ()
    verify: bool = False
    release: bool = False
    throttle: float | None = None
    quiet: float = 10.0
    migrate: bool = False
    allow_data_loss: bool = False


@dataclass(frozen=True)
class Opened:
    """Both stores, and the copy between them."""

    given: Given
    source: Engine
    target: Engine
    plan: Plan
    copier: Copier


class Stopped(StateroomError):
    """A copy was asked to end before it was done."""

    def __init__(self) -> None:
        super().__init__("stopped before its end: run the same command again, it goes on from there")


# --- the jobs, each with the exit code that it ends with


def once(given: Given) -> int:
    """Copy, and compare if asked."""
    return _held(given, _once)


def follow(given: Given) -> int:
    """Copy, and carry what changes until stopped."""

    async def job(opened: Opened, told: Callable[[str], None]) -> int:
        return await _follow(opened, told)

    return _held(given, job, endless=True)


def cut(given: Given) -> int:
    """Copy and switch."""
    return _held(given, _cut, cutting=True)


def plan_only(given: Given) -> int:
    """Say what would be done; 1 when it would be refused."""

    async def job() -> int:
        async with _opened(given, dry=True) as opened:
            return await _dry(opened)

    return asyncio.run(job())


def thaw(found: Settings, *, as_json: bool) -> None:
    """Let the source be written again."""
    stores.check_there(found.store)

    async def job() -> bool:
        async with _engine(found.store, found) as engine:
            return await unfreeze(engine)

    was = asyncio.run(job())
    if as_json:
        print_json({"unfrozen": was})
    else:
        click.echo("the store takes writes again" if was else "the store was not frozen")


async def _once(opened: Opened, told: Callable[[str], None]) -> int:
    copier, given = opened.copier, opened.given
    done, verdicts = Copied(), None
    for _ in range(TRIES if given.verify else 1):
        done = await copier.run(passes=1 if given.verify else TRIES)
        if given.verify:
            told("comparing")
            verdicts = await copier.verify()
            done.settled = _same(verdicts)
            if done.settled:
                break
    more: dict[str, Any] = {}
    if given.release:
        more["released"] = await copier.release()
    show_copied(done, verdicts, as_json=given.as_json, **more)
    return int(bool(done.failures.count) or (verdicts is not None and not _same(verdicts)))


async def _follow(opened: Opened, told: Callable[[str], None]) -> int:
    copier, done = opened.copier, Copied()
    try:
        while True:
            done = await copier.run(passes=1)
            told("following")
            await asyncio.sleep(EVERY)
    finally:
        done.settled = True
        show_copied(done, None, as_json=opened.given.as_json)


async def _cut(opened: Opened, told: Callable[[str], None]) -> int:
    given = opened.given
    try:
        done = await cut_over(opened.copier, quiet=given.quiet, told=told)
    except CutoverFailed as failed:
        show_copied(Copied(), failed.verdicts, as_json=given.as_json)
        raise
    setting = f"STATEROOM_STORE={safe(given.target)}"
    more = {"released": done.released, "frozen_seconds": round(done.frozen_for, 1), "setting": setting}
    show_copied(done.copied, done.verdicts or None, as_json=given.as_json, **more)
    if not given.as_json:
        click.echo(
            f"switched: {done.released} open turns and jobs go on in the target; frozen for {done.frozen_for:.1f} s"
        )
        click.echo(f"start every process with {setting}")
        back = f"stateroom copy --from {shlex.quote(safe(given.found.store))} --unfreeze"
        note(f"the source stays frozen, and else as it was; the way back: {back}")
    return 0


async def _dry(opened: Opened) -> int:
    given, plan = opened.given, opened.plan
    began = time.monotonic()
    sizes = await opened.copier.sizes()
    read = time.monotonic() - began
    lacks = [*plan.lacks, *_lacks_of(sizes, opened)]
    steps = await _missing(opened)
    todo = [sizes[work.name] for work in plan.to_do]
    able = opened.target.capabilities
    estimate = {
        "rows": sum(one.rows for one in todo),
        "bytes": sum(one.bytes for one in todo),
        "calls": sum(calls(one.rows, able) for one in todo),
        "seconds": seconds(todo, able=able, read=read, trip=await _trip(opened.target), rate=given.throttle),
        "steps": [] if able.embedded else steps,
        "refused": await _refusal(opened.copier),
        "cutover": _cutover(opened.source),
    }
    show_plan(plan, sizes, lacks, estimate, as_json=given.as_json)
    lacking = any(one.loses for one in lacks) or bool(estimate["steps"])
    return int(lacking or bool(estimate["refused"]))


def _cutover(source: Engine) -> str:
    """What is to be known of a cut-over from there; empty where there is nothing."""
    able = source.capabilities
    if not able.freezes:
        return f"there is none from {able.name}: stop what writes there, then copy with --verify"
    if able.freeze_seconds:
        return f"its freeze takes {able.freeze_seconds:.0f} s, until every process has seen it"
    return ""


async def _refusal(copier: Copier) -> str:
    """Why this target would not be filled; empty where it would."""
    try:
        await copier.check()
    except WrongUse as refused:
        return str(refused)
    return ""


# --- what they share


def _held(
    given: Given,
    job: Callable[[Opened, Callable[[str], None]], Awaitable[int]],
    *,
    endless: bool = False,
    cutting: bool = False,
) -> int:
    """Run a job that writes; what it ends with. Stopped, where it was to come to an end."""
    code: int | None = None

    async def work(stop: asyncio.Event) -> None:
        nonlocal code
        with live("copy") as told:
            async with _opened(given, told) as opened:
                if cutting:
                    freezing_of(opened.source)
                await _ready(opened)
                async with alone(opened.source, opened.target, told):
                    await opened.copier.begin(cutting=cutting)
                    code = await _until(stop, job(opened, told))

    run(work)
    if code is None and not endless:
        raise Stopped
    return code or 0


async def _until(stop: asyncio.Event, job: Awaitable[int]) -> int | None:
    """The job's code, or None when it was stopped."""
    task, stopping = asyncio.ensure_future(job), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        return None if task.cancelled() else task.result()
    finally:
        stopping.cancel()
        task.cancel()
        await asyncio.wait({task})


@contextlib.asynccontextmanager
async def _opened(
    given: Given, told: Callable[[str], None] = lambda _: None, *, dry: bool = False
) -> AsyncIterator[Opened]:
    """Both stores, open as they are; `dry`: not even an empty file is made."""
    found = given.found
    stores.check_there(found.store)
    async with _engine(found.store, found) as source, _engine(given.target, found, dry=dry) as target:
        definitions = await _definitions(given, source)
        for engine in (source, target):
            if engine.capabilities.hosted:
                for one in definitions:
                    cast(Hosted, engine).know(one.name, one.key, one.ttl)
        tables = [(one, table_of(one)) for one in definitions]
        plan = plan_of(tables, source.capabilities, target.capabilities, bot=bot_tables())
        notes = Notes(target, time.time, asyncio.sleep, place(found.store))
        sides = Side(source, time.time, asyncio.sleep), Side(target, time.time, asyncio.sleep)
        pace = Pace(time.time, rate=given.throttle)
        copier = Copier(*sides, plan, notes, pace, held=held(), told=_telling(told))
        yield Opened(given, source, target, plan, copier)


def _telling(told: Callable[[str], None]) -> Callable[[Standing], None]:
    def tell(standing: Standing) -> None:
        told(f"{standing.table}: {standing.seen} seen, {standing.written} written, {standing.removed} removed")

    return tell


@contextlib.asynccontextmanager
async def _engine(url: str, found: Settings, *, dry: bool = False) -> AsyncIterator[Engine]:
    engine = engine_of(url, time.time, found.slack_service_token or found.slack_bot_token or None)
    if dry and not stores.is_there(url):
        able, engine = engine.capabilities, engine_of("memory://", time.time)
        engine.capabilities = in_front(able)
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


async def _definitions(given: Given, source: Engine) -> list[Definition]:
    """All there is to copy: Stateroom's own, the code's, and what the source remembers; but for notes about walks."""
    code = chosen(given.found, needed=False)
    remembered = {} if source.capabilities.hosted else await catalogue.known(source)
    found = catalogue.everything((*own_definitions(), *code), remembered)
    if given.datastores:
        names = {one.name for one in found}
        if missing := [name for name in given.datastores if name not in names]:
            raise UnknownDatastore(f"there is no datastore {missing[0]}; give its definition with --definitions")
        return [one for one in found if one.name.removeprefix(TRASH_PREFIX) in given.datastores]
    return [one for one in found if one.name not in (catalogue.PROGRESS.name, catalogue.KNOWN.name)]


async def _ready(opened: Opened) -> None:
    """Refuse what would be lost; make tables where that is ours to do. MigrationRefused, MigrationNeeded."""
    given, plan, target = opened.given, opened.plan, opened.target
    lacks = list(plan.losses)
    if target.capabilities.hosted or target.capabilities.item_limit < opened.source.capabilities.item_limit:
        lacks += [one for one in _lacks_of(await opened.copier.sizes(), opened) if one.loses]
    if lacks and not given.allow_data_loss:
        raise MigrationRefused([f"{one.datastore}: {one.what}" for one in lacks])
    steps = await _missing(opened)
    if steps and not target.capabilities.embedded and not given.migrate:
        raise MigrationNeeded(
            f"the target lacks tables ({steps[0]}, …); add --migrate, or run `stateroom migrate apply`"
        )
    if steps:
        await target.apply(_tables(opened))
    if not target.capabilities.hosted and not opened.source.capabilities.hosted:
        await _remember(opened.source, target)


async def _remember(source: Engine, target: Engine) -> None:
    """The definitions that rows were written under; what the target remembers stays."""
    there = await catalogue.known(target)
    for name, versions in (await catalogue.known(source)).items():
        for version, definition in versions.items():
            if version not in there.get(name, {}):
                await target.commit([catalogue.record(definition, time.time())])


def _tables(opened: Opened) -> list[Any]:
    able = opened.target.capabilities
    own = [] if able.hosted else fitting([one for one in own_tables() if not one.log or able.append], able)
    mine = {work.target.name: work.target for work in opened.plan.to_do}
    return [*(one for one in own if one.name not in mine), *mine.values()]


async def _missing(opened: Opened) -> list[str]:
    return await opened.target.apply(_tables(opened), dry_run=True)


def _lacks_of(sizes: dict[str, Size], opened: Opened) -> Sequence[Lack]:
    able, team = opened.target.capabilities, str(getattr(opened.target, "team", ""))
    found: list[Lack | None] = []
    for name in (work.name for work in opened.plan.to_do):
        found += [too_large(name, sizes[name], able), foreign(name, sizes[name], able, team)]
    return [one for one in found if one is not None]


async def _trip(engine: Engine) -> float:
    """Seconds of a request, measured."""
    if engine.capabilities.hosted:
        return PLATFORM
    began = time.monotonic()
    for _ in range(_PROBES):
        await engine.apply([], dry_run=True)
    return (time.monotonic() - began) / _PROBES


def _same(verdicts: Sequence[Verdict]) -> bool:
    return all(one.same for one in verdicts)
