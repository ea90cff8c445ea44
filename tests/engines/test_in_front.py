"""An engine in front of another declares what it has itself: else somebody would ask it for what it lacks."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
OWN = ("Capabilities(", "in_front(", "port.in_front(", "replace(", "dataclasses.replace(")
JOINED = "src/stateroom/engines/postgresql_joined.py: store.capabilities"  # the same engine, and it declares neither


def given(path: Path) -> Iterator[str]:
    """What `capabilities` is set to in a file, that is not the engine's own."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)) if ".capabilities" in text else ():
        if not isinstance(node, ast.Assign):
            continue
        names = [name for target in node.targets for name in ast.walk(target)]
        if any(getattr(name, "attr", getattr(name, "id", "")) == "capabilities" for name in names):
            value = ast.unparse(node.value)
            if not value.startswith(OWN):
                yield f"{path.relative_to(ROOT).as_posix()}: {value}"


def test_no_engine_declares_what_the_one_behind_it_has() -> None:
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]
    assert {line for path in files for line in given(path)} == {JOINED}
