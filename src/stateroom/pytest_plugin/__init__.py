"""The pytest plugin `pytest-stateroom`: the fixture `slack`, a local Slack for tests of any Slack app in Python.

Rules of this file: pytest loads it for everybody who has Stateroom installed, so it imports nothing but pytest; the
rest comes when a test asks for a fixture. It knows nothing of our store. How to use it: docs/testing.md.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from stateroom.pytest_plugin.kit import Slack
    from stateroom.pytest_plugin.server import SlackServer
    from stateroom.pytest_plugin.values import Message, Reply, View

__all__ = ["Message", "Reply", "Slack", "SlackServer", "View"]

_WHERE = {"Slack": "kit", "SlackServer": "server", "Message": "values", "Reply": "values", "View": "values"}


def __getattr__(name: str) -> object:
    """The classes that tests name in annotations, imported when they are named."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The settings of docs/testing.md."""
    parser.addini("slack_time_scale", "what Slack's own waits are multiplied by in tests", default="0.02")
    parser.addini("slack_patience", "seconds that a test waits for an app", default="5")
    parser.addini("slack_manifest", "the app's manifest (JSON), below the root; empty: every event is sent", default="")


def pytest_configure(config: pytest.Config) -> None:
    """The marker of docs/testing.md."""
    config.addinivalue_line(
        "markers", "slack(manifest=None, patience=None): settings of the fixture `slack` for this test"
    )


@pytest.fixture(scope="session")
def slack_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlackServer]:
    """The local Slack of the whole run: a process of its own on a free port, started when the first test asks."""
    from stateroom.pytest_plugin.server import running

    with running(tmp_path_factory.mktemp("slack"), float(request.config.getini("slack_time_scale"))) as server:
        yield server


@pytest.fixture
def slack(
    request: pytest.FixtureRequest, slack_server: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Slack]:
    """A fresh Slack workspace for this test; apps that the test connects are ended with it."""
    from stateroom.pytest_plugin.kit import opened

    given = _given(request)
    chosen = given.get("patience")
    patience = float(request.config.getini("slack_patience") if chosen is None else chosen)
    with opened(slack_server, patience, given.get("manifest") or _manifest(request.config), monkeypatch) as workspace:
        yield workspace


def _given(request: pytest.FixtureRequest) -> dict[str, Any]:
    marker = request.node.get_closest_marker("slack")
    return dict(marker.kwargs) if marker is not None else {}


def _manifest(config: pytest.Config) -> dict[str, Any] | None:
    name = config.getini("slack_manifest")
    if not name:
        return None
    import json

    found: dict[str, Any] = json.loads((config.rootpath / name).read_text(encoding="utf-8"))
    return found


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """A failed test that used Slack shows what was said and what went over the wire."""
    outcome = yield
    report = outcome.get_result()
    used = getattr(item, "funcargs", {}).get("slack")
    if used is not None and report.when == "call" and report.failed and hasattr(used, "transcript"):
        report.sections.append(("Slack", used.transcript()))
