"""`stateroom doctor` and Bedrock: legacy, gone and far away are found before anybody waits for an answer."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stateroom.cli import main
from support.bedrock import CREDENTIALS, MODEL, REGION, Bedrock, bedrock

pytestmark = pytest.mark.service
PLAIN = "anthropic.claude-haiku-4-5-20251001-v1:0"
ARN = f"arn:aws:bedrock:{REGION}:123456789012:application-inference-profile/a1b2c3"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("STATEROOM_", "SLACK_", "AWS_"))]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


@pytest.fixture
def stub() -> Iterator[Bedrock]:
    with bedrock() as running:
        yield running


def findings(stub: Bedrock, **environ: str) -> list[dict[str, Any]]:
    """What it says of the model."""
    given = {"STATEROOM_STORE": "memory://", "SLACK_SIGNING_SECRET": "s", **stub.environment, **environ}
    done = CliRunner().invoke(main, ["doctor", "--json"], env=given)
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in done.output
    assert not stub.asked  # nothing that is billed
    return [one for line in done.stdout.splitlines() if (one := json.loads(line))["check"].startswith("model")]


def lifecycle(stub: Bedrock, **environ: str) -> list[tuple[str, str]]:
    found = [one for one in findings(stub, **environ) if one["check"] == "model lifecycle"]
    assert all(one["advice"] for one in found if one["status"] != "ok")
    return [(one["status"], one["found"]) for one in found]


@pytest.mark.parametrize("model", [PLAIN, MODEL])
def test_an_active_model_is_well_by_its_id_and_by_its_profile(stub: Bedrock, model: str) -> None:
    assert lifecycle(stub, STATEROOM_MODEL=f"bedrock:{model}") == [("ok", f"{PLAIN} is active")]


def test_a_legacy_model_is_a_warning(stub: Bedrock) -> None:
    stub.lifecycle[PLAIN] = "LEGACY"
    assert lifecycle(stub) == [("warning", f"{PLAIN} is legacy: it can be used for some time")]


@pytest.mark.parametrize("model", [PLAIN, MODEL])
def test_a_model_that_is_gone_is_wrong(stub: Bedrock, model: str) -> None:
    stub.lifecycle.clear()
    if model == PLAIN:
        stub.profiles.clear()
    ((status, found),) = lifecycle(stub, STATEROOM_MODEL=f"bedrock:{model}")
    assert (status, found.partition(" ")[0]) == ("wrong", PLAIN)


def test_a_profile_that_is_gone_is_wrong(stub: Bedrock) -> None:
    stub.profiles.clear()
    ((status, found),) = lifecycle(stub)
    assert (status, found.partition(" ")[0]) == ("wrong", MODEL)


def test_an_applications_profile_that_leads_away_is_wrong(stub: Bedrock) -> None:
    stub.profiles["a1b2c3"] = [PLAIN]
    stub.regions = ("us-east-1", REGION)
    (away, well) = lifecycle(stub, STATEROOM_MODEL=f"bedrock:{ARN}")
    assert away == ("wrong", f"the profile leads to us-east-1, and STATEROOM_MODEL_REGION pins {REGION}")
    assert well[0] == "ok"


def test_what_aws_does_not_let_us_ask_is_not_known(stub: Bedrock) -> None:
    stub.denied = True
    ((status, found),) = lifecycle(stub)
    assert status == "unknown"
    assert "AccessDeniedException" in found


def test_nobody_listening_is_not_known(stub: Bedrock) -> None:
    ((status, found),) = lifecycle(stub, STATEROOM_MODEL_CONTROL_URL="http://127.0.0.1:9")
    assert (status, found.partition(":")[0]) == ("unknown", "Bedrock was not reached")


def test_missing_credentials_are_one_line(stub: Bedrock) -> None:
    (found,) = findings(stub, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert (found["status"], found["found"].partition(":")[0]) == ("wrong", "no AWS credentials were found")
    assert "\n" not in found["found"]
