"""From a person's words to Slack's ids: which element is meant, and what a filled-in form looks like.

Rules of this file: pure. An element is named by its action_id or by what stands on it, an input by its action_id, its
block_id or its label; a value is what a person would say, or Slack's own state value as a dict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stateroom.emulator import elements
from stateroom.emulator.elements import BUTTONS, KINDS, Place
from stateroom.model.errors import WrongUse
from stateroom.pytest_plugin.values import Json


def pressed(blocks: Sequence[Json], name: str) -> Place:
    """The element that a person means. Raises WrongUse naming those that are there."""
    places = list(elements.places(list(blocks)))
    for fits in (_has_id, _shows):
        found = [one for one in places if fits(one, name)]
        if found:
            return found[0]
    there = ", ".join(repr(_shown(one) or one.action_id) for one in places) or "nothing to click"
    raise WrongUse(f"nothing here is called {name!r}; there is: {there}")


def chosen(place: Place, choice: Any) -> Json:
    """What a press adds: `value` for a button, `selected` for what has something to choose."""
    if choice is None or place.element["type"] in BUTTONS:
        return {} if choice is None else {"value": choice}
    return {"selected": state_of(place.element, choice) if not isinstance(choice, dict) else choice}


def filled(blocks: Sequence[Json], values: Mapping[str, Any]) -> dict[str, dict[str, Json]]:
    """`{block_id: {action_id: state}}` from what a person filled in. Raises WrongUse for an input that is not there."""
    made: dict[str, dict[str, Json]] = {}
    inputs = [one for one in elements.places(list(blocks)) if one.element["type"] in KINDS]
    for name, value in values.items():
        place = next((one for one in inputs if name in _names(one)), None)
        if place is None:
            there = ", ".join(repr(_label(one) or one.action_id) for one in inputs) or "no input"
            raise WrongUse(f"no input here is called {name!r}; there is: {there}")
        state = value if isinstance(value, dict) else state_of(place.element, value)
        made.setdefault(place.block_id, {})[place.action_id] = state
    return made


def state_of(element: Json, value: Any) -> Json:
    """The state of one element when a person has chosen `value`: an option by its value or its text, else as it is."""
    kind = KINDS.get(element["type"])
    field = "selected_option" if kind is None else kind.field
    if not field.startswith("selected_option"):
        given = list(value) if kind is not None and kind.many and not isinstance(value, str) else value
        return {field: [given] if kind is not None and kind.many and isinstance(given, str) else given}
    wanted = [value] if isinstance(value, str) else list(value)
    options = [_option(element, one) for one in wanted]
    return {field: options if kind is not None and kind.many else options[0]}


def _option(element: Json, wanted: str) -> Json:
    there = elements.options(element)
    for one in there:  # its value goes before its text
        if wanted in (one.get("value"), one.get("text", {}).get("text")):
            return one
    if element["type"].endswith("external_select"):  # its options are the app's; ask for them with slack.options()
        return {"text": {"type": "plain_text", "text": wanted}, "value": wanted}
    names = ", ".join(repr(one.get("value")) for one in there)
    raise WrongUse(f"{element.get('action_id')} has no option {wanted!r}; there is: {names}")


def _has_id(place: Place, name: str) -> bool:
    return place.action_id == name


def _shows(place: Place, name: str) -> bool:
    return _shown(place) == name or any(
        name == one.get("text", {}).get("text") for one in elements.options(place.element)
    )


def _shown(place: Place) -> str:
    """What stands on an element."""
    for part in ("text", "placeholder"):
        found = place.element.get(part)
        if isinstance(found, dict):
            return str(found.get("text", ""))
    return ""


def _names(place: Place) -> tuple[str, ...]:
    return place.action_id, place.block_id, _label(place)


def _label(place: Place) -> str:
    return str((place.block.get("label") or {}).get("text", ""))
