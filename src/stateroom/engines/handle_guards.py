"""What every write asks of the row beside the user's own condition, and which error a refusal is.

Rules of this file: pure. Guards travel with the write and are decided by the engine on the row as it is at the commit,
so they hold in every race:

- a row that newer code wrote is not overwritten;
- where a condition or a lifecycle looks at the row, it must have this code's shape (else the handle upgrades it first);
- a lifecycle leads from the state that the row has to the one it gets;
- an update that would make an item without its required attributes finds one to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from stateroom.engines.handle_form import Form
from stateroom.engines.port import Delete, Put, Update
from stateroom.expr.tree import And, Compare, Condition, Exists, In, Literal, Or, Path
from stateroom.model.errors import ConditionFailed, IllegalTransition, InvalidValue, UniqueViolation
from stateroom.model.upgrades import VERSION

_CACHED: Final = 64
UNTOUCHED: Final = object()  # the write leaves the lifecycle's state alone


class Guards:
    """The guards of one definition."""

    def __init__(self, form: Form[Any]) -> None:
        self._form = form
        self._lifecycle = form.definition.lifecycle
        self._made = lru_cache(_CACHED)(self._make)
        self._unasked = self._make(False, UNTOUCHED, True, False)
        self._asked = self._make(True, UNTOUCHED, True, False)
        self._updates = {must: self._make(True, UNTOUCHED, False, must) for must in (False, True)}

    @property
    def state_attribute(self) -> str | None:
        """The attribute that the lifecycle is about."""
        return None if self._lifecycle is None else self._lifecycle.attribute

    @property
    def beginning(self) -> dict[str, Any]:
        """The state of an item that an update makes without naming one, where there is but one to begin in."""
        lifecycle = self._lifecycle
        if lifecycle is None or lifecycle.initial is None or len(lifecycle.initial) != 1:
            return {}
        return {lifecycle.attribute: lifecycle.initial[0]}

    def of_put(self, item: Mapping[str, Any], *, looks: bool) -> Condition:
        """The guard of a put. `looks`: it has a condition."""
        if self._lifecycle is None:
            return self._asked if looks else self._unasked
        return self._made(True, item.get(self._lifecycle.attribute), True, False)

    @property
    def of_any_put(self) -> Condition | None:
        """The guard of every put without a condition; None where it depends on the item."""
        return None if self._lifecycle is not None else self._unasked

    def of_update(self, changes: Mapping[str, Any], *, must_exist: bool) -> Condition:
        """The guard of an update. `must_exist`: it does not bring all that a new item needs."""
        if self._lifecycle is None or self._lifecycle.attribute not in changes:
            return self._updates[must_exist]
        return self._made(True, changes[self._lifecycle.attribute], False, must_exist)

    def of_delete(self, condition: Condition) -> Condition:
        """The condition of a conditional delete."""
        return And((self._shape(strict=True), condition))

    def legal(self, current: Mapping[str, Any], state: Any, *, stays: bool) -> bool:
        """Whether an item like `current` may go to `state` (None: lose its state)."""
        lifecycle = self._lifecycle
        if lifecycle is None or state is UNTOUCHED:
            return True
        found = current.get(lifecycle.attribute)
        if found is None:
            return state is None or lifecycle.may_begin(state)
        return state is not None and found in self._from(state, stays=stays)

    def _from(self, state: str, *, stays: bool) -> frozenset[str]:
        """Where an item may come from. A put may leave the state as it is; an update that names it is a transition."""
        assert self._lifecycle is not None
        allowed = self._lifecycle.allowed_from(state)
        return allowed if stays or state in self._lifecycle.transitions.get(state, ()) else allowed - {state}

    def _make(self, strict: bool, state: Any, stays: bool, must_exist: bool) -> Condition:
        parts: list[Condition] = [self._shape(strict=strict)]
        lifecycle = self._lifecycle
        if lifecycle is not None and state is not UNTOUCHED:
            path = Path((lifecycle.attribute,))
            stateless: Condition = Exists(path, absent=True)
            allowed = () if state is None else tuple(Literal(s) for s in sorted(self._from(state, stays=stays)))
            ways: list[Condition] = [In(path, allowed)] if allowed else []
            if state is None or lifecycle.may_begin(state):
                ways.append(stateless)
            parts.append(_any(ways))
        if must_exist:
            parts.append(Exists(Path((self._form.key,))))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _shape(self, *, strict: bool) -> Condition:
        """The row was not written by newer code; `strict`: nor by older code. A missing row passes."""
        mark, version = Path((VERSION,)), self._form.version
        unmarked = Exists(mark, absent=True)
        if version == 1:
            return unmarked
        if strict:
            return Or((Compare(mark, "=", Literal(version)), Exists(Path((self._form.key,)), absent=True)))
        return Or((unmarked, Compare(mark, "<=", Literal(version))))


def _any(ways: list[Condition]) -> Condition:
    if not ways:
        return And((Exists(Path(("$never",))), Exists(Path(("$never",)), absent=True)))
    return ways[0] if len(ways) == 1 else Or(tuple(ways))


class Refusal:
    """What a refused write of one definition means to the user."""

    def __init__(self, form: Form[Any], guards: Guards) -> None:
        self._form = form
        self._guards = guards

    def is_old(self, error: ConditionFailed) -> bool:
        """Whether the row was written by older code, so that it must be upgraded before the write can be judged."""
        return error.current is not None and not isinstance(error, UniqueViolation) and self._form.is_old(error.current)

    def named(self, error: ConditionFailed, write: Put | Update | Delete) -> Exception:
        """The error for the user: FormatTooNew, IllegalTransition, UniqueViolation, InvalidValue or ConditionFailed."""
        stored, form = error.current, self._form
        if stored is not None:
            form.refuse_newer(stored)
            error.current = form.shown(stored)
        if isinstance(error, UniqueViolation) or isinstance(write, Delete):
            return error
        state = self._state(write)
        upserts = isinstance(write, Put) or (write.condition is None and not write.if_version)
        if not self._guards.legal(stored or {}, state, stays=isinstance(write, Put)) and (
            stored is not None or upserts
        ):
            found = None if stored is None else stored.get(self._guards.state_attribute or "")
            return IllegalTransition(error.place, error.current, found, state, version=error.version, index=error.index)
        if stored is None and isinstance(write, Update) and upserts and (missing := self._lacking(write)):
            return InvalidValue(f"{form.name}.{missing}", "is required, and there is no such item yet")
        return error

    def _state(self, write: Put | Update) -> Any:
        attribute = self._guards.state_attribute
        if attribute is None:
            return UNTOUCHED
        if isinstance(write, Put):
            return write.item.get(attribute)
        return write.set.get(attribute, UNTOUCHED)

    def _lacking(self, write: Update) -> str | None:
        return self._form.lacking(write.base, write.set, write.add, write.append)
