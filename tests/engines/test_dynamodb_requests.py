"""How many requests a call takes, and what DynamoDB's refusals become."""

import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import pytest

import stateroom as sr
from stateroom.engines import leases
from stateroom.engines.conformance import Clock
from stateroom.engines.dynamodb import read_url
from stateroom.engines.handle import table_of
from stateroom.engines.port import Append, Check, Delete, Put, Query, Table, TableIndex, Update
from stateroom.expr.builder import attr
from stateroom.layers.inbox import INBOX, Inbox
from support.dynamodb import REGION, Quick, drop_table, fresh_table, listening
from support.handles import failure

pytestmark = pytest.mark.service
TEAM = "T00000001"


@pytest.fixture
def url() -> Iterator[str]:
    found = fresh_table()
    yield found
    drop_table(found)


@pytest.fixture
async def engine(url: str) -> AsyncIterator[Quick]:
    made = Quick(url, Clock())
    await made.open()
    await made.apply(
        [Table("rows", indexes=(TableIndex("rank", ("rank",)),)), Table("log", log=True), table_of(INBOX), leases.TABLE]
    )
    await made.commit([Put("rows", TEAM, "warm", {"n": 1})])
    await made.commit([Append("log", TEAM, "s", "t0", {})])
    yield made
    await made.close()


async def test_each_ordinary_call_is_one_request(engine: Quick) -> None:
    calls: list[tuple[str, Any]] = [
        ("GetItem", engine.get("rows", TEAM, ["warm"])),
        ("UpdateItem", engine.commit([Put("rows", TEAM, "a", {"rank": 1})])),
        ("PutItem", engine.commit([Put("rows", TEAM, "b", {"rank": 1}, if_version=0)])),
        ("UpdateItem", engine.commit([Put("rows", TEAM, "a", {"rank": 1, "n": 1}, condition=attr("rank") == 1)])),
        ("UpdateItem", engine.commit([Update("rows", TEAM, "a", set={"rank": 2}, condition=attr("rank") == 1)])),
        ("UpdateItem", engine.commit([Update("rows", TEAM, "a", add={"n": 2})])),
        ("TransactWriteItems", engine.commit([Append("log", TEAM, "s", "t1", {"n": 1})])),
        ("DeleteItem", engine.commit([Delete("rows", TEAM, "a")])),
        ("Query", engine.query(Query("rows", TEAM, 5))),
        ("Query", engine.query(Query("rows", TEAM, 5, index="rank"))),
    ]
    for name, call in calls:
        with listening() as asked:
            await call
        assert [one for one, _ in asked] == [name]


async def test_an_arrival_and_each_step_of_a_turn_are_one_request(engine: Quick) -> None:
    inbox = Inbox(engine, Clock())
    arrival = Put(INBOX.name, TEAM, "m1", {"state": "received", "lane": "C:1", "ts": "1", "due_at": 1}, keep=True)
    await engine.commit([Put(INBOX.name, TEAM, "m0", arrival.item, keep=True)])
    lease = await leases.acquire(engine, Clock(), TEAM, "lane:C:1", holder="h", seconds=30)
    assert lease is not None
    (row, *_) = await inbox.lane(TEAM, "C:1", limit=1)
    with listening() as asked:
        await engine.commit([arrival])
        done = await engine.commit([lease.check(), inbox.move(row, "claimed", due_at=2, claims=1)])
        assert done[1].row is not None
        await engine.commit([lease.check(), inbox.move(done[1].row, "answering", due_at=3)])
        await lease.renew(30)
    assert [one for one, _ in asked] == ["TransactWriteItems"] * 3 + ["UpdateItem"]


async def test_what_is_refused_on_the_ground_of_what_was_seen_is_asked_again(engine: Quick, url: str) -> None:
    """Another process has written the row meanwhile: nothing is decided by what this one remembers of it."""
    other = Quick(url, Clock())
    await other.open()
    (seen,) = await engine.get("rows", TEAM, ["warm"])
    assert seen is not None
    await other.commit([Update("rows", TEAM, "warm", set={"n": 2})])
    fine = [Check("rows", TEAM, "warm", condition=attr("n") == 2), Put("rows", TEAM, "new", {"n": 1})]
    await engine.commit(fine)
    await other.commit([Update("rows", TEAM, "warm", set={"n": 3})])
    with pytest.raises(sr.ConditionFailed) as refused:
        await engine.commit(fine)
    assert (refused.value.index, refused.value.current) == (0, {"n": 3})
    added = [Update("rows", TEAM, "warm", add={"n": 4}), Put("rows", TEAM, "new", {"n": 2})]
    assert (await engine.commit(added))[0].row.item == {"n": 7}  # type: ignore[union-attr]
    await other.close()


async def test_a_refusal_that_tells_the_row_is_one_request_too(engine: Quick) -> None:
    with listening() as asked, pytest.raises(sr.ConditionFailed) as refused:
        await engine.commit([Update("rows", TEAM, "warm", set={"n": 3}, condition=attr("n") == 2)])
    assert refused.value.current == {"n": 1}
    assert [one for one, _ in asked] == ["UpdateItem"]


async def test_what_cannot_be_reached_or_is_not_there_says_so() -> None:
    store = sr.Store(fresh_table())
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: refused at once
        address = quote(f"http://127.0.0.1:{nobody.getsockname()[1]}", safe="")
        down = await failure(Quick(f"dynamodb://{REGION}/t-none?endpoint={address}", Clock()).open())
    assert isinstance(down, sr.StoreUnavailable)
    assert (down.reason, down.retryable, down.maybe_applied) == ("io", True, False)
    with pytest.raises(sr.MigrationNeeded):
        await store.__aenter__()
    with pytest.raises(sr.StoreUnavailable, match="closed"):  # and leaves no connection open
        await store.engine.get("t", "T1", ["a"])


@pytest.mark.parametrize(
    "url", ["dynamodb://", "dynamodb://r", "dynamodb://r/ab", "dynamodb://u:p@r/abc", "dynamodb://r/abc?x=1"]
)
def test_what_is_no_address_of_a_table_is_refused(url: str) -> None:
    with pytest.raises(sr.WrongUse, match="dynamodb://region/table"):
        Quick(url, Clock())


@pytest.mark.parametrize("endpoint", ["127.0.0.1:8000", "localhost", "http://", "https://u:p@h"])
def test_an_endpoint_is_an_address_without_credentials(endpoint: str) -> None:
    with pytest.raises(sr.WrongUse, match="endpoint"):
        Quick(f"dynamodb://{REGION}/abc?endpoint={quote(endpoint, safe='')}", Clock())


def test_each_partition_of_aws_has_its_own_address() -> None:
    assert read_url("dynamodb://eu-central-1/abc")[2] == "https://dynamodb.eu-central-1.amazonaws.com/"
    assert read_url("dynamodb://cn-north-1/abc")[2] == "https://dynamodb.cn-north-1.amazonaws.com.cn/"
