"""The table of src/stateroom/emulator/parity.py leaves nothing out and promises nothing that no test drives."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

from stateroom.emulator import parity
from stateroom.emulator.parity import Row
from stateroom.emulator.webapi import METHODS
from support.tables import each

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "stateroom" / "emulator"
SERVED_METHODS = list(parity.served(parity.METHODS))
SERVED_EVENTS = list(parity.served(parity.EVENTS))


def is_absent(name: str, absent: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in absent)


def test_every_registered_method_has_one_row_and_no_other_has() -> None:
    assert sorted(SERVED_METHODS) == sorted([*METHODS, "api.test"])


def test_every_method_that_slack_sdk_knows_is_told_of() -> None:
    import slack_sdk.web.client

    source = Path(slack_sdk.web.client.__file__).read_text(encoding="utf-8")
    known = set(re.findall(r'api_call\(\s*"([a-zA-Z0-9.]+)"', source))
    assert len(known) > 250
    silent = {name for name in known - set(SERVED_METHODS) if not is_absent(name, parity.ABSENT_METHODS)}
    assert silent == set()


def test_no_single_name_is_both_served_and_absent() -> None:
    assert not set(SERVED_METHODS) & set(parity.ABSENT_METHODS)
    assert not set(SERVED_EVENTS) & set(parity.ABSENT_EVENTS)
    assert len(set(SERVED_EVENTS)) == len(SERVED_EVENTS)


def test_every_event_that_the_source_makes_has_a_row() -> None:
    """Event names are literals behind `type` or `subtype`; what is none of Slack's events is left out by name."""
    inside = {"event_callback", "channel", "im", "view", "home"}
    source = (SOURCE / "events.py").read_text(encoding="utf-8")
    named = set(re.findall(r'"(?:sub)?type": "([a-z_]+)"', source)) - inside
    assert {"message", "app_mention"} <= named
    assert named <= set(SERVED_EVENTS)
    everything = "".join(path.read_text(encoding="utf-8") for path in SOURCE.glob("**/*.py") if path.stem != "parity")
    literals = set(re.findall(r'"type": "([a-z_]+)"', everything))
    assert {name for name in literals if is_absent(name, parity.ABSENT_EVENTS)} == set()


@each("row", [*parity.METHODS, *parity.EVENTS])
def test_the_test_of_a_row_is_there_drives_it_and_has_a_real_client(row: Row) -> None:
    text = (ROOT / row.test).read_text(encoding="utf-8")
    assert re.search(r"slack_sdk|slack_bolt|slack\.client", text), f"{row.test} has no client of Slack's"
    for name in row.names.split():
        calls = (f".{name.replace('.', '_')}(", f'"{name}"')
        assert any(call in text for call in calls), f"{row.test} does not drive {name}"


def test_the_page_says_how_close_each_row_is() -> None:
    page = (ROOT / "docs" / "emulator.md").read_text(encoding="utf-8")
    for row in (*parity.METHODS, *parity.EVENTS):
        assert row.names.split()
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{row.names.split()[0]}`")]
        assert f"| {row.level} |" in line
