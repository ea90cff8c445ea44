"""What Slack's hosted datastores cannot hold of a definition, said line by line.

Rules of this file: nothing is refused here and nothing is changed. A line says what Slack does instead. What Slack
takes without documenting it is in model/profiles.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from stateroom.model.schema.types import walk


def losses(definitions: Iterable[Definition]) -> list[str]:
    """One line for each thing that a manifest of these definitions leaves out, in their order."""
    return [f"{definition.name}{line}" for definition in definitions for line in _of_datastore(definition)]


def _of_datastore(definition: Definition) -> Iterator[str]:
    if definition.log:
        yield ": is a log; Slack holds items by key, and appends would replace each other"
    for index in definition.indexes:
        unique = ", and does not keep it unique" if index.unique else ""
        yield f": the index on {', '.join(index.attributes)} is left out; Slack reads every item for a query{unique}"
    if definition.lifecycle is not None:
        yield f".{definition.lifecycle.attribute}: the lifecycle is left out; on Slack any value follows any other"
    if definition.changes:
        yield ": changes are not recorded on Slack"
    if definition.keep_deleted is not None:
        yield ": what is deleted on Slack cannot be restored"
    if definition.version > 1:
        yield f": version {definition.version} is left out; Slack upgrades no items"
    required = [name for name, one in definition.attributes.items() if one.required and name != definition.key]
    if required:
        yield f": Slack requires only the primary key, not {', '.join(required)}"
    for path, attribute, named in walk(definition):
        yield from (f".{path}: {line}" for line in _of_attribute(attribute, named=named))


def _of_attribute(attribute: Attribute, *, named: bool) -> Iterator[str]:
    if attribute.encrypted:
        yield "is not encrypted on Slack"
    if attribute.personal:
        yield "is not marked as personal on Slack"
    if attribute.values and not named:
        yield "Slack takes any value; name a custom type to list those allowed"
    if not named and any(inner.required for inner in attribute.properties.values()):
        yield "Slack requires no property of it; name a custom type to have them required"
