"""Python from definitions: importing what is written gives them again."""

import warnings
from collections.abc import Iterable
from dataclasses import replace
from types import ModuleType

import pytest
from hypothesis import given

from stateroom.model.attributes import TYPES, Attribute
from stateroom.model.datastore import Datastore
from stateroom.model.definition import Definition, Index
from stateroom.model.errors import InvalidDefinition
from stateroom.model.lifecycle import Lifecycle
from stateroom.model.schema import python
from support.definitions import ODD, apps

STRING = Attribute("string")
ID = {"id": Attribute("string", required=True)}


def imported(text: str) -> list[Definition]:
    """The definitions of a module's classes, in their order."""
    module = ModuleType("written")
    exec(compile(text, "written.py", "exec"), module.__dict__)
    classes: Iterable[object] = vars(module).values()
    return [
        c.__definition__ for c in classes if isinstance(c, type) and issubclass(c, Datastore) and c is not Datastore
    ]


@given(apps())
def test_what_is_written_is_imported_as_it_was(app: list[Definition]) -> None:
    text = python.write(app)
    assert imported(text) == app
    assert python.write(imported(text)) == text


def test_every_type_obligation_and_odd_name_comes_back() -> None:
    leaf = Attribute("string", values=("a", 'b"', "\u2028"), custom='a "type"')
    nested = Attribute("object", properties={"leaf": leaf, "class": replace(STRING, personal=True)}, custom="Nested")
    attributes = {
        **ID,
        **{name: Attribute(kind) for name, kind in zip("abcdefghijklmnopqrstuvwxyz", TYPES, strict=False)},
        **{f"{name}!": Attribute("string", required=True) for name in ODD},
        "in items": Attribute("array", items=replace(nested, description="one of them")),
        "said": Attribute("array", items=Attribute("string", personal=True, description="a person")),
        "PlacesInline": Attribute(
            "object", properties={"PlacesInline": STRING, "date": Attribute("slack#/types/date")}
        ),
        "date": Attribute("slack#/types/date", description="when"),
        "secret": Attribute("string", encrypted=True, personal=True, description="sealed"),
        "sealed": Attribute("object", encrypted=True, required=True),
        "when": Attribute("slack#/types/timestamp", required=True, personal=True),
        "count": Attribute("integer", values=(1, -2)),
    }
    places = Definition("places", "id", attributes, ttl="when", indexes=(Index("id", "count", unique=True),))
    same = [
        Definition(name, "id", ID) for name in ("date", "Date", "Nested", "sr", "Field", "Datastore", "true", "none")
    ]
    optional = Definition("optional", "id", {"id": STRING})
    assert imported(python.write([places, *same, optional])) == [places, *same, optional]


def test_no_field_hides_what_its_class_has_already() -> None:
    own = [name for name in (*dir(Datastore), *dir(type(Datastore))) if not name.startswith("_")]
    app = [Definition("own", "id", ID | dict.fromkeys(own, STRING))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert imported(python.write(app)) == app


def test_a_module_reads_as_one_would_write_it() -> None:
    tag = Attribute("object", properties={"label": Attribute("string", required=True)}, custom="Tag")
    attributes = {
        **ID,
        "status": Attribute("string", values=("open", "done"), required=True),
        "owner": Attribute("slack#/types/user_id", required=True, personal=True),
        "watchers": Attribute("array", items=Attribute("slack#/types/user_id")),
        "token": Attribute("string", encrypted=True),
        "tag": tag,
        "class": Attribute("number", description="of the ticket"),
        "expires": Attribute("slack#/types/timestamp"),
    }
    ticket = Definition(
        "tickets",
        "id",
        attributes,
        ttl="expires",
        version=2,
        keep_deleted=60,
        changes=True,
        indexes=(Index("status"),),
        lifecycle=Lifecycle("status", open=["done"]),
    )
    assert python.write([ticket]) == WRITTEN


WRITTEN = '''\
"""Datastores, made by `stateroom datastore schema --format python`."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr

import stateroom as sr


class Tag(BaseModel):
    label: str


class Tickets(sr.Datastore, name="tickets", version=2, changes=True, keep_deleted=60):
    # Versions need steps: a static method each, marked with @sr.upgrade(from_version=...).
    id: str = sr.key()
    status: Literal["open", "done"]
    owner: sr.UserId = sr.personal()
    watchers: list[sr.UserId] | None = None
    token: SecretStr | None = sr.encrypted()
    tag: Annotated[Tag, sr.custom("Tag")] | None = None
    class_: Decimal | None = Field(None, alias="class", description="of the ticket")
    expires: sr.Timestamp | None = sr.ttl()
    __indexes__ = [sr.Index("status")]
    __lifecycle__ = sr.Lifecycle("status", transitions={"open": ["done"], "done": []})
'''


@pytest.mark.parametrize(
    ("definition", "told"),
    [
        (Definition("sr_x", "id", ID), "sr_x: names that begin with sr_ are Stateroom's own"),
        (Definition("x", "id", ID, log=True), "x: has log, which a class cannot say; take --format json"),
        (Definition("x", "id", ID, expires=True), "x: has expires, which a class cannot say"),
        (Definition("x", "id", ID, on_erase="clear"), "x: has on_erase, which a class cannot say"),
        (
            Definition(
                "x", "id", {**ID, "a": Attribute("array", items=Attribute("slack#/types/user_id", values=("U123",)))}
            ),
            r"x\.a\[\]: lists values of type slack#/types/user_id, which no Literal has",
        ),
    ],
)
def test_what_a_class_cannot_say_is_refused(definition: Definition, told: str) -> None:
    with pytest.raises(InvalidDefinition, match=told):
        python.write([definition])
