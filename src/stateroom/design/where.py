"""A pattern's condition: as a person writes it, to what Slack takes.

Rules of this file: names become `#name` and literals `:v0`, so that no reserved word and no value is ever part of the
expression; placeholders that the app fills in at run time keep their names. The meaning is the tree's, made by expr's
parser. A literal that can never match its attribute is a fault: the query would answer nothing, without an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stateroom.design.structs import Attr, Where
from stateroom.expr.check import paths
from stateroom.expr.parser import parse
from stateroom.expr.reserved import RESERVED
from stateroom.expr.tokens import KEYWORDS, is_number, is_text, is_word, sign_of, tokens
from stateroom.expr.tree import And, Compare, Condition, Path
from stateroom.model.attributes import SLACK
from stateroom.model.codec import exact, normalise
from stateroom.model.errors import InvalidCondition

FUNCTIONS: Final = ("attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size")
WORDS: Final = frozenset(word.lower() for word in (*KEYWORDS.values(), *FUNCTIONS))
"""What an attribute cannot be called and stand in a condition."""

_HIGH: Final = 10**30
_LAST: Final = "\U0010ffff"
_NUMBERS: Final = ("integer", "number", f"{SLACK}timestamp")


class BadWhere(Exception):
    """What is wrong, and the next step. Caught by document.py alone."""

    def __init__(self, problem: str, step: str) -> None:
        super().__init__(problem)
        self.problem, self.step = problem, step


def read_where(text: str, attributes: Mapping[str, Attr], key: str | None) -> Where:
    """The condition. BadWhere for names that are not declared, the key, and what means nothing.

    `key`: the attribute that Slack lets stand in no expression.
    """
    found = list(tokens(text))[:-1]
    bare = [one for one in _names(found) if one in attributes or one not in ("true", "false")]
    names = {f"#{one}": one for one in bare if _declared(one, attributes)}
    if key is not None and key in names.values():
        raise BadWhere(
            f"the key {key} may not stand in an expression",
            "use kind: get for one item, or say copy_key: true in the entity and ask for the copy",
        )
    words, values, parameters = _placeholders(found, attributes)
    try:
        condition = parse(words, names or None, {**values, **_samples(found, parameters, attributes)} or None)
    except InvalidCondition as error:
        raise BadWhere(f"the condition cannot be read: {error}", "see docs/expressions.md") from None
    equal = dict(_equal(condition, words))
    parts = condition.parts if isinstance(condition, And) else (condition,)
    only = len(equal) == len(parts)
    return Where(text, words, condition, names, values, parameters, equal, only, paths(condition))


def _names(found: list[str]) -> Iterator[str]:
    for place, token in enumerate(found):
        if sign_of(token) == "#":
            yield token[1:]
        elif is_word(token) and not _is_call(found, place) and token not in KEYWORDS.values():
            yield from () if found[place - 1 : place] == ["."] else (token,)


def _is_call(found: list[str], place: int) -> bool:
    return found[place + 1 : place + 2] == ["("]


def _declared(name: str, attributes: Mapping[str, Attr]) -> bool:
    if name in attributes:
        return True
    reserved = " (it is a reserved word, too)" if name.upper() in RESERVED else ""
    step = f"there are {', '.join(attributes)}"
    raise BadWhere(f"{name} is no attribute of the entity{reserved}", step)


def _placeholders(found: list[str], attributes: Mapping[str, Attr]) -> tuple[str, dict[str, Any], dict[str, str]]:
    """The text as Slack takes it, the values of literals, and which attribute each parameter is compared with."""
    out: list[str] = []
    values: dict[str, Any] = {}
    parameters: dict[str, str] = {}
    for place, token in enumerate(found):
        if is_text(token) or is_number(token):
            about = _about(found, place, attributes)
            value = token[1:-1].replace("''", "'") if is_text(token) else normalise(exact(token))
            _fits(value, about, found, place)
            out.append(f":v{len(values)}")
            values[out[-1]] = value
        elif sign_of(token) == ":":
            about = _about(found, place, attributes)
            parameters[token] = "" if about is None else about.name
            out.append(token)
        elif token in attributes and not _is_call(found, place):
            out.append(f"#{token}")
        elif token in ("true", "false") and token not in attributes:
            out.append(f":v{len(values)}")
            values[out[-1]] = token == "true"
        else:
            out.append(token)
    return _joined(out), values, parameters


def _joined(parts: list[str]) -> str:
    text = ""
    for part in parts:
        tight = part in (")", ",", ".", "[", "]") or text[-1:] in ("(", ".", "[", "")
        call = part == "(" and text.rpartition(" ")[2].lstrip("(") in FUNCTIONS
        text += part if tight or call else f" {part}"
    return text


def _about(found: list[str], place: int, attributes: Mapping[str, Attr]) -> Attr | None:
    """The attribute that a value is compared with: the nearest one before it, else the nearest after it."""
    for token in (*reversed(found[:place]), *found[place:]):
        if token.lstrip("#") in attributes:
            return attributes[token.lstrip("#")]
    return None


def _fits(value: Any, about: Attr | None, found: list[str], place: int) -> None:
    if about is None or "(" in found[max(place - 4, 0) : place]:
        return  # operands of functions are parts of a value, or types
    wants_number = about.type in _NUMBERS
    if about.type in ("array", "object", "boolean") or wants_number == isinstance(value, str):
        raise BadWhere(
            f"{about.name} is of type {about.type} and never equals this value; nothing is converted",
            "give a value of its type",
        )
    if about.values and value not in about.values and found[place - 1 : place] in (["="], ["<>"]):
        raise BadWhere(f"{about.name} never has this value", f"it may be {', '.join(about.values)}")


def _samples(
    found: list[str], parameters: Mapping[str, str], attributes: Mapping[str, Attr]
) -> dict[str, int | str | bool]:
    """A value of the right type for each parameter, so that the parser can judge the condition.

    An upper bound is above everything that the file may say, a lower one below it: people give the real ones.
    """
    upper = {found[place + 3] for place, token in enumerate(found[:-3]) if token == "BETWEEN"}
    lower = {found[place + 1] for place, token in enumerate(found[:-3]) if token == "BETWEEN"} - upper
    sample: dict[str, int | str | bool] = {}
    for name, of in parameters.items():
        kind = "string" if not of else attributes[of].items or attributes[of].type
        if kind in _NUMBERS:
            sample[name] = _HIGH if name in upper else -_HIGH if name in lower else 1
        else:
            sample[name] = True if kind == "boolean" else _LAST if name in upper else "a" if name not in lower else " "
    return sample


def _equal(condition: Condition, words: str) -> Iterator[tuple[str, str]]:
    """Attributes that must equal a value, and the placeholder of that value."""
    parts = condition.parts if isinstance(condition, And) else (condition,)
    placed = list(tokens(words))
    for part in parts:
        if not isinstance(part, Compare) or part.op != "=" or isinstance(part.right, Path):
            continue
        if isinstance(part.left, Path) and len(part.left.parts) == 1:
            name = str(part.left.parts[0])
            at = placed.index(f"#{name}")
            yield name, placed[at + 2] if placed[at + 1] == "=" else ""
