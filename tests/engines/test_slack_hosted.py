"""slack:// beside its conformance: filters, bulk calls and what they leave over, tiers, errors, read-only, teams."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

import stateroom as sr
from stateroom.engines import slack_hosted_line
from stateroom.engines.conformance import Clock
from stateroom.engines.conformance.conditions import World
from stateroom.engines.conformance.pages import all_pages, ids
from stateroom.engines.port import Delete, Put, Query, Table, Update
from stateroom.engines.slack_hosted import ITEM_LIMIT, SlackHostedEngine
from stateroom.expr.check import check
from stateroom.expr.evaluate import evaluate
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from stateroom.model.errors import (
    InvalidValue,
    ItemTooLarge,
    StateroomError,
    StoreUnavailable,
    Throttled,
    Unsupported,
    WrongUse,
)
from stateroom.store import Store
from support import slack_hosted
from support.local_slack import Clock as Standing
from support.local_slack import LocalSlack, local_slack

pytestmark = pytest.mark.service

TEAM = "T00000001"
NAME = "tickets"
ATTRIBUTES = {
    "status": {"type": "string"},
    "rank": {"type": "integer"},
    "urgent": {"type": "boolean"},
    "ends": {"type": "slack#/types/timestamp"},
}
DEFINITION = Definition(
    NAME,
    "id",
    {
        "id": Attribute("string", required=True),
        "status": Attribute("string"),
        "rank": Attribute("integer"),
        "urgent": Attribute("boolean"),
        "ends": Attribute("slack#/types/timestamp"),
    },
    ttl="ends",
    profile="slack",
)


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    with slack_hosted.untyped(), local_slack() as found:
        yield found


Opened = Callable[..., Awaitable[SlackHostedEngine]]


@pytest.fixture
async def opened(slack: LocalSlack) -> AsyncIterator[Opened]:
    """Opens an engine on an app of its own, or on another's URL."""
    made: list[SlackHostedEngine] = []
    slack.clear_faults()

    async def make(url: str = "", token: str = "", **more: Any) -> SlackHostedEngine:
        if not url:
            url, token = slack_hosted.app_of(slack, NAME, "cf_world", attributes=ATTRIBUTES, ttl="ends")
        engine = SlackHostedEngine(url, Clock(), token, **more)
        await engine.open()
        engine.know(NAME, "id", "ends")
        engine.know("cf_world", "id", None)
        made.append(engine)
        engine.url, engine.token = url, token  # type: ignore[attr-defined]
        return engine

    yield make
    for engine in made:
        await engine.close()
    slack.clear_faults()


def put(id: str, **item: Any) -> Put:
    return Put(NAME, TEAM, id, {"id": id, **item})


async def filled(engine: SlackHostedEngine, count: int) -> None:
    await asyncio.gather(*(engine.commit([put(f"k{n:03}", rank=n)]) for n in range(count)))


async def test_many_puts_at_once_are_bulk_calls_of_25(slack: LocalSlack, opened: Opened) -> None:
    engine = await opened()
    before = len(slack.calls("apps.datastore.bulkPut"))
    await filled(engine, 60)
    calls = slack.calls("apps.datastore.bulkPut")[before:]
    assert sorted(len(call["args"]["items"]) for call in calls) == [10, 25, 25]
    rows = await engine.get(NAME, TEAM, [f"k{n:03}" for n in range(61)])
    assert [None if row is None else row.item["rank"] for row in rows] == [*range(60), None]
    assert len(slack.calls("apps.datastore.bulkGet")) >= 3


async def test_what_a_bulk_call_leaves_over_is_sent_again_and_nothing_else_is(
    slack: LocalSlack, opened: Opened
) -> None:
    engine = await opened()
    slack.fault("partial_failure", method="apps.datastore.bulkPut", count=2, failures=4)
    before = len(slack.calls("apps.datastore.bulkPut"))
    await filled(engine, 20)
    sent = [len(call["args"]["items"]) for call in slack.calls("apps.datastore.bulkPut")[before:]]
    assert sent == [20, 4, 4]
    rows = await engine.query(Query(NAME, TEAM, 100))
    assert len(rows.rows) == 20


async def test_of_a_bulk_call_with_one_that_does_not_fit_the_others_are_written(opened: Opened) -> None:
    engine = await opened()
    writes = [put("a", rank=1), put("b", rank="no number"), put("c", rank=3)]
    done = await asyncio.gather(*(engine.commit([w]) for w in writes), return_exceptions=True)
    assert [isinstance(one, InvalidValue) for one in done] == [False, True, False]
    assert "no number" not in str(done[1])
    rows = await engine.get(NAME, TEAM, ["a", "b", "c"])
    assert [row is not None for row in rows] == [True, False, True]


@pytest.mark.parametrize("seed", range(2))
async def test_a_filter_returns_what_evaluate_returns(opened: Opened, seed: int) -> None:
    """Random trees over rows of all types; the engine asks Slack what Slack documents, and decides the rest."""
    engine = await opened()
    world = World(seed)
    rows = {f"k{n:02}": {"id": f"k{n:02}", **world.row()} for n in range(50)}
    await asyncio.gather(*(engine.commit([Put("cf_world", TEAM, i, item)]) for i, item in rows.items()))
    for _ in range(60):
        condition = world.condition()
        check(condition)
        wanted = [row_id for row_id, item in rows.items() if evaluate(condition, item)]
        limit = world.random.choice((1, 7, 100))
        found = await every(engine, Query("cf_world", TEAM, limit, condition=condition))
        assert found == wanted, condition


async def every(engine: SlackHostedEngine, query: Query) -> list[str]:
    return ids(await all_pages(engine, query))


async def test_bounds_of_the_key_are_kept_and_pages_go_on_where_they_ended(opened: Opened) -> None:
    engine = await opened()
    await filled(engine, 40)
    random = Random(4)
    for limit in (1, 3, 7, 40, 100):
        low, high = sorted(random.sample([f"k{n:03}" for n in range(40)], 2))
        wanted = [f"k{n:03}" for n in range(40) if low <= f"k{n:03}" < high]
        assert await every(engine, Query(NAME, TEAM, limit, low=low, high=high)) == wanted
        assert await every(engine, Query(NAME, None, limit, whole=True)) == [f"k{n:03}" for n in range(40)]


async def test_a_page_goes_on_behind_a_row_that_is_gone(opened: Opened) -> None:
    engine = await opened()
    await filled(engine, 10)
    query = Query(NAME, TEAM, 3, condition=sr.attr("rank") >= 0)
    page = await engine.query(query)
    await engine.commit([Delete(NAME, TEAM, page.rows[-1].id)])
    rest = await engine.query(Query(NAME, TEAM, 100, condition=sr.attr("rank") >= 0, after=page.position))
    assert ids(rest.rows) == [f"k{n:03}" for n in range(3, 10)]


async def test_calls_wait_for_their_tier_before_slack_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a local Slack that enforces the tiers: not one call is refused. Time goes on by what is waited alone."""
    clock = Standing()
    monkeypatch.setattr(slack_hosted_line, "time", SimpleNamespace(monotonic=clock))
    with slack_hosted.untyped(), local_slack(tiers=True, clock=clock) as strict:
        url, token = slack_hosted.app_of(strict, NAME, attributes=ATTRIBUTES)
        url = url.replace("&tiers=off", "")
        waited: list[float] = []

        async def wait(seconds: float) -> None:
            waited.append(seconds)
            clock.forward(seconds)

        engine = SlackHostedEngine(url, Clock(), token, wait=wait)
        await engine.open()
        engine.know(NAME, "id", None)
        for n in range(30):
            await engine.get(NAME, TEAM, [f"k{n}"])
        await engine.close()
        assert len(waited) == 10, "20 of the 100 calls of a minute may go at once"
        assert waited == [pytest.approx(0.75)] * 10
        assert all(call["ok"] for call in strict.calls("apps.datastore.get"))


async def test_a_429_is_waited_out_as_long_as_slack_says(slack: LocalSlack, opened: Opened) -> None:
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    engine = await opened()
    other = await opened(engine.url, engine.token, wait=wait)  # type: ignore[attr-defined]
    slack.fault("throttle", method="apps.datastore.put", count=1, retry_after=7)
    await other.commit([put("a", rank=1)])
    assert [round(seconds) for seconds in waited] == [7]
    slack.fault("throttle", method="apps.datastore.put", count=1, retry_after=600)
    with pytest.raises(Throttled) as slow:
        await other.commit([put("a", rank=2)])
    assert (slow.value.retry_after, slow.value.retryable, slow.value.maybe_applied) == (600, True, False)


REFUSALS = {
    "invalid_auth": (StoreUnavailable, "refused", False, False),
    "app_not_hosted": (StoreUnavailable, "refused", False, False),
    "missing_scope": (StoreUnavailable, "refused", False, False),
    "datastore_migration_in_progress": (StoreUnavailable, "busy", True, False),
    "service_unavailable": (StoreUnavailable, "io", True, True),
    "team_quota_exceeded": (Throttled, None, True, False),
}


@pytest.mark.parametrize("code", REFUSALS)
async def test_slacks_errors_say_what_may_be_done(slack: LocalSlack, opened: Opened, code: str) -> None:
    engine = await opened()
    kind, reason, retryable, maybe = REFUSALS[code]
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "put": lambda: engine.commit([put("a", rank=1)]),
        "get": lambda: engine.get(NAME, TEAM, ["a"]),
    }
    for method, call in calls.items():
        slack.fault("error", method=f"apps.datastore.{method}", count=1, code=code)
        with pytest.raises(StateroomError) as told:
            await call()
        assert type(told.value) is kind
        assert (told.value.retryable, told.value.maybe_applied) == (retryable, maybe and method == "put")
        assert getattr(told.value, "reason", None) == reason
        assert engine.token not in str(told.value)  # type: ignore[attr-defined]


async def test_without_an_answer_a_write_may_have_been_done_and_a_read_is_asked_again(opened: Opened) -> None:
    engine = await opened()
    await engine.commit([put("a", rank=1)])
    app = engine.url.split("app_id=")[1].split("&")[0]  # type: ignore[attr-defined]

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.append(1)
        writer.close()

    asked: list[int] = []
    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"slack://?app_id={app}&endpoint=http%3A%2F%2F127.0.0.1%3A{port}%2Fapi%2F&tiers=off&write=1&team={TEAM}"
    broken = await opened(url, "xoxb-1")
    with pytest.raises(StoreUnavailable) as lost:
        await broken.commit([put("a", rank=2)])
    assert (lost.value.reason, lost.value.retryable, lost.value.maybe_applied) == ("io", True, True)
    assert len(asked) == 1
    with pytest.raises(StoreUnavailable) as read:
        await broken.get(NAME, TEAM, ["a"])
    assert (read.value.retryable, read.value.maybe_applied) == (True, False)
    assert len(asked) == 4
    server.close()
    gone = await opened(url.replace(str(port), "9"), "xoxb-1")
    with pytest.raises(StoreUnavailable) as unreached:
        await gone.commit([put("a", rank=2)])
    assert not unreached.value.maybe_applied


async def test_it_is_read_only_unless_the_url_says_otherwise(opened: Opened) -> None:
    engine = await opened()
    await engine.commit([put("a", rank=1)])
    reading = await opened(engine.url.replace("&write=1", ""), engine.token)  # type: ignore[attr-defined]
    for write in (put("b", rank=1), Update(NAME, TEAM, "a", set={"rank": 2}), Delete(NAME, TEAM, "a")):
        with pytest.raises(WrongUse, match="write=1"):
            await reading.commit([write])
    (row,) = await reading.get(NAME, TEAM, ["a"])
    assert row is not None
    assert row.item["rank"] == 1


async def test_rows_of_another_workspace_are_refused(opened: Opened) -> None:
    engine = await opened()
    with pytest.raises(Unsupported, match="another workspace"):
        await engine.get(NAME, "T00000002", ["a"])
    with pytest.raises(Unsupported, match="another workspace"):
        await engine.commit([Put(NAME, "T00000002", "a", {"id": "a"})])


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (Update(NAME, TEAM, "a", add={"rank": 1}), "add"),
        (Update(NAME, TEAM, "a", append={"rank": [1]}), "append"),
        (Update(NAME, TEAM, "a", remove=("rank",)), "remove"),
        (Update(NAME, TEAM, "a", set={"rank": 1}, base={"id": "a", "status": "open"}), "defaults"),
        (Put(NAME, TEAM, "a", {"id": "b"}), "key"),
        (Put(NAME, TEAM, "a", {"id": "a"}, expires_at=5.0), "expiry"),
        (Put(NAME, TEAM, "a", {"id": "a"}, keep=True), "keeping"),
        (Put(NAME, TEAM, "a", {"id": "a"}, if_version=0), "if_version"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_slack_has_no_call_for_is_refused_by_name(opened: Opened, write: Any, words: str) -> None:
    engine = await opened()
    with pytest.raises(Unsupported, match=words):
        await engine.commit([write])
    assert await engine.get(NAME, TEAM, ["a"]) == [None]


async def test_an_item_over_400_kb_is_refused_before_slack_hears_of_it(slack: LocalSlack, opened: Opened) -> None:
    engine = await opened()
    frame = len('{"id":"a","status":""}')
    await engine.commit([put("a", status="x" * (ITEM_LIMIT - frame))])
    with pytest.raises(ItemTooLarge):
        await engine.commit([put("a", status="x" * (ITEM_LIMIT - frame + 1))])


async def test_the_handle_reads_and_writes_what_a_deno_app_keeps(slack: LocalSlack, opened: Opened) -> None:
    engine = await opened()
    url, token = engine.url, engine.token  # type: ignore[attr-defined]
    async with Store(url, slack_token=token) as store:
        tickets = store.team(TEAM).items(DEFINITION)
        await tickets.put({"id": "T-1", "status": "open", "rank": 1, "ends": 1700000000})
        await tickets.update("T-1", {"rank": 2})
        bulk = await tickets.bulk_put([{"id": f"T-{n}", "status": "done", "rank": n} for n in range(2, 9)])
        bulk.check()
        page = await tickets.query(
            "#s = :s AND #r > :r", names={"#s": "status", "#r": "rank"}, values={":s": "done", ":r": 5}
        )
        assert [item["id"] for item in page.items] == ["T-6", "T-7", "T-8"]
        assert await tickets.get("T-1") == {"id": "T-1", "status": "open", "rank": 2, "ends": 1700000000}
        assert await tickets.count() == 8
        assert await tickets.delete("T-2")
        assert not await tickets.delete("T-2")
        assert (await tickets.bulk_delete(["T-3", "T-4", "none"])).items == ["T-3", "T-4"]
        for call in (
            tickets.put({"id": "T-1"}, if_absent=True),
            tickets.update("T-1", {"rank": 3}, condition=sr.attr("rank") == 2),
            tickets.put({"id": "T-1"}, idempotency_key="Ev1"),
        ):
            with pytest.raises(Unsupported):
                await call
        with pytest.raises(Unsupported):
            await tickets.query(order="rank")
        with pytest.raises(sr.StateroomError):
            await store.team(TEAM).thread("C00000001", "1700000000.000100").append([], turn_id="t")
    asked = slack.calls("apps.datastore.query")[-3:]
    assert any("expression" in call["args"] for call in asked)


async def test_a_datastore_that_is_not_in_the_manifest_is_named(opened: Opened) -> None:
    engine = await opened()
    engine.know("others", "id", None)
    assert await engine.apply([Table("others")], dry_run=True)
    with pytest.raises(Unsupported, match="manifest"):
        await engine.apply([Table("others")])
    with pytest.raises(StoreUnavailable) as missing:
        await engine.get("others", TEAM, ["a"])
    assert missing.value.reason == "missing"


async def test_the_token_is_asked_for_by_name_and_never_taken_from_the_url() -> None:
    for url in (
        "slack://",
        "slack://?app_id=x",
        "slack://?app_id=A0001&token=xoxb-1",
        "slack://xoxb-1@host?app_id=A0001",
    ):
        with pytest.raises(WrongUse) as wrong:
            SlackHostedEngine(url, Clock(), "xoxb-1")
        assert "xoxb" not in str(wrong.value)
    with pytest.raises(WrongUse, match="SLACK_SERVICE_TOKEN"):
        await SlackHostedEngine("slack://?app_id=A0001", Clock(), None).open()
