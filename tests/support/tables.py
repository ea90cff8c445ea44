"""Tests over a table of cases: one item for pytest instead of hundreds, each of which costs it three milliseconds.

Rules of this file: as `pytest.mark.parametrize`, for cases that share nothing they could disturb. The first that fails
ends the test, and the failure names it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any


def each(
    names: str | Sequence[str], cases: Iterable[Any], ids: Callable[[Any], str] = repr
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Calls the test with every case in turn; a case is the value of one name, or a tuple of values for several."""
    asked = tuple(part.strip() for part in names.split(",")) if isinstance(names, str) else tuple(names)
    table = list(cases)
    assert table, "a table without a case proves nothing"

    def over(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def all_of_them(**fixtures: Any) -> None:
            for case in table:
                values = (case,) if len(asked) == 1 else tuple(case)
                try:
                    test(**dict(zip(asked, values, strict=True)), **fixtures)
                except BaseException as failed:
                    failed.add_note(f"in the case {ids(case)}")
                    raise

        shown = inspect.signature(test)
        rest = [one for name, one in shown.parameters.items() if name not in asked]
        all_of_them.__signature__ = shown.replace(parameters=rest)  # type: ignore[attr-defined]
        return all_of_them

    return over
