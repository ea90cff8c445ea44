"""The pydantic face of a definition: `class Ticket(sr.Datastore, name="tickets")`.

Rules of this file: the class is read once, when it is made, and what cannot be kept is refused there, naming the
attribute. Nothing else of Stateroom imports this file, so pydantic loads only for those who use it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.fields import Field

from stateroom.model.annotations import Reader, is_marked
from stateroom.model.definition import RESERVED_PREFIX, TRASH_PREFIX, Definition, Index, Profile
from stateroom.model.errors import InvalidDefinition
from stateroom.model.lifecycle import Lifecycle
from stateroom.model.records import Records
from stateroom.model.upgrades import Step


def key(default: Any = ..., **field: Any) -> Any:
    """Marks the primary key. Takes pydantic's Field arguments, too, such as `default_factory` and `description`."""
    return _marked(default, field, sr_key=True)


def ttl(default: Any = None, **field: Any) -> Any:
    """Marks the attribute whose time (whole seconds since 1970) ends the item; from then on it is absent."""
    return _marked(default, field, sr_ttl=True)


def encrypted(default: Any = None, *, personal: bool = False, **field: Any) -> Any:
    """Marks an attribute that is sealed before it reaches an engine (docs/keys.md); its value is not in a repr."""
    return _marked(default, field, sr_encrypted=True, sr_personal=personal)


def personal(default: Any = ..., *, encrypted: bool = False, **field: Any) -> Any:
    """Marks an attribute that holds a person's id or words, for `erase`; also inside of nested models."""
    return _marked(default, field, sr_personal=True, sr_encrypted=encrypted)


def _marked(default: Any, field: dict[str, Any], **marks: bool) -> Any:
    extra = {**(field.pop("json_schema_extra", None) or {}), **{n: True for n, given in marks.items() if given}}
    if marks.get("sr_encrypted"):
        field.setdefault("repr", False)
    if default is not ... and "default_factory" not in field:
        field["default"] = default
    return Field(json_schema_extra=extra, **field)


class _Upgrade(staticmethod):  # type: ignore[type-arg]  # pydantic lets static methods stand between fields
    """A step in the body of a class, with the version that it upgrades from."""

    from_version: int = 0


def upgrade(*, from_version: int) -> Callable[[Any], Any]:
    """Marks a static method as the pure step from items of `from_version` to the next one: `(dict) -> dict`.

    The step gets the item as stored, by attribute, and returns the whole new item with the same key.
    """

    def mark(function: Any) -> Any:
        step = _Upgrade(function.__func__ if isinstance(function, staticmethod) else function)
        step.from_version = from_version
        return step

    return mark


class Datastore(BaseModel):
    """Base of your datastores: `class Ticket(sr.Datastore, name="tickets")`; docs/definitions.md has every option.

    Class arguments: `name`, `version=1`, `changes=False`, `keep_deleted=None` (seconds), `on_erase="delete"` or
    "clear", `profile="open"` or "slack".
    `__indexes__` lists `sr.Index(...)`, `__lifecycle__` is an `sr.Lifecycle(...)`, `@sr.upgrade` marks upgrade steps.
    """

    # Arbitrary types pass pydantic so that they are refused here, by attribute.
    model_config = ConfigDict(
        extra="forbid", populate_by_name=True, protected_namespaces=(), arbitrary_types_allowed=True
    )

    __definition__: ClassVar[Definition]
    __indexes__: ClassVar[list[Index]] = []
    __lifecycle__: ClassVar[Lifecycle | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Takes the class arguments; they are read once pydantic knows the fields."""
        super().__init_subclass__()

    @classmethod
    def __pydantic_init_subclass__(
        cls,
        *,
        name: str = "",
        version: int = 1,
        changes: bool = False,
        keep_deleted: int | None = None,
        on_erase: Literal["delete", "clear"] = "delete",
        profile: Profile = "open",
        **kwargs: Any,
    ) -> None:
        super().__pydantic_init_subclass__()
        if kwargs:  # pydantic has taken its own; a misspelt option would be lost in silence
            known = "name, version, changes, keep_deleted, on_erase, profile"
            raise InvalidDefinition(name or cls.__name__, None, f"there is no option {min(kwargs)}; there are {known}")
        if not name:
            raise InvalidDefinition(cls.__name__, None, 'give the datastore a name: class X(sr.Datastore, name="x")')
        for prefix in (RESERVED_PREFIX, TRASH_PREFIX):
            if name.startswith(prefix):
                raise InvalidDefinition(name, None, f"names that begin with {prefix} are Stateroom's own")
        options = {
            "version": version,
            "changes": changes,
            "keep_deleted": keep_deleted,
            "on_erase": on_erase,
            "profile": profile,
        }
        cls.__definition__ = _define(cls, name, options)


def definition_of(cls: type[Datastore] | Definition) -> Definition:
    """The definition of a class, or the definition itself."""
    return cls if isinstance(cls, Definition) else cls.__definition__


def _define(cls: type[Datastore], name: str, options: dict[str, Any]) -> Definition:
    reader = Reader(name, cls)
    names = {field: reader.name_of("", cls, field, info) for field, info in cls.model_fields.items()}
    attributes = {names[field]: reader.field(names[field], info) for field, info in cls.model_fields.items()}
    if len(attributes) < len(names):
        twice = next(n for n in names.values() if list(names.values()).count(n) > 1)
        raise InvalidDefinition(name, twice, "is the name of two attributes")
    keys, ttls = _marks(cls, names, "sr_key"), _marks(cls, names, "sr_ttl")
    if len(keys) != 1:
        raise InvalidDefinition(name, None, f"mark exactly one attribute with sr.key(), not {len(keys)}")
    if len(ttls) > 1:
        raise InvalidDefinition(name, ttls[1], "a datastore has one ttl attribute")
    _check_forms(cls, name)
    _check_beginning(cls, name, names)
    return Definition(
        name=name,
        key=keys[0],
        attributes=attributes,
        ttl=ttls[0] if ttls else None,
        indexes=tuple(cls.__indexes__),
        lifecycle=cls.__lifecycle__,
        upgrades=_steps(cls, name, options["version"]),
        model=Records(cls, name, names),
        **options,
    )


def _marks(cls: type[Datastore], names: Mapping[str, str], mark: str) -> list[str]:
    return [names[field] for field, info in cls.model_fields.items() if is_marked(info, mark)]


def _check_forms(cls: type[Datastore], name: str) -> None:
    """What stands in the class under the names that are not attributes."""
    indexes, lifecycle = cls.__indexes__, cls.__lifecycle__
    if not isinstance(indexes, (list, tuple)) or not all(isinstance(one, Index) for one in indexes):
        raise InvalidDefinition(name, None, '__indexes__ is a list: [sr.Index("attribute", ...), ...]')
    if lifecycle is not None and not isinstance(lifecycle, Lifecycle):
        raise InvalidDefinition(name, None, '__lifecycle__ is sr.Lifecycle("attribute", state=["next", ...], ...)')


def _check_beginning(cls: type[Datastore], name: str, names: Mapping[str, str]) -> None:
    """A default must be a state in which an item may begin."""
    lifecycle = cls.__lifecycle__
    if lifecycle is None:
        return
    for field, info in cls.model_fields.items():
        default = getattr(info.default, "value", info.default)
        if names[field] == lifecycle.attribute and isinstance(default, str) and not lifecycle.may_begin(default):
            raise InvalidDefinition(name, names[field], f"its default {default!r} is no state to begin in")


def _steps(cls: type[Datastore], name: str, version: int) -> dict[int, Step]:
    """The upgrade steps of the class, and those it inherits and needs."""
    found: dict[int, Step] = {}
    for base in reversed(cls.__mro__):
        own: dict[int, Step] = {}
        for given in vars(base).values():
            step = given.__func__ if isinstance(given, staticmethod) and not isinstance(given, _Upgrade) else given
            if isinstance(step, _Upgrade):
                if step.from_version in own:
                    raise InvalidDefinition(name, None, f"has two upgrade steps from version {step.from_version}")
                own[step.from_version] = step.__func__
        found.update((n, step) for n, step in own.items() if base is cls or n < version)
    return found
