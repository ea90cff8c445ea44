"""An order kept over attributes. Rules of this file: a frozen value; what it may name is checked in model/rules.py."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, init=False)
class Index:
    """An order kept over attributes: `Index("status", "opened_at")`. Sparse: a row that lacks one is not in it.

    `unique`: no two items of a team share the values. `across_teams` is for Stateroom's own work queues: only such an
    index may be read without naming a team. `current`: a page by it shows every write that was acknowledged before, on
    every engine; DynamoDB keeps such an index in rows of its own (docs/adr/0008).
    """

    attributes: tuple[str, ...]
    unique: bool
    across_teams: bool
    current: bool

    def __init__(
        self,
        *attributes: str | tuple[str, ...],
        unique: bool = False,
        across_teams: bool = False,
        current: bool = False,
    ) -> None:
        names = tuple(name for one in attributes for name in ((one,) if isinstance(one, str) else one))
        given = {"attributes": names, "unique": unique, "across_teams": across_teams, "current": current}
        for field, value in given.items():
            object.__setattr__(self, field, value)

    @property
    def name(self) -> str:
        """The index's name in stores: its attributes joined."""
        return "_".join(self.attributes)
