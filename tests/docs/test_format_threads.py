"""The test vectors of docs/format.md, section "Threads", are what the code does."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stateroom.engines.handle import table_of
from stateroom.engines.memory import MemoryEngine
from stateroom.engines.port import Query
from stateroom.layers.threads import DEFINITIONS, ENTRIES, Thread, export, import_lines
from stateroom.model.codec import encode
from stateroom.model.errors import InvalidValue
from stateroom.model.messages import to_text, turns_of
from stateroom.model.window import text_tokens

PAGE = Path(__file__).parents[2] / "docs" / "format.md"
BLOCKS = re.findall(r"^```json\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
VECTORS: dict[str, Any] = next(v for v in map(json.loads, BLOCKS) if isinstance(v, dict) and "threads" in v)


async def opened() -> MemoryEngine:
    engine = MemoryEngine(lambda: 1_700_000_123.25)
    await engine.open()
    await engine.apply([table_of(definition) for definition in DEFINITIONS])
    return engine


@pytest.mark.parametrize(("given", "kept"), VECTORS["kept"])
def test_what_is_given_is_kept_as_the_page_says(given: str, kept: str) -> None:
    assert to_text(given) == kept


@pytest.mark.parametrize(("given", "field"), VECTORS["refused"])
def test_what_is_refused_is_named_as_the_page_says(given: str, field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        to_text(given)
    assert refused.value.field == field


@pytest.mark.parametrize(("text", "tokens"), VECTORS["tokens"])
def test_texts_weigh_what_the_page_says(text: str, tokens: int) -> None:
    assert text_tokens(text) == tokens


def test_a_conversation_is_split_as_the_page_says() -> None:
    turns = turns_of(to_text(VECTORS["turns"]["given"]))
    assert [len(json.loads(turn)) for turn in turns] == VECTORS["turns"]["sizes"]


async def test_an_entry_is_stored_and_exported_as_the_page_says() -> None:
    engine, item = await opened(), VECTORS["item"]
    thread = Thread(engine, lambda: item["at"], "T01234567", "C01234567", "1700000000.000100")
    await thread.append(item["messages"], turn_id="Ev1", author=item["author"], ts=item["ts"])
    (row,) = (await engine.query(Query(ENTRIES.name, "T01234567", 2, equals=(thread.id,)))).rows
    assert json.loads(encode(row.item), parse_float=Decimal) == {**item, "at": Decimal("1700000123.25")}
    assert [line async for line in export(engine)] == [VECTORS["line"].encode() + b"\n"]
    await thread.tombstone("Ev1")
    assert [line async for line in export(engine)] == [VECTORS["tombstone"].encode() + b"\n"]


@pytest.mark.parametrize("name", ["line", "tombstone"])
async def test_a_line_of_the_page_can_be_imported_and_exported(name: str) -> None:
    engine = await opened()
    assert (await import_lines(engine, lambda: 0.0, [VECTORS[name]])).imported == 1
    assert [line async for line in export(engine)] == [VECTORS[name].encode() + b"\n"]
