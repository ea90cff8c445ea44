"""Which state an item may go to from which: the transitions of one attribute, as one frozen value.

Rules of this file: pure, and no conditions: the handle makes a guard of `allowed_from` and `may_begin`, which the
engine decides on the row as it is at the commit, raced or not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stateroom.model.errors import InvalidDefinition


@dataclass(frozen=True, init=False, repr=False)
class Lifecycle:
    """The states of one string attribute: `Lifecycle("status", open=["approved"], approved=["done"])`.

    A state that leads nowhere need not be named as an argument. `initial`: the states in which an item may begin, one
    or several; without it an item may begin in any. Staying in a state is no transition. `transitions` takes states
    whose names cannot be arguments: `transitions={"in review": ["done"]}`.
    """

    attribute: str
    transitions: Mapping[str, tuple[str, ...]]
    initial: tuple[str, ...] | None = None
    _from: Mapping[str, frozenset[str]] = field(compare=False, default_factory=dict)

    def __init__(
        self,
        attribute: str,
        /,
        initial: str | Iterable[str] | None = None,
        transitions: Mapping[str, Iterable[str]] | None = None,
        **states: Iterable[str],
    ) -> None:
        given: dict[str, Any] = {**(transitions or {}), **states}
        for state, following in given.items():
            if isinstance(following, str) or not all(isinstance(s, str) for s in (state, *following)):
                raise InvalidDefinition(
                    "lifecycle", attribute, f'give lists of states: {state}=["{following or "next"}"]'
                )
        begins = None if initial is None else (initial,) if isinstance(initial, str) else tuple(initial)
        ways = {state: tuple(dict.fromkeys(following)) for state, following in given.items()}
        for state in [s for following in ways.values() for s in following]:
            ways.setdefault(state, ())
        before = {s: frozenset(f for f, following in ways.items() if s in following) | {s} for s in ways}
        for name, value in (("attribute", attribute), ("transitions", ways), ("initial", begins), ("_from", before)):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"Lifecycle({self.attribute!r}, initial={self.initial!r}, transitions={dict(self.transitions)!r})"

    def __hash__(self) -> int:
        return hash((self.attribute, tuple(self.transitions.items()), self.initial))

    @property
    def states(self) -> tuple[str, ...]:
        """All states, in the order in which they were named."""
        return tuple(self.transitions)

    def allowed_from(self, state: str) -> frozenset[str]:
        """The states in which an item may be when it is to go to `state`: `state` itself among them."""
        return self._from.get(state, frozenset())

    def may_begin(self, state: str) -> bool:
        """Whether a new item, or one that has no state yet, may be given `state`."""
        return state in self.transitions if self.initial is None else state in self.initial

    def faults(self, values: Collection[Any]) -> Iterable[str]:
        """What is wrong, in words; `values`: what the attribute may hold (nothing: any string)."""
        if not self.transitions:
            yield "has a lifecycle without states"
        if values and set(values) != set(self.states):
            both = set(values) ^ set(self.states)
            yield f"its values and the states of its lifecycle differ: {', '.join(sorted(map(str, both)))}"
        for state in self.initial or ():
            if state not in self.transitions:
                yield f"its lifecycle begins with the unknown state {state!r}"
        if self.initial == ():
            yield "its lifecycle cannot begin: name an initial state"
        if self.initial:
            lost = [s for s in self.states if s not in self._reached()]
            if lost:
                yield f"its lifecycle never reaches {', '.join(lost)}"

    def _reached(self) -> set[str]:
        found: set[str] = set()
        ahead = list(self.initial or ())
        while ahead:
            state = ahead.pop()
            if state not in found:
                found.add(state)
                ahead += self.transitions.get(state, ())
        return found
