"""The guards of conftest.py guard: each is run, inside a pytest of its own, over a test that breaks its rule."""

from pathlib import Path

import pytest

pytest_plugins = "pytester"
pytestmark = pytest.mark.service  # what they run starts child processes


@pytest.fixture
def guarded(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text())
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\nmarkers =\n    service\n    soak\n")
    return pytester


LEAK = """
import subprocess, pytest
{marker}
def test_leaks():
    child = subprocess.Popen(["sleep", "60"])
"""
ENDS = "    child.kill(); child.wait()\n"


def test_a_unit_test_that_leaves_a_child_is_red(guarded: pytest.Pytester) -> None:
    guarded.makepyfile(LEAK.format(marker=""))
    result = guarded.runpytest_inprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*this unit test left child processes*sleep 60*"])


def test_a_child_that_is_ended_is_no_offence(guarded: pytest.Pytester) -> None:
    guarded.makepyfile(LEAK.format(marker="") + ENDS)
    guarded.runpytest_inprocess().assert_outcomes(passed=1)


def test_full_sizes_run_with_the_soak_switch_only(guarded: pytest.Pytester) -> None:
    guarded.makepyfile(LEAK.format(marker="@pytest.mark.soak") + ENDS + "def test_small(): pass\n")
    guarded.runpytest_inprocess().assert_outcomes(passed=1, deselected=1)
    guarded.runpytest_inprocess("--soak").assert_outcomes(passed=2)


@pytest.mark.parametrize(("ci", "outcome"), [("", {"skipped": 1}), ("true", {"failed": 1})])
def test_a_service_that_cannot_start_is_red_in_ci(
    guarded: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: dict[str, int]
) -> None:
    monkeypatch.setenv("CI", ci)
    guarded.makepyfile("def test_needs_it(cannot_start): cannot_start('no such server')")
    guarded.runpytest_inprocess().assert_outcomes(**outcome)
