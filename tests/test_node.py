"""The Node project of the tests: pinned without addresses, installed once, whole or not at all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.node import PROJECT, CannotInstall, Workspace, installed

AT_ONCE = """
import sys
from pathlib import Path
from support.node import installed
print(installed(Path(sys.argv[1]), Path(sys.argv[2]), ("npm", "--version")))
"""


def test_the_lock_says_what_is_installed_and_never_from_where() -> None:
    text = (PROJECT / "package-lock.json").read_text()
    lock, wanted = json.loads(text), json.loads((PROJECT / "package.json").read_text())
    assert "://" not in text
    assert "resolved" not in text
    assert lock["packages"][""]["dependencies"] == wanted["dependencies"]
    assert all("integrity" in package for name, package in lock["packages"].items() if name)


def test_without_npm_the_reason_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotInstall, match="no node: install Node"):
        installed(tmp_path / "cache")


@pytest.mark.service
def test_an_install_that_fails_leaves_nothing_and_says_why(node_workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(CannotInstall, match=r"`npm ci` failed: .*ENOTCACHED"):
        installed(tmp_path / "cache", install=("npm", "ci", "--offline", "--cache", str(tmp_path / "empty")))
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".lock"]


@pytest.mark.service
def test_several_installers_at_once_agree_on_one_folder(node_workspace: Workspace, tmp_path: Path) -> None:
    command = [sys.executable, "-c", AT_ONCE, str(tmp_path / "cache"), str(PROJECT)]
    paths = {"cwd": PROJECT.parent, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, **paths) for _ in range(3)]
    assert len({process.communicate(timeout=60)[0] for process in running}) == 1
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(list((tmp_path / "cache").iterdir())) == 2  # the folder and the lock file


@pytest.mark.service
def test_slack_s_sdk_runs_in_a_workspace(node_workspace: Workspace) -> None:
    script = 'import { Schema } from "@slack/deno-slack-sdk"; console.log(Schema.slack.types.user_id);'
    done = node_workspace.node(node_workspace.write("look.js", script))
    assert (done.stdout.strip(), done.returncode) == ("slack#/types/user_id", 0), done.stderr
