"""docs/emulator.md cannot drift from what is served."""

import inspect
import re
from pathlib import Path

import pytest

from stateroom.emulator import control, events, interact_routes
from stateroom.emulator.faults import EVENT_KINDS, METHOD_KINDS
from stateroom.emulator.webapi import METHODS
from support.tables import each

ROUTES = [*control.ROUTES, *interact_routes.ROUTES]
PAGE = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text()


@each("method", [*METHODS, "api.test"])
def test_every_method_is_described(method: str) -> None:
    assert f"`{method}`" in PAGE


@each("route", sorted({(verb, r.path) for r in ROUTES for verb in (r.methods or set()) - {"HEAD"}}))
def test_every_control_call_is_described(route: tuple[str, str]) -> None:
    verb, path = route
    assert path in PAGE
    assert f"{verb} {path}" in PAGE or path.endswith("revoke")


@pytest.mark.parametrize("kind", sorted(METHOD_KINDS | EVENT_KINDS))
def test_every_fault_is_described(kind: str) -> None:
    assert f"| `{kind}` |" in PAGE


def test_every_event_is_described() -> None:
    """Event names are read from the source: the literals behind `"type":` and `"subtype":`."""
    source = inspect.getsource(events)
    named = set(re.findall(r'"(?:sub)?type": "([a-z_]+)"', source)) - {"event_callback"}
    assert {"message", "app_mention", "message_changed", "message_deleted"} <= named
    for name in named | {kind for kind in events._INNER if kind.startswith("reaction")}:
        assert f"`{name}`" in PAGE
