"""What changes between two sets of definitions, and what Slack says to each change when the app is deployed.

Rules of this file: only what a manifest holds is compared: Slack sees nothing else. Where Slack's documents say what
happens, their words decide; where they are silent, a change that leaves stored items unlike the definition is breaking.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from stateroom.model.attributes import CUSTOM, Attribute
from stateroom.model.definition import Definition
from stateroom.model.schema.manifest import datastores_of, manifest_of

# The code that Slack's deploy fails with. Its `--force` goes on, and the data is gone.
REFUSED: Final = "schema_compatibility_error"
_FORCED: Final = f"Slack refuses the deploy with {REFUSED}; with --force it goes on and"


class Change(NamedTuple):
    """One change. `attribute`: its path (`tags[].label`), None for the datastore. `code`: Slack's, where it has one."""

    datastore: str
    attribute: str | None
    kind: str
    breaking: bool
    detail: str
    code: str | None = None

    @property
    def place(self) -> str:
        """Where, as errors say it."""
        return self.datastore if self.attribute is None else f"{self.datastore}.{self.attribute}"


def compare(old: Iterable[Definition], new: Iterable[Definition]) -> list[Change]:
    """Every change from `old` to `new`, in the order of `old`, then what is new. Empty: Slack sees no difference.

    InvalidDefinition for definitions that no manifest can hold.
    """
    before, after = ({one.name: one for one in datastores_of(manifest_of(given))} for given in (old, new))
    return [change for name in {**before, **after} for change in _datastore(name, before.get(name), after.get(name))]


def _datastore(name: str, old: Definition | None, new: Definition | None) -> Iterator[Change]:
    if new is None:
        yield Change(name, None, "datastore removed", True, f"{_FORCED} all its items are deleted", REFUSED)
        return
    if old is None:
        yield Change(name, None, "datastore added", False, "Slack takes it")
        return
    if old.key != new.key:
        detail = (
            f"the primary key was {old.key}: deploy with --force, or remove the datastore, deploy, and add it again; "
            "its items are gone either way"
        )
        yield Change(name, new.key, "primary key changed", True, detail)
    yield from _ttl(name, old.ttl, new.ttl)
    yield from _attributes(name, old.attributes, new.attributes)


def _ttl(name: str, old: str | None, new: str | None) -> Iterator[Change]:
    if old == new:
        return
    if old is None:
        detail = "Slack deletes items whose time is over, those of today as well, within about 48 hours"
        yield Change(name, new, "ttl added", False, detail)
    elif new is None:
        yield Change(name, old, "ttl removed", False, "from then on no item ends by itself")
    else:
        detail = f"it was {old}: deploy without a ttl, wait an hour, then deploy with the new one"
        yield Change(name, new, "ttl changed", True, detail)


def _attributes(
    name: str, old: Mapping[str, Attribute], new: Mapping[str, Attribute], path: str = ""
) -> Iterator[Change]:
    """Of a datastore, or below `path` of an object's properties."""
    what = "property" if path else "attribute"
    for one in {**old, **new}:
        where = f"{path}{one}"
        if one not in new:
            said = "Slack documents nothing for what is inside" if path else f"{_FORCED} its values may be lost"
            yield Change(name, where, f"{what} removed", True, said, None if path else REFUSED)
        elif one not in old:
            yield from _added(name, where, what, new[one], inside=bool(path))
        else:
            yield from _attribute(name, where, old[one], new[one], inside=bool(path))


def _added(name: str, where: str, what: str, new: Attribute, *, inside: bool) -> Iterator[Change]:
    if inside and new.required:
        yield Change(name, where, f"required {what} added", True, "stored items lack it; let it be absent")
    else:
        yield Change(name, where, f"{what} added", False, "Slack takes it; stored items lack it")


def _attribute(name: str, where: str, old: Attribute, new: Attribute, *, inside: bool) -> Iterator[Change]:
    if _kind(old) != _kind(new):
        detail = f"it was {_kind(old)}, now {_kind(new)}; stored items keep the old values, and Slack documents nothing"
        yield Change(name, where, "type changed", True, detail)
        return
    if old.items != new.items:
        yield from _items(name, where, old.items, new.items)
    if old.type == "object" and new.properties and not old.properties:
        said = "its properties are declared now, stored items may hold others; Slack documents nothing"
        yield Change(name, where, "type changed", True, said)
    else:
        yield from _attributes(name, old.properties, new.properties, f"{where}.")
    if inside and new.required and not old.required:
        yield Change(name, where, "property required", True, "stored items may lack it; let it be absent")
    if new.values and (not old.values or set(old.values) - set(new.values)):
        yield Change(name, where, "values removed", True, "stored items may hold others than those allowed now")
    elif old.values != new.values:
        yield Change(name, where, "values added", False, "Slack takes them")


def _items(name: str, where: str, old: Attribute | None, new: Attribute | None) -> Iterator[Change]:
    if old is None or new is None:
        said = ("items are typed now", "items were typed")[new is None]
        yield Change(name, where, "type changed", new is not None, f"{said}; Slack documents nothing")
    else:
        yield from _attribute(name, f"{where}[]", old, new, inside=False)


def _kind(attribute: Attribute) -> str:
    return attribute.type if attribute.custom is None else f"{CUSTOM}{attribute.custom} ({attribute.type})"
