"""`--disk US`: the same cases with a disk whose sync takes US microseconds longer.

A ratio to raw SQL says as much about the disk as about our code: 25 µs are a third of a commit here and a tenth of one
on the disk that the bounds were set on. Rules of this file: the delay is the same for every contender; it needs a C
compiler (`cc`) and Linux.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

SOURCE: Final = Path(__file__).with_name("slow_disk.c")
VARIABLE: Final = "BENCH_DISK_US"


def run_again(microseconds: int, arguments: list[str]) -> int:
    """Run the bench in a process with the slower disk; its exit code."""
    with TemporaryDirectory() as folder:
        library = f"{folder}/slow_disk.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, str(SOURCE), "-ldl"], check=True)
        slower = {**os.environ, "LD_PRELOAD": library, VARIABLE: str(microseconds)}
        return subprocess.run([sys.executable, "-m", "bench", *arguments], env=slower, check=False).returncode
