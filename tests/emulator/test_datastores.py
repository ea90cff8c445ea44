"""`apps.datastore.*`: what the local Slack does with items, call by call. docs/slack-parity.md points here."""

import pytest

from support.datastores import AppStore, register
from support.local_slack import LocalSlack

pytestmark = pytest.mark.service


@pytest.fixture
def store(slack: LocalSlack) -> AppStore:
    return register(slack)


def test_put_creates_and_replaces_the_whole_item(store: AppStore) -> None:
    assert store.ok("put", item={"key": "T-1", "state": "open", "points": 1.5}) == {
        "datastore": "tickets",
        "item": {"key": "T-1", "state": "open", "points": 1.5},
    }
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
