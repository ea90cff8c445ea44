"""What is wrong with a design file: all of it at once, each with its place and the next step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stateroom.model.errors import WrongUse


class Problem(NamedTuple):
    """One fault. `line` and `column` count from 1; `path` is the field (`entities.request.key`), empty for the file."""

    line: int
    column: int
    path: str
    problem: str
    step: str

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return f"line {self.line}, column {self.column}: {place}{self.problem}; {self.step}"


class DesignInvalid(WrongUse):
    """A design file cannot be compiled. `.problems` holds everything that is wrong, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        more = len(self.problems) - 1
        super().__init__(f"{self.problems[0]}{f' (and {more} more)' if more else ''}")
