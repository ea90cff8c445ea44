"""People's words sealed with a data key of their team: threads and inbox as ever, and nothing of them in the store."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import stateroom as sr
from stateroom.engines.handle import table_of
from stateroom.engines.port import Append, Delete, Put, Query
from stateroom.layers import inbox, jobs, outbox, threads
from stateroom.layers.keys import KEYS, SECONDS, DataKeys
from stateroom.layers.retention_erase import Erased, Eraser, erase_team, targets
from stateroom.layers.threads import ENTRIES, export, import_lines
from stateroom.model.codec import encode
from stateroom.model.sealing import Place, Sealer, cipher_of, write
from stateroom.slack.events import Edited, Message
from stateroom.store import Store
from support.retention import ANN, BOB, OTHER, TEAM, Clock, rows_of
from support.threads import CHANNEL, TS, answer, ask

NEW = f"k2:{b64encode(bytes([2]) * 32).decode()}"
OLD = f"k1:{b64encode(bytes([1]) * 32).decode()}"
HUSH = "hush, these are my words"


class Service:
    """A key service in memory: it counts calls, can be down, and binds a key to its context, as KMS does."""

    name = "test/1"

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.down = False

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        self._called("wrap")
        return json.dumps([key[::-1].hex(), dict(context)]).encode()

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        self._called("unwrap")
        key, bound = json.loads(wrapped)
        if bound != context:
            raise sr.SealBroken("service", "belongs to another place")
        return bytes.fromhex(key)[::-1]

    def _called(self, verb: str) -> None:
        self.calls.append(verb)
        if self.down:
            raise sr.KeyServiceError(self.name, "down", retryable=True)


def seen_by(store: Store, keys: str | None = NEW, *, seals: bool = True, kms: Any = None) -> Store:
    """The same rows, as another process sees them."""
    return Store("memory://", engine=store.raw, clock=store.clock, keys=keys, encrypt_content=seals, kms=kms)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/words.db"
    async with Store(url, clock=clock, keys=NEW, encrypt_content=True) as opened:
        yield opened


def message(ts: str = TS, team: str = TEAM, user: str = ANN, text: str = HUSH) -> Message:
    return Message(
        team=team,
        channel=CHANNEL,
        ts=ts,
        thread_ts=None,
        user=user,
        text=text,
        source="mention",
        files=(),
        event_id=f"Ev{ts}",
        event_time=1,
        own_user=None,
        channel_type="channel",
        mentions_own=True,
    )


async def stored(store: Store) -> str:
    """Everything that the engine has of words."""
    return repr([await rows_of(store.raw, name) for name in ("sr_entries", "sr_inbox", "sr_threads", "sr_outbox")])


async def test_a_thread_is_read_as_it_was_written_and_kept_sealed(store: Store) -> None:
    thread = store.team(TEAM).thread(CHANNEL, TS)
    for n in range(5):
        assert await thread.append([ask(HUSH), answer(f"a{n}")], turn_id=f"t{n}", author=ANN, ts=TS) == n + 1
    assert await thread.append([ask(HUSH)], turn_id="t0") == 1
    window = await seen_by(store).team(TEAM).thread(CHANNEL, TS).messages(limit=4)
    assert window.messages == [ask(HUSH), answer("a3"), ask(HUSH), answer("a4")]
    assert [one.messages[0] for one in (await thread.entries()).items] == [ask(HUSH)] * 5
    assert await thread.tombstone("t1")
    assert [one.tombstone for one in (await thread.entries()).items].count(True) == 1
    text = await stored(store)
    assert "hush" not in text
    assert text.count("sr-words:1:00000001:") == 4


async def test_an_append_stays_one_commit_and_asks_for_no_key_again(store: Store) -> None:
    thread = store.team(TEAM).thread(CHANNEL, TS)
    await thread.append([ask("a")], turn_id="t0")
    commits: list[list[str]] = []
    commit, reads = store.raw.commit, []

    async def counted(writes: Any) -> Any:
        commits.append([type(one).__name__ for one in writes])
        return await commit(writes)

    async def read(query: Query) -> Any:
        reads.append(query)

    store.raw.commit, store.raw.query = counted, read  # type: ignore[method-assign,assignment]
    await thread.append([ask("b")], turn_id="t1")
    assert commits == [["Append", "Check"]]
    assert reads == []


async def test_what_was_written_before_sealing_was_switched_on_is_read_with_what_came_after(store: Store) -> None:
    plain = Store("memory://", engine=store.raw, clock=store.clock)
    await plain.team(TEAM).thread(CHANNEL, TS).append([ask("plain")], turn_id="t0")
    await store.team(TEAM).thread(CHANNEL, TS).append([ask("sealed")], turn_id="t1")
    off = seen_by(store, seals=False)
    await off.team(TEAM).thread(CHANNEL, TS).append([ask("plain again")], turn_id="t2")
    expected = [ask("plain"), ask("sealed"), ask("plain again")]
    for one in (store, off):
        assert (await one.team(TEAM).thread(CHANNEL, TS).messages()).messages == expected
    with pytest.raises(sr.KeyMissing, match="no keys"):
        await plain.team(TEAM).thread(CHANNEL, TS).messages()


async def test_the_inbox_keeps_a_message_sealed_from_the_ack_to_its_end(store: Store) -> None:
    box = inbox.Inbox(store.engine, store.clock)
    assert await box.accept(message())
    assert not await box.accept(message())
    about: dict[str, Any] = {"team": TEAM, "channel": CHANNEL, "ts": TS, "thread_ts": None, "user": ANN, "files": ()}
    edited = Edited(**about, text=HUSH + "!", edited_at="1", previous_text=None, own_user=None, event_id="Ev9")
    assert await box.edited(edited) == "replaced"
    (row,) = await box.lane(TEAM, f"{CHANNEL}:{TS}")
    assert row.item["text"] == HUSH + "!"
    moved = (await store.engine.commit([box.move(row, "claimed", due_at=1.0, answer={"text": HUSH})]))[0].row
    assert moved is not None
    assert (moved.item["text"], moved.item["answer"]) == (HUSH + "!", {"text": HUSH})
    assert "hush" not in await stored(store)
    failed = (await store.engine.commit([box.close(moved, "failed", keep_words=True)]))[0].row
    assert failed is not None
    assert "answer" not in failed.item
    assert await inbox.retry(store.engine, store.clock, TEAM, row.id)
    done = (await store.engine.commit([box.close((await box.lane(TEAM, f"{CHANNEL}:{TS}"))[0], "done")]))[0].row
    assert done is not None
    assert {"text", "$text", "answer", "$answer"}.isdisjoint((await rows_of(store.raw, "sr_inbox"))[0].item)


async def test_a_job_keeps_its_request_sealed_until_it_is_run_again(store: Store, clock: Clock) -> None:
    box = jobs.Jobs(store.engine, store.clock, "app", seconds=10)
    body = {"event_id": "Ev1", "event": {"text": HUSH}}
    await box.claim(TEAM, body, what="event", user=ANN, acked=True)
    (row,) = await rows_of(store.raw, "sr_jobs")
    assert "hush" not in repr(row)
    clock.now += 60
    (due,) = await box.due(10)
    taken = await box.take(due)
    assert taken is not None
    assert json.loads(taken.item["body"]) == body


async def test_no_digest_of_what_was_said_is_there_to_be_tried_out(store: Store, clock: Clock) -> None:
    short = outbox.digest("no")
    box = inbox.Inbox(store.engine, store.clock)
    await box.accept(message())
    (row,) = await box.lane(TEAM, f"{CHANNEL}:{TS}")
    (intended,) = await store.engine.commit([outbox.intend(row, "answer", 0, stream=False, deadline=clock.now)])
    assert intended.row is not None
    await store.engine.commit([outbox.posted(intended.row._replace(team=TEAM), "1700000000.000200", "answer", "no")])
    assert [one.item["digest"] for one in await outbox.of_turn(store.engine, row)] == [short]
    kept = jobs.Jobs(store.engine, store.clock, "app", seconds=10)
    job = await kept.claim(TEAM, {"event_id": "Ev1"}, what="event", user=ANN, acked=True)
    assert isinstance(job, jobs.Job)
    key, mark = job.next_call(), jobs.digest({"text": "no"})
    await job.intend(key, "chat.postMessage", mark, seconds=1)
    job.sent(key, mark, channel=CHANNEL, ts="1700000000.000300")
    await job.flush()
    assert (await kept.calls_of(TEAM, job.id))[key]["digest"] == mark
    raw = repr([await rows_of(store.raw, name) for name in ("sr_outbox", "sr_job_calls")])
    assert short not in raw
    assert mark not in raw


async def test_the_environment_says_for_every_opened_store_what_is_kept_of_words_and_how(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bolt's parts open a URL: nobody is there who could hand a setting down."""
    for name, value in {"KEYS": NEW, "ENCRYPT_CONTENT": "true", "CONTENT": "ttl:1d"}.items():
        monkeypatch.setenv(f"STATEROOM_{name}", value)
    async with sr.open("memory://") as opened:
        box = jobs.Jobs(opened.engine, opened.clock, "app", seconds=10)
        await box.claim(TEAM, {"event_id": "Ev1", "text": HUSH}, what="event", user=ANN, acked=True)
        assert "$body" in (await rows_of(opened.raw, "sr_jobs"))[0].item
        assert str(opened.content) == "ttl:86400s"
    async with sr.open("memory://", encrypt_content=False) as plain:
        await plain.team(TEAM).thread(CHANNEL, TS).append([ask(HUSH)], turn_id="t0")
        assert "hush" in await stored(plain)
    for name, value in {"ENCRYPT_CONTENT": "ture", "CONTENT": "some"}.items():
        with monkeypatch.context() as one:
            one.setenv(f"STATEROOM_{name}", value)
            with pytest.raises(sr.WrongUse):
                sr.open("memory://")


async def test_words_that_look_sealed_are_words(store: Store) -> None:
    looks = f"sr-words:1:00000001:{'A' * 60}"
    off = seen_by(store, seals=False)
    for one in (store, off):
        ts = TS if one is store else "1700000000.000200"
        box = inbox.Inbox(one.engine, one.clock)
        await box.accept(message(ts, text=looks))
        for reader in (store, off):
            (row,) = await inbox.Inbox(reader.engine, reader.clock).lane(TEAM, f"{CHANNEL}:{ts}")
            assert row.item["text"] == looks


async def test_without_keys_a_sealed_message_is_not_answered_as_if_it_were_empty(store: Store) -> None:
    await inbox.Inbox(store.engine, store.clock).accept(message())
    with pytest.raises(sr.KeyMissing):
        await inbox.Inbox(store.raw, store.clock).lane(TEAM, f"{CHANNEL}:{TS}")
    assert [row.id for row in (await inbox.Inbox(store.raw, store.clock).due(limit=9))[0]] == [f"{CHANNEL}:{TS}"]


async def test_exports_are_plain_and_what_is_imported_is_sealed(store: Store) -> None:
    await store.team(TEAM).thread(CHANNEL, TS).append([ask(HUSH)], turn_id="t0", author=ANN)
    lines = [line async for line in export(store.engine)]
    assert HUSH.encode() in lines[0]
    await store.team(TEAM).thread(CHANNEL, TS).erase()
    assert (await import_lines(store.engine, store.clock, lines)).imported == 1
    assert [line async for line in export(store.engine)] == lines
    assert "hush" not in await stored(store)


async def test_a_sealed_message_that_is_moved_by_hand_is_refused(store: Store) -> None:
    for ts in (TS, "1700000000.000200"):
        await inbox.Inbox(store.engine, store.clock).accept(message(ts))
    first, second = await rows_of(store.raw, "sr_inbox")
    await store.raw.commit([Put("sr_inbox", TEAM, second.id, {**second.item, "$text": first.item["$text"]})])
    with pytest.raises(sr.SealBroken):
        await inbox.Inbox(store.engine, store.clock).get(TEAM, second.id)


async def test_each_team_has_its_own_key_and_of_many_makers_one_wins(store: Store) -> None:
    for team in (TEAM, OTHER):
        for one in (store, seen_by(store)):
            await one.team(team).thread(CHANNEL, TS).append([ask("x")], turn_id=f"{id(one)}")
    assert [(row.team, row.id) for row in await rows_of(store.raw, "sr_keys")] == [
        (TEAM, "00000001"),
        (OTHER, "00000001"),
    ]
    other = (await rows_of(store.raw, "sr_keys"))[1]
    await store.raw.commit([Put("sr_keys", TEAM, other.id, other.item)])  # another team's key in its place
    with pytest.raises(sr.SealBroken):
        await seen_by(store).team(TEAM).thread(CHANNEL, TS).messages()


async def erased(store: Store, user: str) -> dict[str, Erased]:
    eraser = Eraser(store.engine, store.clock, user, team=None, told=lambda _: None)
    return {one.table.name: await eraser.run(one) for one in targets(await store.everything(), {})}


@pytest.mark.parametrize("keys", [NEW, OLD])
async def test_a_person_is_erased_with_the_key_and_without(store: Store, keys: str) -> None:
    thread = store.team(TEAM).thread(CHANNEL, TS)
    await thread.append([ask(HUSH)], turn_id="t0", author=ANN)
    await thread.append([ask(f"<@{ANN}> said")], turn_id="t1", author=BOB)
    box = inbox.Inbox(store.engine, store.clock)
    await box.accept(message())
    await box.accept(message("1700000000.000200", user=BOB, text="mine"))
    done = await erased(seen_by(store, keys), ANN)
    assert (done["sr_entries"].cleared, done["sr_inbox"].cleared) == (1, 1)
    assert done["sr_entries"].mentions == (keys == NEW)
    first, second = (await thread.entries()).items
    assert (first.tombstone, second.messages) == (True, [ask(f"<@{ANN}> said")])
    (own, other) = await rows_of(store.raw, "sr_inbox")
    assert {"text", "$text", "user"}.isdisjoint(own.item)
    assert (await box.lane(TEAM, f"{CHANNEL}:{other.item['ts']}"))[0].item["text"] == "mine"


async def test_erasing_a_team_takes_its_key_and_what_comes_after_gets_a_new_one(store: Store) -> None:
    thread, other = store.team(TEAM).thread(CHANNEL, TS), store.team(OTHER).thread(CHANNEL, TS)
    await thread.append([ask(HUSH)], turn_id="t0")
    await other.append([ask("kept")], turn_id="t0")
    (copy,) = [row for row in await rows_of(store.raw, "sr_entries") if row.team == TEAM]
    eraser = seen_by(store)  # another process: what is held in memory here does not know
    for one in (threads.THREADS, ENTRIES, KEYS):
        await erase_team(eraser.engine, store.clock, TEAM, table_of(one), lambda _: None)
    assert [row.team for row in await rows_of(store.raw, "sr_keys")] == [OTHER]
    await thread.append([ask("after")], turn_id="t1")
    for reader in (store, seen_by(store)):
        assert (await reader.team(TEAM).thread(CHANNEL, TS).messages()).messages == [ask("after")]
        assert (await reader.team(OTHER).thread(CHANNEL, TS).messages()).messages == [ask("kept")]
    stream, _, turn = copy.id.partition("/")
    await store.raw.commit([Append(ENTRIES.name, TEAM, stream, turn, copy.item)])  # as from a backup
    with pytest.raises(sr.SealBroken):
        await thread.messages()


async def test_a_key_that_another_process_made_after_an_erase_is_taken_up_at_once(store: Store) -> None:
    """An install after an uninstall: the new key has the number of the old one, which is in memory here for minutes."""
    thread, elsewhere = store.team(TEAM).thread(CHANNEL, TS), seen_by(store)
    await thread.append([ask(HUSH)], turn_id="t0")
    for one in (threads.THREADS, ENTRIES, KEYS):
        await erase_team(elsewhere.engine, store.clock, TEAM, table_of(one), lambda _: None)
    await seen_by(store).team(TEAM).thread(CHANNEL, TS).append([ask("new")], turn_id="t1")
    assert (await thread.messages()).messages == [ask("new")]


async def test_nothing_is_sealed_with_a_key_whose_number_another_one_has_now(store: Store) -> None:
    thread, elsewhere = store.team(TEAM).thread(CHANNEL, TS), seen_by(store)
    await thread.append([ask(HUSH)], turn_id="t0")
    for one in (threads.THREADS, ENTRIES, KEYS):
        await erase_team(elsewhere.engine, store.clock, TEAM, table_of(one), lambda _: None)
    await elsewhere.team(TEAM).thread(CHANNEL, TS).append([ask("new")], turn_id="t1")
    await thread.append([ask("after")], turn_id="t2")
    assert (await seen_by(store).team(TEAM).thread(CHANNEL, TS).messages()).messages == [ask("new"), ask("after")]


@pytest.mark.parametrize("wrapped", ["sr-kms:1:test/1:a", "sr-kms:1:test/1:!!!!", "sr-kms:1:", "rubbish", ""])
async def test_a_wrapped_key_that_is_rubbish_is_said_to_be_broken(store: Store, wrapped: str) -> None:
    kept = seen_by(store, None, kms=Service())
    await kept.team(TEAM).thread(CHANNEL, TS).append([ask("x")], turn_id="t0")
    (row,) = await rows_of(store.raw, "sr_keys")
    await store.raw.commit([Put("sr_keys", TEAM, row.id, {**row.item, "wrapped": wrapped})])
    with pytest.raises(sr.SealBroken, match=r"sr_keys\.wrapped"):
        await seen_by(store, None, kms=Service()).team(TEAM).thread(CHANNEL, TS).messages()


async def test_a_service_wraps_the_keys_and_is_asked_once_in_a_while(store: Store, clock: Clock) -> None:
    service = Service()
    kept = seen_by(store, None, kms=service)
    thread = kept.team(TEAM).thread(CHANNEL, TS)
    for n in range(3):
        await thread.append([ask("x")], turn_id=f"t{n}")
    assert service.calls == ["wrap", "unwrap"]
    assert (await rows_of(store.raw, "sr_keys"))[0].item["wrapped"].startswith("sr-kms:1:test/1:")
    clock.now += SECONDS
    await thread.append([ask("x")], turn_id="t4")
    assert service.calls == ["wrap", "unwrap", "unwrap"]
    with pytest.raises(sr.KeyMissing, match="test/1"):
        await store.team(TEAM).thread(CHANNEL, TS).messages()


async def test_a_service_that_is_down_is_said_to_be_and_nothing_is_stored(store: Store, clock: Clock) -> None:
    service = Service()
    kept = seen_by(store, None, kms=service)
    thread = kept.team(TEAM).thread(CHANNEL, TS)
    await thread.append([ask("x")], turn_id="t0")
    service.down = True
    await thread.append([ask("x")], turn_id="t1")  # the key is still held
    clock.now += SECONDS
    with pytest.raises(sr.KeyServiceError, match="try again") as down:
        await thread.append([ask("x")], turn_id="t2")
    assert down.value.retryable
    with pytest.raises(sr.KeyServiceError):
        await thread.messages()
    service.down = False
    assert await thread.count() == 2


async def test_a_key_row_that_is_lost_is_named(store: Store) -> None:
    await store.team(TEAM).thread(CHANNEL, TS).append([ask("x")], turn_id="t0")
    await store.raw.commit([Delete("sr_keys", TEAM, "00000001")])
    with pytest.raises(sr.KeyMissing, match="00000001"):
        await seen_by(store).team(TEAM).thread(CHANNEL, TS).messages()


def test_sealing_words_needs_keys() -> None:
    with pytest.raises(sr.WrongUse, match="STATEROOM_KEYS"):
        Store("memory://", encrypt_content=True)
    with pytest.raises(sr.WrongUse, match="aws://"):
        Store("memory://", kms="gcp://x/y")


async def test_the_vectors_of_the_format_page_are_what_is_read(store: Store) -> None:
    page = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
    vectors: Any = json.loads(page.split("```json words-vectors\n", 1)[1].split("```", 1)[0])
    team, table, id, name = vectors["place"]
    item = {"at": 1, "format": "pydantic-ai", "version": 1, f"${name}": vectors["sealed"]}
    stream, _, turn = id.partition("/")
    key = {"id": "00000001", "wrapped": vectors["wrapped"], "at": 1}
    await store.raw.commit([Put("sr_keys", team, "00000001", key), Append(table, team, stream, turn, item)])
    reader = seen_by(store, vectors["keys"])
    row = (await reader.engine.query(Query(table, team, 1, equals=(stream,)))).rows[0]
    assert row.item[name] == vectors["value"]
    assert await DataKeys(store.raw, store.clock, reader.keys).opener(team, "00000001")
    nonce = bytes.fromhex(vectors["nonce"])
    sealer = Sealer("00000001", cipher_of(bytes.fromhex(vectors["data_key"])), "sr-words:1:")
    assert write(sealer, encode(vectors["value"]), Place(*vectors["place"]), lambda _: nonce) == vectors["sealed"]
