"""Failure handling: for each call of each pattern what is retried, what is left half done, who is told, who mends it.

Rules of this file: Slack's Deno client throws on 429 (HttpError with the headers) and answers everything else with
`ok: false`, so both are looked at; `Retry-After` goes before our own waits. A write whose answer was lost may have
happened: it is repeated only because the same key and values make the same item.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stateroom.design.access_world import READS
from stateroom.design.facts import Facts
from stateroom.design.findings import finding
from stateroom.design.parts import PREFIX, Access, Call, Failure, Finding
from stateroom.design.structs import Design

_WRITES = tuple(f"{PREFIX}{verb}" for verb in ("put", "update", "delete", "bulkPut", "bulkDelete"))


def waits(facts: Facts) -> tuple[int, ...]:
    """Our own waits in milliseconds, each twice the one before, as far as a function's time allows."""
    found: list[int] = []
    for number in range(facts.attempts - 1):
        wait = facts.backoff_ms * 2**number
        if sum(found) + wait < facts.function_seconds * 1000 / 2:
            found.append(wait)
    return tuple(found)


def failures(accesses: Iterable[Access], facts: Facts) -> tuple[Failure, ...]:
    """Every way in which a call of a pattern fails, in the order of the calls."""
    return tuple(one for access in accesses for one in _of(access, facts))


def _of(access: Access, facts: Facts) -> Iterator[Failure]:
    waited = waits(facts)
    if access.home == "external":
        retry = "as its driver says; StateroomError.retryable and .maybe_applied tell"
        rest = ("nothing is half done: one call is one transaction", _told(access), "nothing")
        yield Failure(access.pattern, "external store", "unreachable or throttled", retry, waited, *rest)
        return
    for number, call in enumerate(access.calls):
        name = f"{call.method.removeprefix(PREFIX)} {call.datastore}"
        midway = _midway(access, number)
        mend = _mended(access, call)
        throttled = "wait Retry-After (thrown HttpError, status 429), then the same call"
        yield Failure(access.pattern, name, "ratelimited", throttled, waited, midway, _told(access), mend)
        if call.repeat == "batches":
            again = "send failed_items alone, with a wait; give up after the attempts"
            rest = ("what is not in failed_items is done", _told(access), mend)
            yield Failure(access.pattern, name, "partial_failure", again, waited, *rest)
        lost = (
            "repeat: the same key and values make the same item" if call.method in _WRITES else "repeat: it only reads"
        )
        yield Failure(access.pattern, name, "no answer, 5xx", lost, waited, midway, _told(access), mend)
        refused = "never: datastore_error and invalid_arguments stay as they are"
        yield Failure(access.pattern, name, "datastore_error", refused, (), midway, _refused(access), mend)


def _midway(access: Access, number: int) -> str:
    done = [call for call in access.calls[:number] if call.method in _WRITES]
    if not done:
        return "nothing is written yet: the step may be run again from its beginning"
    names = ", ".join(dict.fromkeys(call.datastore for call in done))
    return f"{names} is written: run the step again with the same event id, which writes the same items"


def _told(access: Access) -> str:
    if access.kind in READS:
        return "that it takes longer; the answer comes later in the thread"
    return "that it is being done; a message follows when it is"


def _refused(access: Access) -> str:
    return (
        "that it could not be "
        + ("read" if access.kind in READS else "saved")
        + ", with an id for whoever runs the app"
    )


def _mended(access: Access, call: Call) -> str:
    if access.kind in READS:
        return "nothing to mend"
    if call.copies:
        return "the job copies brings over what differs"
    if call.datastore == "audit_trail":
        return "nothing: the row stays and says what was tried; the item says what it is"
    if "_by_" in call.datastore:
        return "the daily rebuild writes the lookup from all items"
    if call.datastore == "claims":
        return "a claim ends by its ttl, and the item is as it was"
    return "whoever runs the step again, with the same event id: it writes the same items"


def findings(design: Design, accesses: Iterable[Access]) -> Iterator[Finding]:
    """What is told of half-done runs and of what cannot be recovered."""
    places = {one.name: f"access_patterns[{number}]" for number, one in enumerate(design.patterns)}
    hosted: dict[str, bool] = {}
    for access in accesses:
        written = dict.fromkeys(call.datastore for call in access.calls if call.method in _WRITES)
        if len(written) > 1:
            words = f"{access.pattern} writes {', '.join(written)}, in this order"
            yield finding("SR-701", design, places[access.pattern], words)
        if access.home == "slack":
            hosted[access.entity] = hosted.get(access.entity, False) or access.kind == "export"
    for entity, exported in hosted.items():
        if not exported:
            yield finding("SR-702", design, f"entities.{entity}", f"no pattern exports {entity}")
