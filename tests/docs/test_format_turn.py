"""docs/format.md says of the turn's rows what the code writes."""

import json
import re
from decimal import Decimal
from pathlib import Path

from stateroom.engines.port import Row
from stateroom.layers import inbox, outbox
from stateroom.model.codec import decode, encode, normalise
from stateroom.slack.events import Message

PAGE = Path(__file__).parents[2] / "docs" / "format.md"


def vectors() -> dict[str, object]:
    found = re.search(r"```json turn-vectors\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return dict(decode(found[1]))


def message() -> Message:
    return Message(
        team="T00000001",
        channel="C00000001",
        ts="1700000001.000200",
        thread_ts="1700000000.000100",
        user="U00000001",
        text="hello",
        source="mention",
        files=(),
        event_id="Ev1",
        event_time=1700000001,
        own_user="UB0000001",
        channel_type="channel",
        mentions_own=True,
    )


def test_an_inbox_row_is_what_the_page_shows() -> None:
    write = inbox.arrival(message(), 1700000002.5)
    assert decode(encode(dict(write.item))) == vectors()["inbox"]


def test_an_outbox_row_is_what_the_page_shows() -> None:
    arrived = inbox.arrival(message(), 1700000002.5)
    row = Row(arrived.id, dict(arrived.item), 1, team=arrived.team)
    write = outbox.intend(row, "answer", 0, stream=True, deadline=1700000012.5)
    assert decode(encode(dict(write.item))) == vectors()["outbox"]


def test_a_digest_is_what_the_page_shows() -> None:
    shown = vectors()["digest"]
    assert isinstance(shown, dict)
    assert outbox.digest(shown["text"]) == shown["digest"]


def test_numbers_have_the_forms_of_the_page() -> None:
    found = re.search(r"```json turn-vectors\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    for given, kept in json.loads(found[1])["numbers"]:
        assert encode(normalise(Decimal(given))).decode() == kept


def test_every_attribute_of_the_rows_is_on_the_page() -> None:
    text = PAGE.read_text()
    for definition in (inbox.INBOX, outbox.OUTBOX):
        assert f"`{definition.name}`" in text
        missing = [name for name in definition.attributes if f"`{name}`" not in text and name != "id"]
        assert not missing, (definition.name, missing)
