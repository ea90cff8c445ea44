"""The test vectors of docs/format.md, section "Objects", are what the engine writes and reads."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from stateroom.engines import objects_forms, objects_names
from stateroom.engines.objects import ObjectsEngine
from stateroom.engines.objects_files import FileBucket
from stateroom.engines.port import Append, Delete, Put, Query, Row, Table, Truncate, Write
from stateroom.model.codec import decode

pytestmark = pytest.mark.service
PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```json\n(.*?)^```$", PAGE, re.M | re.S)
VECTORS: dict[str, Any] = next(v["objects"] for v in map(decode, BLOCKS) if "objects" in v)
TEAM, THREAD = "T01234567", "C01234567:1700000000.000100"
TABLES = [Table("tickets", expires=True), Table("sr_entries", log=True, expires=True), Table("audit", log=True)]


def turn(number: int, expires_at: float | None = None) -> Append:
    item = {"at": 1700000000 + number, "format": "pydantic-ai", "version": 1, "messages": "[]"}
    return Append("sr_entries", TEAM, THREAD, f"Ev{number}", item, expires_at)


WRITES: list[Write] = [
    Put("tickets", TEAM, "T-1/ä", {"id": "T-1/ä", "votes": 2}, expires_at=1700000100.25, if_version=0),
    turn(1),
    turn(2, 1702592002.5),
    turn(3),
    turn(4),
    turn(5),
    Append("audit", TEAM, "2026-11", "a1", {"n": 1}),
    Truncate("audit", TEAM, "2026-11"),
    Append("audit", TEAM, "2026-11", "a2", {"n": 2}),
]


async def made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectsEngine:
    """What WRITES leave, with marks that are numbers and a snapshot after each second append."""
    marks = itertools.count(1)
    monkeypatch.setattr(objects_forms, "mark", lambda: f"{next(marks):016x}")
    monkeypatch.setattr(FileBucket, "every", 2)
    engine = ObjectsEngine(f"file://{folder}", lambda: 1700000000.5)
    await engine.open()
    await engine.apply(TABLES)
    for write in WRITES:
        await engine.commit([write])
    return engine


def content(folder: Path) -> dict[str, str]:
    """Every object by its key, but what begins with a dot."""
    found = {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.json")}
    return dict(sorted(found.items()))


def test_names_are_made_as_the_page_says() -> None:
    assert [[text, objects_names.part(text)] for text, _ in VECTORS["names"]] == VECTORS["names"]
    short = [(text, name) for text, name in VECTORS["names"] if len(name) < 180]
    assert [objects_names.text_of(name) for _, name in short] == [text for text, _ in short]


async def test_objects_are_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = await made(tmp_path, monkeypatch)
    await engine.close()
    assert content(tmp_path) == VECTORS["store"]


async def test_the_objects_of_the_page_are_read(tmp_path: Path) -> None:
    for key, text in VECTORS["store"].items():
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    engine = ObjectsEngine(f"file://{tmp_path}", lambda: 1700000000.5)
    await engine.open()
    assert await engine.apply(TABLES) == []
    (ticket,) = await engine.get("tickets", TEAM, ["T-1/ä"])
    assert ticket == Row("T-1/ä", {"id": "T-1/ä", "votes": 2}, 1700000000500000, 1700000100.25, TEAM)
    page = await engine.query(Query("sr_entries", TEAM, 10, equals=(THREAD,)))
    assert [(row.id, row.version, row.expires_at) for row in page.rows] == [
        (f"{THREAD}/Ev{n}", n, 1702592002.5 if n == 2 else None) for n in range(1, 6)
    ]
    (known,) = await engine.commit([turn(1)])
    assert (known.changed, known.row and known.row.version) == (False, 1)
    audit = await engine.query(Query("audit", TEAM, 10, equals=("2026-11",)))
    assert [(row.id, row.version, row.item) for row in audit.rows] == [("2026-11/a2", 1, {"n": 2})]
    await engine.commit([Delete("tickets", TEAM, "T-1/ä")])
    assert await engine.get("tickets", TEAM, ["T-1/ä"]) == [None]
    await engine.close()
