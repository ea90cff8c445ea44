"""A process that appends turns to one thread at once, store after store: `appending_worker.py NAME COUNT`.

Each line that it reads is the JSON of a store's URL and its `threads`. It opens that store, says `ready`, waits for
another line, lets COUNT tasks append, each once, and prints the numbers that were given.
"""

import asyncio
import json
import sys

from stateroom.store import open as opened

TEAM, CHANNEL, TS = "T00000001", "C00000001", "1700000000.000100"


async def appended(line: str, name: str, count: int) -> list[int]:
    url, threads = json.loads(line)
    async with opened(url, threads=threads or None) as store:
        thread = store.team(TEAM).thread(CHANNEL, TS)

        async def one(number: int) -> int:
            message = {"kind": "request", "parts": [{"part_kind": "user-prompt", "content": f"{name}-{number}"}]}
            return await thread.append([message], turn_id=f"{name}-{number}")

        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        return await asyncio.gather(*(one(number) for number in range(count)))


if __name__ == "__main__":
    while place := sys.stdin.readline():
        print(json.dumps(asyncio.run(appended(place, sys.argv[1], int(sys.argv[2])))), flush=True)
