"""The commands over DynamoDB: from no table to daily use, drift told and mended, and the table as a template."""

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.core import get_rules
from click.testing import CliRunner, Result

from stateroom.cli import main
from stateroom.engines.dynamodb_templates import MIGRATING, USING, template
from support.dynamodb import client, drop_table, fresh_table, listening

pytestmark = pytest.mark.service
TEAM = "T01234567"
OLD = """
import stateroom as sr

class Poll(sr.Datastore, name="polls"):
    id: str = sr.key()
    title: str
"""
NEW = OLD + '    votes: int = 0\n    __indexes__ = [sr.Index("votes"), sr.Index("title", current=True)]\n'
WIDE = OLD + "".join(f"    a{n}: int = 0\n" for n in range(6))
WIDE += "    __indexes__ = [" + ", ".join(f"sr.Index('a{n}')" for n in range(6)) + "]\n"


@pytest.fixture
def url() -> Iterator[str]:
    found = fresh_table()
    yield found
    drop_table(found)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("stateroom.engines.dynamodb.DynamoEngine.settle", 0.0)
    name = f"polls_{secrets.token_hex(4)}"
    for suffix, text in (("old", OLD), ("new", NEW), ("wide", WIDE)):
        (tmp_path / f"{name}_{suffix}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def run(url: str, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [*arguments, "--store", url])
    assert result.exit_code == code, (arguments, result.output, result.stderr)
    return result


def name_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def test_from_no_table_to_daily_use_by_what_the_policies_allow(url: str, module: str) -> None:
    old, new = ("--definitions", f"{module}_old"), ("--definitions", f"{module}_new")
    refused = run(url, "datastore", "get", "polls", "a", "--team", TEAM, *old, code=1)
    assert "stateroom migrate" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    run(url, "migrate", "status", *old, code=1)
    plan = run(url, "migrate", "plan", *old).stdout
    assert f"make the DynamoDB table {name_of(url)}" in plan
    assert "make table polls" in plan
    with listening() as asked:
        assert "make table polls" in run(url, "migrate", "apply", *old).stdout
        run(url, "migrate", "status", *old)
        assert "nothing was to do" in run(url, "migrate", "apply", *old).stdout
    assert {one for one, _ in asked} - {*USING, *MIGRATING} <= {"TransactWriteItems"}
    with listening() as asked:
        item = json.dumps({"id": "a", "title": "lunch"})
        run(url, "datastore", "put", "polls", item, "--team", TEAM, *old)
        assert "lunch" in run(url, "datastore", "get", "polls", "a", "--team", TEAM, *old).stdout
        assert "lunch" in run(url, "datastore", "query", "polls", "--team", TEAM, "--json", *old).stdout
        for command in (("threads", "export"), ("turns", "list"), ("sweep",)):
            run(url, *command)
    assert {one for one, _ in asked} - {"TransactWriteItems"} <= {*USING}  # which asks for the rights of its parts
    assert "stateroom migrate" in run(url, "datastore", "get", "polls", "a", "--team", TEAM, *new, code=1).stderr
    plan = run(url, "migrate", "plan", *new).stdout
    assert "make index votes of polls" in plan
    assert "make index title of polls" in plan
    run(url, "migrate", "apply", *new)
    run(url, "datastore", "put", "polls", json.dumps({"id": "b", "title": "x", "votes": 3}), "--team", TEAM, *new)
    by_title = ("datastore", "query", "polls", "--team", TEAM, "--json", "--where", "title = 'lunch'")
    assert "lunch" in run(url, *by_title, *new).stdout
    assert "lunch" in run(url, "datastore", "get", "polls", "a", "--team", TEAM, *old).stdout


def test_drift_of_the_table_is_told_and_mended(url: str, module: str) -> None:
    old = ("--definitions", f"{module}_old")
    run(url, "migrate", "apply", *old)
    table = {"TableName": name_of(url)}
    client().update_time_to_live(**table, TimeToLiveSpecification={"Enabled": False, "AttributeName": "ttl"})
    client().update_table(**table, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "index2"}}])
    told = run(url, "migrate", "status", *old, code=1)
    for drift in ("make index2", "let DynamoDB remove expired rows"):
        assert drift in told.stderr
        assert drift in run(url, "migrate", "plan", *old).stdout
    run(url, "migrate", "apply", *old)
    run(url, "migrate", "status", *old)
    found = client().describe_table(**table)["Table"]["GlobalSecondaryIndexes"]
    assert {one["IndexName"] for one in found} == {"expiry", "index1", "index2", "index3"}
    assert client().describe_time_to_live(**table)["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED"


def test_a_table_of_somebody_else_is_refused_and_left_alone(url: str) -> None:
    key = [{"AttributeName": "other", "KeyType": "HASH"}]
    names = [{"AttributeName": "other", "AttributeType": "S"}]
    made = {"KeySchema": key, "AttributeDefinitions": names, "BillingMode": "PAY_PER_REQUEST"}
    client().create_table(TableName=name_of(url), **made)
    for verb in ("plan", "apply"):
        said = run(url, "migrate", verb, code=1).stderr
        assert len(said.strip().splitlines()) == 1
    assert not client().describe_table(TableName=name_of(url))["Table"].get("GlobalSecondaryIndexes")


def test_the_cloudformation_template_is_well_made_and_apply_finds_its_table_ready(url: str, module: str) -> None:
    for suffix, slots in (("old", 3), ("wide", 6)):
        given = ("--definitions", f"{module}_{suffix}")
        text = run(url, "migrate", "plan", "--format", "cloudformation", *given).stdout
        assert lint(text, get_rules([], [], ["I", "W", "E"], {}, False)) == []
        assert len(properties(text)["GlobalSecondaryIndexes"]) == slots + 1
    text = run(url, "migrate", "plan", "--format", "cloudformation", "--definitions", f"{module}_old").stdout
    made = properties(text)
    expiry = made.pop("TimeToLiveSpecification")
    del made["PointInTimeRecoverySpecification"]
    client().create_table(**made)
    client().update_time_to_live(TableName=made["TableName"], TimeToLiveSpecification=expiry)
    with listening() as asked:
        run(url, "migrate", "apply", "--definitions", f"{module}_old")
        run(url, "migrate", "status", "--definitions", f"{module}_old")
    assert not {one for one, _ in asked} & {"CreateTable", "UpdateTable", "UpdateTimeToLive"}


def properties(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)["Resources"]["Table"]["Properties"]
    return found


def test_the_policies_name_the_table_its_indexes_and_nothing_that_is_not_needed() -> None:
    resources = json.loads(template("cloudformation", "state", 3))["Resources"]
    for name, actions in (("AppPolicy", USING), ("MigratePolicy", MIGRATING)):
        (statement,) = resources[name]["Properties"]["PolicyDocument"]["Statement"]
        assert statement["Action"] == [f"dynamodb:{one}" for one in actions]
        assert statement["Resource"] == [{"Fn::GetAtt": ["Table", "Arn"]}, {"Fn::Sub": "${Table.Arn}/index/*"}]
    terraform = template("terraform", "state", 3)
    assert all(f'"dynamodb:{one}"' in terraform for one in (*USING, *MIGRATING))
    assert "DeleteTable" not in terraform + json.dumps(resources)


@pytest.mark.skipif(shutil.which("terraform") is None, reason="there is no terraform")
def test_the_terraform_is_as_terraform_writes_it_and_valid_where_its_provider_can_be_had(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(template("terraform", "state", 3))

    def terraform(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )

    checked = terraform("fmt", "-check", "-no-color")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    ready = terraform("init", "-backend=false", "-input=false", "-no-color")
    if ready.returncode:  # AWS's provider lies in a registry of its own, which this machine may not reach
        assert "registry.terraform.io" in ready.stderr
        return
    valid = terraform("validate", "-no-color")
    assert valid.returncode == 0, valid.stdout + valid.stderr


def test_a_template_is_for_dynamodb_alone(tmp_path: Path) -> None:
    said = run(f"sqlite:///{tmp_path}/x.db", "migrate", "plan", "--format", "terraform", code=2).stderr
    assert "dynamodb://region/table" in said
