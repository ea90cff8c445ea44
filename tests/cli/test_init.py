"""`stateroom init`: two files, never over others, and a manifest with which a local Slack runs the bot."""

import json
import os
import shlex
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.conftest import Command
from stateroom.cli import main
from stateroom.cli.init_env import read_env
from support.bot import MENTION
from support.local_slack import LocalSlack, eventually_now, local_slack

pytestmark = pytest.mark.service  # each command opens a file anew

Start = Callable[..., Command]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("STATEROOM_", "SLACK_"))]:
        monkeypatch.delenv(name)


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["init", *args])


def env() -> dict[str, str]:
    return read_env(Path(".env").read_text())


def test_it_writes_both_files_and_asks_nobody() -> None:
    done = run()
    assert done.exit_code == 0, done.output
    manifest = json.loads(Path("manifest.json").read_text())
    assert manifest["settings"]["socket_mode_enabled"] is True
    assert {"SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "STATEROOM_KEYS", "STATEROOM_STORE"} <= env().keys()
    assert "SLACK_SIGNING_SECRET" not in env()


def test_nobody_else_reads_the_secrets_and_none_is_shown() -> None:
    done = run()
    assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600
    assert env()["STATEROOM_KEYS"].partition(":")[2] not in done.output


def test_two_runs_have_two_keys() -> None:
    run("--dir", "a")
    run("--dir", "b")
    one, other = (read_env(Path(name, ".env").read_text())["STATEROOM_KEYS"] for name in "ab")
    assert one != other


@pytest.mark.parametrize("there", ["manifest.json", ".env"])
def test_what_is_there_stays(there: str) -> None:
    Path(there).write_text("mine")
    done = run()
    assert done.exit_code == 2
    assert there in done.stderr
    assert Path(there).read_text() == "mine"
    assert len(list(Path().iterdir())) == 1


def test_force_writes_anew_and_keeps_what_was_filled_in() -> None:
    run()
    before = env()
    text = Path(".env").read_text().replace("SLACK_BOT_TOKEN=", "SLACK_BOT_TOKEN=xoxb-mine") + "MY_OWN='a b'\n"
    Path(".env").write_text(text)
    assert run("--force", "--http", "https://bot.example.com", "--feature", "install").exit_code == 0
    after = env()
    assert after["STATEROOM_KEYS"] == before["STATEROOM_KEYS"]
    assert (after["SLACK_BOT_TOKEN"], after["MY_OWN"]) == ("xoxb-mine", "a b")
    assert "install" in after["STATEROOM_FEATURES"]
    assert after["STATEROOM_PUBLIC_URL"] == "https://bot.example.com"
    assert {"SLACK_SIGNING_SECRET", "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"} <= after.keys()


def test_each_scope_is_told_with_its_reason() -> None:
    report = json.loads(run("--json", "--feature", "agent").stdout)
    manifest = json.loads(Path("manifest.json").read_text())
    assert [one["scope"] for one in report["scopes"]] == manifest["oauth_config"]["scopes"]["bot"]
    assert all(reason for one in report["scopes"] for reason in one["reasons"].values())
    assert report["transport"] == "socket"


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (("--socket", "--http", "https://x.example"), "not both"),
        (("--http", "bot"), "--http takes"),
        (("--feature", "agent", "--feature", "assistant"), "exclude each other"),
        (("--without", "mentions"), "threads needs mentions"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(args: tuple[str, ...], what: str) -> None:
    done = run(*args)
    assert done.exit_code == 2
    assert what in done.stderr
    assert list(Path().iterdir()) == []


def test_your_datastores_are_in_the_manifest() -> None:
    Path("shop.py").write_text(
        "import stateroom as sr\nclass T(sr.Datastore, name='tickets', profile='slack'):\n    id: str = sr.key()\n"
    )
    done = run("--definitions", "shop")
    assert done.exit_code == 0, done.output
    manifest = json.loads(Path("manifest.json").read_text())
    assert set(manifest["datastores"]) == {"tickets"}
    assert {"datastore:read", "chat:write"} <= set(manifest["oauth_config"]["scopes"]["bot"])


@pytest.mark.service
def test_a_shell_reads_the_file() -> None:
    run("--feature", "agent")
    shown = subprocess.run(
        ["sh", "-c", 'set -a; . ./.env; printf "%s" "$STATEROOM_PROMPTS"'], capture_output=True, text=True, check=True
    )
    assert shown.stdout == env()["STATEROOM_PROMPTS"]
    assert "=>" in shown.stdout


@pytest.mark.service
def test_the_local_slack_takes_the_manifest_and_runs_the_bot_with_it(start: Start, tmp_path: Path) -> None:
    port = _free_port()
    assert run("--http", f"http://127.0.0.1:{port}").exit_code == 0
    with local_slack(manifest=tmp_path / "manifest.json") as slack:
        manifest = json.loads(Path("manifest.json").read_text())
        assert slack.call("apps.manifest.validate", "xoxp-T00000001-U00000001", manifest=manifest)["ok"]
        given = {
            **env(),
            "SLACK_BOT_TOKEN": "xoxb-local-1",
            "SLACK_SIGNING_SECRET": "local-signing-secret",
            "SLACK_API_URL": slack.api_url,
        }
        bot = start("serve", "--port", str(port), **{name: value for name, value in given.items() if value})
        assert bot.ready() == f"http://127.0.0.1:{port}"
        _is_answered(slack)


def _is_answered(slack: LocalSlack) -> None:
    ts = slack.say(f"{MENTION} hello")
    eventually_now(lambda: [m for m in slack.replies(ts) if not m.get("streaming")])


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_values_with_blanks_and_quotes_are_read_back() -> None:
    value = "it's => a | b"
    assert read_env(f"A={shlex.quote(value)}\nexport B=2\n# C=3\nD=\n") == {"A": value, "B": "2", "D": ""}
