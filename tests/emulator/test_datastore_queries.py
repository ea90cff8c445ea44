"""`apps.datastore.query` and `count`: pages, cursors, expressions. docs/slack-parity.md points here."""

import pytest

from support.datastores import AppStore, Json, ids, manifest, register
from support.local_slack import LocalSlack

pytestmark = pytest.mark.service


@pytest.fixture
def store(slack: LocalSlack) -> AppStore:
    return register(slack)


def test_items_come_in_the_order_of_their_keys_bytes(store: AppStore) -> None:
    keys = ["b", "a", "B", "ü", "\U0001f600", "\uffff", "10", "9", "aa"]
    store.fill([{"key": key} for key in keys])
    assert ids(store.ok("query")) == sorted(keys, key=str.encode)


def test_a_page_is_what_was_looked_at_so_it_may_be_empty_and_go_on(store: AppStore) -> None:
    store.fill([{"key": f"{number:02}", "state": "open" if number == 7 else "done"} for number in range(10)])
    args = {"expression": "#s = :s", "expression_attributes": {"#s": "state"}, "expression_values": {":s": "open"}}
    pages, cursor = [], None
    while cursor != "":
        answer = store.ok("query", limit=3, cursor=cursor, **args)
        pages.append(ids(answer))
        cursor = answer.get("response_metadata", {}).get("next_cursor", "")
    assert pages == [[], [], ["07"], []]
    assert store.ok("count", **args)["count"] == 1


def test_a_page_that_is_exactly_full_is_followed_by_an_empty_one(store: AppStore) -> None:
    store.fill([{"key": "a"}, {"key": "b"}])
    first = store.ok("query", limit=2)
    last = store.ok("query", limit=2, cursor=first["response_metadata"]["next_cursor"])
    assert (ids(first), last) == (["a", "b"], {"datastore": "tickets", "items": []})


def test_the_end_has_no_response_metadata(store: AppStore) -> None:
    store.fill([{"key": "a"}])
    assert store.ok("query") == {"datastore": "tickets", "items": [{"key": "a"}]}


def test_a_page_has_a_hundred_items_unless_told(store: AppStore) -> None:
    store.fill([{"key": f"{number:03}"} for number in range(150)])
    assert len(store.ok("query")["items"]) == 100
    assert len(store.ok("query", limit=1000)["items"]) == 150


def test_a_megabyte_ends_a_page(store: AppStore) -> None:
    for number in range(6):
        store.ok("put", item={"key": str(number), "state": "x" * 300_000})
    first = store.ok("query")
    second = store.ok("query", cursor=first["response_metadata"]["next_cursor"])
    assert (ids(first), ids(second)) == (["0", "1", "2"], ["3", "4", "5"])


def test_a_megabyte_is_counted_to_the_byte(store: AppStore) -> None:
    room = 1024 * 1024 - 3 * len("key0state")
    sizes = [room // 3, room // 3, room - 2 * (room // 3)]
    for number, size in enumerate(sizes):
        store.ok("put", item={"key": str(number), "state": "x" * size})
    assert ids(store.ok("query")) == ["0", "1", "2"]
    store.ok("put", item={"key": "0", "state": "x" * (sizes[0] + 1)})
    assert ids(store.ok("query")) == ["0", "1"]


def test_a_cursor_is_good_for_its_app_datastore_and_expression_only(slack: LocalSlack, store: AppStore) -> None:
    store.fill([{"key": "a", "points": 1}, {"key": "b", "points": 1}])
    args = {"expression": "points = :c", "expression_values": {":c": 1}}
    cursor = store.ok("query", limit=1, **args)["response_metadata"]["next_cursor"]
    assert ids(store.ok("query", limit=5, cursor=cursor, **args)) == ["b"]
    other = register(slack, "A0OTHER")
    other.fill([{"key": "a"}, {"key": "b"}])
    tickets = manifest()["datastores"]["tickets"]
    register(slack, said=manifest(datastores={"tickets": tickets, "more": tickets}))
    for who, given in (
        (AppStore(slack, name="more"), args),
        (store, {}),
        (store, {**args, "expression_values": {":c": 2}}),
        (store, {**args, "expression": "points > :c"}),
        (other, args),
    ):
        assert who.refused("query", cursor=cursor, **given)["error"] == "invalid_arguments"


def test_a_cursor_does_not_mind_in_which_order_a_client_writes_its_maps(store: AppStore) -> None:
    store.fill([{"key": "a", "points": 1, "count": 2}, {"key": "b", "points": 1, "count": 2}])
    names, values = {"#p": "points", "#c": "count"}, {":p": 1, ":c": 2}
    args = {"expression": "#p = :p AND #c = :c", "expression_attributes": names, "expression_values": values}
    cursor = store.ok("query", limit=1, **args)["response_metadata"]["next_cursor"]
    turned = {name: dict(reversed(given.items())) for name, given in args.items() if isinstance(given, dict)}
    assert ids(store.ok("query", cursor=cursor, **{**args, **turned})) == ["b"]


def test_what_is_written_between_two_pages_is_neither_lost_nor_seen_twice(store: AppStore) -> None:
    store.fill([{"key": key} for key in "bdf"])
    cursor = store.ok("query", limit=2)["response_metadata"]["next_cursor"]
    store.ok("delete", id="d")
    store.fill([{"key": "a"}, {"key": "e"}])
    assert ids(store.ok("query", cursor=cursor)) == ["e", "f"]


@pytest.mark.parametrize(
    ("expression", "values", "found"),
    [
        ("#s = :v", {":v": "open"}, "ab"),
        ("#s <> :v", {":v": "open"}, "cde"),
        ("#c < :v", {":v": 3}, "ab"),
        ("#c BETWEEN :v AND :w", {":v": 2, ":w": 3}, "bc"),
        ("#c between :v and :w", {":v": 2, ":w": 3}, "bc"),
        ("#s IN (:v, :w)", {":v": "done", ":w": "x"}, "c"),
        ("begins_with(#s, :v)", {":v": "op"}, "ab"),
        ("contains (#s, :v)", {":v": "on"}, "c"),
        ("contains(#t, :v)", {":v": "red"}, "a"),
        ("attribute_exists(#c)", {}, "abc"),
        ("attribute_not_exists(#c)", {}, "de"),
        ("attribute_type(#s, :v)", {":v": "S"}, "abc"),
        ("size(#s) = :v", {":v": 4}, "abc"),
        ("NOT #s = :v", {":v": "open"}, "cde"),
        ("(#s = :v OR #c = :w) AND attribute_exists(#t)", {":v": "open", ":w": 3}, "a"),
        ("#o.#s = :v", {":v": "x"}, "d"),
        ("#t[1] = :v", {":v": "blue"}, "a"),
        ("#c = :v", {":v": "1"}, ""),
        ("contains(tags, :v)", {":v": "red"}, "a"),
        ("undeclared = :v", {":v": 1}, ""),
    ],
)
def test_an_expression_finds(store: AppStore, expression: str, values: Json, found: str) -> None:
    store.fill(
        [
            {"key": "a", "state": "open", "count": 1, "tags": ["red", "blue"]},
            {"key": "b", "state": "open", "count": 2},
            {"key": "c", "state": "done", "count": 3},
            {"key": "d", "owner": {"state": "x"}},
            {"key": "e"},
        ]
    )
    names = {"#s": "state", "#c": "count", "#t": "tags", "#o": "owner"}
    used = {name: attribute for name, attribute in names.items() if name in expression}
    args = {"expression": expression, **({"expression_attributes": used} if used else {})}
    args |= {"expression_values": values} if values else {}
    assert "".join(ids(store.ok("query", **args))) == found
    assert store.ok("count", **args)["count"] == len(found)
    assert "".join(ids(store.form("query", args))) == found


@pytest.mark.parametrize(
    ("args", "pointer", "words"),
    [
        ({"expression": "tags ="}, "/expression", "ends too early"),
        ({"expression": "tags = :v"}, "/expression", ":v is not in values"),
        ({"expression": "count = :v", "expression_values": {":v": 1}}, "/expression", "reserved word"),
        ({"expression": "#s = :v", "expression_values": {":v": 1}}, "/expression", "#s is not in names"),
        ({"expression": "tags = :v", "expression_values": {":v": "a", ":w": "b"}}, "/expression", ":w"),
        ({"expression": "fly(tags)"}, "/expression", "fly"),
        ({"expression": "((attribute_exists(tags)))"}, "/expression", "doubled"),
        ({"expression": "begins_with(tags, :v)", "expression_values": {":v": 5}}, "/expression", "begins_with"),
        (
            {"expression": "points BETWEEN :v AND :w", "expression_values": {":v": 5, ":w": 1}},
            "/expression",
            "BETWEEN",
        ),
        ({"expression": "attribute_exists(tags)", "expression_values": {}}, "/expression_values", "is empty"),
        ({"expression": "attribute_exists(tags)", "expression_attributes": {}}, "/expression_attributes", "is empty"),
        ({"expression_values": {":v": 1}}, "/expression_values", "needs an expression"),
        ({"expression_attributes": {"#v": "state"}}, "/expression_attributes", "needs an expression"),
    ],
)
def test_an_expression_that_means_nothing_is_refused(store: AppStore, args: Json, pointer: str, words: str) -> None:
    for method in ("query", "count"):
        (error,) = store.refused(method, **args)["errors"]
        assert (error["code"], error["pointer"]) == ("expression_invalid", pointer)
        assert words in error["message"]


def test_the_primary_key_may_not_stand_in_an_expression(store: AppStore) -> None:
    for args in (
        {"expression": "begins_with(#k, :v)", "expression_attributes": {"#k": "key"}, "expression_values": {":v": "a"}},
        {"expression": "attribute_exists(tags) AND size(#k) > :v"}
        | {"expression_attributes": {"#k": "key"}, "expression_values": {":v": 1}},
    ):
        assert store.inner("query", **args) == {"code": "expression_uses_primary_key", "pointer": "/expression"}


def test_an_empty_or_null_expression_is_none(store: AppStore) -> None:
    store.fill([{"key": "a"}])
    nulls = {"expression": "null", "expression_values": "null", "cursor": "null", "limit": "null", "app_id": "null"}
    assert ids(store.form("query", nulls)) == ["a"]
    assert ids(store.ok("query", expression="", expression_values=None, cursor="", limit=None)) == ["a"]
