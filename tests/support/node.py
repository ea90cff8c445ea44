"""Slack's own JavaScript libraries on Node: what tests/node/package-lock.json pins, installed once on a machine.

Rules of this file: nothing is installed into the repository. The libraries are kept in the user's cache folder under
the hash of the lock, made in a folder beside it and renamed, with one installer at a time. Node finds libraries from
where a script lies, so a test gets a folder of its own with `node_modules` linked into it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "node"
FILES = ("package.json", "package-lock.json")
INSTALL_SECONDS = 240
INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=2", "--fetch-timeout=30000")


class CannotInstall(Exception):
    """Node or the libraries are not to be had; the message is the reason in one line."""


@dataclass(frozen=True)
class Workspace:
    """A folder in which scripts find the libraries. Its scripts are ES modules unless they end in .cjs."""

    folder: Path

    def write(self, name: str, text: str) -> Path:
        """A file of this folder."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def node(self, *args: str | Path, stdin: str = "", seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """`node ARGS` in this folder, run to its end, with its output; the exit code is the caller's to look at."""
        return self._run("node", *args, stdin=stdin, seconds=seconds)

    def tsc(self, *args: str | Path, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """The TypeScript compiler; what it complains about is on stdout."""
        return self._run("node", self.folder / "node_modules/typescript/bin/tsc", *args, seconds=seconds)

    def _run(self, *command: str | Path, stdin: str = "", seconds: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, input=stdin, capture_output=True, text=True, timeout=seconds, check=False
        )


def workspace(folder: Path) -> Workspace:
    """`folder` made a workspace. CannotInstall when the libraries cannot be had."""
    (folder / "node_modules").symlink_to(installed(cache_folder()) / "node_modules", target_is_directory=True)
    shutil.copy(PROJECT / "package.json", folder)
    return Workspace(folder)


def cache_folder() -> Path:
    """Outside the repository, and kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stateroom-tests"


def installed(cache: Path, project: Path = PROJECT, install: tuple[str, ...] = INSTALL) -> Path:
    """The folder of the libraries, installed now when it is not there. Any number of processes may call it at once."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise CannotInstall(f"no {tool}: install Node 18 or newer, for example Debian's `nodejs` and `npm`")
    cache.mkdir(parents=True, exist_ok=True)
    wanted = hashlib.sha256(b"\0".join((project / name).read_bytes() for name in FILES)).hexdigest()[:16]
    there = cache / f"node-{wanted}"
    with (cache / f"node-{wanted}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not there.exists():
            _install(there, project, install)
    return there


def _install(there: Path, project: Path, install: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory(dir=there.parent, prefix=f"{there.name}-") as name:
        half = Path(name) / "whole-or-not-at-all"
        half.mkdir()
        for file in FILES:
            shutil.copy(project / file, half)
        try:
            done = subprocess.run(install, cwd=half, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        except subprocess.TimeoutExpired:
            raise CannotInstall(f"`npm ci` took longer than {INSTALL_SECONDS} s") from None
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if "error" in line.lower()]
            raise CannotInstall(f"`npm ci` failed: {' '.join(said)[:300] or done.returncode}")
        half.rename(there)
