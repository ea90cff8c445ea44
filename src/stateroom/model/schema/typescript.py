"""A TypeScript module for Slack's Deno SDK that defines the same datastores, types and manifest.

Rules of this file: it is written from the manifest (model/schema/manifest.py), so both say the same. Every name of
yours is a string in there, escaped; identifiers are made (model/schema/names.py). A custom type is a constant that
comes before its uses, and all of them are listed in the manifest: the SDK finds only those that are an attribute's own
type, not those of its items.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from stateroom.model.attributes import CUSTOM, SLACK
from stateroom.model.definition import Definition
from stateroom.model.errors import InvalidDefinition
from stateroom.model.schema.manifest import APP, DESCRIPTION, manifest_of
from stateroom.model.schema.names import Names, capitals, text

ICON: Final = "assets/default_new_app_icon.png"  # where Slack's own templates have it
WIDTH: Final = 80
_HEAD: Final = """\
// Made by `stateroom datastore schema --format ts`.
import { DefineDatastore, DefineType, Manifest, Schema } from "deno-slack-sdk/mod.ts";
"""
_MODULE_HEAD: Final = """\
// Made by `stateroom design build`.
import { DefineDatastore, Schema } from "deno-slack-sdk/mod.ts";
"""
_PLAIN: Final = frozenset({"string", "boolean", "integer", "number", "object", "array"})
# Those that the SDK has a name for; the others are written as they are.
_NAMED: Final = frozenset(
    f"{SLACK}{name}"
    for name in (
        *("canvas_id", "canvas_template_id", "channel_id", "date", "expanded_rich_text", "file_id", "message_ts"),
        *("rich_text", "salesforce_record_id", "team_id", "timestamp", "user_id", "usergroup_id"),
    )
)
# The SDK keeps both by name in a JavaScript object, where these are there from the start.
_THERE: Final = frozenset(
    {
        *("constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString"),
        *("valueOf", "__proto__", "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__"),
    }
)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


def write(definitions: Iterable[Definition], *, name: str = APP, description: str = DESCRIPTION) -> str:
    """The module's text. What Slack cannot hold is left out: model/schema/losses.py says what.

    InvalidDefinition for names that the SDK cannot keep, and for what no manifest can hold.
    """
    manifest = manifest_of(definitions, name=name, description=description)
    types, datastores = manifest["types"], manifest["datastores"]
    _check(types, datastores)
    names = Names("DefineDatastore", "DefineType", "Manifest", "Schema")
    constants = {custom: names.free(capitals(custom, "Custom") + "Type") for custom in types}
    stores = {store: names.free(capitals(store, "Some") + "Datastore") for store in datastores}
    parts = [_HEAD]
    for custom, shape in types.items():
        parts.append(_constant(constants[custom], "DefineType", {"name": custom, **shape}, constants))
    for store, shape in datastores.items():
        parts.append(_constant(stores[store], "DefineDatastore", {"name": store, **shape}, constants))
    parts.append(
        "export default Manifest({\n"
        f"  name: {text(name)},\n"
        f"  description: {text(description)},\n"
        f"  icon: {text(ICON)},\n"
        f"  types: [{', '.join(constants.values())}],\n"
        f"  datastores: [{', '.join(stores.values())}],\n"
        f"  outgoingDomains: [],\n"
        f"  botScopes: [{', '.join(map(text, manifest['oauth_config']['scopes']['bot']))}],\n"
        "});\n"
    )
    return "\n".join(parts)


def module(definition: Definition, constant: str) -> str:
    """One datastore in a file of its own, exported as `constant`; InvalidDefinition, for custom types as well."""
    manifest = manifest_of([definition])
    if manifest["types"]:
        raise InvalidDefinition(definition.name, None, "has custom types, which one file cannot share with others")
    _check({}, manifest["datastores"])
    shape = {"name": definition.name, **manifest["datastores"][definition.name]}
    return f"{_MODULE_HEAD}\n{_constant(constant, 'DefineDatastore', shape, {})}"


def _check(types: Mapping[str, Any], datastores: Mapping[str, Any]) -> None:
    for kind, names in (("custom type", types), ("datastore", datastores)):
        for name in names:
            if name in _THERE:
                raise InvalidDefinition(name, None, f"Slack's SDK cannot have a {kind} of this name; rename it")
    for name in types:
        if "#/" in name or name.startswith(SLACK):
            raise InvalidDefinition(name, None, "Slack's SDK takes a custom type of this name for another; rename it")


def _constant(constant: str, call: str, value: Mapping[str, Any], constants: Mapping[str, str]) -> str:
    return f"export const {constant} = {call}({_value(value, constants, '')});\n"


def _value(value: Any, constants: Mapping[str, str], indent: str) -> str:
    """A value of the manifest as TypeScript; an object without objects in it stands on one line, if it fits there."""
    if isinstance(value, Mapping):
        inner = indent + "  "
        pairs = [
            f"{_key(key)}: {_type(one, constants) if _is_type(key, value) else _value(one, constants, inner)}"
            for key, one in value.items()
        ]
        line = f"{{ {', '.join(pairs)} }}" if pairs else "{}"
        if len(indent) + len(line) < WIDTH and not any(isinstance(one, Mapping) for one in value.values()):
            return line
        return "{\n" + "".join(f"{inner}{pair},\n" for pair in pairs) + indent + "}"
    if isinstance(value, list):
        return f"[{', '.join(_value(one, constants, indent) for one in value)}]"
    return text(value) if isinstance(value, str) else json.dumps(value)


def _is_type(key: str, holder: Mapping[str, Any]) -> bool:
    """Whether this entry names a type: in a map of attributes, `type` may be the name of one of them."""
    return key == "type" and isinstance(holder[key], str)


def _type(kind: str, constants: Mapping[str, str]) -> str:
    if kind.startswith(CUSTOM):
        return constants[kind.removeprefix(CUSTOM)]
    if kind in _PLAIN:
        return f"Schema.types.{kind}"
    return f"Schema.slack.types.{kind.removeprefix(SLACK)}" if kind in _NAMED else text(kind)


def _key(key: str) -> str:
    if key == "__proto__":  # written plainly, it would set the object's prototype
        return '["__proto__"]'
    return key if _IDENTIFIER.fullmatch(key) else text(key)
