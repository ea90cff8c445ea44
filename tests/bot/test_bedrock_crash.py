"""Two workers over Bedrock: one dies in the middle of a streamed answer, and the person sees one whole answer."""

import json
from pathlib import Path

import pytest

from support.bedrock import bedrock, say
from support.bot import MENTION, Child, children, environment
from support.local_slack import eventually, local_slack

pytestmark = pytest.mark.service


def claimed(worker: Child) -> str:
    """When it took a turn last, by its log."""
    lines = [json.loads(line) for line in worker.log.read_text().splitlines() if "turn claimed" in line]
    return max((str(line["timestamp"]) for line in lines), default="")


async def test_a_worker_killed_while_bedrock_streams_leaves_one_whole_answer(tmp_path: Path) -> None:
    with (
        local_slack() as slack,
        bedrock(say("Half an answer. ", "And the rest.", pace=30.0)) as stub,
        children() as begin,
    ):
        env = environment(slack, f"sqlite:///{tmp_path}/state.db", **stub.environment)
        ingress = begin(["serve", "--no-worker", "--port", "0"], env, tmp_path / "ingress.log")
        slack.register(f"{ingress.url}/slack/events")
        first = begin(["worker"], env, tmp_path / "first.log")
        second = begin(["worker"], env, tmp_path / "second.log")
        ts = slack.say(f"{MENTION} hello")
        await eventually(lambda: [m for m in slack.replies(ts) if "Half" in m["text"] and m.get("streaming")], 20)
        stub.then(say("The whole answer."))
        max(first, second, key=claimed).kill()
        await eventually(lambda: [m for m in slack.replies(ts) if m["text"] == "The whole answer."], 30)
        (only,) = await eventually(lambda: [m for m in slack.replies(ts) if not m.get("streaming")], 20)
        assert only["text"] == "The whole answer."
        assert len(slack.replies(ts)) == 1
        assert len(stub.asked) >= 2
