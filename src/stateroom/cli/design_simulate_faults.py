"""Calls that go wrong: what the plan's retries make of them.

Rules of this file: the local Slack misbehaves on purpose (its faults), once or without end; what a run then takes and
leaves is held against what design/failure.py says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from stateroom.cli.design_simulate_clock import now
from stateroom.cli.design_simulate_measure import Stage
from stateroom.cli.design_simulate_rows import Row
from stateroom.cli.design_simulate_runs import Run
from stateroom.cli.design_simulate_slack import JITTER_MS, CallFailed, Client
from stateroom.design.entities import CLAIMS
from stateroom.design.failure import waits
from stateroom.design.parts import PREFIX, Access

RETRY_AFTER: Final = 10
SILENT_SECONDS: Final = 5.0
FAILED_ITEMS: Final = 3
_READS: Final = ("get", "bulkGet", "query", "count")
_CLOCKS: Final = ("updated_at", "added_at", "at", "expires_at", "deleted_at")


async def faults(stage: Stage, kinds: Sequence[str]) -> list[Row]:
    """Each pattern under each kind of fault."""
    rows: list[Row] = []
    for access in stage.accesses:
        if not access.today.total_calls:
            continue  # nothing is called that could fail
        if "throttle" in kinds:
            rows += await _throttled(stage, access)
        if "timeout" in kinds:
            rows += await _unanswered(stage, access)
        if "partial_failure" in kinds:
            rows += await _partly(stage, access)
        if "error" in kinds:
            rows.append(await _refused(stage, access))
    return rows


def _method(access: Access, *, writes: bool = False) -> str:
    """The call that goes wrong: the change of an item where a claim is taken (who waits before it, is not sure)."""
    claimed = any(call.datastore == CLAIMS for call in access.calls)
    made = [call for call in access.calls if access.today.calls.get(call.method)]
    wanted = [c.method for c in made if c.method.removeprefix(PREFIX) not in _READS and c.datastore != CLAIMS]
    if claimed:
        wanted = [one for one in wanted if one.endswith(".update")]
    return wanted[0] if wanted and (writes or claimed) else made[0].method


async def _throttled(stage: Stage, access: Access) -> Iterable[Row]:
    facts, method = stage.plan.facts, _method(access)
    stage.slack.fault("throttle", method, retry_after=RETRY_AFTER)
    took, _ = await _run(stage, access)
    expected = access.today.ms + facts.call_ms + RETRY_AFTER * 1000 + JITTER_MS / 2
    stage.slack.fault("throttle", method, count=None, retry_after=1)
    attempts = await _attempts(stage, access)
    return (
        Row(access.pattern, "ms with one 429", expected, took),
        Row(access.pattern, "attempts at 429 without end", facts.attempts, attempts),
    )


async def _unanswered(stage: Stage, access: Access) -> Iterable[Row]:
    """The call is carried out, and its answer is lost: it is made again, and makes the same items."""
    facts = stage.plan.facts
    id = stage.made + 1
    _, plain = await _run(stage, access, id=id)
    stage.slack.fault("timeout", _method(access, writes=True), apply=True, seconds=SILENT_SECONDS)
    took, after = await _run(stage, access, id=id)
    expected = access.today.ms + facts.call_ms + SILENT_SECONDS * 1000 + (waits(facts) or (facts.backoff_ms,))[0]
    differing = sum(plain.get(place) != after.get(place) for place in {*plain, *after})
    return (
        Row(access.pattern, "ms with one lost answer", expected, took),
        Row(access.pattern, "items that differ after a lost answer", 0, differing),
    )


async def _partly(stage: Stage, access: Access) -> Iterable[Row]:
    rows = []
    for method in dict.fromkeys(call.method for call in access.calls if ".bulk" in call.method):
        if access.today.calls.get(method):
            stage.slack.fault("partial_failure", method, failures=FAILED_ITEMS)
            run = stage.run(access, 0)
            await run.go()
            verb, calls = method.removeprefix(PREFIX), access.today.calls[method] + 1
            rows.append(
                Row(access.pattern, f"calls {verb} with partial_failure", calls, run.client.meter.calls[method])
            )
            await run.client.undo()
    return rows


async def _refused(stage: Stage, access: Access) -> Row:
    stage.slack.fault("error", access.calls[0].method, code="datastore_error")
    return Row(access.pattern, "attempts at datastore_error", 1, await _attempts(stage, access))


async def _attempts(stage: Stage, access: Access) -> int:
    """How often the call was made before the run gave up; 0 when it did not."""
    run = stage.run(access, 0, Client(stage.slack, patient=False))
    found = 0
    try:
        await run.go()
    except CallFailed as error:
        found = error.attempts
    stage.slack.no_faults()
    await run.client.undo()
    await asyncio.sleep(stage.plan.facts.function_seconds * 4)  # a claim that was left behind ends
    return found


async def _run(stage: Stage, access: Access, id: int | None = None) -> tuple[float, Mapping[tuple[str, str], Any]]:
    """Milliseconds of a run, and what it left, moments aside."""
    run = stage.run(access, 0)
    if id is not None:
        run = Run(stage.stock, access, run.number, id, run.client)
    began = now()
    await run.go()
    took, left = (now() - began) * 1000, {}
    for datastore, key in run.client.touched:
        item = (await stage.slack.quietly("get", datastore=datastore, id=key))["item"]
        left[datastore, key] = {name: value for name, value in item.items() if name not in _CLOCKS}
    await run.client.undo()
    return took, left
