"""docs/engines.md says of every engine what it declares, and names every reason that an engine gives."""

import re
import time
from dataclasses import replace
from pathlib import Path

from stateroom.engines.dynamodb import DynamoEngine
from stateroom.engines.memory import MemoryEngine
from stateroom.engines.objects import ObjectsEngine
from stateroom.engines.port import Capabilities
from stateroom.engines.postgresql import PostgresEngine
from stateroom.engines.slack_hosted import SlackHostedEngine
from stateroom.engines.sqlite import SqliteEngine
from support import engines

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "engines.md").read_text(encoding="utf-8")
OBJECTS = replace(ObjectsEngine("s3://bucket", time.time).capabilities, name="s3, gs, az, file")
ENGINES = (
    *(one.capabilities for one in (MemoryEngine, SqliteEngine, PostgresEngine, DynamoEngine, SlackHostedEngine)),
    OBJECTS,
)


def yes(value: bool) -> str:
    return "yes" if value else "no"


def rows(able: Capabilities) -> dict[str, str]:
    return {
        "survives the process": yes(able.durable),
        "rows of one commit": "any" if able.atomic_rows is None else str(able.atomic_rows),
        "bytes of one item": str(able.item_limit),
        "append, conditions": yes(able.append and able.conditions),
        "indexes, unique, across teams": yes(able.indexes and able.unique and able.across_teams),
        "expired rows hidden, found": yes(able.ttl_hidden and able.expired),
        "log of changes": yes(able.changes),
        "several processes": yes(able.processes),
        "can be frozen for a move": yes(able.freezes),
        "tells other processes of work": yes(able.wakes),
        "joins a transaction of yours": yes(able.joins),
        "can hold the bot's inbox": yes(able.holds_inbox),
    }


def test_the_table_is_what_the_engines_declare() -> None:
    assert f"| | {' | '.join(able.name for able in ENGINES)} |" in PAGE
    told = [rows(able) for able in ENGINES]
    for name in told[0]:
        assert f"| {name} | {' | '.join(one[name] for one in told)} |" in PAGE


def test_the_promises_are_those_that_the_suite_asks_of_each_engine() -> None:
    """`make promises` writes what held; what is asked is what CI runs, so that a yes that does not hold is red."""
    assert engines.written(PAGE, engines.asked()) == PAGE


def test_every_reason_of_sqlite_is_on_the_page() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/stateroom/engines").glob("sqlite*.py"))
    reasons = set(re.findall(r'(?:_Meaning\(|StoreUnavailable\([^"]*?)"([a-z]+)",', source))
    assert {"busy", "full", "foreign", "closed"} <= reasons
    assert all(f"| `{reason}` |" in PAGE for reason in reasons)


def test_every_reason_of_postgresql_is_in_its_section() -> None:
    paths = (ROOT / "src/stateroom/engines").glob("postgresql*.py")
    source = "".join(path.read_text(encoding="utf-8") for path in paths)
    reasons = set(re.findall(r'(?:_Meaning\(|StoreUnavailable\([^"]*?)"([a-z]+)",', source))
    section = PAGE.partition("## PostgreSQL")[2]
    assert {"busy", "full", "refused", "closed"} <= reasons
    assert all(f"| `{reason}` |" in section for reason in reasons)


def test_every_reason_of_dynamodb_is_in_its_section() -> None:
    section = PAGE.partition("## DynamoDB")[2]
    paths = (ROOT / "src/stateroom/engines").glob("dynamodb*.py")
    source = "".join(path.read_text(encoding="utf-8") for path in paths)
    reasons = set(re.findall(r'(?:_Meaning\(\s*|StoreUnavailable\([^"]*?)"([a-z]+)",', source))
    assert {"busy", "missing", "refused", "closed", "io", "foreign", "frozen"} == reasons
    assert all(f"| `{reason}` |" in section for reason in reasons)


def test_every_reason_of_slack_is_in_its_section() -> None:
    section = PAGE.partition("## Slack")[2]
    paths = (ROOT / "src/stateroom/engines").glob("slack_hosted*.py")
    source = "".join(path.read_text(encoding="utf-8") for path in paths)
    reasons = set(re.findall(r'(?:_Meaning\(\s*|StoreUnavailable\([^"]*?)"([a-z]+)",', source))
    assert {"busy", "missing", "refused", "closed", "io"} == reasons
    assert all(f"| `{reason}` |" in section for reason in reasons)


def test_every_reason_of_object_storage_is_in_its_section() -> None:
    section = PAGE.partition("## Object storage")[2]
    paths = (ROOT / "src/stateroom/engines").glob("objects*.py")
    source = "".join(path.read_text(encoding="utf-8") for path in paths)
    reasons = set(re.findall(r'(?:errno[.A-Z]+: \(|StoreUnavailable\([^"]*?(?:"[a-z]+://", )?)"([a-z]+)",', source))
    assert {"busy", "closed", "full", "io", "missing", "readonly", "refused"} == reasons
    assert all(f"| `{reason}` |" in section for reason in reasons)
