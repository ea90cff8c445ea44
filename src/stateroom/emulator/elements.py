"""The interactive parts of blocks: their ids, where they are, what is chosen in them.

Rules of this file: pure. One table says which field of `state.values` an element fills and which `initial_…` field it
starts from. Slack gives a `block_id` and an `action_id` to every block and element that comes without one; ours follow
from their place and content, so the same blocks get the same ids. Facts: docs.slack.dev/reference/block-kit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import msgspec

from stateroom.emulator.records import Json

Values = dict[str, dict[str, Json]]


@dataclass(frozen=True, slots=True)
class Kind:
    """`field` in `state.values`, `initial` on the element; `many`: a list, empty when nothing is chosen."""

    field: str
    initial: str | None
    many: bool = False


KINDS: Mapping[str, Kind] = {
    "plain_text_input": Kind("value", "initial_value"),
    "email_text_input": Kind("value", "initial_value"),
    "url_text_input": Kind("value", "initial_value"),
    "number_input": Kind("value", "initial_value"),
    "rich_text_input": Kind("rich_text_value", "initial_value"),
    "static_select": Kind("selected_option", "initial_option"),
    "external_select": Kind("selected_option", "initial_option"),
    "users_select": Kind("selected_user", "initial_user"),
    "conversations_select": Kind("selected_conversation", "initial_conversation"),
    "channels_select": Kind("selected_channel", "initial_channel"),
    "multi_static_select": Kind("selected_options", "initial_options", many=True),
    "multi_external_select": Kind("selected_options", "initial_options", many=True),
    "multi_users_select": Kind("selected_users", "initial_users", many=True),
    "multi_conversations_select": Kind("selected_conversations", "initial_conversations", many=True),
    "multi_channels_select": Kind("selected_channels", "initial_channels", many=True),
    "radio_buttons": Kind("selected_option", "initial_option"),
    "checkboxes": Kind("selected_options", "initial_options", many=True),
    "datepicker": Kind("selected_date", "initial_date"),
    "timepicker": Kind("selected_time", "initial_time"),
    "datetimepicker": Kind("selected_date_time", "initial_date_time"),
    "file_input": Kind("files", None, many=True),
}
# These act, but hold nothing: a press is all there is to know.
BUTTONS = frozenset({"button", "icon_button", "feedback_buttons", "workflow_button"})
ACTING = frozenset(KINDS) | BUTTONS | {"overflow"}
# A list is asked, not a set: what an app calls a type may be anything, also what has no hash.
_ACTING_LIST = sorted(ACTING)
DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Place:
    """An element and the block that it stands in."""

    block: Json
    element: Json

    @property
    def block_id(self) -> str:
        return str(self.block.get("block_id", ""))

    @property
    def action_id(self) -> str:
        return str(self.element.get("action_id", ""))


def _copied(value: Any) -> Any:
    """A deep copy of JSON, however deep."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _mark(*place: Any) -> str:
    return f"{crc32(msgspec.json.encode(place)):08x}"


def with_ids(blocks: list[Any]) -> list[Any]:
    """The same blocks, each block and acting element with an id."""
    made: list[Any] = _copied(blocks)
    for number, block in enumerate(made):
        if not isinstance(block, dict):
            continue
        block.setdefault("block_id", _mark(number, blocks[number]))
        for count, element in enumerate(_acting(block)):
            element.setdefault("action_id", _mark(block["block_id"], count, element))
    return made


def _acting(part: Any, depth: int = 0) -> Iterator[Json]:
    """The acting elements below a block, wherever its kind keeps them."""
    if depth > DEEPEST:
        return
    if isinstance(part, list):
        for one in part:
            yield from _acting(one, depth + 1)
    elif isinstance(part, dict):
        if part.get("type") in _ACTING_LIST:
            yield part
            return
        for name, value in part.items():
            if name not in ("text", "fields", "state"):
                yield from _acting(value, depth + 1)


def places(blocks: list[Any]) -> Iterator[Place]:
    """Every acting element of some blocks, in order."""
    for block in blocks:
        if isinstance(block, dict):
            for element in _acting(block):
                yield Place(block, element)


def find(blocks: list[Any], action_id: str, block_id: str | None = None) -> Place | None:
    """The element with an id, in a named block or in the first that has it."""
    fits = (one for one in places(blocks) if one.action_id == action_id and block_id in (None, one.block_id))
    return next(fits, None)


def initial_values(blocks: list[Any]) -> Values:
    """`state.values` of blocks that nobody has touched."""
    values: Values = {}
    for place in places(blocks):
        kind = KINDS.get(place.element["type"])
        if kind is not None:
            held: Any = place.element.get(kind.initial) if kind.initial is not None else None
            if held is None and kind.many:
                held = []
            values.setdefault(place.block_id, {})[place.action_id] = {"type": place.element["type"], kind.field: held}
    return values


def kept_values(blocks: list[Any], before: Values) -> Values:
    """`state.values` of changed blocks: what was filled in stays where block, action and kind are the same."""
    values = initial_values(blocks)
    for block_id, actions in values.items():
        for action_id, value in actions.items():
            old = before.get(block_id, {}).get(action_id)
            if old is not None and old.get("type") == value["type"]:
                actions[action_id] = old
    return values


def filled(values: Values, given: Mapping[str, Any]) -> Values:
    """`state.values` with what a person filled in, `{block_id: {action_id: {field: …}}}`; unknown places are left."""
    made: Values = _copied(values)
    for block_id, actions in given.items():
        for action_id, value in actions.items() if isinstance(actions, dict) else ():
            held = made.get(block_id, {}).get(action_id)
            if held is not None and isinstance(value, dict):
                made[block_id][action_id] = {**held, **value, "type": held["type"]}
    return made


def chosen(element: Json, value: str | None, selected: Json | None) -> Json:
    """What a press says was chosen: the fields of an action beside its ids. A `value` may stand for an option."""
    name = element["type"]
    if name in BUTTONS:
        return _pressed(element, value)
    if selected is not None:
        return selected
    field = "selected_option" if name == "overflow" else KINDS[name].field
    many = name in KINDS and KINDS[name].many
    if field.startswith("selected_option"):
        option = next((one for one in options(element) if one.get("value") == value), None)
        return {field: [option] if many and option is not None else option}
    return {field: [value] if many else value}


def _pressed(element: Json, value: str | None) -> Json:
    if element["type"] == "feedback_buttons":
        sides = [*_objects([element.get("positive_button"), element.get("negative_button")]), {}]
        side = next((one for one in sides if one.get("value") == value), sides[0])
        return {"text": side.get("text"), "value": side.get("value")}
    shown: Json = {name: element[name] for name in ("text", "style", "url", "icon") if name in element}
    return shown | ({"value": element["value"]} if "value" in element else {})


def options(element: Json) -> list[Json]:
    """The options of a select, also those in groups."""
    listed = _objects(element.get("options"))
    for group in _objects(element.get("option_groups")):
        listed += _objects(group.get("options"))
    return listed


def _objects(listed: Any) -> list[Json]:
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
