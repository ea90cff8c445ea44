"""Hypothesis strategies for definitions: any that Stateroom takes, and those that Slack holds whole.

Rules of this file: names are what people write and what breaks generators: keywords, quotes, other scripts, names that
JavaScript, Python or pydantic have for themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import strategies as st

from stateroom.model.attributes import TYPES, Attribute
from stateroom.model.definition import Definition, Index
from stateroom.model.lifecycle import Lifecycle

ORDERED = sorted(t for t in TYPES if t not in ("array", "object") and not t.endswith("rich_text"))
LEAVES = sorted(t for t in TYPES if t not in ("array", "object"))
ODD = [
    *("id", "type", "name", "class", "from", "None", "match", "default", "items", "properties", "required"),
    *("__proto__", "constructor", "toString", "model_config", "model_fields", "copy", "json", "schema", "_private"),
    *(
        "my-name",
        "two words",
        "9lives",
        "ключ",
        "日本",
        "a.b",
        'quo"te',
        "it's",
        "back\\slash",
        "a${x}",
        "`",
        "\u2028",
        "*/",
    ),
]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
NAMES = st.one_of(st.sampled_from(ODD), TEXT.filter(lambda name: not name.startswith("$")))
STORE_NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,20}", fullmatch=True).filter(lambda n: not n.startswith("sr_"))
DESCRIPTIONS = st.none() | TEXT
FEW_NAMES = st.lists(NAMES, max_size=3, unique=True)
LEAF_TYPES = st.sampled_from(LEAVES)
VALUES = {
    "string": st.lists(TEXT, max_size=3, unique=True).map(tuple),
    "integer": st.lists(st.integers(-1000, 1000), max_size=3, unique=True).map(tuple),
}
FLAGS = st.booleans()


def shape(draw: st.DrawFn, known: Mapping[str, Attribute], *, typed: bool, depth: int = 2) -> Attribute:
    """The type of an attribute; `known`: custom types; `typed`: inside of one, where Slack takes values and `required`.

    A plain function: a strategy made anew for each part would cost more than all that is tested with it.
    """
    what = draw(st.sampled_from(KINDS[bool(known), depth > 0]))
    if what == "custom":
        return known[draw(st.sampled_from(sorted(known)))]
    if what == "array":
        typeless = draw(FLAGS)
        return Attribute("array", items=None if typeless else described(draw, known, typed=typed, depth=depth - 1))
    if what == "object":
        parts = {name: described(draw, known, typed=typed, depth=depth - 1) for name in draw(FEW_NAMES)}
        return Attribute(
            "object", properties={n: replace(one, required=typed and draw(FLAGS)) for n, one in parts.items()}
        )
    kind = draw(LEAF_TYPES)
    return Attribute(kind, values=draw(VALUES[kind]) if typed and kind in VALUES else ())


KINDS = {
    (custom, deep): ["leaf", *(["custom"] if custom else []), *(["array", "object"] if deep else [])]
    for custom in (True, False)
    for deep in (True, False)
}


def described(draw: st.DrawFn, known: Mapping[str, Attribute], *, typed: bool, depth: int) -> Attribute:
    return replace(shape(draw, known, typed=typed, depth=depth), description=draw(DESCRIPTIONS))


CUSTOM_NAMES = st.lists(NAMES.filter(lambda name: "#/" not in name), max_size=3, unique=True)


def custom_types(draw: st.DrawFn) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for name in draw(CUSTOM_NAMES):
        found[name] = replace(shape(draw, found, typed=True, depth=1), custom=name)
    return found


ATTRIBUTE_NAMES = st.lists(NAMES, min_size=1, max_size=4, unique=True)
APP_NAMES = st.lists(STORE_NAMES, min_size=1, max_size=3, unique=True)


def slack_definition(draw: st.DrawFn, known: Mapping[str, Attribute], name: str) -> Definition:
    """A definition with nothing in it that a manifest cannot hold."""
    names = draw(ATTRIBUTE_NAMES)
    attributes = {one: described(draw, known, typed=False, depth=2) for one in names}
    key = draw(st.sampled_from(names))
    attributes[key] = Attribute("string", required=True, description=draw(DESCRIPTIONS))
    ttls = [None, *(one for one in names if attributes[one].type == "slack#/types/timestamp")]
    return Definition(name, key, attributes, ttl=draw(st.sampled_from(ttls)))


@st.composite
def slack_apps(draw: st.DrawFn) -> list[Definition]:
    """All datastores of an app that Slack holds whole."""
    known = custom_types(draw)
    return [slack_definition(draw, known, name) for name in draw(APP_NAMES)]


@st.composite
def apps(draw: st.DrawFn) -> list[Definition]:
    """All datastores of an app, with all that a class can say (but upgrade steps, which are code)."""
    known = custom_types(draw)
    return [richer(draw, slack_definition(draw, known, name)) for name in draw(APP_NAMES)]


WAYS = {"open": ["in review"], "in review": ["open", "done"]}
LIFECYCLES = st.sampled_from([None, Lifecycle("state", transitions=WAYS), Lifecycle("state", "open", WAYS)])
VERSIONS = st.integers(1, 3)
SECONDS = st.none() | st.integers(1, 10**6)


def richer(draw: st.DrawFn, definition: Definition) -> Definition:
    key, ttl = definition.key, definition.ttl
    attributes = {name: obliged(draw, one, name in (key, ttl)) for name, one in definition.attributes.items()}
    attributes[key] = replace(attributes[key], required=True)
    attributes["state"] = Attribute("string", values=("open", "in review", "done"))
    able = [name for name, one in attributes.items() if one.type in ORDERED and not one.encrypted]
    able = [name for name in able if not any(letter in "\"'\\" or ord(letter) < 32 for letter in name)]
    indexes = []
    for _ in range(draw(st.integers(0, 2))):
        names = draw(st.lists(st.sampled_from(able), min_size=1, max_size=3, unique=True))
        indexes.append(Index(*names, unique=draw(FLAGS)))
    return Definition(
        definition.name,
        key,
        attributes,
        ttl=ttl,
        version=draw(VERSIONS),
        indexes=tuple({index.name: index for index in indexes}.values()),
        lifecycle=draw(LIFECYCLES),
        changes=draw(FLAGS),
        keep_deleted=draw(SECONDS),
    )


def obliged(draw: st.DrawFn, attribute: Attribute, plain: bool) -> Attribute:
    """With the obligations of Stateroom; `plain`: of a key or a ttl, which engines must read."""
    encrypted = False if plain else draw(FLAGS)
    return replace(attribute, required=draw(FLAGS), personal=draw(FLAGS), encrypted=encrypted)
