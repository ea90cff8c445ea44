"""JSON Lines in, in constant memory; batches out, in order; and the state that survives a kill."""

import asyncio
import io
import json
import os
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateroom.cli.datastore_lines import BadLine, Line, Lines, item_of, reject
from stateroom.cli.datastore_loader import ITEMS, Loader
from stateroom.cli.datastore_resume import Appended, Checkpoints, State, head_of, work_of
from stateroom.model.codec import normalise
from stateroom.model.errors import StoreUnavailable, Throttled

pytestmark = pytest.mark.service  # each command opens a file anew


class Trickle(io.RawIOBase):
    """A pipe that brings a few bytes at a time."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data, self._sizes, self._turn = data, sizes, 0

    def seekable(self) -> bool:
        return False

    def read1(self, size: int) -> bytes:
        self._turn += 1
        size = self._sizes[self._turn % len(self._sizes)]
        piece, self._data = self._data[:size], self._data[size:]
        return piece


def all_of(lines: Lines) -> list[Line]:
    found = []
    while (chunk := lines.chunk()) is not None:
        found += chunk
    return found


@given(st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"")), max_size=8), st.booleans(), st.data())
def test_lines_are_the_same_however_they_arrive(texts: list[bytes], ended: bool, data: st.DataObject) -> None:
    whole = b"\n".join(texts) + (b"\n" if ended else b"")
    sizes = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    found = all_of(Lines(Trickle(whole, sizes)))  # type: ignore[arg-type]
    expected = whole.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert [line.data for line in found] == expected
    assert [line.number for line in found] == list(range(1, len(found) + 1))
    for line in found:
        behind = Lines(io.BytesIO(whole), offset=line.end, number=line.number)
        assert all_of(behind) == found[line.number :]


def test_a_line_that_is_too_long_is_passed_over_and_the_next_one_read() -> None:
    source = b'{"id":"a"}\n' + b"x" * 5000 + b'\n{"id":"b"}\n' + b"y" * 5000
    found = all_of(Lines(Trickle(source, [64]), longest=100))  # type: ignore[arg-type]
    assert [line.data and len(line.data) for line in found] == [10, None, 10, None]
    assert found[-1].end == len(source)
    with pytest.raises(BadLine, match="longer than"):
        item_of(found[1])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"nonsense", "not JSON"),
        (b'{"id": 1', "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b'{"id":"\xff\xfe"}', "not JSON"),
        (b"\x00\x01\x02", "not JSON"),
        (b'{"id":NaN}', "not JSON"),
        (b"[" * 100_000, "nested too deeply|not JSON"),
    ],
)
def test_rubbish_is_told_without_a_word_of_it(data: bytes, told: str) -> None:
    with pytest.raises(BadLine, match=told) as caught:
        item_of(Line(1, len(data), data))
    assert "nonsense" not in str(caught.value)


def test_a_number_beyond_every_exponent_is_a_value_to_be_refused_and_no_crash() -> None:
    data = b'{"id":"a","votes":-1e-99999999999999999999}'
    assert item_of(Line(1, len(data), data)) == {"id": "a", "votes": Decimal("Infinity")}


def test_blank_lines_and_a_byte_order_mark_are_no_items() -> None:
    assert item_of(Line(2, 0, b"  \r")) is None
    assert item_of(Line(1, 0, b'\xef\xbb\xbf{"id":"a"}\r')) == {"id": "a"}


def test_a_rejected_line_is_a_line_of_json_again_whatever_it_holds() -> None:
    written = json.loads(reject(Line(7, 0, b'a\xff"\\\x00'), "why"))
    assert written == {"line": 7, "reason": "why", "item": 'a\N{REPLACEMENT CHARACTER}"\\\x00'}


class Recorder:
    """What a loader settled, and what it put; some keys are refused, some slow."""

    def __init__(self) -> None:
        self.settled: list[tuple[int, str | None]] = []
        self.stored: dict[str, Any] = {}
        self.under_way: set[str] = set()
        self.throttle = 0

    async def write(self, items: list[dict[str, Any]]) -> dict[int, str]:
        keys = {item["id"] for item in items}
        assert len(keys) == len(items), "one batch has a key twice"
        assert not keys & self.under_way, "the same key is under way twice"
        self.under_way |= keys
        await asyncio.sleep(random.random() / 500)
        self.under_way -= keys
        if self.throttle:
            self.throttle -= 1
            raise Throttled("tickets", 0.0)
        if any("down" in item for item in items):
            raise StoreUnavailable("tickets", "closed", "gone", retryable=False)
        self.stored |= {item["id"]: item["n"] for item in items if "bad" not in item}
        return {position: "is bad" for position, item in enumerate(items) if "bad" in item}

    def on_settled(self, lines: list[tuple[int, Any, str | None]]) -> None:
        self.settled += [(line, refusal) for line, _, refusal in lines]


async def test_everything_is_settled_in_order_and_the_last_of_a_key_wins() -> None:
    recorder = Recorder()
    loader: Loader[int] = Loader(recorder.write, "id", recorder.on_settled)
    keys = [f"k{n % (ITEMS + 50)}" for n in range(4 * ITEMS)]  # again while the batch before is under way
    keys += [f"k{random.randrange(400)}" for _ in range(2 * ITEMS)]  # again within a batch
    for n, key in enumerate(keys):
        await loader.add(n, {"id": key, "n": n, **({"bad": 1} if n % 50 == 7 else {})})
    await loader.finish()
    assert [line for line, _ in recorder.settled] == list(range(len(keys)))
    assert {line for line, refusal in recorder.settled if refusal} == {n for n in range(len(keys)) if n % 50 == 7}
    assert recorder.stored == {key: n for n, key in enumerate(keys) if n % 50 != 7}


async def test_a_throttled_store_is_waited_for() -> None:
    recorder = Recorder()
    recorder.throttle = 3
    loader: Loader[int] = Loader(recorder.write, "id", recorder.on_settled)
    await loader.add(1, {"id": "a", "n": 1})
    await loader.finish()
    assert recorder.stored == {"a": 1}


async def test_a_store_that_is_gone_ends_the_work_and_nothing_behind_it_is_called_done() -> None:
    recorder = Recorder()
    loader: Loader[int] = Loader(recorder.write, "id", recorder.on_settled)

    async def everything() -> None:
        for n in range(20 * ITEMS):
            await loader.add(n, {"id": f"k{n}", "n": n, **({"down": 1} if n == ITEMS + 5 else {})})
        await loader.finish()

    with pytest.raises(StoreUnavailable):
        await everything()
    await loader.stop()
    assert [line for line, _ in recorder.settled] == list(range(ITEMS))
    assert len(asyncio.all_tasks()) == 1


def test_a_state_is_of_one_piece_of_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.resume"
    mine = Checkpoints(path, work_of("import", "a"), must=True)
    assert mine.load() is None
    state = State(work=mine.work, place=12, line=3, last_id="k")
    mine.save(state)
    assert mine.load() == state
    assert Checkpoints(path, work_of("import", "b"), must=True).load() is None
    assert "beginning anew" in capsys.readouterr().err
    path.write_bytes(b"{half")
    assert mine.load() is None
    mine.finish()
    assert os.listdir(tmp_path) == []


def test_a_file_is_cut_back_to_what_is_written_down(tmp_path: Path) -> None:
    with Appended(tmp_path / "a") as file:
        file.write(b"one\ntwo\n")
        file.sync()
    with Appended(tmp_path / "a", 4) as file:
        file.write(b"2\n")
    assert (tmp_path / "a").read_bytes() == b"one\n2\n"


def test_the_files_are_those_of_the_documented_format() -> None:
    page = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
    vectors = json.loads(page.split("```json datastore-files\n", 1)[1].split("```", 1)[0])
    text = json.dumps(vectors["state"]).encode()
    assert msgspec.to_builtins(msgspec.json.decode(text, type=State)) == vectors["state"]
    items, rejects = [], b""
    for line in all_of(Lines(io.BytesIO(vectors["input"].encode()))):
        try:
            items.append(item_of(line))
        except BadLine as error:
            rejects += reject(line, str(error))
    assert normalise(items) == normalise(vectors["items"])
    assert rejects.decode() == vectors["rejects"]
    source = vectors["input"].encode()
    state = vectors["state"]
    assert (state["place"], state["head"]) == (len(source), head_of(io.BytesIO(source), state["head_bytes"]))
    assert (state["bad_bytes"], state["last_id"], state["done"]) == (len(rejects), items[-1]["id"], len(items))  # type: ignore[index]
