"""Making Slack misbehave on purpose: which faults are set, and which of them a call or an event meets.

Rules of this file: no I/O and no clock. A fault names a Web API `method` or an `event` type (`*` and `chat.*` are
patterns), lasts for `count` hits after `skip` of them, and says what happens; who meets it carries it out.
"""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase

import msgspec

from stateroom.emulator.records import Json
from stateroom.model.errors import WrongUse

METHOD_KINDS = frozenset({"throttle", "error", "timeout", "delay", "partial_failure"})
EVENT_KINDS = frozenset({"drop_ack", "duplicate", "delay"})

# Only these fail in part.
BULK_METHODS = ("apps.datastore.bulkGet", "apps.datastore.bulkPut", "apps.datastore.bulkDelete")
_WHOLE_KINDS = METHOD_KINDS - {"partial_failure"}


class Fault(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`count` None: until cleared. `apply`: whether the call takes effect before it goes wrong. Times in s.

    `failures`: how many inputs of a bulk call fail, the last ones.
    """

    kind: str
    id: str = ""
    method: str | None = None
    event: str | None = None
    count: int | None = 1
    skip: int = 0
    retry_after: int = 1
    code: str = "internal_error"
    http: int = 200
    seconds: float = 60.0
    apply: bool = False
    after_apply: bool = False
    channel: str | None = None
    failures: int = 1
    left: int | None = None

    @property
    def applies(self) -> bool:
        return self.apply or self.after_apply


def check(fault: Fault) -> None:
    """Raises WrongUse with the next step when a fault makes no sense."""
    if (fault.method is None) == (fault.event is None):
        raise WrongUse("a fault needs either method (a Web API method) or event (an event type)")
    allowed = METHOD_KINDS if fault.method is not None else EVENT_KINDS
    if fault.kind not in allowed:
        where = "a method" if fault.method is not None else "an event"
        raise WrongUse(f"kind {fault.kind} does not fit {where}; use one of {', '.join(sorted(allowed))}")
    if fault.count is not None and fault.count < 1:
        raise WrongUse("count is a whole number from 1, or null for until it is cleared")
    if fault.kind == "partial_failure" and not any(fnmatchcase(name, fault.method or "") for name in BULK_METHODS):
        raise WrongUse(f"partial_failure is for {', '.join(BULK_METHODS)}")
    if fault.failures < 1:
        raise WrongUse("failures is a whole number from 1")
    if fault.skip < 0 or fault.retry_after < 0 or fault.seconds < 0:
        raise WrongUse("skip, retry_after and seconds are not negative")
    if not 200 <= fault.http <= 599:
        raise WrongUse("http is a status from 200 to 599")


class Faults:
    """The faults that are set, in the order they were added; the first that fits is met."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._added = 0

    def add(self, fault: Fault) -> Fault:
        check(fault)
        self._added += 1
        fault.id = f"F{self._added}"
        fault.left = fault.count
        self._faults[fault.id] = fault
        return fault

    def clear(self, fault_id: str | None = None) -> bool:
        """Forget one or all. False if there is no such one."""
        if fault_id is None:
            self._faults.clear()
            return True
        return self._faults.pop(fault_id, None) is not None

    def listed(self) -> list[Json]:
        return [msgspec.to_builtins(fault) for fault in self._faults.values()]

    def meet_method(self, method: str, channel: str | None) -> Fault | None:
        """The fault that a Web API call meets; it counts as one hit."""
        if not self._faults:
            return None
        return self._meet("method", method, channel, METHOD_KINDS if method in BULK_METHODS else _WHOLE_KINDS)

    def meet_event(self, event: str, channel: str | None, kinds: Collection[str]) -> Fault | None:
        """The fault of one of these kinds that an event meets; it counts as one hit."""
        return self._meet("event", event, channel, kinds)

    def _meet(self, side: str, name: str, channel: str | None, kinds: Collection[str]) -> Fault | None:
        for fault in self._faults.values():
            pattern = getattr(fault, side)
            if fault.kind not in kinds or pattern is None or not fnmatchcase(name, pattern):
                continue
            if fault.channel not in (None, channel):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.left is not None:
                fault.left -= 1
                if fault.left == 0:
                    del self._faults[fault.id]
            return fault
        return None
