"""Hypothesis strategies for definitions: any that Stateroom takes, and those that Slack holds whole.

Rules of this file: names are what people write and what breaks generators: keywords, quotes, other scripts, names that
JavaScript, Python or pydantic have for themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

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


def values_of(kind: str) -> st.SearchStrategy[tuple[Any, ...]]:
    if kind == "string":
        return st.lists(TEXT, max_size=3, unique=True).map(tuple)
    if kind == "integer":
        return st.lists(st.integers(-1000, 1000), max_size=3, unique=True).map(tuple)
    return st.just(())


@st.composite
def leaves(draw: st.DrawFn, *, values: bool) -> Attribute:
    kind = draw(st.sampled_from(LEAVES))
    return Attribute(kind, values=draw(values_of(kind)) if values else ())


@st.composite
def shapes(draw: st.DrawFn, known: Mapping[str, Attribute], *, typed: bool, depth: int = 2) -> Attribute:
    """The type of an attribute; `known`: custom types; `typed`: inside of one (or where Slack need not hold it)."""
    options = [leaves(values=typed)]
    if known:
        options.append(st.sampled_from(sorted(known)).map(lambda name: known[name]))
    inner = shapes(known, typed=typed, depth=depth - 1) if depth else leaves(values=typed)
    options.append(st.builds(Attribute, st.just("array"), items=st.none() | described(inner)))
    one = st.builds(replace, described(inner), required=st.booleans() if typed else st.just(False))
    options.append(st.builds(Attribute, st.just("object"), properties=st.dictionaries(NAMES, one, max_size=3)))
    return draw(st.one_of(options))


def described(shape: st.SearchStrategy[Attribute]) -> st.SearchStrategy[Attribute]:
    return st.builds(replace, shape, description=DESCRIPTIONS)


@st.composite
def custom_types(draw: st.DrawFn) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for name in draw(st.lists(NAMES.filter(lambda n: "#/" not in n), max_size=3, unique=True)):
        found[name] = replace(draw(shapes(dict(found), typed=True, depth=1)), custom=name)
    return found


@st.composite
def slack_definitions(draw: st.DrawFn, known: Mapping[str, Attribute], name: str) -> Definition:
    """A definition with nothing in it that a manifest cannot hold."""
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    attributes = {one: draw(described(shapes(known, typed=False))) for one in names}
    attributes[names[0]] = Attribute("string", required=True, description=draw(DESCRIPTIONS))
    ttls = [None, *(one for one in names if attributes[one].type == "slack#/types/timestamp")]
    order = draw(st.permutations(names))
    return Definition(name, names[0], {one: attributes[one] for one in order}, ttl=draw(st.sampled_from(ttls)))


@st.composite
def slack_apps(draw: st.DrawFn) -> list[Definition]:
    """All datastores of an app that Slack holds whole."""
    known = draw(custom_types())
    names = draw(st.lists(STORE_NAMES, min_size=1, max_size=3, unique=True))
    return [draw(slack_definitions(known, name)) for name in names]


@st.composite
def apps(draw: st.DrawFn, *, logs: bool = False) -> list[Definition]:
    """All datastores of an app, with everything that a definition can say (but upgrade steps, which are code)."""
    return [draw(richer(definition, logs)) for definition in draw(slack_apps())]


@st.composite
def richer(draw: st.DrawFn, definition: Definition, logs: bool) -> Definition:
    key, ttl = definition.key, definition.ttl
    attributes = {name: draw(obliged(one, name in (key, ttl))) for name, one in definition.attributes.items()}
    attributes[key] = replace(attributes[key], required=True)
    attributes["state"] = Attribute("string", values=("open", "in review", "done"))
    able = [name for name, one in attributes.items() if one.type in ORDERED and not one.encrypted]
    many = st.lists(st.sampled_from(able), min_size=1, max_size=3, unique=True)
    indexes = draw(
        st.lists(st.builds(lambda names, unique: Index(*names, unique=unique), many, st.booleans()), max_size=2)
    )
    ways = {"open": ["in review"], "in review": ["open", "done"]}
    lifecycle = draw(st.sampled_from([None, Lifecycle("state", transitions=ways), Lifecycle("state", "open", ways)]))
    log = logs and draw(st.booleans())
    return Definition(
        definition.name,
        key,
        attributes,
        ttl=ttl,
        version=draw(st.integers(1, 3)),
        indexes=tuple({index.name: index for index in indexes}.values()),
        lifecycle=None if log else lifecycle,
        changes=draw(st.booleans()),
        keep_deleted=draw(st.none() | st.integers(1, 10**6)),
        log=log,
    )


@st.composite
def obliged(draw: st.DrawFn, attribute: Attribute, plain: bool) -> Attribute:
    """With the obligations of Stateroom; `plain`: of a key or a ttl, which engines must read."""
    encrypted = False if plain else draw(st.booleans())
    return replace(attribute, required=draw(st.booleans()), personal=draw(st.booleans()), encrypted=encrypted)
