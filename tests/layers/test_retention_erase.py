"""Erasing a person or a workspace: what is theirs goes, what is others' stays, and a second run finds nothing."""

from dataclasses import replace
from typing import Any

from stateroom.engines import leases
from stateroom.engines.handle import table_of
from stateroom.engines.port import Put, Write, Written
from stateroom.layers import catalogue, inbox, threads
from stateroom.layers.retention_erase import Erased, Eraser, erase_team, stays, targets
from stateroom.layers.retention_person import judge, subject_of
from stateroom.model.attributes import Attribute
from stateroom.model.content import Content
from stateroom.model.definition import Definition
from stateroom.slack.events import Message
from stateroom.store import Store, own_definitions
from support.retention import ANN, BOB, NOW, OTHER, TEAM, TICKETS, USER, Clock, rows_of
from support.tables import each

CLEARED = replace(TICKETS, on_erase="clear")
CHANGED = replace(TICKETS, changes=True, keep_deleted=600)
PLACE = ("C00000001", "1700000000.000100")


async def erased(store: Store, user: str = ANN, team: str | None = None) -> dict[str, Erased]:
    """Erase with what the store remembers, as the command does without any module."""
    found = targets(await store.everything(), await catalogue.known(store.engine))
    eraser = Eraser(store.engine, store.clock, user, team=team, told=lambda _: None)
    return {target.table.name: await eraser.run(target, batch=3) for target in found}


def went(done: dict[str, Erased]) -> dict[str, tuple[int, int]]:
    return {name: (one.removed, one.cleared) for name, one in done.items() if one.removed or one.cleared}


async def stored(store: Store) -> str:
    """Everything that is physically in any table."""
    names = [table_of(one).name for one in await store.everything()]
    names += [f"{one.name}.changes" for one in await store.everything() if one.changes]
    return repr([await rows_of(store.engine, name) for name in names])


@each(
    ("on_erase", "item", "action", "rest"),
    [
        ("delete", {"owner": ANN, "notes": "x"}, "delete", {}),
        ("clear", {"owner": ANN, "notes": "x", "status": "open"}, "clear", {"status": "open"}),
        ("clear", {"owner": BOB, "notes": ANN}, "clear", {"owner": BOB}),
        ("delete", {"owner": BOB, "watchers": [ANN, BOB, ANN]}, "clear", {"owner": BOB, "watchers": [BOB]}),
        ("clear", {"owner": ANN, "watchers": [ANN, BOB]}, "clear", {"watchers": [BOB]}),
        ("delete", {"owner": BOB, "notes": f"<@{ANN}> asked"}, "keep", {"owner": BOB, "notes": f"<@{ANN}> asked"}),
        ("delete", {"approver": ANN}, "keep", {"approver": ANN}),
        ("delete", {"about": {"who": ANN, "words": "x"}}, "delete", {}),
        ("clear", {"about": {"who": ANN, "words": "x"}, "status": "open"}, "clear", {"status": "open"}),
        ("delete", {"said": [{"who": ANN, "words": "x"}, {"who": BOB}]}, "clear", {"said": [{"who": BOB}]}),
        ("delete", {"about": {"who": BOB, "with": [ANN]}}, "clear", {"about": {"who": BOB, "with": []}}),
        ("delete", {"status": ANN}, "keep", {"status": ANN}),
    ],
)
def test_what_of_an_item_is_a_persons(on_erase: Any, item: dict[str, Any], action: str, rest: dict[str, Any]) -> None:
    more = {"about": Attribute("object", personal=True), "said": Attribute("array", personal=True)}
    definition = replace(TICKETS, on_erase=on_erase, attributes={**TICKETS.attributes, **more})
    assert judge(subject_of(definition), item, ANN) == (action, rest)


async def test_rows_that_are_theirs_go_and_those_of_others_stay(store: Store) -> None:
    for team in (TEAM, OTHER):
        tickets = store.team(team).items(TICKETS)
        for n in range(5):
            await tickets.put({"id": f"a{n}", "owner": ANN, "notes": "ann's words"})
            await tickets.put({"id": f"b{n}", "owner": BOB, "notes": "bob's words", "watchers": [ANN]})
    assert went(await erased(store, team=OTHER)) == {"tickets": (5, 5)}
    assert went(await erased(store)) == {"tickets": (5, 5)}
    text = await stored(store)
    assert ANN not in text
    assert "ann's words" not in text
    assert text.count("bob's words") == 10
    assert went(await erased(store)) == {}


async def test_where_the_definition_clears_the_row_stays_without_what_is_theirs(store: Store) -> None:
    tickets = store.team(TEAM).items(CLEARED)
    await tickets.put({"id": "t1", "owner": ANN, "notes": "words", "status": "open", "ends": int(NOW) + 60})
    assert went(await erased(store)) == {"tickets": (0, 1)}
    assert await tickets.get("t1") == {"id": "t1", "status": "open", "ends": int(NOW) + 60}
    (row,) = await rows_of(store.engine, "tickets")
    assert row.expires_at == NOW + 60
    assert went(await erased(store)) == {}


async def test_what_was_deleted_changed_repeated_or_has_expired_is_erased_too(store: Store, clock: Clock) -> None:
    tickets = store.team(TEAM).items(CHANGED)
    await tickets.put({"id": "t1", "owner": ANN, "notes": "secret"}, idempotency_key="Ev1")
    await tickets.put({"id": "t2", "owner": ANN, "notes": "secret", "ends": int(NOW) + 5})
    await tickets.put({"id": "t3", "owner": BOB})
    await tickets.delete("t1")
    clock.now += 6
    done = went(await erased(store))
    assert done["tickets"] == (1, 0)
    assert done["trash_tickets"] == (1, 0)
    assert done["sr_once"] == (1, 0)
    assert done["tickets.changes"] == (0, 2)
    text = await stored(store)
    assert ANN not in text
    assert "secret" not in text
    changes = (await tickets.changes()).items
    assert [(one.number, one.kind, one.id) for one in changes[:4]] == [
        (1, "put", "t1"),
        (2, "put", "t2"),
        (3, "put", "t3"),
        (4, "delete", "t1"),
    ]
    assert [one.item for one in changes[:3]] == [None, None, {"id": "t3", "owner": BOB}]
    assert went(await erased(store)) == {}


async def test_turns_of_theirs_become_tombstones_in_their_place(store: Store, clock: Clock) -> None:
    thread = store.team(TEAM).thread(*PLACE)
    for n, author in enumerate((ANN, BOB, ANN, None), start=1):
        words = [{"kind": "request", "parts": [{"part_kind": "user-prompt", "content": f"words {n}"}]}]
        await thread.append(words, turn_id=f"Ev{n}", author=author)
    done = await erased(store)
    assert went(done) == {threads.ENTRIES.name: (0, 2)}
    entries = (await thread.entries()).items
    assert [(e.number, e.tombstone, e.author) for e in entries] == [
        (1, True, None),
        (2, False, BOB),
        (3, True, None),
        (4, False, None),
    ]
    assert await thread.append([{"kind": "response", "parts": []}], turn_id="Ev5") == 5
    assert "1 entries of sr_entries do not say whose words they are" in stays(list(done.values()), ANN)
    text = await stored(store)
    assert "words 1" not in text
    assert "words 3" not in text
    assert went(await erased(store)) == {}


async def test_expired_turns_of_theirs_keep_no_words_either(store: Store, clock: Clock) -> None:
    short = Store(store.url, clock=clock, engine=store.engine, content=Content("ttl", 60))
    await short.team(TEAM).thread(*PLACE).append([{"kind": "response", "parts": []}], turn_id="Ev1", author=ANN)
    clock.now += 61
    assert went(await erased(store)) == {threads.ENTRIES.name: (0, 1)}
    (row,) = await rows_of(store.engine, threads.ENTRIES.name)
    assert (row.item, row.version) == ({}, 1)


async def test_a_message_of_theirs_is_still_known_when_slack_sends_it_again(store: Store) -> None:
    said = Message(
        team=TEAM,
        channel="C00000001",
        ts="1700000000.000100",
        thread_ts=None,
        own_user="UB0000001",
        user=ANN,
        text="my words",
        source="mention",
        files=(),
        event_id="Ev1",
        event_time=1,
        channel_type="channel",
        mentions_own=True,
    )
    box = inbox.Inbox(store.engine, store.clock)
    assert await box.accept(said)
    assert went(await erased(store)) == {"sr_inbox": (0, 1)}
    assert "my words" not in await stored(store)
    assert not await box.accept(said)


async def test_rows_of_older_versions_are_judged_by_what_those_said(store: Store) -> None:
    old = replace(TICKETS, attributes={**TICKETS.attributes, "author": Attribute(USER, personal=True)})
    new = replace(TICKETS, version=2, upgrades={1: lambda item: item})
    await store.team(TEAM).items(old).put({"id": "t1", "author": ANN})
    await store.team(TEAM).items(new).put({"id": "t2", "owner": ANN})
    assert went(await erased(store)) == {"tickets": (2, 0)}


async def test_what_is_not_marked_stays_and_is_told(store: Store) -> None:
    tickets = store.team(TEAM).items(TICKETS)
    await tickets.put({"id": "t1", "owner": BOB, "approver": ANN})
    await tickets.put({"id": "t2", "owner": BOB, "notes": f"thanks <@{ANN}>"})
    done = await erased(store)
    assert went(done) == {}
    said = stays(list(done.values()), ANN)
    assert said[0].startswith("tickets.approver names them in 1 rows and is not marked personal")
    assert said[1] == "1 rows of tickets mention them in words that are other people's"
    assert any("backups" in sentence for sentence in said)


async def test_a_row_that_changes_meanwhile_is_judged_again_and_nothing_is_lost(store: Store) -> None:
    tickets = store.team(TEAM).items(CLEARED)
    for name in ("t1", "t2"):
        await tickets.put({"id": name, "owner": ANN, "notes": "words"})
    commit = store.engine.commit

    async def slow(writes: list[Write]) -> list[Written]:
        if isinstance(writes[0], Put) and writes[0].table == "tickets":
            store.engine.commit = commit  # type: ignore[method-assign]
            await tickets.update("t1", {"status": "done"})
            await tickets.update("t2", {"owner": BOB})
        return await commit(writes)

    store.engine.commit = slow  # type: ignore[method-assign,assignment]
    assert went(await erased(store)) == {"tickets": (0, 1)}
    assert await tickets.get("t1") == {"id": "t1", "status": "done"}
    assert await tickets.get("t2") == {"id": "t2", "owner": BOB, "notes": "words"}


async def test_a_workspace_goes_from_every_table_and_no_other_does(store: Store, clock: Clock) -> None:
    for team in (TEAM, OTHER):
        tickets = store.team(team).items(CHANGED)
        for n in range(5):
            await tickets.put({"id": f"t{n}", "owner": ANN}, idempotency_key=f"Ev{n}")
        await tickets.put({"id": "short", "ends": int(NOW) + 5})
        await tickets.delete("t1")
        for thread_ts in ("1700000000.000100", "1700000001.000100"):
            thread = store.team(team).thread("C00000001", thread_ts)
            for n in range(3):
                await thread.append([{"kind": "response", "parts": []}], turn_id=f"Ev{n}")
        assert await leases.acquire(store.engine, clock, team, "lane:x", holder="me", seconds=5)
    clock.now += 6
    everything = await store.everything()
    tables = [*(table_of(one) for one in everything), leases.TABLE, replace(leases.TABLE, name="tickets.changes")]
    tables[-1] = replace(tables[-1], log=True)
    done = [await erase_team(store.engine, clock, TEAM, table, lambda _: None) for table in tables]
    assert {one.datastore: one.removed for one in done if one.removed} == {
        "tickets": 5,
        "trash_tickets": 1,
        "sr_once": 5,
        "sr_threads": 2,
        "sr_entries": 6,
        "sr_leases": 1,
        "tickets.changes": 12,
    }
    for table in tables:
        assert TEAM not in {row.team for row in await rows_of(store.engine, table.name)}
    assert len(await rows_of(store.engine, "tickets")) == 5
    assert len(await rows_of(store.engine, "sr_entries")) == 6
    again = [await erase_team(store.engine, clock, TEAM, table, lambda _: None) for table in tables]
    assert not any(one.removed for one in again)


def test_the_layers_have_marked_what_is_about_people() -> None:
    ids = {
        (one.name, name)
        for one in own_definitions()
        for name, attribute in one.attributes.items()
        if attribute.type == USER and not attribute.personal
    }
    assert ids == set()


def test_a_definition_without_people_has_nothing_of_anybody() -> None:
    plain = Definition("notes", "id", {"id": Attribute("string")})
    assert judge(subject_of(plain), {"id": ANN}, ANN).action == "keep"
    owned = Definition("notes", "id", {"id": Attribute("string", personal=True)})
    assert judge(subject_of(owned), {"id": ANN}, ANN).action == "delete"
