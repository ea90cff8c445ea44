"""What all tests share: Hypothesis profiles, the `--soak` switch, and the guard over unit tests.

Rules of this file: no event loop fixture (pytest-asyncio runs in auto mode), nothing that knows a unit of the project.
"""

import gc
import importlib.util
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest
from hypothesis import settings

from support.node import CannotInstall, Workspace, workspace

# Deadlines are off: on a shared machine a slow example says nothing about the code.
settings.register_profile("dev", max_examples=25, deadline=None)
# The same examples on every run, so that a red CI means a changed tree. New ones are the soak's job.
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, print_blob=True)
settings.register_profile("soak", max_examples=5_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("STATEROOM_TEST_PROFILE") or "dev")

# While thousands of tests are collected nearly nothing becomes garbage, and looking for it costs a third of the time.
gc.set_threshold(100_000, 50, 100)

ONLY_SERVICES = re.compile(r"^pytestmark = pytest\.mark\.service *(#.*)?$", re.MULTILINE)
PROC = Path("/proc/self/task")
GRACE = 1.0  # seconds in which a child that was told to end may still be there


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the full sizes, too (tests marked `soak`)")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What holds nothing but service tests is not even imported by the unit run: the clients it brings cost seconds.

    A folder of nothing else is left out with its conftest.
    """
    if config.getoption("markexpr") != "not service" or collection_path.suffix not in ("", ".py"):
        return None
    tests = [collection_path] if collection_path.suffix else list(collection_path.rglob("test_*.py"))
    return (bool(tests) and all(ONLY_SERVICES.search(one.read_text(encoding="utf-8")) for one in tests)) or None


def pytest_collection_finish() -> None:
    """What is there now stays to the end: no look for garbage goes over it again."""
    gc.freeze()
    gc.set_threshold(5_000, 20, 50)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --soak the full sizes are not part of the run, rather than a hundred skips in its report."""
    if config.getoption("--soak"):
        return
    put_off = [item for item in items if item.get_closest_marker("soak")]
    items[:] = [item for item in items if item not in put_off]
    config.hook.pytest_deselected(items=put_off)


def child_processes() -> set[int]:
    """Our children by process id; empty where the system has no /proc (the guard then sees nothing)."""
    multiprocessing.active_children()  # reaps those that have ended
    found: set[int] = set()
    for task in PROC.glob("*/children"):
        try:
            found |= {int(pid) for pid in task.read_text().split()}
        except FileNotFoundError:  # a thread that ended while we looked
            continue
    return found


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except FileNotFoundError:
        return ""


def left_behind(before: set[int]) -> dict[int, str]:
    """New children still there after the grace period. Python's own resource tracker lives as long as we do."""
    ends = time.monotonic() + GRACE
    while True:
        new = {pid: command_of(pid) for pid in child_processes() - before}
        new = {pid: command for pid, command in new.items() if "multiprocessing.resource_tracker" not in command}
        if not new or time.monotonic() > ends:
            return new
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _no_child_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """A unit test that leaves a child process fails, and the child is ended. Service tests own their processes."""
    if request.node.get_closest_marker("service"):
        yield
        return
    before = child_processes()
    yield
    left = left_behind(before)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert not left, f"this unit test left child processes: {left}; mark it `service`, or end them"


@pytest.fixture(scope="session")
def cannot_start() -> Callable[[str], NoReturn]:
    """Call it with the reason when a service cannot be started: a skip on a developer's machine, red in CI."""

    def give_up(reason: str) -> NoReturn:
        if os.environ.get("CI"):
            pytest.fail(f"CI must be able to start this: {reason}", pytrace=False)
        pytest.skip(reason)

    return give_up


@pytest.fixture
def node_workspace(tmp_path: Path, cannot_start: Callable[[str], NoReturn]) -> Workspace:
    """A folder in which Node finds Slack's own libraries. Only for tests marked `service`: Node is a child process."""
    folder = tmp_path / "node"
    folder.mkdir()
    try:
        return workspace(folder)
    except CannotInstall as error:
        cannot_start(str(error))


@pytest.fixture(scope="session")
def load_script() -> Callable[[str], ModuleType]:
    """Imports `scripts/<name>.py`: that folder is no package, and is not installed."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "scripts" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look themselves up there
        spec.loader.exec_module(module)
        return module

    return load
