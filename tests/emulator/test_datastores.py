"""`apps.datastore.*`: items, one and many, and what is refused. docs/slack-parity.md points here."""

import pytest

from support.datastores import ARGS, METHODS, AppStore, Json, ids, register
from support.local_slack import LocalSlack

pytestmark = pytest.mark.service


@pytest.fixture
def store(slack: LocalSlack) -> AppStore:
    return register(slack)


def test_put_creates_and_replaces_the_whole_item(store: AppStore) -> None:
    item = {"key": "T-1", "state": "open", "points": 1.5}
    assert store.ok("put", item=item) == {"datastore": "tickets", "item": item}
    store.ok("put", item={"key": "T-1", "state": "done"})
    assert store.get("T-1") == {"key": "T-1", "state": "done"}


def test_update_merges_attribute_by_attribute_and_answers_with_the_whole_item(store: AppStore) -> None:
    store.ok("put", item={"key": "T-1", "state": "open", "owner": {"team": "a", "user": "b"}})
    whole = {"key": "T-1", "state": "open", "owner": {"team": "c"}}
    assert store.ok("update", item={"key": "T-1", "owner": {"team": "c"}})["item"] == whole
    assert store.get("T-1") == whole


def test_update_inserts_what_is_not_there(store: AppStore) -> None:
    assert store.ok("update", item={"key": "T-1", "state": "open"})["item"] == {"key": "T-1", "state": "open"}
    assert store.get("T-1") == {"key": "T-1", "state": "open"}


def test_a_missing_item_is_read_as_an_empty_one(store: AppStore) -> None:
    assert store.ok("get", id="T-1") == {"datastore": "tickets", "item": {}}


def test_deleting_is_fine_whether_the_item_is_there_or_not(store: AppStore) -> None:
    store.ok("put", item={"key": "T-1"})
    assert store.ok("delete", id="T-1") == {}
    assert store.ok("delete", id="T-1") == {}
    assert store.get("T-1") == {}


def test_numbers_keep_every_digit(store: AppStore) -> None:
    digits = "0.10000000000000000000000000000000000001"
    body = b'{"datastore":"tickets","item":{"key":"T-1","points":%s,"count":9007199254740993}}' % digits.encode()
    headers = {"Content-Type": "application/json; charset=utf-8", "Authorization": f"Bearer {store.token}"}
    store.slack.request("POST", "/api/apps.datastore.put", body, headers)
    answer = store.slack.request("POST", "/api/apps.datastore.get?datastore=tickets&id=T-1", b"", headers)
    assert answer[1]["item"]["count"] == 9007199254740993
    text = {"expression": "points = :p", "expression_values": f'{{":p": {digits}}}'}
    assert store.form("count", text)["count"] == 1
    assert store.form("count", {**text, "expression_values": '{":p": 0.1}'})["count"] == 0


def test_an_item_may_have_any_text_as_its_key(store: AppStore) -> None:
    keys = ["a/b", "ü", "\U0001f600", " ", "null", "a\nb", "'; DROP TABLE t; --"]
    store.fill([{"key": key} for key in keys])
    assert [store.get(key) for key in keys] == [{"key": key} for key in keys]
    assert store.form("get", {"id": "null"})["item"] == {"key": "null"}


def test_bulk_get_answers_in_the_order_asked_and_leaves_out_what_is_not_there(store: AppStore) -> None:
    store.fill([{"key": "a"}, {"key": "b"}, {"key": "c"}])
    assert store.ok("bulkGet", ids=["c", "gone", "a"]) == {
        "datastore": "tickets",
        "items": [{"key": "c"}, {"key": "a"}],
    }
    assert store.ok("bulkGet", ids=["gone"])["items"] == []


def test_bulk_put_creates_and_replaces_and_bulk_delete_removes(store: AppStore) -> None:
    store.ok("put", item={"key": "a", "state": "open"})
    assert store.ok("bulkPut", items=[{"key": "a"}, {"key": "b"}]) == {"datastore": "tickets", "failed_items": []}
    assert store.get("a") == {"key": "a"}
    assert store.ok("bulkDelete", ids=["a", "gone"]) == {"failed_items": []}
    assert ids(store.ok("query")) == ["b"]


def test_a_bulk_call_takes_one_to_twenty_five(store: AppStore) -> None:
    many = [str(number) for number in range(26)]
    for method, name, made in (
        ("bulkGet", "ids", many),
        ("bulkDelete", "ids", many),
        ("bulkPut", "items", [{"key": key} for key in many]),
    ):
        assert store.call(method, **{name: made[:25]})["ok"] is True
        assert store.refused(method, **{name: made})["error"] == "invalid_arguments"
        assert store.refused(method, **{name: []})["error"] == "invalid_arguments"


def test_a_batch_with_an_unfit_item_is_refused_whole_and_names_the_item(store: AppStore) -> None:
    items = [{"key": "a"}, {"key": "b", "count": "one"}, {"state": "open"}]
    answer = store.refused("bulkPut", items=items)
    assert answer["error"] == "datastore_error"
    assert [(one["code"], one["pointer"], one["item"]) for one in answer["errors"]] == [
        ("attribute_invalid", "/items/1/count", items[1]),
        ("primary_key_missing", "/items/2/key", items[2]),
    ]
    assert store.ok("count")["count"] == 0


def test_a_key_that_stands_twice_in_a_batch_is_refused(store: AppStore) -> None:
    twice = {"key": "a", "state": "second"}
    inner = store.inner("bulkPut", items=[{"key": "a"}, twice])
    assert inner == {"code": "duplicate_primary_key", "pointer": "/items/1", "item": twice}
    for method in ("bulkGet", "bulkDelete"):
        assert store.inner(method, ids=["a", "b", "a"]) == {"code": "duplicate_primary_key", "pointer": "/ids"}
    assert store.ok("count")["count"] == 0


def test_ids_may_be_one_text_with_commas(store: AppStore) -> None:
    store.fill([{"key": "a"}, {"key": "b"}])
    assert ids(store.form("bulkGet", {"ids": "a, b"})) == ["a", "b"]


def test_an_unknown_datastore_is_told_in_slacks_words(store: AppStore) -> None:
    for method in METHODS:
        assert store.refused(method, **ARGS[method] | {"datastore": "nothing"}) == {
            "error": "datastore_error",
            "errors": [
                {
                    "code": "datastore_config_not_found",
                    "message": "The datastore configuration could not be found",
                    "pointer": "/datastores",
                }
            ],
        }


@pytest.mark.parametrize("method", ["put", "update"])
@pytest.mark.parametrize(
    ("item", "code", "pointer"),
    [
        ({"state": "open"}, "primary_key_missing", "/item/key"),
        ({"key": 5}, "primary_key_invalid", "/item/key"),
        ({"key": ""}, "primary_key_invalid", "/item/key"),
        ({"key": "k" * 1025}, "primary_key_invalid", "/item/key"),
        ({"key": "a", "a/b": 1}, "attribute_not_declared", "/item/a~1b"),
        ({"key": "a", "~1": 1}, "attribute_not_declared", "/item/~01"),
        ({"key": "a", "count": 1.5}, "attribute_invalid", "/item/count"),
        ({"key": "a", "urgent": "yes"}, "attribute_invalid", "/item/urgent"),
        ({"key": "a", "tags": ["a", 5]}, "attribute_invalid", "/item/tags/1"),
        ({"key": "a", "expires": "soon"}, "attribute_invalid", "/item/expires"),
        ({"key": "a", "state": None}, "attribute_invalid", "/item/state"),
        ({"key": "a", "state": "a\0b"}, "attribute_invalid", "/item/state"),
    ],
)
def test_an_item_that_does_not_fit_is_refused_with_its_place(
    store: AppStore, method: str, item: Json, code: str, pointer: str
) -> None:
    assert store.inner(method, item=item) == {"code": code, "pointer": pointer}
    assert store.ok("count")["count"] == 0


def test_no_error_repeats_what_was_sent(store: AppStore) -> None:
    secret = "correct horse battery"
    answers = [
        store.refused("put", item={"key": "a", "count": secret}),
        store.refused("put", item={"key": secret * 60}),
        store.refused("put", item={"key": "a", "nowhere": secret}),
        store.refused("put", item={"key": "a", "tags": [secret, 5]}),
        store.refused("bulkGet", ids=[secret, secret]),
        store.refused("get", id=[secret]),
        store.refused("query", cursor=secret),
        store.refused("query", expression="tags = :v", expression_values={":v": secret, ":w": secret}),
    ]
    assert secret not in str(answers)


def test_an_item_of_400_kb_is_refused_and_one_byte_less_is_taken(store: AppStore) -> None:
    room = 400 * 1024 - len("keyastate")
    store.ok("put", item={"key": "a", "state": "x" * (room - 1)})
    assert store.inner("put", item={"key": "a", "state": "x" * room}) == {"code": "item_too_large", "pointer": "/item"}
    assert len(store.get("a")["state"]) == room - 1


def test_an_update_that_makes_an_item_too_large_is_refused_and_changes_nothing(store: AppStore) -> None:
    store.ok("put", item={"key": "a", "state": "x" * 300_000})
    inner = store.inner("update", item={"key": "a", "tags": ["x" * 200_000]})
    assert inner == {"code": "item_too_large", "pointer": "/item"}
    assert set(store.get("a")) == {"key", "state"}


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("get", {}),
        ("get", {"id": ""}),
        ("get", {"id": ["a"]}),
        ("put", {}),
        ("put", {"item": "text"}),
        ("put", {"item": [{"key": "a"}]}),
        ("bulkPut", {"items": [{"key": "a"}, 5]}),
        ("bulkPut", {"items": {"key": "a"}}),
        ("bulkGet", {"ids": ["a", ""]}),
        ("bulkGet", {"ids": ["a", {}]}),
        ("query", {"limit": 0}),
        ("query", {"limit": 1001}),
        ("query", {"limit": "many"}),
        ("query", {"limit": 1.5}),
        ("query", {"limit": True}),
        ("query", {"limit": "1_0"}),
        ("query", {"limit": 10**17}),
        ("bulkDelete", {"ids": "null"}),
        ("query", {"cursor": "nonsense"}),
        ("query", {"expression": 5, "expression_values": []}),
        ("get", {"datastore": None, "id": "a"}),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(store: AppStore, method: str, args: Json) -> None:
    assert store.refused(method, **args)["error"] == "invalid_arguments"
    message = store.refused(method, **args)["response_metadata"]["messages"][0]
    assert message.startswith("[ERROR] ")


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("put", {"item": "{broken"}),
        ("put", {"item": "5"}),
        ("bulkPut", {"items": "[5]"}),
        ("bulkGet", {"ids": "[]"}),
        ("bulkGet", {"ids": None}),
        ("put", {"item": '{"key": "a", "points": 1e9999999999999999999999}'}),
        ("query", {"limit": "1.5"}),
        ("query", {"limit": "0"}),
        ("query", {"expression_values": "[1]", "expression": "x"}),
    ],
)
def test_form_fields_that_are_not_the_json_they_should_be_are_refused(store: AppStore, method: str, args: Json) -> None:
    assert store.form(method, args)["error"] == "invalid_arguments"


def test_a_number_of_any_size_costs_no_more_than_another(store: AppStore) -> None:
    """As a Python int, this limit is 41 MB of digits; as a decimal, this price has an exponent that none can have."""
    headers = {"Content-Type": "application/json; charset=utf-8", "Authorization": f"Bearer {store.token}"}
    for method, argument, error in (
        ("query", b'"limit":1e99999999', "invalid_arguments"),
        ("put", b'"item":{"key":"a","points":1e9999999999999999999999}', "invalid_json"),
    ):
        body = b'{"datastore":"tickets",%s}' % argument
        status, answer, _ = store.slack.request("POST", f"/api/apps.datastore.{method}", body, headers)
        assert (status, answer["error"]) == (200, error)
