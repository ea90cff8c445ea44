"""The fixture as the plugin makes it, whether or not this environment has the plugin's entry point installed."""

from collections.abc import Iterator

import pytest

from stateroom.pytest_plugin.kit import Slack, opened
from stateroom.pytest_plugin.server import SlackServer, running

PATIENCE = 20.0


@pytest.fixture(scope="session")
def slack_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlackServer]:
    with running(tmp_path_factory.mktemp("slack"), 0.02) as server:
        yield server


@pytest.fixture
def slack(slack_server: SlackServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slack]:
    with opened(slack_server, PATIENCE, None, monkeypatch) as workspace:
        yield workspace
