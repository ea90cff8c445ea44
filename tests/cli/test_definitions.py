"""Finding datastores in modules: what counts, and what each mistake is told as."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stateroom.cli import settings
from stateroom.cli.definitions import chosen, from_file, from_modules
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from stateroom.model.errors import InvalidDefinition, WrongUse
from stateroom.model.schema import document
from stateroom.model.schema.manifest import manifest_of

pytestmark = pytest.mark.service  # each command opens a file anew

TICKET = "import stateroom as sr\nclass Ticket(sr.Datastore, name='{0}'):\n    id: str = sr.key()\n"
Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module into the current folder; what was imported from there is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def go(path: str, text: str) -> str:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return path.removesuffix(".py").replace("/", ".")

    yield go
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def names(*modules: str) -> list[str]:
    return [definition.name for definition in from_modules(modules)]


def test_classes_values_and_lists_of_them_are_found_in_their_order(write: Write) -> None:
    more = "B = sr.Definition('b', 'id', Ticket.__definition__.attributes)\n"
    more += "ALL = [sr.Definition('d', 'id', B.attributes), (sr.Definition('c', 'id', B.attributes), B)]\n"
    assert names(write("found_a.py", TICKET.format("z") + more)) == ["z", "b", "d", "c"]


def test_what_a_package_imports_from_its_modules_counts_once(write: Write) -> None:
    write("found_pkg/tickets.py", TICKET.format("tickets"))
    package = write("found_pkg/__init__.py", "from found_pkg.tickets import Ticket, sr\nAgain = Ticket\n")
    package = package.removesuffix(".__init__")
    assert names(package, f"{package}.tickets") == ["tickets"]


def test_stateroom_s_own_do_not_count(write: Write) -> None:
    module = write(
        "found_b.py", TICKET.format("a") + "X = sr.Definition('sr_x', 'id', Ticket.__definition__.attributes)"
    )
    assert names(module) == ["a"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1", "found_c has no datastores"),
        ("import no_such_library", "found_c imports no_such_library, which is not installed"),
        ("from os import no_such_name", "found_c cannot be imported: ImportError: cannot import name"),
        ("def", "found_c cannot be imported: SyntaxError"),
        ("1 + 'a'", "found_c cannot be imported: TypeError"),
        (TICKET.format("a") + "class T2(sr.Datastore, name='a'):\n    id: str = sr.key()\n", "a is defined twice"),
    ],
)
def test_a_module_that_cannot_be_used_is_named_with_the_reason(write: Write, text: str, told: str) -> None:
    with pytest.raises(WrongUse, match=told):
        from_modules([write("found_c.py", text)])


def test_a_wrong_definition_is_told_as_such(write: Write) -> None:
    with pytest.raises(InvalidDefinition, match=r"a: mark exactly one attribute"):
        from_modules([write("found_d.py", "import stateroom as sr\nclass T(sr.Datastore, name='a'):\n    id: str\n")])


@pytest.mark.parametrize("name", ["no_such_module", "no_such_package.module"])
def test_a_module_that_is_not_there_is_told_with_the_next_step(name: str) -> None:
    with pytest.raises(WrongUse, match=rf"there is no module {name} here; give --definitions"):
        from_modules([name])


def test_the_option_goes_before_the_environment_and_none_is_wrong_use(write: Write) -> None:
    write("found_e.py", TICKET.format("e"))
    write("found_f.py", TICKET.format("f"))
    environ = {"STATEROOM_DEFINITIONS": "found_e, found_f"}
    assert [d.name for d in chosen(settings.load(environ))] == ["e", "f"]
    assert [d.name for d in chosen(settings.load(environ, definitions="found_f"))] == ["f"]
    assert chosen(settings.load({}), needed=False) == ()
    with pytest.raises(WrongUse, match="which datastores"):
        chosen(settings.load({}))


ONE = Definition("s", "id", {"id": Attribute("string", required=True)})


@pytest.mark.parametrize("made", [manifest_of([ONE]), document.write([ONE])], ids=["manifest", "ours"])
def test_a_file_and_stdin_hold_a_manifest_or_our_own_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: dict[str, object]
) -> None:
    file = tmp_path / "m.json"
    file.write_text(json.dumps(made))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    assert from_file(str(file)) == from_file("-") == (ONE,)
    found = settings.load({"STATEROOM_DEFINITIONS": "no_such_module"})
    assert chosen(found, str(file)) == (ONE,)


def test_what_is_not_kept_of_a_manifest_goes_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = {"primary_key": "id", "attributes": {"id": {"type": "string", "tit\x1b[2Jle": "x"}}}
    (tmp_path / "m.json").write_text(json.dumps({"datastores": {"s": store}}))
    from_file(str(tmp_path / "m.json"))
    assert capsys.readouterr() == ("", "stateroom: s.id: tit\N{REPLACEMENT CHARACTER}[2Jle is not kept\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "m.json cannot be read: No such file"),
        (b"export default", "m.json is not JSON; give what the project's get-manifest hook prints"),
        (b"\xff", "m.json is not JSON"),
        (b"[]", "m.json is no manifest: it is not a JSON object"),
        (b"{}", "m.json has no datastores"),
        (b'{"a":' * 100_000, "m.json is not JSON"),
    ],
)
def test_a_file_that_is_no_manifest_is_told(tmp_path: Path, text: bytes | None, told: str) -> None:
    if text is not None:
        (tmp_path / "m.json").write_bytes(text)
    with pytest.raises(WrongUse, match=told):
        from_file(str(tmp_path / "m.json"))
