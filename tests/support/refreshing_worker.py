"""A process that wants a token that lasts, many times at once: `refreshing_worker.py STORE API COUNT TEAM`.

It says `ready`, waits for a line, asks, and prints as JSON how many got a token, a digest of each one, and the errors.
"""

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

import stateroom as sr
from stateroom.emulator.config import SEED_CLIENT_ID, SEED_CLIENT_SECRET
from stateroom.slack.client import SlackClient


async def main(url: str, api: str, count: int, team: str) -> None:
    async def refresh(token: str) -> Mapping[str, Any]:
        async with SlackClient(None, api, clock=time.time) as slack:
            return await slack.oauth_access(
                client_id=SEED_CLIENT_ID,
                client_secret=SEED_CLIENT_SECRET,
                refresh_token=token,
                deadline=time.time() + 60,
            )

    async with sr.open(url) as store:
        kept = store.installations(client_id=SEED_CLIENT_ID)

        async def want() -> str:
            found = await kept.find_bot(enterprise_id=None, team_id=team)
            assert found is not None
            token = str((await kept.fresh(found, refresh))["bot_token"])
            async with SlackClient(token, api, clock=time.time) as slack:
                await slack.auth_test(deadline=time.time() + 60)
            return hashlib.sha256(token.encode()).hexdigest()

        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        got = await asyncio.gather(*(want() for _ in range(count)), return_exceptions=True)
    errors = [str(one) for one in got if isinstance(one, BaseException)]
    print(json.dumps({"got": [one for one in got if isinstance(one, str)], "errors": errors}))


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
