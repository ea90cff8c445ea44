"""What a datastore command is asked: the Slack CLI's JSON argument, plain words, and flags, which are equals.

Rules of this file: three ways in, one request out. `'{"datastore":"tickets","id":"T-1"}'`, `tickets T-1` and
`--datastore tickets --id T-1` are the same; what is said twice must agree. Numbers keep every digit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click
import msgspec

from stateroom.cli.definitions import definitions_option, manifest_option
from stateroom.cli.output import json_option, store_option
from stateroom.model.codec import exact
from stateroom.model.errors import WrongUse

F = TypeVar("F", bound=Callable[..., Any])
Request = dict[str, Any]

# What may stand in the JSON argument, and its shape. `app` and `app_id` mean something to Slack alone.
_SHAPES: Final[Mapping[str, tuple[type, str]]] = {
    "datastore": (str, "a string"),
    "team": (str, "a string"),
    "id": (str, "a string"),
    "ids": (list, "an array of strings"),
    "item": (dict, "an object"),
    "items": (list, "an array of objects"),
    "expression": (str, "a string"),
    "expression_attributes": (dict, "an object"),
    "expression_values": (dict, "an object"),
    "limit": (int, "a whole number of 1 or more"),
    "cursor": (str, "a string"),
}
_INNER: Final[Mapping[str, type]] = {"ids": str, "items": dict}
_SLACK_S_OWN: Final = ("app", "app_id")
FILTER: Final = ("expression", "expression_attributes", "expression_values")
# Flags whose name is not that of the key.
_FLAGS: Final = {"ids": "id", "items": "item", "expression_attributes": "names", "expression_values": "values"}

_decoder: Final = msgspec.json.Decoder(float_hook=exact)


def words(metavar: str) -> Callable[[F], F]:
    """The words of a command: `'{…}'`, or what `metavar` says."""
    return click.argument("words", nargs=-1, metavar=f"['{{JSON}}' | {metavar}]")


def common(command: F) -> F:
    """The options that every datastore command has."""
    for option in reversed(
        (
            click.option("--datastore", metavar="NAME", help="The datastore."),
            click.option("--team", metavar="T", help="The workspace. Default: the only one that has items there."),
            definitions_option,
            manifest_option,
            click.option("--show-secrets", is_flag=True, help="Show encrypted attributes in plain; else sealed."),
            json_option,
            store_option,
        )
    ):
        command = option(command)
    return command


def filtered(command: F) -> F:
    """The options that choose items."""
    for option in reversed(
        (
            click.option("--where", metavar="TEXT", help="Only items for which this holds: \"status = 'open'\"."),
            click.option("--expression", metavar="TEXT", help="The same in Slack's syntax, with --names and --values."),
            click.option(
                "--names", metavar="JSON", callback=item_flag, help='For Slack\'s syntax: {"#name": "attribute"}.'
            ),
            click.option("--values", metavar="JSON", callback=item_flag, help='For Slack\'s syntax: {":value": …}.'),
        )
    ):
        command = option(command)
    return command


def request(given: Sequence[str], takes: Sequence[str], **flags: Any) -> Request:
    """What is asked, by the keys of the Slack CLI's JSON argument. `takes`: the keys this command knows besides
    `datastore` and `team`; the words behind the datastore's name are the first of them. WrongUse when it is unclear.
    """
    known = ("datastore", "team", *takes)
    named = flags.get("datastore")
    if named and given and given[0] != named and not _is_json(given[0]):
        given = (named, *given)  # the words are what stands behind the name
    said = _from_words(given, known)
    for key, value in flags.items():
        if value is None or value == ():
            continue
        if key in said and said[key] != value:
            raise WrongUse(f"--{_FLAGS.get(key, key)} and the argument differ; say it once")
        said[key] = value
    for key, value in said.items():
        _check(key, value)
    if not said.get("datastore"):
        raise WrongUse('which datastore? Give its name, --datastore, or {"datastore": …}')
    return said


def needed(asked: Request, key: str, how: str) -> Any:
    """What a command cannot do without."""
    if key not in asked:
        raise WrongUse(f"{how} is missing; give it in words, as --{_FLAGS.get(key, key)}, or as JSON")
    return asked[key]


def json_of(text: str | bytes, what: str) -> Any:
    """A value in JSON, `-` for what is on stdin; WrongUse names what it is for."""
    try:
        return _decoder.decode(sys.stdin.buffer.read() if text == "-" else text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise WrongUse(f"{what} is not JSON: {error}") from None


def item_flag(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """A flag that is written in JSON."""
    if value is None or value == ():
        return None
    name = str(parameter.opts[0])
    return [json_of(one, name) for one in value] if isinstance(value, tuple) else json_of(value, name)


def _from_words(given: Sequence[str], known: Sequence[str]) -> Request:
    if not given:
        return {}
    if _is_json(given[0]):
        if len(given) > 1:
            raise WrongUse("nothing follows the JSON argument; flags may")
        return _from_json(given[0], known)
    said: Request = {"datastore": given[0]}
    key = known[2] if len(known) > 2 and known[2] in ("id", "ids", "item", "items") else None
    rest: list[Any] = list(given[1:])
    if not rest:
        return said
    if key is None or (key in ("id", "item") and len(rest) > 1):
        raise WrongUse(f"{len(given)} words are too many; see --help")
    if key in ("item", "items"):
        rest = [json_of(one, "the item") for one in rest]
    said[key] = rest if key in ("ids", "items") else rest[0]
    return said


def _is_json(word: str) -> bool:
    return word.lstrip().startswith("{") or word == "-"


def _from_json(text: str, known: Sequence[str]) -> Request:
    said = json_of(text, "the argument")
    if not isinstance(said, dict):
        raise WrongUse('the argument is not a JSON object; write {"datastore": "tickets", …}')
    for key in said.keys() - set(known) - set(_SLACK_S_OWN):
        raise WrongUse(f"the argument has the key {key!r}; this command takes {', '.join(known)}")
    return {key: value for key, value in said.items() if key in known}


def _check(key: str, value: Any) -> None:
    if key not in _SHAPES:
        return
    shape, how = _SHAPES[key]
    inner = _INNER.get(key, object)
    if not isinstance(value, shape) or isinstance(value, bool) or (isinstance(value, int) and value < 1):
        raise WrongUse(f"{key} must be {how}")
    if isinstance(value, list) and not all(isinstance(one, inner) for one in value):
        raise WrongUse(f"{key} must be {how}")


@dataclass(frozen=True)
class Source:
    """Where the definitions and the store come from."""

    store: str | None = None
    definitions: str | None = None
    manifest: str | None = None
    secrets: bool = False  # encrypted attributes are shown in plain


def split(options: Mapping[str, Any]) -> tuple[Source, bool, dict[str, Any]]:
    """The common options: where things are, whether JSON is wanted, and what may stand in the argument as well."""
    source = Source(options["store"], options["definitions"], options["manifest"], options["show_secrets"])
    return source, options["as_json"], {"datastore": options["datastore"], "team": options["team"]}


def given(**values: Any) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name, value in values.items() if value is not None}
