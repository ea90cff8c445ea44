"""The page's scripts as one: order, scopes, what cannot be bundled, and the way back to the sources."""

import gzip
import json
from pathlib import Path

import pytest

import stateroom.emulator
from stateroom.emulator.assets import load
from stateroom.emulator.bundle import bundle, ordered, scoped
from stateroom.model.errors import WrongUse

PAGE = Path(stateroom.emulator.__file__).with_name("page")
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def test_a_module_stands_after_what_it_imports() -> None:
    sources = {"app": 'import { b } from "./two.js";\nb();\n', "two": "export const b = () => 1;\n"}
    assert ordered(sources) == ["two", "app"]
    script, _ = bundle(sources)
    assert script.index("$two=") < script.index("$app=")


def test_modules_in_a_ring_are_refused() -> None:
    ring = {"a": 'import { b } from "./b.js";\n', "b": 'import { a } from "./a.js";\n'}
    with pytest.raises(WrongUse, match="a > b > a"):
        ordered(ring)


@pytest.mark.parametrize(
    "line",
    ["export default 1;\n", "export { a };\n", 'import all from "./x.js";\n', "const x = `${a ? `(${a})` : 1}`;\n"],
)
def test_what_a_bundle_cannot_keep_is_refused(line: str) -> None:
    with pytest.raises(WrongUse, match=r"^one\.js"):
        scoped("one", line)


def numbers(segment: str) -> list[int]:
    found, value, shift = [], 0, 0
    for letter in segment:
        digit = _DIGITS.index(letter)
        value |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            found.append(-(value >> 1) if value & 1 else value >> 1)
            value, shift = 0, 0
    return found


def places(mapped: dict[str, object]) -> dict[tuple[int, int], tuple[str, int]]:
    """From line and column of the one script to file and line."""
    made, source, line = {}, 0, 0
    for number, text in enumerate(str(mapped["mappings"]).split(";")):
        column = 0
        for segment in filter(None, text.split(",")):
            step, further, lines, _ = numbers(segment)
            column, source, line = column + step, source + further, line + lines
            made[number, column] = (mapped["sources"][source], line)  # type: ignore[index]
    return made


def test_an_error_in_the_one_script_leads_back_to_its_file_and_function() -> None:
    sources = {file.stem: file.read_text() for file in PAGE.glob("*.js")}
    script, mapped = bundle(sources)
    found = places(json.loads(mapped))
    for name, said in [("modal", "async submit("), ("store", "function load("), ("blocks", "function dataTable(")]:
        wanted = next(n for n, text in enumerate(sources[name].split("\n")) if said in text)
        spots = [(number, text.index(said)) for number, text in enumerate(script.split("\n")) if said in text]
        assert (f"{name}.js", wanted) in [found[spot] for spot in spots if spot in found]


def test_what_is_sent_is_made_of_the_modules_and_asks_for_one_script() -> None:
    made = load(PAGE)
    start = gzip.decompress(made["index.html"].packed).decode()
    assert '"/page/page.js"' in start
    assert "app.js" not in start
    assert '"/page/app.js"' in gzip.decompress(made["index.html?source"].packed).decode()
    assert b"//# sourceMappingURL=page.js.map" in gzip.decompress(made["page.js"].packed)
