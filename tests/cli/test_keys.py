"""`stateroom keys`, and how the other commands show, take and erase what is encrypted."""

import asyncio
import json
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stateroom.cli import main
from stateroom.store import Store
from support.threads import CHANNEL, TEAM, TS, ask

MODULE = """
import stateroom as sr

class App(sr.Datastore, name="apps", changes=True, keep_deleted=3600):
    id: str = sr.key()
    token: str | None = sr.encrypted()
    count: int = sr.encrypted(0)
"""
pytestmark = pytest.mark.service  # each command opens a file anew
OLD = f"k1:{b64encode(bytes([1]) * 32).decode()}"
NEW = f"k2:{b64encode(bytes([2]) * 32).decode()}"
OTHER = "T00000002"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATEROOM_STORE", raising=False)
    monkeypatch.setenv("STATEROOM_DEFINITIONS", "sealed_tests")
    monkeypatch.setenv("STATEROOM_KEYS", OLD)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "sealed_tests.py").write_text(MODULE)
    yield
    sys.modules.pop("sealed_tests", None)


def run(*args: str, keys: str = OLD) -> Result:
    return CliRunner().invoke(main, args, env={"STATEROOM_KEYS": keys})


def done(*args: str, keys: str = OLD) -> str:
    result = run(*args, keys=keys)
    assert result.exit_code == 0, result.stderr + result.stdout
    return result.stdout


def put(id: str, token: str, team: str = TEAM) -> None:
    item = json.dumps({"id": id, "token": token})
    done("datastore", "put", "apps", "--team", team, "--item", item)


def test_rotate_seals_everything_anew_and_answers_by_its_exit_code() -> None:
    put("a", "xoxb-hush")
    put("b", "xoxb-hush")
    done("datastore", "delete", "apps", "b")
    told = json.loads(done("keys", "list", "--json", keys=""))
    assert (told["values"], told["left"]) == ({"k1": 8}, {"k1": 8})
    dry = json.loads(done("keys", "rotate", "--dry-run", "--json", keys=f"{NEW},{OLD}"))
    assert (dry["rows"], dry["left"]) == (0, {"k1": 8})
    result = run("keys", "rotate", keys=f"{NEW},{OLD}")
    assert result.exit_code == 0
    assert "nothing is left on an older key" in result.stderr
    assert json.loads(done("keys", "list", "--json", keys=NEW))["left"] == {}
    shown = json.loads(done("datastore", "get", "apps", "a", "--show-secrets", "--json", keys=NEW))
    assert shown["token"] == "xoxb-hush"
    back = run("keys", "rotate", "--json", keys=OLD)  # the key it is on by now is not there
    assert back.exit_code == 1
    assert json.loads(back.stdout)["left"] == {"k2": 10}
    lost = run("datastore", "get", "apps", "a", keys=OLD)
    assert (lost.exit_code, "the key k2" in lost.stderr) == (1, True)


def test_without_keys_it_is_said_what_to_set() -> None:
    put("a", "xoxb-hush")
    result = run("keys", "rotate", keys="")
    assert (result.exit_code, "set STATEROOM_KEYS" in result.stderr) == (2, True)
    assert "k1" in done("keys", "list", keys="")


def test_secrets_are_shown_sealed_unless_they_are_asked_for() -> None:
    item = json.dumps({"id": "a", "token": "xoxb-hush"})
    shown = done("datastore", "put", "apps", "--team", TEAM, "--item", item)
    shown += done("datastore", "get", "apps", "a") + done("datastore", "query", "apps")
    shown += done("datastore", "bulk-get", "apps", "--id", "a") + done("datastore", "export", "apps")
    assert "hush" not in shown
    assert shown.count("sr-sealed:1:k1:") >= 8
    assert "xoxb-hush" in done("datastore", "export", "apps", "--show-secrets")


def test_an_export_is_taken_back_into_its_place_and_into_no_other() -> None:
    put("a", "xoxb-hush")
    done("datastore", "export", "apps", "--output", "apps.jsonl")
    assert "hush" not in Path("apps.jsonl").read_text()
    done("datastore", "delete", "apps", "a")
    done("datastore", "import", "apps", "apps.jsonl", "--team", TEAM, keys=f"{NEW},{OLD}")
    assert "xoxb-hush" in done("datastore", "get", "apps", "a", "--show-secrets", keys=NEW)
    elsewhere = run("datastore", "import", "apps", "apps.jsonl", "--team", OTHER, "--rejects", "bad.jsonl")
    assert elsewhere.exit_code == 1
    assert "moved" in Path("bad.jsonl").read_text()


async def said() -> None:
    async with Store("sqlite:///stateroom.db", keys=OLD, encrypt_content=True) as store:
        await store.team(TEAM).thread(CHANNEL, TS).append([ask("hush, words")], turn_id="t0")


def test_threads_are_shown_and_exported_in_plain_and_kept_sealed() -> None:
    asyncio.run(said())
    assert "hush, words" in done("threads", "export")
    assert "hush, words" in done("threads", "show", f"{CHANNEL}:{TS}")
    assert b"hush" not in Path("stateroom.db").read_bytes()
    blind = run("threads", "export", keys="")
    assert (blind.exit_code, "no keys were given" in blind.stderr) == (1, True)


def test_words_are_sealed_anew_when_that_is_asked_for() -> None:
    asyncio.run(said())
    dry = json.loads(done("keys", "rotate", "--text", "--dry-run", "--json"))
    assert (dry["text"]["rows"], dry["text"]["left"]) == (0, {"sr_entries": 1})
    result = run("keys", "rotate", "--text")
    assert result.exit_code == 0
    assert "words: 1 rows were sealed anew; 1 older data keys are gone, nothing was left on them" in result.stderr
    assert "hush, words" in done("threads", "export")
    assert "text" not in json.loads(done("keys", "rotate", "--json"))


def test_words_in_a_bucket_are_refused_before_anything_is_rotated(monkeypatch: pytest.MonkeyPatch) -> None:
    put("a", "xoxb-hush")
    monkeypatch.setenv("STATEROOM_THREADS", f"file://{Path.cwd()}/bucket")
    result = run("keys", "rotate", "--text", keys=f"{NEW},{OLD}")
    assert (result.exit_code, "sr_entries commits one row at a time" in result.stderr) == (1, True)
    assert "k2" not in done("keys", "list")


def test_erasing_a_workspace_says_that_its_data_key_is_gone() -> None:
    asyncio.run(said())
    told = json.loads(done("erase", "--team", TEAM, "--yes", "--json"))
    assert {"datastore": "sr_keys", "removed": 1, "cleared": 0} in told["datastores"]
    assert any("data key is gone" in sentence for sentence in told["stays"])
    assert "k1" not in done("keys", "list")
