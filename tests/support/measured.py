"""A command as a real process, with the greatest memory that it had: for tests that it does not grow with the store."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

GROWTH = 20  # MB, from n to 10 n
# A child's ru_maxrss begins with that of the process it was forked from; its own high-water mark does not.
MEASURED = """
import atexit, pathlib, sys
from stateroom.cli import main
atexit.register(lambda: sys.stderr.write(pathlib.Path("/proc/self/status").read_text()))
main()
"""


def run(folder: Path, *args: str) -> tuple[dict[str, object], float, float]:
    """The last line that the command told, its greatest memory in MB, and its seconds."""
    support = str(Path(__file__).parents[1])
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([support, os.environ.get("PYTHONPATH", "")])}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *args, "--json"], capture_output=True, cwd=folder, env=environ, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (peak,) = [line for line in done.stderr.decode().splitlines() if line.startswith("VmHWM:")]
    told = done.stdout.splitlines()
    return json.loads(told[-1]) if told else {}, int(peak.split()[1]) / 1024, time.monotonic() - began
