"""What a local Slack looks after by itself."""

import itertools
import os
import time
from pathlib import Path

import pytest

from stateroom.emulator.config import SEED_APP, EmulatorConfig
from stateroom.emulator.housekeeper import Housekeeper
from stateroom.emulator.seed import AppSpec
from stateroom.emulator.workspace import Workspace

pytestmark = pytest.mark.service


async def test_a_bot_that_registers_after_the_first_look_is_shown_with_its_pid(tmp_path: Path) -> None:
    pid_file, numbers = tmp_path / "bot.pid", itertools.count()
    pid_file.write_text(str(os.getppid()))
    config = EmulatorConfig(bot_pid_file=pid_file)
    workspace = Workspace(config, time.time, lambda prefix: f"{prefix}{next(numbers):08d}")
    await workspace.start()
    try:
        keeper = Housekeeper(workspace)
        await keeper.look()
        assert workspace.processes == {}
        workspace.register(AppSpec(SEED_APP, event_url="http://127.0.0.1:9/slack/events"))
        await keeper.look()
        assert workspace.processes == {SEED_APP: {"pid": os.getppid(), "restarts": 0}}
    finally:
        await workspace.close()
