"""What a simulation says: predicted beside measured, one row each.

Rules of this file: values alone. A prediction that is off by more than 10 % of itself is not ok; "without end" is said
by None on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

TOLERANCE: Final = 0.10
Number = float | int | None


@dataclass(frozen=True)
class Row:
    """One metric of one pattern. Times in milliseconds, sizes in bytes; None: without end."""

    pattern: str
    metric: str
    predicted: Number
    measured: Number

    @property
    def ok(self) -> bool:
        """Whether the prediction holds."""
        if self.predicted is None or self.measured is None:
            return self.predicted is None and self.measured is None
        return abs(self.measured - self.predicted) <= TOLERANCE * abs(self.predicted) + 1e-9

    def json(self) -> dict[str, Any]:
        """For machines."""
        named = {"pattern": self.pattern, "metric": self.metric}
        return {**named, "predicted": short(self.predicted), "measured": short(self.measured), "ok": self.ok}


def short(value: Number) -> Number:
    """A number with as many digits as it is worth."""
    if value is None or value == int(value):
        return None if value is None else int(value)
    return round(value, 1)
