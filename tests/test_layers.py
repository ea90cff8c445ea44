"""The layering (docs/architecture.md), read from the source: who imports whom, which file uses which client library.

Rules of this file: the tables are the agreement, the code below them only compares. A new file is checked without being
registered; what several engines, layers or command groups share must be named in SHARED, on purpose.
"""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

SRC = Path(__file__).parents[1] / "src"

# Leftwards only. "stateroom" is the package's own __init__: the Python face, over `store` and all left of it.
ORDER = ["model", "expr", "slack", "engines", "layers", "store", "stateroom"]
ORDER += ["design", "bot", "emulator", "console", "cli", "__main__"]
BESIDE = {"bolt", "sync", "pytest_plugin", "aws_lambda"}  # units that only users and cli import

# An entry point as `stateroom` is: it reads the same settings (docs/adr/0012-two-functions.md).
ENTRIES = {("aws_lambda", f"stateroom.cli.{name}") for name in ("settings", "logs", "serve")} | {
    ("aws_lambda", "stateroom.cli")
}

# Units whose files are brothers, and the stems of those that are not. `sqlite.py`, `sqlite_writer.py` are one brother.
SHARED = {
    "engines": {
        "__init__",
        "port",
        "decide",
        "handle",
        "leases",
        "conformance",
        "slack_paging",
        "tables",
        "steps",
        "pace",
    },
    "layers": {"__init__", "walking", "catalogue"},
    "cli": {"__init__", "__main__", "settings", "output", "logs", "running", "stores", "definitions", "progress"}
    # `stateroom mcp` reads items as `stateroom datastore` does.
    | {"datastore_argument", "datastore_target", "datastore_where"},
}

# Every library that is not Python's own, and sqlite3: where it may be imported.
CLIENTS = {
    "sqlite3": ["engines/sqlite*.py", "emulator/journal.py"],
    "psycopg": ["engines/postgresql*.py"],
    "psycopg_pool": ["engines/postgresql*.py"],
    "boto3": ["engines/kms_aws.py", "engines/dynamodb*.py", "cli/installations*.py", "bot/model*.py"],
    "botocore": ["engines/kms_aws.py", "engines/dynamodb*.py", "cli/installations*.py", "bot/model*.py"],
    "obstore": ["engines/objects_cloud.py"],
    "sqlalchemy": ["cli/installations*.py"],
    "cryptography": ["model/sealing.py"],
    "slack_sdk": ["slack/client.py", "slack/socket.py", "bolt/*", "pytest_plugin/*"],
    "slack_bolt": ["bolt/*", "pytest_plugin/*"],
    "aiohttp": ["slack/client.py", "slack/socket.py", "emulator/*", "engines/dynamodb*.py", "engines/slack_hosted*.py"],
    "rjsmin": ["emulator/*"],
    "uvicorn": ["bot/server.py", "bot/protocol.py", "emulator/server.py", "cli/*", "pytest_plugin/*"],
    "uvloop": ["bot/server.py", "emulator/server.py", "cli/*"],
    "starlette": ["emulator/*", "console/*"],
    "pydantic_ai": ["bot/model*.py"],
    "anthropic": ["bot/model*.py"],
    "openai": ["bot/model*.py"],
    "pydantic": ["model/*", "__init__.py", "store.py", "design/*", "cli/mcp*.py"],
    "msgspec": ["*"],
    "yaml": ["design/*"],
    "mcp": ["cli/mcp*.py"],
    "pytest": ["engines/conformance/*", "pytest_plugin/*"],
    "structlog": ["cli/*"],
    "click": ["cli/*"],
    "rich": ["cli/*"],
}


class Import(NamedTuple):
    source: str
    target: str
    typing_only: bool


def module_name(path: Path, src: Path) -> str:
    parts = path.relative_to(src).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _called(function: ast.expr) -> str:
    """The last name of what is called."""
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def imported_names(node: ast.AST, package: list[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        relative_to = package[: len(package) + 1 - node.level] if node.level else []
        return [".".join([*relative_to, *filter(None, [node.module]), alias.name]) for alias in node.names]
    if isinstance(node, ast.Call) and _called(node.func) in ("import_module", "__import__"):
        return [str(arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant)]
    return []


def imports(path: Path, src: Path, modules: set[str]) -> Iterator[Import]:
    """Every import of one file, also those inside functions: a lazy import is one, too."""
    source, tree = module_name(path, src), ast.parse(path.read_text(encoding="utf-8"))
    package = source.split(".")[: None if path.name == "__init__.py" else -1]
    guards = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    guarded = {id(n) for guard in guards for part in guard.body for n in ast.walk(part)}
    for node in ast.walk(tree):
        for name in imported_names(node, package):
            target = name if name in modules else name.rpartition(".")[0]
            yield Import(source, target if target in modules else name, id(node) in guarded)


def unit(module: str) -> str:
    return module.split(".")[1] if "." in module else "stateroom"


def are_brothers(a: str, b: str) -> bool:
    (_, group, stem_a, *_), (_, other, stem_b, *_) = (f"{m}.__init__.__init__".split(".") for m in (a, b))
    shared = SHARED.get(group, {stem_a, stem_b})
    return group == other and not {stem_a, stem_b} & shared and stem_a.split("_")[0] != stem_b.split("_")[0]


def complaint(link: Import) -> str | None:
    """What is wrong with one import of ours by ours."""
    ours, theirs = unit(link.source), unit(link.target)
    if unknown := {ours, theirs} - set(ORDER) - BESIDE:
        return f"unit {unknown.pop()} is not in ORDER"
    if theirs in BESIDE - {ours} and ours != "cli" and (ours, theirs) != ("bolt", "sync"):
        return f"{theirs} is for users and cli alone"
    if ours not in BESIDE and theirs not in BESIDE and ORDER.index(ours) < ORDER.index(theirs):
        return f"rightwards: {ours} < {theirs}"
    if ours in BESIDE and theirs == "cli" and (ours, link.target) not in ENTRIES:
        return "nothing imports cli"
    if are_brothers(link.source, link.target):
        return "brothers: share through the unit's root, and name it in SHARED"
    if link.source == "stateroom.engines.port" and not link.typing_only:
        return "the port imports nothing of ours at run time"
    return None


def client_complaint(file: str, library: str) -> str | None:
    if library not in CLIENTS:
        return None if library in sys.stdlib_module_names else "a library that CLIENTS does not know"
    allowed = CLIENTS[library]
    return None if any(fnmatch(file, pattern) for pattern in allowed) else f"only in {', '.join(allowed)}"


def violations(src: Path) -> list[str]:
    """All breaches below `src`, each as `importer -> imported: why`."""
    files = sorted((src / "stateroom").rglob("*.py"))
    modules = {module_name(file, src) for file in files}
    graph: dict[str, set[str]] = {module: set() for module in modules}
    found = []
    for file in files:
        for link in imports(file, src, modules):
            if link.target.split(".")[0] == "stateroom":
                why = complaint(link) if link.target in modules else "no such module"
                graph[link.source] |= {link.target} & modules
            else:
                why = client_complaint(file.relative_to(src / "stateroom").as_posix(), link.target.split(".")[0])
            found += [f"{link.source} -> {link.target}: {why}"] if why else []
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found.append("cycle: " + " -> ".join(reversed(error.args[1])))
    return found


def test_the_source_keeps_its_layers() -> None:
    assert violations(SRC) == []


def test_import_stateroom_loads_no_client_library() -> None:
    """Only a fresh interpreter can tell: this one has loaded them for other tests."""
    report = f"import sys, stateroom; print(*sorted({set(CLIENTS)!r} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True, timeout=30)
    assert loaded.stdout.split() == []


CLEAN = {
    "__init__.py": "from stateroom.store import open",
    "model/errors.py": "import json",
    "engines/port.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from stateroom.model import errors",
    "engines/sqlite.py": "import sqlite3\nfrom .sqlite_writer import write\nfrom . import port",
    "engines/sqlite_writer.py": "",
    "engines/memory.py": "from stateroom.engines.port import Engine",
    "store.py": "from .engines import memory",
    "bolt/stores.py": "import slack_bolt, stateroom.store",
    "cli/threads.py": "import click\nfrom stateroom.bolt import stores",
}

BREACHES = [
    ("model/errors.py", "from stateroom import store", "rightwards: model < store"),
    ("model/errors.py", "def late():\n    import stateroom.store", "rightwards: model < store"),
    ("model/errors.py", "from importlib import import_module\nimport_module('stateroom.store')", "rightwards"),
    ("model/errors.py", "from ..engines.port import Engine", "rightwards: model < engines"),
    ("model/errors.py", "if TYPE_CHECKING:\n    from stateroom.store import Store", "rightwards: model < store"),
    ("model/errors.py", "import sqlite3", "only in engines/sqlite*.py"),
    ("model/errors.py", "import requests", "a library that CLIENTS does not know"),
    ("model/errors.py", "from stateroom.gone import x", "no such module"),
    ("cli/turns.py", "from stateroom.cli.threads import show", "brothers"),
    ("engines/memory.py", "from .sqlite import Sqlite", "brothers"),
    ("engines/sqlite_writer.py", "from .sqlite import Sqlite", "cycle: "),
    ("engines/port.py", "from stateroom.model import errors", "the port imports nothing of ours"),
    ("store.py", "import stateroom.bolt.stores", "for users and cli alone"),
    ("bolt/stores.py", "from stateroom.cli.threads import show", "nothing imports cli"),
    ("extra/thing.py", "from stateroom.model import errors", "unit extra is not in ORDER"),
]


def write_tree(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / "stateroom" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        (path.parent / "__init__.py").touch()


def test_a_tree_that_keeps_the_rules_is_clean(tmp_path: Path) -> None:
    write_tree(tmp_path, CLEAN)
    assert violations(tmp_path) == []


@pytest.mark.parametrize(("file", "text", "expected"), BREACHES)
def test_each_breach_is_seen(tmp_path: Path, file: str, text: str, expected: str) -> None:
    write_tree(tmp_path, CLEAN | {file: text})
    assert any(expected in line for line in violations(tmp_path)), violations(tmp_path)
