"""A process that changes encrypted attributes: `sealed_worker.py URL ROWS STOP`, with keys in STATEROOM_KEYS.

Each change adds one to a sealed number of one row. It goes on until the file STOP is there, and then prints how many
changes were acknowledged.
"""

import asyncio
import os
import random
import sys
from pathlib import Path

from pydantic import SecretStr

import stateroom as sr
from stateroom.model.errors import TransactionConflict


class App(sr.Datastore, name="apps", changes=True, keep_deleted=3600):
    id: str = sr.key()
    token: SecretStr | None = sr.encrypted()
    tries: int = sr.encrypted(0)


def row(number: int) -> str:
    return f"A-{number:04d}"


async def main(url: str, rows: int, stop: Path) -> None:
    def more(one: App | None) -> App:
        assert one is not None
        return one.model_copy(update={"tries": one.tries + 1})

    async with sr.open(url) as store:
        apps = store.team("T00000001").datastore(App)
        print("ready", flush=True)
        done = 0
        while not stop.exists():
            try:
                await apps.modify(row(random.randrange(rows)), more)
            except TransactionConflict:
                continue
            done += 1
            await asyncio.sleep(0.002)  # others write, too
    print(done, flush=True)


if __name__ == "__main__":
    assert os.environ["STATEROOM_KEYS"]
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))


def secret(number: int) -> SecretStr:
    return SecretStr(f"xoxb-hush-{number}")
