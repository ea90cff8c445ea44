"""Slack's manifest, both ways: what it holds comes back, what it cannot hold is told, what is wrong is named."""

import json
from typing import Any

import pytest
from hypothesis import given

from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition, Index
from stateroom.model.errors import InvalidDefinition
from stateroom.model.lifecycle import Lifecycle
from stateroom.model.schema.doubts import doubts
from stateroom.model.schema.losses import losses
from stateroom.model.schema.manifest import datastores_of, manifest_of, read
from support.definitions import apps, slack_apps
from support.tables import each

TAG = {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}
TICKETS: dict[str, Any] = {
    "primary_key": "key",
    "time_to_live_attribute": "expires",
    "attributes": {
        "key": {"type": "string"},
        "owner": {"type": "slack#/types/user_id", "description": "who answers"},
        "watchers": {"type": "array", "items": {"type": "slack#/types/user_id"}},
        "tag": {"type": "#/types/Tag"},
        "tags": {"type": "array", "items": {"type": "#/types/Tag"}},
        "expires": {"type": "slack#/types/timestamp"},
    },
}
APP = {
    "_metadata": {"major_version": 2},
    "display_information": {"name": "Ticketer"},
    "oauth_config": {"scopes": {"bot": ["datastore:read", "datastore:write"]}},
    "settings": {"function_runtime": "slack"},
    "types": {"Tag": TAG},
    "datastores": {"tickets": TICKETS},
}
LABEL = {"label": Attribute("string", required=True)}
WANTED = Definition(
    "tickets",
    "key",
    {
        "key": Attribute("string", required=True),
        "owner": Attribute("slack#/types/user_id", description="who answers"),
        "watchers": Attribute("array", items=Attribute("slack#/types/user_id")),
        "tag": Attribute("object", properties=LABEL, custom="Tag"),
        "tags": Attribute("array", items=Attribute("object", properties=LABEL, custom="Tag")),
        "expires": Attribute("slack#/types/timestamp"),
    },
    ttl="expires",
)


def with_attribute(value: Any, **types: Any) -> dict[str, Any]:
    store = {"primary_key": "id", "attributes": {"id": {"type": "string"}, "a": value}}
    return {"datastores": {"s": store}, "types": types}


@given(slack_apps())
def test_what_slack_holds_comes_back_from_a_manifest(app: list[Definition]) -> None:
    text = json.dumps(manifest_of(app))
    again = read(json.loads(text))
    assert again.definitions == app
    assert again.notes == []
    assert json.dumps(manifest_of(again.definitions)) == text
    assert losses(app) == []


@given(apps())
def test_a_manifest_of_a_manifest_says_the_same(app: list[Definition]) -> None:
    once = manifest_of(app)
    assert manifest_of(datastores_of(once)) == once


@pytest.mark.parametrize(
    "given",
    [
        APP,
        {"datastores": {"tickets": TICKETS}, "types": {"Tag": TAG}},
        {"ok": True, "manifest": APP},
    ],
)
def test_a_whole_manifest_a_part_of_one_and_slack_s_answer_are_read(given: dict[str, Any]) -> None:
    assert datastores_of(given) == [WANTED]


def test_bare_datastores_are_read() -> None:
    bare = {"s": {"primary_key": "id", "attributes": {"id": {"type": "string"}}}}
    assert datastores_of(bare) == [Definition("s", "id", {"id": Attribute("string", required=True)})]


def test_an_app_without_datastores_has_none() -> None:
    assert datastores_of({"display_information": {"name": "x"}, "types": {"Tag": TAG}}) == []


def test_the_manifest_is_a_slack_hosted_app_with_the_scopes_its_datastores_need() -> None:
    made = manifest_of([WANTED], name="Ticketer", outgoing_domains=["example.com"])
    assert made["_metadata"] == {"major_version": 2}
    assert made["settings"]["function_runtime"] == "slack"
    assert made["oauth_config"]["scopes"]["bot"] == ["datastore:read", "datastore:write"]
    assert made["outgoing_domains"] == ["example.com"]
    assert (made["types"], made["datastores"]) == (APP["types"], APP["datastores"])


def test_a_custom_type_comes_after_those_it_needs() -> None:
    types = {"Outer": {"type": "array", "items": {"type": "#/types/Inner"}}, "Inner": {"type": "string"}}
    made = manifest_of(datastores_of(with_attribute({"type": "#/types/Outer"}, **types)))
    assert list(made["types"]) == ["Inner", "Outer"]


def test_what_has_no_place_in_a_definition_is_noted_once() -> None:
    other = {"type": "object", "title": "A tag", "properties": {"n": {"type": "integer", "minimum": 1}}}
    app = with_attribute({"type": "array", "items": {"type": "#/types/T"}, "title": "x"}, T=other, Unused=TAG)
    app["datastores"]["s"]["attributes"]["b"] = {"type": "#/types/T"}
    app["datastores"]["s"]["extra"] = 1
    assert sorted(read(app).notes) == [
        "s.a: title is not kept",
        "s: extra is not kept",
        "types.T: minimum is not kept",
        "types.T: title is not kept",
        "types.Unused is not kept: no datastore uses it",
    ]


@each(
    ("value", "types", "told"),
    [
        ("string", {}, 's.a: must be an object such as {"type": "string"}'),
        ({}, {}, "s.a: has no type"),
        ({"type": ""}, {}, "s.a: has no type"),
        ({"type": "int"}, {}, "s.a: 'int' is no attribute type"),
        ({"type": "slack#/types/blocks"}, {}, "s.a: 'slack#/types/blocks' is no attribute type"),
        ({"type": "string", "description": 1}, {}, "s.a: its description must be a string"),
        ({"type": "string", "items": {"type": "string"}}, {}, "s.a: has items and is no array"),
        ({"type": "array", "items": {"type": "x"}}, {}, r"s.a\[\]: 'x' is no attribute type"),
        ({"type": "object", "properties": []}, {}, "s.a: its properties must be an object"),
        ({"type": "object", "properties": {"p": {"type": "x"}}}, {}, "s.a.p: 'x' is no attribute type"),
        ({"type": "object", "properties": {}, "required": ["p"]}, {}, "s.a: it requires 'p'"),
        ({"type": "#/types/T"}, {}, "s.a: its custom type T is not among the manifest's types"),
        (
            {"type": "#/types/T"},
            {"T": {"type": "array", "items": {"type": "#/types/T"}}},
            r"s.a\[\]: its custom type T contains itself",
        ),
    ],
)
def test_what_is_wrong_is_named_by_datastore_and_attribute(value: Any, types: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidDefinition, match=told) as caught:
        datastores_of(with_attribute(value, **types))
    assert caught.value.datastore == "s"


@pytest.mark.parametrize(
    ("store", "told"),
    [
        ([], "s: must be an object with primary_key and attributes"),
        ({"primary_key": "id"}, "s: must be an object with primary_key and attributes"),
        ({"attributes": {}}, "s: primary_key must be the name"),
        ({"primary_key": "no", "attributes": {"id": {"type": "string"}}}, "s.no: the key is not a declared attribute"),
        ({"primary_key": "id", "attributes": {"id": {"type": "integer"}}}, "s.id: the key must be a string"),
        (
            {"primary_key": "id", "attributes": {"id": {"type": "string"}}, "time_to_live_attribute": "id"},
            "s.id: a ttl attribute is declared and of type timestamp",
        ),
        ({"primary_key": "id", "attributes": {}, "time_to_live_attribute": 1}, "s: time_to_live_attribute must be"),
    ],
)
def test_a_datastore_that_cannot_be_is_refused(store: Any, told: str) -> None:
    with pytest.raises(InvalidDefinition, match=told):
        datastores_of({"datastores": {"s": store}})


def test_types_that_multiply_are_refused_and_not_expanded() -> None:
    both = {"type": "object", "properties": {"a": {"type": "#/types/T0"}, "b": {"type": "#/types/T0"}}}
    types = {"T0": {"type": "string"}}
    for number in range(1, 25):
        text = json.dumps(both).replace("T0", f"T{number - 1}")
        types[f"T{number}"] = json.loads(text)
    with pytest.raises(InvalidDefinition, match="its types hold each other"):
        datastores_of(with_attribute({"type": "#/types/T24"}, **types))


def test_two_shapes_under_one_name_are_refused() -> None:
    one = Definition("a", "id", {"id": Attribute("string"), "x": Attribute("string", custom="T")})
    two = Definition("b", "id", {"id": Attribute("string"), "y": Attribute("integer", custom="T")})
    with pytest.raises(InvalidDefinition, match=r"b\.y: its custom type T has another shape elsewhere"):
        manifest_of([one, two])
    with pytest.raises(InvalidDefinition, match="a: is defined twice"):
        manifest_of([one, one])


def test_what_slack_cannot_hold_is_told_line_by_line() -> None:
    attributes = {
        "id": Attribute("string", required=True),
        "status": Attribute("string", values=("open", "done"), required=True),
        "token": Attribute("string", encrypted=True),
        "who": Attribute("slack#/types/user_id", personal=True),
        "tag": Attribute("object", properties=LABEL),
    }
    rich = Definition(
        "tickets",
        "id",
        attributes,
        version=2,
        indexes=(Index("status", unique=True),),
        lifecycle=Lifecycle("status", open=["done"]),
        changes=True,
        keep_deleted=60,
    )
    told = losses([rich])
    for part in (
        "tickets: the index on status is left out",
        "does not keep it unique",
        "tickets.status: the lifecycle is left out",
        "tickets: changes are not recorded",
        "tickets: what is deleted on Slack cannot be restored",
        "tickets: version 2 is left out",
        "tickets: Slack requires only the primary key, not status",
        "tickets.status: Slack takes any value",
        "tickets.token: is not encrypted",
        "tickets.who: is not marked as personal",
        "tickets.tag: Slack requires no property of it",
    ):
        assert any(part in line for line in told), (part, told)
    assert len(told) == 10


def test_what_slack_may_not_take_or_keep_is_doubted_once() -> None:
    listed = Attribute("object", properties={"l": Attribute("array", items=Attribute("string"))}, custom="Listed")
    attributes = {
        "id": Attribute("string"),
        "two\nlines": Attribute("string"),
        "file": Attribute("slack#/types/file_id"),
        "any": Attribute("object", custom="Any"),
        "team": Attribute("slack#/types/list_id", custom="List"),
        "listed": listed,
        "again": listed,
        "many": Attribute("array", items=listed),
        "fine": Attribute("array", items=listed, custom="Many"),
    }
    assert doubts([Definition("t", "id", attributes)]) == [
        "t.file: Slack does not document the type slack#/types/file_id for datastores",
        "t.team: Slack does not document the type slack#/types/list_id for datastores",
        "t: Slack's schema takes no attribute with a line break in its name",
        "t.any: Slack's custom types have no objects without properties",
        "t.team: Slack's schema has no custom types of type slack#/types/list_id",
        "t.listed: Slack is known to lose the values of arrays such as l inside of a custom type",
        "t.many: Slack advises a custom type for an array of the custom type Listed",
    ]
    assert doubts([WANTED])[0].startswith("tickets.tags: Slack advises")
