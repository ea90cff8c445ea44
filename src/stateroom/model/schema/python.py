"""A Python module of `sr.Datastore` classes that defines the same datastores.

Rules of this file: importing what is written gives equal definitions. An attribute whose name cannot be a field's gets
a field beside it and its own name as alias. What a class cannot say is refused by name, never left out.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from typing import Final

from stateroom.model.attributes import SLACK, Attribute
from stateroom.model.definition import RESERVED_PREFIX, Definition, Index
from stateroom.model.errors import InvalidDefinition
from stateroom.model.lifecycle import Lifecycle
from stateroom.model.schema.names import Names, capitals, text
from stateroom.model.schema.types import custom_types

_IMPORTS: Final = {
    "date": "from datetime import date",
    "Decimal": "from decimal import Decimal",
    "Annotated": "from typing import Annotated",
    "Any": "from typing import Any",
    "Literal": "from typing import Literal",
    "BaseModel": "from pydantic import BaseModel",
    "Field": "from pydantic import Field",
    "SecretStr": "from pydantic import SecretStr",
}
_PLAIN: Final = {
    "string": "str",
    "boolean": "bool",
    "integer": "int",
    "number": "Decimal",
    "object": "dict[str, Any]",
    f"{SLACK}date": "date",
}
_BUILTINS: Final = ("str", "bool", "int", "dict", "list", "None")
_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def write(definitions: Iterable[Definition]) -> str:
    """The module's text. InvalidDefinition names what no class can say."""
    return _Module(list(definitions)).text()


class _Module:
    """Writes one module. `names` are those at its top level."""

    def __init__(self, definitions: list[Definition]) -> None:
        from stateroom.model.datastore import Datastore

        self.names = Names("sr", *_IMPORTS, *_BUILTINS, *keyword.kwlist)
        # pydantic's, and its metaclass's, which a field must not hide
        self.own = frozenset((*dir(Datastore), *dir(type(Datastore))))
        self.types = {name: self.names.free(capitals(name, "Custom")) for name in custom_types(definitions)}
        self.classes = [(one, self.names.free(capitals(one.name, "Items"))) for one in definitions]
        self.parts: list[str] = []
        for name, shape in custom_types(definitions).items():
            self.custom(name, shape)
        for definition, title in self.classes:
            self.datastore(definition, title)

    def text(self) -> str:
        """Imports, sorted as import sorters do, and the parts."""
        body = "\n\n".join(self.parts)
        used = {name for name in _IMPORTS if re.search(rf"\b{name}\b", _without_strings(body))}
        imports = _imported(used)
        return f'"""Datastores, made by `stateroom datastore schema --format python`."""\n\n{imports}\n\n{body}'

    def custom(self, name: str, shape: Attribute) -> None:
        """A class for an object, else a name for the annotation."""
        title = self.types[name]
        if shape.properties:
            self.model(name, title, shape.properties)
        else:
            annotation = self.plain(name, title, shape)
            self.parts.append(f"{title} = Annotated[{annotation}, sr.custom({text(name)})]\n")

    def model(self, place: str, title: str, properties: Mapping[str, Attribute]) -> None:
        """A pydantic model of an object's properties."""
        fields = self.fields(place, title, properties, {})
        self.parts.append(f"class {title}(BaseModel):\n{''.join(fields)}")

    def datastore(self, definition: Definition, title: str) -> None:
        """The class of one datastore."""
        _check(definition)
        calls = {definition.key: "sr.key", **({} if definition.ttl is None else {definition.ttl: "sr.ttl"})}
        lines = self.fields(definition.name, title, definition.attributes, calls)
        if definition.version > 1:
            lines.insert(
                0, "    # Versions need steps: a static method each, marked with @sr.upgrade(from_version=...).\n"
            )
        if definition.indexes:
            lines.append(f"    __indexes__ = [{', '.join(map(_index, definition.indexes))}]\n")
        if definition.lifecycle is not None:
            lines.append(f"    __lifecycle__ = {_lifecycle(definition.lifecycle)}\n")
        self.parts.append(f"class {title}(sr.Datastore, {_options(definition)}):\n{''.join(lines)}")

    def fields(
        self, place: str, title: str, attributes: Mapping[str, Attribute], calls: Mapping[str, str]
    ) -> list[str]:
        """One line for each attribute; `calls`: what marks those that are more than plain ones."""
        annotations = {
            name: self.annotation(f"{place}.{name}", title + capitals(name, "Part"), one)
            for name, one in attributes.items()
        }
        chosen = self.field_names(attributes)  # now that all classes have names, which a field must not hide
        lines = []
        for name, one in attributes.items():
            annotation = "SecretStr" if _is_secret(one) else annotations[name]
            absent = "" if one.required else " | None"
            value = _value(calls.get(name), one, alias=None if chosen[name] == name else name)
            lines.append(f"    {chosen[name]}: {annotation}{absent}{value}\n")
        return lines

    def field_names(self, attributes: Mapping[str, Attribute]) -> dict[str, str]:
        """Attribute to field: the same where Python and pydantic let it."""
        taken = Names(*self.own, *_BUILTINS, *_IMPORTS, "sr", *self.types.values(), *(t for _, t in self.classes))
        fine = {name for name in attributes if self.can_be_field(name)}
        for name in fine:
            taken.free(name)
        return {name: name if name in fine else taken.free(_field(name)) for name in attributes}

    def can_be_field(self, name: str) -> bool:
        """Whether a class can have a field of that name that means what it says."""
        top = name in self.names
        return _FIELD.fullmatch(name) is not None and not (top or keyword.iskeyword(name) or name in self.own)

    def annotation(self, place: str, title: str, attribute: Attribute) -> str:
        """The annotation of an attribute; `title`: the class's name if it needs one."""
        if attribute.custom is None:
            return self.plain(place, title, attribute)
        name = self.types[attribute.custom]
        return f"Annotated[{name}, sr.custom({text(attribute.custom)})]" if attribute.properties else name

    def plain(self, place: str, title: str, attribute: Attribute) -> str:
        """An annotation without the name of a custom type."""
        if attribute.values:
            return f"Literal[{', '.join(map(_literal, _listed(place, attribute)))}]"
        if attribute.type == "array":
            return "list[Any]" if attribute.items is None else f"list[{self.item(place, title, attribute.items)}]"
        if attribute.properties:
            name = self.names.free(title)
            self.model(place, name, attribute.properties)
            return name
        if attribute.type in _PLAIN:
            return _PLAIN[attribute.type]
        return "sr." + capitals(attribute.type.removeprefix(SLACK), "")

    def item(self, place: str, title: str, item: Attribute) -> str:
        """The annotation of an array's items, with what is said of them."""
        annotation = self.annotation(f"{place}[]", title + "Item", item)
        said = f"description={text(item.description)}" if item.description is not None else ""
        if item.personal:
            return f"Annotated[{annotation}, sr.personal({said})]"
        return f"Annotated[{annotation}, Field({said})]" if said else annotation


def _check(definition: Definition) -> None:
    if definition.name.startswith(RESERVED_PREFIX):
        raise InvalidDefinition(definition.name, None, f"names that begin with {RESERVED_PREFIX} are Stateroom's own")
    said = {"log": definition.log, "expires": definition.expires, "on_erase": definition.on_erase != "delete"}
    for what, on in said.items():
        if on:
            raise InvalidDefinition(definition.name, None, f"has {what}, which a class cannot say; take --format json")


def _value(call: str | None, one: Attribute, *, alias: str | None) -> str:
    """What stands behind the annotation: nothing, `= None`, or a call with the default and what else is said."""
    said = {"alias": alias, "description": one.description}
    words = [f"{name}={text(value)}" for name, value in said.items() if value is not None]
    if call is not None:
        default = {("sr.key", False): ["None"], ("sr.ttl", True): ["..."]}.get((call, one.required), [])
        marks = ['json_schema_extra={"sr_personal": True}'] if one.personal else []
        return f" = {call}({', '.join([*default, *words, *marks])})"
    if one.encrypted:
        default = ["..."] if one.required else []
        return f" = sr.encrypted({', '.join([*default, *(['personal=True'] if one.personal else []), *words])})"
    default = [] if one.required else ["None"]
    if one.personal:
        return f" = sr.personal({', '.join([*default, *words])})"
    if words:
        return f" = Field({', '.join([*default, *words])})"
    return "".join(f" = {value}" for value in default)


def _options(definition: Definition) -> str:
    out = [f"name={text(definition.name)}"]
    out += [f"version={definition.version}"] if definition.version > 1 else []
    out += ["changes=True"] if definition.changes else []
    out += [] if definition.keep_deleted is None else [f"keep_deleted={definition.keep_deleted}"]
    out += [f"on_erase={text(definition.on_erase)}"] if definition.on_erase != "delete" else []
    out += [f"profile={text(definition.profile)}"] if definition.profile != "open" else []
    return ", ".join(out)


def _index(index: Index) -> str:
    flags = {"unique": index.unique, "across_teams": index.across_teams, "current": index.current}
    said = [*map(text, index.attributes), *(f"{name}=True" for name, on in flags.items() if on)]
    return f"sr.Index({', '.join(said)})"


def _lifecycle(cycle: Lifecycle) -> str:
    begins = [] if cycle.initial is None else [f"initial={_texts(cycle.initial)}"]
    ways = ", ".join(f"{text(state)}: {_texts(following)}" for state, following in cycle.transitions.items())
    return f"sr.Lifecycle({', '.join([text(cycle.attribute), *begins])}, transitions={{{ways}}})"


def _texts(values: Iterable[str]) -> str:
    return f"[{', '.join(map(text, values))}]"


def _listed(place: str, attribute: Attribute) -> tuple[str | int, ...]:
    """The values, where a Literal says the type as well."""
    if attribute.type not in ("string", "integer"):
        datastore, _, path = place.partition(".")
        raise InvalidDefinition(datastore, path or None, f"lists values of type {attribute.type}, which no Literal has")
    return attribute.values


def _literal(value: str | int) -> str:
    return text(value) if isinstance(value, str) else str(value)


def _is_secret(attribute: Attribute) -> bool:
    """A sealed string is one that should not be printed, either."""
    return attribute.encrypted and attribute.type == "string" and not attribute.values and attribute.custom is None


def _field(name: str) -> str:
    """A field's name as near to an attribute's as Python lets it."""
    made = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")
    if not made or not made[0].isalpha():
        made = f"field_{made}"
    return made.rstrip("_") + "_"


def _without_strings(body: str) -> str:
    return re.sub(r'"(?:[^"\\]|\\.)*"', '""', body)


def _imported(used: set[str]) -> str:
    by_module: dict[str, list[str]] = {}
    for name in sorted(used):
        module = _IMPORTS[name].split()[1]
        by_module.setdefault(module, []).append(name)
    lines = {module: f"from {module} import {', '.join(names)}\n" for module, names in by_module.items()}
    python = [lines[module] for module in ("datetime", "decimal", "typing") if module in lines]
    others = [lines["pydantic"], "\n"] if "pydantic" in lines else []
    return "".join([*python, *(["\n"] if python else []), *others, "import stateroom as sr\n"])
