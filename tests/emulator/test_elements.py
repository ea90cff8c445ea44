"""The interactive elements of blocks: ids, initial values, what a press says, for every kind there is."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stateroom.emulator import elements, viewcheck
from support.tables import each

BERN, ROME = {"text": {"type": "plain_text", "text": "Bern"}, "value": "bern"}, {"text": "Rome", "value": "rome"}
OPTIONS = {"options": [BERN, ROME]}
FILE = {"id": "F1"}
# kind, what else it has, its initial field, an initial value, the field of its state, how it is pressed, what comes out
ELEMENTS: list[tuple[str, dict[str, Any], str, Any, str, Any, Any]] = [
    ("plain_text_input", {}, "initial_value", "a", "value", "b", "b"),
    ("email_text_input", {}, "initial_value", "a@b.c", "value", "b", "b"),
    ("url_text_input", {}, "initial_value", "http://a", "value", "b", "b"),
    ("number_input", {}, "initial_value", "1", "value", "2", "2"),
    ("rich_text_input", {}, "initial_value", {"type": "rich_text"}, "rich_text_value", {"type": "rich_text"}, None),
    ("static_select", OPTIONS, "initial_option", ROME, "selected_option", "bern", BERN),
    ("static_select", {"option_groups": [OPTIONS]}, "initial_option", ROME, "selected_option", "bern", BERN),
    ("external_select", {}, "initial_option", ROME, "selected_option", BERN, None),
    ("radio_buttons", OPTIONS, "initial_option", ROME, "selected_option", "bern", BERN),
    ("checkboxes", OPTIONS, "initial_options", [ROME], "selected_options", "bern", [BERN]),
    ("multi_static_select", OPTIONS, "initial_options", [ROME], "selected_options", "bern", [BERN]),
    ("multi_external_select", {}, "initial_options", [ROME], "selected_options", [BERN], None),
    ("users_select", {}, "initial_user", "U1", "selected_user", "U2", "U2"),
    ("multi_users_select", {}, "initial_users", ["U1"], "selected_users", "U2", ["U2"]),
    ("conversations_select", {}, "initial_conversation", "C1", "selected_conversation", "C2", "C2"),
    ("multi_conversations_select", {}, "initial_conversations", ["C1"], "selected_conversations", "C2", ["C2"]),
    ("channels_select", {}, "initial_channel", "C1", "selected_channel", "C2", "C2"),
    ("multi_channels_select", {}, "initial_channels", ["C1"], "selected_channels", "C2", ["C2"]),
    ("datepicker", {}, "initial_date", "2026-11-21", "selected_date", "2026-11-22", "2026-11-22"),
    ("timepicker", {}, "initial_time", "10:00", "selected_time", "11:00", "11:00"),
    ("datetimepicker", {}, "initial_date_time", 1_700_000_000, "selected_date_time", 1_700_000_001, None),
    ("file_input", {}, "", None, "files", [FILE], None),
]


def element_of(kind: str, more: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    element = {"type": kind, "action_id": "it", **more}
    return element, [{"type": "input", "block_id": "b", "element": element}]


@each(("kind", "more", "initial", "start", "field", "given", "chosen"), ELEMENTS)
def test_each_element_starts_and_is_filled_in_under_its_own_field(  # noqa: PLR0917 - one row of the table
    kind: str, more: dict[str, Any], initial: str, start: Any, field: str, given: Any, chosen: Any
) -> None:
    element, blocks = element_of(kind, more)
    empty = elements.initial_values(blocks)["b"]["it"]
    assert empty == {"type": kind, field: [] if kind in ("checkboxes", "file_input") or "multi" in kind else None}
    if initial:
        element[initial] = start
        assert elements.initial_values(blocks)["b"]["it"] == {"type": kind, field: start}
    by_value = (given, None) if isinstance(given, str) else (None, {field: given})
    said = elements.chosen(element, *by_value)
    assert said == {field: given if chosen is None else chosen}
    filled = elements.filled(elements.initial_values(blocks), {"b": {"it": said}})
    assert filled["b"]["it"] == {"type": kind, **said}


def test_every_kind_is_in_the_table_above() -> None:
    assert {row[0] for row in ELEMENTS} == set(elements.KINDS)


def test_buttons_say_their_own_value_and_hold_nothing() -> None:
    text = {"type": "plain_text", "text": "Go"}
    button = {"type": "button", "action_id": "go", "text": text, "value": "7", "style": "primary"}
    feedback = {
        "type": "feedback_buttons",
        "action_id": "rate",
        "positive_button": {"text": text, "value": "up"},
        "negative_button": {"text": text, "value": "down"},
    }
    menu = {"type": "overflow", "action_id": "more", **OPTIONS}
    blocks = [
        {"type": "actions", "block_id": "a", "elements": [button, menu]},
        {"type": "context_actions", "block_id": "c", "elements": [feedback]},
        {"type": "section", "block_id": "s", "accessory": {**button, "action_id": "other"}},
    ]
    assert elements.initial_values(blocks) == {}
    assert elements.chosen(button, None, None) == {"text": text, "value": "7", "style": "primary"}
    assert elements.chosen(feedback, "down", None) == {"text": text, "value": "down"}
    assert elements.chosen(menu, "rome", None) == {"selected_option": ROME}
    assert [(one.block_id, one.action_id) for one in elements.places(blocks)] == [
        ("a", "go"),
        ("a", "more"),
        ("c", "rate"),
        ("s", "other"),
    ]
    found = elements.find(blocks, "other")
    assert found is not None
    assert found.block_id == "s"
    assert elements.find(blocks, "other", "a") is None


def test_blocks_and_elements_without_ids_get_the_same_ones_each_time() -> None:
    button = {"type": "button", "text": {"type": "plain_text", "text": "Go"}}
    blocks = [{"type": "divider"}, {"type": "divider"}, {"type": "actions", "elements": [button, dict(button)]}, "odd"]
    made = elements.with_ids(blocks)
    assert made == elements.with_ids(blocks)
    assert made == elements.with_ids(made)
    assert len({one["block_id"] for one in made[:3]}) == 3
    assert len({one["action_id"] for one in made[2]["elements"]}) == 2
    assert "block_id" not in blocks[0]


def test_what_is_filled_in_stays_only_where_block_action_and_kind_are_the_same() -> None:
    _, before = element_of("plain_text_input", {})
    held = elements.filled(elements.initial_values(before), {"b": {"it": {"value": "typed"}}, "none": {"x": {}}})
    assert elements.kept_values(before, held)["b"]["it"]["value"] == "typed"
    _, other = element_of("email_text_input", {})
    assert elements.kept_values(other, held)["b"]["it"] == {"type": "email_text_input", "value": None}


WORDS = st.sampled_from(["type", "block_id", "action_id", "element", "elements", "accessory", "input", "button", "it"])
JSON = st.recursive(
    st.none() | st.booleans() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=3))
def test_no_block_of_an_app_however_odd_breaks_anything(blocks: list[Any]) -> None:
    made = elements.with_ids(blocks)
    assert len(made) == len(blocks)
    assert elements.kept_values(made, elements.initial_values(made)) == elements.initial_values(made)
    assert isinstance(viewcheck.problems({"type": "modal", "blocks": blocks}, "modal"), list)


def test_blocks_are_looked_through_to_a_depth_and_no_further() -> None:
    deep: Any = {"type": "button", "action_id": "deep"}
    for _ in range(300):
        deep = {"elements": [deep]}
    assert elements.find(elements.with_ids([deep]), "deep") is None
