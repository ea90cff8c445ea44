"""A process of a Bolt app under load: `find_bots.py URL API_URL TEAM THREADS`; each thread asks for the bot at once.

It prints the tokens that it was given, and waits for a line on stdin before it begins.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from stateroom.bolt import InstallationStore

url, api_url, team, threads = *sys.argv[1:4], int(sys.argv[4])
store = InstallationStore.from_url(
    url, client_id="local-client-id", client_secret="local-client-secret", api_url=api_url
)
barrier = Barrier(threads)


def ask(_: int) -> str | None:
    barrier.wait()
    bot = store.find_bot(enterprise_id=None, team_id=team)
    return None if bot is None else bot.bot_token


print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(threads) as pool:
    print(json.dumps(list(pool.map(ask, range(threads)))), flush=True)
