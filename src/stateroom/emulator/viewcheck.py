"""What is wrong with a view that an app sends, in the words of Slack's `response_metadata.messages`.

Rules of this file: pure. Limits: docs.slack.dev/reference/views. Blocks are checked for what an app gets wrong most
(ids that repeat, inputs without a label, inputs without a submit button), not against each block's schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from stateroom.emulator import elements
from stateroom.emulator.records import Json, dumps

BLOCK_LIMIT = 100
SIZE_LIMIT = 250_000
LABEL_LIMIT = 24
_LENGTHS = {"private_metadata": 3000, "callback_id": 255, "external_id": 255}
_FLAGS = ("clear_on_close", "notify_on_close", "submit_disabled")
# What of a view is kept; the rest (ids, hashes, state of a view that is sent back) is Slack's own to say.
FIELDS = ("type", "title", "blocks", "close", "submit", *_LENGTHS, *_FLAGS)


def too_large(view: Json) -> bool:
    return len(dumps(view)) > SIZE_LIMIT


def content_of(view: Json) -> Json:
    """The parts of a view that an app decides about."""
    return {name: view[name] for name in FIELDS if view.get(name) is not None}


def problems(view: Json, kind: str) -> list[str]:
    """Each as `[ERROR] … [json-pointer:…]`; empty when the view can be shown. `kind` is modal or home."""
    return [f"[ERROR] {words} [json-pointer:/view{place}]" for words, place in _problems(view, kind)]


def _problems(view: Json, kind: str) -> Iterator[tuple[str, str]]:
    if view.get("type") != kind:
        yield f"invalid type, must be {kind}", "/type"
    if kind == "modal" and view.get("title") is None:
        yield "missing required field: title", ""
    for name in ("title", "close", "submit"):
        if view.get(name) is not None:
            yield from _label(view[name], f"/{name}", LABEL_LIMIT)
    for name, most in _LENGTHS.items():
        value = view.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > most):
            yield f"must be less than {most + 1} characters", f"/{name}"
    for name in _FLAGS:
        if view.get(name) is not None and not isinstance(view[name], bool):
            yield "must be a boolean", f"/{name}"
    yield from _blocks(view, kind)


def _label(text: Any, place: str, most: int) -> Iterator[tuple[str, str]]:
    if not isinstance(text, dict) or text.get("type") != "plain_text" or not isinstance(text.get("text"), str):
        yield "must be a plain_text object", place
    elif not text["text"]:
        yield "must be more than 0 characters", f"{place}/text"
    elif len(text["text"]) > most:
        yield f"must be less than {most + 1} characters", f"{place}/text"


def _blocks(view: Json, kind: str) -> Iterator[tuple[str, str]]:
    blocks = view.get("blocks")
    if not isinstance(blocks, list):
        yield "missing required field: blocks", ""
        return
    if len(blocks) > BLOCK_LIMIT:
        yield f"no more than {BLOCK_LIMIT} items allowed", "/blocks"
    seen: set[str] = set()
    for number, block in enumerate(blocks):
        yield from _block(block, f"/blocks/{number}", seen)
    inputs = any(isinstance(block, dict) and block.get("type") == "input" for block in blocks)
    if kind == "modal" and inputs and view.get("submit") is None:
        yield "missing required field: submit, as there are input blocks", ""


def _block(block: Any, place: str, seen: set[str]) -> Iterator[tuple[str, str]]:
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        yield "missing required field: type", place
        return
    block_id = block.get("block_id")
    if block_id is not None:
        if not isinstance(block_id, str):
            yield "must be a string", f"{place}/block_id"
            return
        if block_id in seen:
            yield "block_id already exists", f"{place}/block_id"
        seen.add(block_id)
    ids = [one.action_id for one in elements.places([block]) if one.action_id]
    if len(ids) != len(set(ids)):
        yield "action_id already exists in this block", place
    if block["type"] == "input":
        yield from _input(block, place)


def _input(block: Json, place: str) -> Iterator[tuple[str, str]]:
    if block.get("label") is None:
        yield "missing required field: label", place
    else:
        yield from _label(block["label"], f"{place}/label", 2000)
    element = block.get("element")
    if not isinstance(element, dict) or element.get("type") not in list(elements.KINDS):
        yield "unsupported type of element", f"{place}/element"


MISSING = "Please complete this required field."


def unfilled(blocks: list[Any], values: elements.Values) -> dict[str, str]:
    """What a person must still do before a modal can be submitted, by block id."""
    wrong: dict[str, str] = {}
    for place in elements.places(blocks):
        if place.block.get("type") != "input" or place.element["type"] not in elements.KINDS:
            continue
        held = values.get(place.block_id, {}).get(place.action_id, {})
        value = held.get(elements.KINDS[place.element["type"]].field)
        problem = _unfilled(place, value)
        if problem is not None:
            wrong[place.block_id] = problem
    return wrong


def _unfilled(place: elements.Place, value: Any) -> str | None:
    if value in (None, "", [], {}):
        return None if place.block.get("optional") is True else MISSING
    if not isinstance(value, str):
        return None
    least, most = place.element.get("min_length"), place.element.get("max_length")
    if isinstance(least, int) and len(value) < least:
        return f"Please enter at least {least} characters."
    if isinstance(most, int) and len(value) > most:
        return f"Please enter at most {most} characters."
    if place.element["type"] == "number_input":
        return _no_number(place.element, value)
    return None


_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", re.ASCII)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def _no_number(element: Json, value: str) -> str | None:
    number = _number(value)
    if number is None:
        return "Please enter a number."
    if element.get("is_decimal_allowed") is not True and not number.is_integer():
        return "Please enter a whole number."
    low, high = _number(element.get("min_value")), _number(element.get("max_value"))
    if (low is not None and number < low) or (high is not None and number > high):
        return "Please enter a number within the limits."
    return None
