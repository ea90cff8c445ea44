"""How commands find your datastores: in modules (`--definitions`, STATEROOM_DEFINITIONS) or in a `--manifest`.

Rules of this file: a module is imported as `python -m` would, from the current folder first. Whatever goes wrong in
there is one line that names the module; an error that only its author can read keeps its traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from typing import Any, Final, TypeVar

import click

from stateroom.cli.output import note, printable
from stateroom.cli.settings import Settings
from stateroom.model.definition import RESERVED_PREFIX, Definition
from stateroom.model.errors import InvalidDefinition, StateroomError, WrongUse

F = TypeVar("F", bound=Callable[..., Any])

# What a module with a mistake in it raises when it is imported; everything else is not ours to shorten.
_BROKEN: Final = (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError, LookupError, OSError)
_HOW: Final = "give --definitions pkg.module, or set STATEROOM_DEFINITIONS"
_OR: Final = "or --manifest FILE"

definitions_option: Callable[[F], F] = click.option(
    "--definitions",
    metavar="MODULES",
    help="Modules with your datastores, separated by commas. Default: $STATEROOM_DEFINITIONS.",
)


manifest_option: Callable[[F], F] = click.option(
    "--manifest",
    metavar="FILE",
    help="A Slack manifest as JSON, as get-manifest prints it, or our own JSON, instead of modules; -: stdin.",
)


def chosen(found: Settings, manifest: str | None = None, *, needed: bool = True) -> tuple[Definition, ...]:
    """The definitions that the options or settings name, in their order; WrongUse when there are none.

    `found` comes from `settings.load(definitions=…)`, which takes that option; `manifest` is the other one and goes
    before. `needed=False`: none is an answer, too.
    """
    if manifest is not None:
        return from_file(manifest)
    if not found.definitions and needed:
        raise WrongUse(f"which datastores? {_HOW}, {_OR}")
    return from_modules(found.definitions)


MANIFEST_KEYS: Final = frozenset({"_metadata", "datastores", "display_information", "manifest", "settings"})


def from_file(name: str, *, needed: bool = True) -> tuple[Definition, ...]:
    """All definitions of a manifest or of a document of our own; what is not kept of it is noted on stderr.

    WrongUse when it cannot be read, and when it has none, unless `needed=False`.
    """
    from stateroom.model.schema import document, manifest
    from stateroom.model.schema.manifest_read import Reading

    value = _json_of(name)
    try:
        reading = Reading(document.read(value)) if document.is_one(value) else manifest.read(value)
    except RecursionError:
        raise WrongUse(f"{name} is nested too deeply to be a manifest") from None
    except InvalidDefinition as error:  # exit 1 is an answer of a comparison, not of a file that cannot be read
        raise WrongUse(f"{name}: {error}") from None
    for line in reading.notes:
        note(f"stateroom: {printable(line)}")
    definitions = reading.definitions
    if not definitions and (needed or not value.keys() & MANIFEST_KEYS):
        raise WrongUse(f"{name} has no datastores" if needed else f"{name} is neither a manifest nor our own JSON")
    return tuple(definitions)


def _json_of(name: str) -> dict[str, Any]:
    import msgspec

    try:
        with click.open_file(name, "rb") as file:
            value = msgspec.json.decode(file.read())
    except OSError as error:
        raise WrongUse(f"{name} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise WrongUse(f"{name} is not JSON; give what the project's get-manifest hook prints") from None
    if not isinstance(value, dict):
        raise WrongUse(f"{name} is no manifest: it is not a JSON object")
    return value


def from_modules(names: Sequence[str]) -> tuple[Definition, ...]:
    """All definitions in these modules: classes, `Definition` values, and lists or tuples of them.

    What a module imports from another of yours counts; Stateroom's own (`sr_…`) do not. WrongUse names the module.
    """
    everything: dict[str, tuple[str, Definition]] = {}
    for name in names:
        here = list(definitions_in(vars(_imported(name)).values()))
        if not here:
            raise WrongUse(f"{name} has no datastores; write class X(stateroom.Datastore, name=…) in it")
        for definition in here:
            there, other = everything.setdefault(definition.name, (name, definition))
            if other is not definition:
                raise WrongUse(f"{definition.name} is defined twice, in {there} and in {name}; rename one")
    return tuple(definition for _, definition in everything.values())


def definitions_in(values: Iterable[object]) -> Iterator[Definition]:
    """The definitions among the values of a module."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from definitions_in(value)
            continue
        definition = value if isinstance(value, Definition) else getattr(value, "__definition__", None)
        if isinstance(definition, Definition) and not definition.name.startswith(RESERVED_PREFIX):
            yield definition


def _imported(name: str) -> object:
    folder = os.getcwd()
    if folder not in sys.path:  # a console script's path begins with the folder of the script
        sys.path.insert(0, folder)
    try:
        return import_module(name)
    except StateroomError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise WrongUse(f"there is no module {name} here; {_HOW}") from None
        raise WrongUse(f"{name} imports {error.name}, which is not installed") from None
    except _BROKEN as error:
        raise WrongUse(f"{name} cannot be imported: {type(error).__name__}: {error}") from None
