"""Slack's app manifest: definitions from its `datastores` and `types`, and a manifest from definitions.

Rules of this file: writing gives what Slack's own SDK exports for the same app, so that both can be compared; what
Slack cannot hold is left out (model/schema/losses.py). manifest_read.py has the reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from stateroom.model.attributes import CUSTOM, Attribute
from stateroom.model.definition import Definition
from stateroom.model.errors import InvalidDefinition
from stateroom.model.schema.manifest_read import Reader, Reading
from stateroom.model.schema.types import custom_types

SCOPES: Final = ("datastore:read", "datastore:write")
APP: Final = "Stateroom app"
DESCRIPTION: Final = "An app with datastores."  # Slack wants one of 1 to 140 characters
TYPES_LIMIT: Final = 50


def datastores_of(manifest: Mapping[str, Any]) -> list[Definition]:
    """The definitions of a manifest's datastores; see `read`."""
    return read(manifest).definitions


def read(manifest: Mapping[str, Any]) -> Reading:
    """The datastores of a whole manifest (as get-manifest and `apps.manifest.export` print it) or of a part of it.

    A part is `{"datastores": …, "types": …}`, or the datastores alone. InvalidDefinition names what cannot be.
    """
    inner = manifest.get("manifest")
    whole = inner if isinstance(inner, Mapping) else manifest
    bare = "datastores" not in whole and bool(whole) and all(_looks_like_one(value) for value in whole.values())
    datastores = whole if bare else whole.get("datastores") or {}
    types = {} if bare else whole.get("types") or {}
    for name, value in (("datastores", datastores), ("types", types)):
        if not isinstance(value, Mapping):
            raise InvalidDefinition(name, None, "must be an object of names to definitions")
    return Reader(types).all(datastores)


def manifest_of(
    definitions: Iterable[Definition],
    *,
    name: str = APP,
    description: str = DESCRIPTION,
    icon: str | None = None,
    outgoing_domains: Sequence[str] = (),
) -> dict[str, Any]:
    """The manifest of a Slack-hosted app with these datastores. Equal definitions give equal text.

    InvalidDefinition where Slack could not keep them apart: two of one name, a custom type of two shapes.
    """
    definitions = list(definitions)
    types = {custom: _shape(attribute, typed=True) for custom, attribute in custom_types(definitions).items()}
    if len(types) > TYPES_LIMIT:
        raise InvalidDefinition(
            "types", list(types)[TYPES_LIMIT], f"is one of {len(types)}, Slack allows {TYPES_LIMIT}"
        )
    datastores: dict[str, Any] = {}
    for definition in definitions:
        if definition.name in datastores:
            raise InvalidDefinition(definition.name, None, "is defined twice; rename one")
        datastores[definition.name] = _datastore(definition)
    return {
        "_metadata": {"major_version": 2},
        "display_information": {"name": name, "description": description},
        **({} if icon is None else {"icon": icon}),
        "oauth_config": {"scopes": {"bot": list(SCOPES)}, "token_management_enabled": False},
        "features": {
            "bot_user": {"display_name": name},
            "app_home": {"messages_tab_enabled": True, "messages_tab_read_only_enabled": True},
        },
        "settings": {"function_runtime": "slack", "org_deploy_enabled": True},
        "types": types,
        "datastores": datastores,
        "outgoing_domains": list(outgoing_domains),
    }


def _datastore(definition: Definition) -> dict[str, Any]:
    ttl = {} if definition.ttl is None else {"time_to_live_attribute": definition.ttl}
    attributes = {name: _use(attribute) for name, attribute in definition.attributes.items()}
    return {"primary_key": definition.key, **ttl, "attributes": attributes}


def _use(attribute: Attribute, *, typed: bool = False) -> dict[str, Any]:
    """An attribute where it is used: a reference when its type has a name."""
    out = {"type": CUSTOM + attribute.custom} if attribute.custom is not None else _shape(attribute, typed=typed)
    if attribute.description:
        out["description"] = attribute.description
    return out


def _shape(attribute: Attribute, *, typed: bool) -> dict[str, Any]:
    """`typed`: inside a custom type, where Slack takes `required` and `enum`; on attributes it does not."""
    out: dict[str, Any] = {"type": attribute.type}
    if attribute.items is not None:
        out["items"] = _use(attribute.items, typed=typed)
    if attribute.properties:
        out["properties"] = {name: _use(inner, typed=typed) for name, inner in attribute.properties.items()}
        required = [name for name, inner in attribute.properties.items() if inner.required]
        if typed and required:
            out["required"] = required
    if typed and attribute.values:
        out["enum"] = list(attribute.values)
    return out


def _looks_like_one(value: object) -> bool:
    return isinstance(value, Mapping) and "primary_key" in value and "attributes" in value
