"""The plugin as users have it: in a pytest of its own, with their settings, their failures, and without it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from stateroom.pytest_plugin.kit import Slack

pytest_plugins = "pytester"
pytestmark = pytest.mark.service

ROOT = Path(__file__).parents[2]

USERS = """
import pytest
from slack_bolt import App

def make(times):
    app = App()

    @app.event("app_mention")
    def answer(event, say):
        for number in range(times):
            say(f"number {number}", thread_ts=event["ts"])

    return app

@pytest.mark.parametrize("times", [0, 1, 2])
def test_answers(slack, times):
    slack.connect(make(times))
    slack.assert_one_answer(slack.say("@stateroom hello"), within=1)

def test_each_test_starts_anew(slack):
    assert slack.messages() == [] and slack.calls() == []

@pytest.mark.slack(patience=0.1, manifest={"display_information": {"name": "Clerk"}})
def test_settings(slack):
    assert slack.patience == 0.1
    assert slack.client.auth_test()["user"] == "clerk"
    with pytest.raises(AssertionError, match="waited 0.1 s for the app to say 'x' in vain"):
        slack.wait_for("x")

def test_the_manifest_of_the_settings(slack):
    assert slack.client.auth_test()["user"] == "from-the-file"
"""


@pytest.fixture(autouse=True)
def _only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the plugins of this environment, which load much; ours is then named, installed or not."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def run(pytester: pytest.Pytester) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "stateroom.pytest_plugin", "-p", "no:cacheprovider", timeout=60)


def test_bad_apps_fail_with_the_conversation_and_the_traffic(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nslack_manifest = manifest.json\nslack_time_scale = 0.01\n")
    pytester.path.joinpath("manifest.json").write_text('{"display_information": {"name": "From the file"}}')
    pytester.makepyfile(USERS.replace("@stateroom", "<@UB0000001>"))
    result = run(pytester)
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(["*no answer within 1 s*", "*<-- this message*", "*- Slack -*", "*conversation in C*"])
    result.stdout.fnmatch_lines(["*2 answers where one was expected*", "*number 0*<-- answer 1*", "*number 1*"])
    assert "checks.py" not in result.stdout.str(), "a failure points at the user's own line"


def examples(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [one for one in re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S) if "def test_" in one]


def test_the_examples_of_the_pages_run(pytester: pytest.Pytester) -> None:
    (short,) = examples("README.md")
    assert len([line for line in short.splitlines() if line.strip()]) <= 14
    blocks = [short, *examples("docs/testing.md")]
    assert len(blocks) == 4
    pytester.makepyfile(**{f"test_example_{number}": block for number, block in enumerate(blocks)})
    run(pytester).assert_outcomes(passed=6)


def test_the_plugin_is_declared_for_pytest_to_find() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    assert declared["pytest11"] == {"stateroom": "stateroom.pytest_plugin"}


def test_who_does_not_ask_for_it_loads_nothing_and_starts_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import sys\ndef test_free(request):\n"
        "    assert request.config.pluginmanager.hasplugin('stateroom.pytest_plugin')\n"
        "    assert {name for name in sys.modules if name.startswith('stateroom.')} == {'stateroom.pytest_plugin'}\n"
        "    assert not {'uvicorn', 'slack_sdk', 'slack_bolt', 'msgspec', 'pydantic'} & set(sys.modules)\n"
    )
    run(pytester).assert_outcomes(passed=1)


def test_loading_the_plugin_imports_only_pytest() -> None:
    report = "import sys, stateroom.pytest_plugin; print(*sorted(n for n in sys.modules if n.startswith('stateroom')))"
    seen = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True, timeout=30)
    assert seen.stdout.split() == ["stateroom", "stateroom.pytest_plugin"]


def test_every_public_call_is_on_the_page() -> None:
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    inside = {"start_over", "close", "idle", "over_sockets", "api_url", "wire", "app_token", "client_id"}
    calls = {name for name in dir(Slack) if not name.startswith("_")} - inside
    assert len(calls) > 30
    missing = {name for name in calls if f"slack.{name}" not in page}
    assert missing <= {"team", "app_id", "bot_user", "client_secret"}
