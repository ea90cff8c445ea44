"""Definitions: pydantic classes become Slack's attribute types, and faults name the attribute."""

from datetime import date
from typing import Any, Literal

import pytest
from pydantic import SecretStr

import stateroom as sr
from stateroom.model.attributes import Attribute
from stateroom.model.datastore import definition_of
from stateroom.model.definition import Definition
from stateroom.model.errors import InvalidDefinition


class Ticket(sr.Datastore, name="tickets", version=2):
    id: str = sr.key()
    status: Literal["open", "done"] = "open"
    owner: sr.UserId
    watchers: list[sr.UserId] = []
    due: date | None = None
    weight: float | None = None
    token: SecretStr | None = sr.encrypted()
    expires_at: sr.Timestamp | None = sr.ttl()

    __indexes__ = [sr.Index(("status",))]


def test_annotations_become_slacks_types() -> None:
    made = definition_of(Ticket)
    types = {name: attribute.type.removeprefix("slack#/types/") for name, attribute in made.attributes.items()}
    assert types == {
        "id": "string",
        "status": "string",
        "owner": "user_id",
        "watchers": "array",
        "due": "date",
        "weight": "number",
        "token": "string",
        "expires_at": "timestamp",
    }
    assert (made.key, made.ttl, made.version, made.encrypted) == ("id", "expires_at", 2, frozenset({"token"}))
    assert made.attributes["watchers"].items is not None
    assert made.attributes["watchers"].items.type == "slack#/types/user_id"


def test_two_keys_no_key_and_foreign_types_are_refused_by_name() -> None:
    with pytest.raises(sr.InvalidDefinition, match="exactly one"):

        class NoKey(sr.Datastore, name="x"):
            a: str

    with pytest.raises(sr.InvalidDefinition, match=r"x\.b"):

        class Foreign(sr.Datastore, name="x"):
            a: str = sr.key()
            b: complex

    with pytest.raises(sr.InvalidDefinition, match="sr_"):

        class Ours(sr.Datastore, name="sr_x"):
            a: str = sr.key()


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("owner", "../etc/passwd"),
        ("watchers", ["U00000001", 5]),
        ("due", "2026-02-30"),
        ("weight", True),
        ("expires_at", -1),
        ("status", None),
        ("unknown", 1),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(attribute: str, value: Any) -> None:
    with pytest.raises(sr.InvalidValue, match=f"tickets.{attribute}"):
        definition_of(Ticket).check({"id": "T-1", "owner": "U00000001", attribute: value})


def test_a_personal_attribute_that_erase_is_to_clear_may_not_be_required() -> None:
    attributes = {"id": Attribute("string"), "who": Attribute("slack#/types/user_id", required=True, personal=True)}
    with pytest.raises(InvalidDefinition) as refused:
        Definition("tickets", "id", attributes, on_erase="clear")
    assert refused.value.attribute == "who"
    assert Definition("tickets", "id", attributes).on_erase == "delete"


def test_the_agreed_example_is_taken_word_for_word() -> None:
    class Agreed(sr.Datastore, name="tickets", version=2):
        id: str = sr.key()
        status: Literal["open", "approved", "done"] = "open"
        owner: sr.UserId
        watchers: list[sr.UserId] = []
        token: SecretStr | None = sr.encrypted()
        opened_at: sr.Timestamp
        expires_at: sr.Timestamp | None = sr.ttl()
        __indexes__ = [sr.Index("status", "opened_at")]
        __lifecycle__ = sr.Lifecycle("status", open=["approved"], approved=["done"])

    made = definition_of(Agreed)
    assert made.indexes == (sr.Index("status", "opened_at"),)
    assert made.lifecycle is not None
    assert made.lifecycle.allowed_from("done") == {"approved", "done"}
    item = Agreed(id="T-1", owner="U00000001", opened_at=1_700_000_000, token=SecretStr("xoxb-1"))
    assert made.stored(item)["token"] == "xoxb-1"
    assert "xoxb-1" not in repr(item)
    assert made.load(made.stored(item)) == item


def test_a_class_says_what_erase_does_with_its_items() -> None:
    class Note(sr.Datastore, name="notes", on_erase="clear"):
        id: str = sr.key()
        author: sr.UserId | None = sr.personal(None)

    assert definition_of(Note).on_erase == "clear"
