"""The same work under two names: what the machine's noise alone does to a ratio. Other cases are read against it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from bench.frame import Contenders, Must, case

HASHES = 20_000
PAYLOAD = b"x" * 1024


def hash_often() -> float:
    began = perf_counter()
    for _ in range(HASHES):
        hashlib.sha256(PAYLOAD).digest()
    return (perf_counter() - began) / HASHES


@case("noise", "The same work twice: 1.00 but for noise", musts=[Must("again", over="once", at_most=1.2, at_least=0.8)])
@contextmanager
def same_work_twice() -> Iterator[Contenders]:
    yield {"once": hash_often, "again": hash_often}
