"""A process that says things in threads: `words_worker.py URL NAME STOP`, with keys in STATEROOM_KEYS, words sealed.

It appends to one thread of its own, and reads now and then. It goes on until the file STOP is there, and then prints
how many appends were acknowledged.
"""

import asyncio
import os
import sys
from pathlib import Path

import stateroom as sr
from support.threads import CHANNEL, ask

TEAM = "T00000001"
EVERY = 10  # appends between two looks


def ts_of(number: int) -> str:
    return f"1700000000.{number:06d}"


def words(name: str, number: int) -> dict[str, object]:
    return ask(f"hush {name} {number}")


async def main(url: str, name: str, stop: Path) -> None:
    async with sr.open(url, encrypt_content=True) as store:
        thread = store.team(TEAM).thread(CHANNEL, ts_of(int(name)))
        await thread.append([words(name, 0)], turn_id="t0")
        print("ready", flush=True)
        done = 1
        while not stop.exists():
            await thread.append([words(name, done)], turn_id=f"t{done}")
            done += 1
            if done % EVERY == 0:
                found = (await thread.messages(limit=EVERY)).messages
                assert found == [words(name, number) for number in range(done - EVERY, done)]
            await asyncio.sleep(0.005)  # others write, too
    print(done, flush=True)


if __name__ == "__main__":
    assert os.environ["STATEROOM_KEYS"]
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
