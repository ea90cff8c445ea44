"""What a benchmark is: contenders measured in turns, medians, ratios, and the bounds that must hold.

Rules of this file: pure but for the contenders it calls. Rounds are interleaved (A, B, A, B, ...), so that a machine
that slows down does so for all; a ratio is the median of the rounds' own ratios, never of two runs apart. The first
round only warms up and is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from statistics import median
from typing import Final

SECONDS: Final = "s/op"
"""The measure of a contender that returns a bare number. Other measures in seconds end in `, s`, such as `p99, s`."""

Sample = float | Mapping[str, float]
Contenders = Mapping[str, Callable[[], Sample]]
Results = dict[str, dict[str, list[float]]]  # contender, measure, one value a round


@dataclass(frozen=True)
class Must:
    """A bound on one contender: absolute, or as ratio to another (`over`), or as difference from it (`minus`)."""

    of: str
    over: str | None = None
    minus: str | None = None
    at_most: float | None = None
    at_least: float | None = None
    measure: str = SECONDS

    def value(self, results: Results) -> float:
        """The median over the rounds of what is bounded."""
        own = results[self.of][self.measure]
        if other := self.over or self.minus:
            pairs = zip(own, results[other][self.measure], strict=True)
            return median([a / b if self.over else a - b for a, b in pairs])
        return median(own)

    def holds(self, results: Results) -> bool:
        """A bound is met when reached; a value that is no number meets none."""
        value = self.value(results)
        above = self.at_least is None or value >= self.at_least
        return above and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        what = f"{self.of} / {self.over}" if self.over else f"{self.of} - {self.minus}" if self.minus else self.of
        bounds = {"at most": self.at_most, "at least": self.at_least}
        limits = [f"{name} {bound:g}" for name, bound in bounds.items() if bound is not None]
        return f"{what}, {self.measure}: {' and '.join(limits)}"


@dataclass(frozen=True)
class Case:
    """A named comparison. `contenders` sets up, yields name to measurement (the first is the base), and tidies up."""

    name: str
    title: str
    contenders: Callable[[], AbstractContextManager[Contenders]]
    musts: Sequence[Must] = ()
    rounds: int = 7


@dataclass
class Outcome:
    """A case with its results, one list of values for each contender and measure."""

    case: Case
    results: Results = field(default_factory=dict)

    @property
    def broken(self) -> list[Must]:
        """The bounds that do not hold."""
        return [must for must in self.case.musts if not must.holds(self.results)]


CASES: Final[dict[str, Case]] = {}


def case(
    name: str, title: str, *, musts: Sequence[Must] = (), rounds: int = 7
) -> Callable[[Callable[[], AbstractContextManager[Contenders]]], Callable[[], AbstractContextManager[Contenders]]]:
    """Registers a context manager that yields the contenders. ValueError for a name that is taken."""

    def register(
        contenders: Callable[[], AbstractContextManager[Contenders]],
    ) -> Callable[[], AbstractContextManager[Contenders]]:
        if name in CASES:
            raise ValueError(f"two cases are named {name}")
        CASES[name] = Case(name, title, contenders, tuple(musts), rounds)
        return contenders

    return register


def measure(case: Case, rounds: int | None = None) -> Outcome:
    """Run a case: one round to warm up, then `rounds` that count. Every second round goes backwards."""
    outcome = Outcome(case)
    with case.contenders() as contenders:
        order = list(contenders)
        for number in range((rounds or case.rounds) + 1):
            for name in order if number % 2 == 0 else reversed(order):
                taken = contenders[name]()
                sample = taken if isinstance(taken, Mapping) else {SECONDS: taken}
                for measure_name, value in sample.items() if number else ():
                    outcome.results.setdefault(name, {}).setdefault(measure_name, []).append(value)
        outcome.results = {name: outcome.results[name] for name in order}
    return outcome
