"""`stateroom mcp`, asked by the protocol's own client over stdin and stdout of a real process."""

import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

import stateroom as sr
from stateroom.cli import main
from stateroom.design.findings import FINDINGS, page
from stateroom.model.profiles import size_of
from stateroom.model.sealing import Keyring
from stateroom.store import Store

pytestmark = pytest.mark.service

GALLERY = Path(__file__).parents[2] / "examples" / "designs"
DESIGN = (GALLERY / "approvals.yaml").read_text()
TOOLS = ["design_check", "design_build", "check_expression", "estimate_item", "explain_finding"]
KEYS = "k1:" + "A" * 43 + "="
MODULE = """
import stateroom as sr
from pydantic import SecretStr

class Ticket(sr.Datastore, name="tickets"):
    id: str = sr.key()
    status: str = "open"
    price: float | None = None
    token: SecretStr | None = sr.encrypted()
    __indexes__ = [sr.Index("status")]
"""


@asynccontextmanager
async def asked(folder: Path, *args: str, **environ: str) -> AsyncIterator[Client]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("STATEROOM_", "SLACK_"))}
    parameters = StdioServerParameters(
        command=sys.executable, args=["-m", "stateroom", "mcp", *args], env={**clean, **environ}, cwd=folder
    )
    async with Client(stdio_client(parameters)) as client:
        yield client


async def answer(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content[0].text)  # type: ignore[union-attr]


async def test_every_tool_reads_only_and_items_are_offered_only_when_asked_for(tmp_path: Path) -> None:
    async with asked(tmp_path) as client:
        listed = (await client.list_tools()).tools
        assert [one.name for one in listed] == TOOLS
        assert all(one.annotations is not None and one.annotations.read_only_hint for one in listed)
        assert all(one.description and one.input_schema["properties"] for one in listed)
        assert "datastore_query" in await refusal(client, "datastore_query", datastore="tickets")
        names = [str(one.uri) for one in (await client.list_resources()).resources]
        example = await client.read_resource("stateroom://design.example.yaml")
        schema = await client.read_resource("stateroom://design.schema.json")
        assert names == ["stateroom://design.schema.json", "stateroom://design.example.yaml"]
        assert (await answer(client, "design_check", design=example.contents[0].text))["valid"]  # type: ignore[union-attr]
        assert json.loads(schema.contents[0].text)["properties"]["entities"]  # type: ignore[union-attr]
    async with asked(tmp_path, "--query") as client:
        assert [one.name for one in (await client.list_tools()).tools] == [*TOOLS, "datastore_query"]


async def test_a_design_is_checked_and_built_as_the_commands_do_it(tmp_path: Path) -> None:
    (tmp_path / "design.yaml").write_text(DESIGN)
    out = tmp_path / "out"
    found = CliRunner().invoke(main, ["design", "check", str(tmp_path / "design.yaml"), "--format", "json"])
    CliRunner().invoke(main, ["design", "build", str(tmp_path / "design.yaml"), "--out", str(out)])
    async with asked(tmp_path) as client:
        checked = await answer(client, "design_check", design=DESIGN)
        assert checked == {"valid": True, **json.loads(found.stdout)}
        built = await answer(client, "design_build", design=DESIGN)
        written = {str(p.relative_to(out)): p.stat().st_size for p in out.rglob("*") if p.is_file()}
        assert built["files"] == written
        assert list(built["texts"]) == ["design.md"]
        lock = json.loads((out / "design.lock.json").read_text())["files"]
        some = await answer(client, "design_build", design=DESIGN, files=["manifest.json", "typescript/manifest.ts"])
        for name, text in some["texts"].items():
            assert hashlib.sha256(text.encode()).hexdigest() == lock[name]
        assert "no file nothing.md" in await refusal(client, "design_build", design=DESIGN, files=["nothing.md"])


async def test_a_wrong_design_gives_every_problem_with_its_line(tmp_path: Path) -> None:
    wrong = DESIGN.replace("entity: request, kind: get", "entity: requst, kind: get").replace(
        "from: open, to: rejected", "from: open, to: lost"
    )
    async with asked(tmp_path) as client:
        for tool in ("design_check", "design_build"):
            told = await answer(client, tool, design=wrong)
            assert told["valid"] is False
            lines = {problem["line"] for problem in told["problems"]}
            assert {
                number for number, line in enumerate(wrong.splitlines(), 1) if "requst" in line or "to: lost" in line
            } <= lines
            assert all(problem["step"] for problem in told["problems"])
        assert "either design" in await refusal(client, "design_check")
        manifest = {"datastores": {"tickets": {"primary_key": "id", "attributes": {"id": {"type": "string"}}}}}
        assert [one["name"] for one in (await answer(client, "design_check", manifest=manifest))["datastores"]] == [
            "tickets"
        ]


async def test_a_condition_is_told_as_slack_must_be_sent_it_and_tried_on_an_item(tmp_path: Path) -> None:
    async with asked(tmp_path) as client:
        told = await answer(
            client, "check_expression", expression="status = 'open' AND votes > 3", item={"status": "open", "votes": 4}
        )
        sent = told["slack"]
        again = await answer(
            client,
            "check_expression",
            expression=sent["expression"],
            names=sent["expression_attributes"],
            values=sent["expression_values"],
            item={"status": "open", "votes": 3},
        )
        assert (told["holds"], again["holds"], told["canonical"]) == (True, False, again["canonical"])
        wrong = await answer(client, "check_expression", expression="status = 'open' && votes > 3")
        assert (wrong["valid"], wrong["position"]) == (False, 16)
        keyed = await answer(client, "check_expression", expression="id = 'T-1'", key="id")
        assert not keyed["valid"]
        assert "primary key id" in keyed["problem"]


async def test_an_item_is_weighed_as_dynamodb_does(tmp_path: Path) -> None:
    item = {"id": "T-1", "text": "ü" * 1000, "votes": 12345, "tags": ["a", "bb"]}
    async with asked(tmp_path) as client:
        told = await answer(client, "estimate_item", item=item, items=5000)
        assert told["bytes"] == size_of(item) == sum(told["by_attribute"].values())
        assert told["scan"]["items_per_page"] == min(1000, 1024 * 1024 // size_of(item))
        assert not (await answer(client, "estimate_item", item={"text": "x" * 410_000}))["fits"]
        average = await answer(client, "estimate_item", design=DESIGN, entity="request")
        assert next(iter(average["by_attribute"])) == "body"
        checked = await answer(client, "design_check", design=DESIGN)
        assert {name: one[2] for name, one in checked["items"].items()}["request"] == average["bytes"]
        assert "There are request" in await refusal(client, "estimate_item", design=DESIGN, entity="nobody")
        assert "either item" in await refusal(client, "estimate_item")


async def test_findings_are_explained_as_their_pages_do(tmp_path: Path) -> None:
    async with asked(tmp_path) as client:
        id, kind = next(iter(FINDINGS.items()))
        told = await answer(client, "explain_finding", id=id)
        assert (told["title"], told["severity"], told["page"]) == (kind.title, kind.severity, page(id))
        assert (told["why"], told["cure"]) == (kind.why, kind.cure)
        assert "there is no finding SR-999" in await refusal(client, "explain_finding", id="SR-999")


async def test_items_are_read_page_by_page_secrets_stay_sealed_and_a_store_is_never_made(tmp_path: Path) -> None:
    class Ticket(sr.Datastore, name="tickets"):
        id: str = sr.key()
        status: str = "open"
        price: float | None = None
        token: str | None = sr.encrypted()
        __indexes__ = [sr.Index("status")]

    (tmp_path / "shop_mcp.py").write_text(MODULE)
    async with Store(f"sqlite:///{tmp_path}/state.db", keys=Keyring.parse(KEYS)) as store:
        tickets = store.team("T00000001").datastore(Ticket)
        for number in range(5):
            status = "open" if number % 2 else "done"
            await tickets.put(Ticket(id=f"T-{number}", status=status, price=1.5, token="xoxb-secret"))
    environ = {"STATEROOM_STORE": "sqlite:///state.db", "STATEROOM_KEYS": KEYS, "PYTHONPATH": str(tmp_path)}
    environ["PYTHONPATH"] += os.pathsep + os.environ.get("PYTHONPATH", "")
    async with asked(tmp_path, "--query", "--definitions", "shop_mcp", **environ) as client:
        first = await answer(client, "datastore_query", datastore="tickets", where="status = 'done'", limit=2)
        assert [one["id"] for one in first["items"]] == ["T-0", "T-2"]
        assert first["items"][0]["price"] == 1.5
        rest = await answer(
            client, "datastore_query", datastore="tickets", where="status = 'done'", limit=2, cursor=first["cursor"]
        )
        assert [one["id"] for one in rest["items"]] == ["T-4"]
        assert rest["cursor"] is None
        assert "xoxb-secret" not in json.dumps([first, rest])
        assert "Stateroom's own" in await refusal(client, "datastore_query", datastore="sr_turns")
        assert "character" in await refusal(client, "datastore_query", datastore="tickets", where="status === 1")
    async with asked(tmp_path, "--query", STATEROOM_STORE="sqlite:///nothing.db") as client:
        assert "no such database" in await refusal(client, "datastore_query", datastore="tickets")
    assert not (tmp_path / "nothing.db").exists()
