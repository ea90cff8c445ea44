"""docs/format.md says of a Bolt app's rows what the code writes."""

import json
import re
from pathlib import Path

import pytest

from stateroom.engines.memory import MemoryEngine
from stateroom.engines.port import Query
from stateroom.layers import assistant, jobs
from stateroom.model.definition import Definition
from stateroom.store import Store

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
VECTORS = json.loads(re.findall(r"```json job-vectors\n(.*?)```", PAGE, re.S)[0])


@pytest.mark.parametrize("definition", [*jobs.DEFINITIONS, *assistant.DEFINITIONS], ids=lambda one: one.name)
def test_every_attribute_is_on_the_page(definition: Definition) -> None:
    assert f"**`{definition.name}`**" in PAGE
    assert not [name for name in definition.attributes if f"`{name}`" not in PAGE and name != "id"]


@pytest.mark.parametrize(("body", "key"), VECTORS["keys"])
def test_a_jobs_key_is_what_the_page_shows(body: dict[str, object], key: str) -> None:
    assert jobs.key_of("app", body) == key


async def test_a_jobs_rows_are_what_the_page_shows() -> None:
    async with Store("memory://", engine=MemoryEngine(lambda: 1700000002.5), clock=lambda: 1700000002.5) as store:
        every = jobs.Jobs(store.engine, store.clock, "app", seconds=10)
        body = VECTORS["keys"][0][0]
        job = await every.claim("T00000001", body, what="event:app_mention", user="U00000001", acked=True)
        assert isinstance(job, jobs.Job)
        await job.intend(job.next_call(), "chat.postMessage", jobs.digest({"text": "hi"}), seconds=11)
        for table in ("sr_jobs", "sr_job_calls"):
            (row,) = (await store.engine.query(Query(table, "T00000001", 2))).rows
            assert json.loads(json.dumps(row.item, default=float)) == VECTORS[table]
        await assistant.Contexts(store.engine, store.clock, "1.1").save(
            "C00000001", "1700000000.000100", {"team_id": "T00000001", "channel_id": "C00000002"}
        )
        (row,) = (await store.engine.query(Query("sr_contexts", "T00000001", 2))).rows
        assert row.item == VECTORS["sr_contexts"]
