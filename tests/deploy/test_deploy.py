"""What deploy/ says, done: the image's steps, the commands of its containers, the functions' folder, the template.

Rules of this file: no container runs here, so each instruction is carried out as a process, with paths and hosts
replaced by those of this machine; what is run is read from the files, so that they cannot drift. Not shown: that
Docker, Cloud Run and CloudFormation themselves take them (cfn-lint alone judges the template).
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from stateroom.cli.settings import SETTINGS
from stateroom.emulator.config import SEED_SECRET
from stateroom.slack.signing import sign
from support import dynamodb, postgres
from support.bot import MENTION, children, envelope, environment, mention
from support.lambda_host import Environment, request_event
from support.local_slack import eventually, local_slack

pytestmark = pytest.mark.service
ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OTHERS = {"PGPASSWORD", "POSTGRES_PASSWORD"}  # of libpq and of the image `postgres`


class Template(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def _short(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".") if suffix == "GetAtt" else value}
    assert isinstance(node, yaml.SequenceNode)
    return {name: loader.construct_sequence(node, deep=True)}


Template.add_multi_constructor("!", _short)


def read(name: str) -> Any:
    return yaml.load((DEPLOY / name).read_text(), Loader=Template)


def instructions(stage: int) -> list[tuple[str, str]]:
    """The Dockerfile's instructions of a stage: (RUN, command), (COPY, words)."""
    stages = (DEPLOY / "Dockerfile").read_text().split("\nFROM ")[1:]
    lines = [line for line in stages[stage].splitlines()[1:] if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def containers(service: dict[str, Any]) -> dict[str, Any]:
    """The container of a Cloud Run file: `args` and `env`."""
    spec = service["spec"]["template"]["spec"]
    found: dict[str, Any] = spec.get("template", {}).get("spec", spec)["containers"][0]
    return found


def test_the_image_is_made_by_its_own_steps_and_runs_every_command_it_is_for(tmp_path: Path) -> None:
    where, build = tmp_path / "opt", tmp_path / "build"
    build.mkdir()
    ignored = (ROOT / ".dockerignore").read_text()
    for kind, words in instructions(0):
        command = words.replace("/opt/stateroom", str(where))
        if kind == "COPY":
            *sources, target = command.split()
            for source in sources:
                assert f"!{source}" in ignored, "the build would not see it"
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                copy(ROOT / source, build / target if copy is shutil.copytree else build / Path(source).name)
        elif kind == "RUN":
            command = command.replace("python -m venv", f"{sys.executable} -m venv")
            subprocess.run(command, shell=True, check=True, cwd=build)
    run = [str(where / "bin/stateroom")]
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    said = subprocess.run([*run, "--version"], check=True, capture_output=True, text=True, cwd=tmp_path, env=clean)
    assert "stateroom" in said.stdout
    modules = "import psycopg, boto3, obstore, cryptography, pydantic_ai, anthropic, openai, uvicorn"
    subprocess.run([str(where / "bin/python"), "-c", modules], check=True, cwd=tmp_path, env=clean)
    for words in (["serve"], ["worker"], ["migrate", "apply"], ["doctor"], ["copy"], ["keys", "rotate"]):
        subprocess.run([*run, *words, "--help"], check=True, capture_output=True, cwd=tmp_path, env=clean)
    assert ("USER", "stateroom") in instructions(1)


@pytest.mark.parametrize("kind", ["compose", "cloudrun"])
async def test_the_containers_commands_answer_over_postgresql_and_outlive_a_killed_worker(
    kind: str, tmp_path: Path
) -> None:
    """`migrate`, `web` and `worker`, each with the arguments of its file."""
    if kind == "compose":
        services = read("compose.yaml")["services"]
        arguments = {name: services[name]["command"] for name in ("migrate", "web", "worker")}
    else:
        arguments = {name: containers(read(f"cloudrun/{name}.yaml"))["args"] for name in ("migrate", "web", "worker")}
    url = postgres.fresh_schema()
    here = {"0.0.0.0": "127.0.0.1", "8080": "0"}
    try:
        with local_slack() as slack, children() as start:
            env = environment(slack, url, STATEROOM_LOG_LEVEL="info")
            migrate = [sys.executable, "-m", "stateroom", *arguments["migrate"]]
            subprocess.run(migrate, check=True, env=env, capture_output=True)
            arguments = {name: [here.get(word, word) for word in words] for name, words in arguments.items()}
            web = start(arguments["web"], env, tmp_path / "web.log")
            workers = [start(arguments["worker"], env, tmp_path / f"worker{n}.log") for n in range(2)]
            slack.register(f"{web.url}/slack/events")
            first = slack.say(f"{MENTION} hello")
            await eventually(lambda: slack.replies(first))
            workers[0].kill()
            second = slack.say(f"{MENTION} again")
            found = await eventually(lambda: slack.replies(second), 30)
            assert len(found) == 1
    finally:
        postgres.drop_schema(url)


def test_the_services_of_cloud_run_differ_where_its_cpu_does() -> None:
    web, worker = (read(f"cloudrun/{name}.yaml") for name in ("web", "worker"))
    throttled = "run.googleapis.com/cpu-throttling"
    assert throttled not in web["spec"]["template"]["metadata"]["annotations"]
    assert worker["spec"]["template"]["metadata"]["annotations"][throttled] == "false"
    assert "--no-worker" in containers(web)["args"]
    assert int(worker["spec"]["template"]["metadata"]["annotations"]["autoscaling.knative.dev/minScale"]) > 0
    assert worker["metadata"]["annotations"]["run.googleapis.com/ingress"] == "internal"


def test_every_variable_is_a_setting() -> None:
    known = {one.name for one in SETTINGS} | OTHERS
    given = {
        one["name"] for name in ("web", "worker", "migrate") for one in containers(read(f"cloudrun/{name}.yaml"))["env"]
    }
    template = read("aws/template.yaml")
    given |= set(template["Globals"]["Function"]["Environment"]["Variables"])
    given |= set(template["Resources"]["Worker"]["Properties"]["Environment"]["Variables"])
    for service in read("compose.yaml")["services"].values():
        given |= {name for name in service["environment"] if not name.startswith("POSTGRES_")}
    assert given <= known


def test_the_template_is_valid_and_its_table_and_policy_are_those_that_migrate_plan_prints() -> None:
    lint = Path(sys.executable).parent / "cfn-lint"
    judged = subprocess.run([str(lint), "-t", str(DEPLOY / "aws/template.yaml")], capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout
    plan = [sys.executable, "-m", "stateroom", "migrate", "plan", "--format", "cloudformation"]
    env = {**os.environ, "STATEROOM_STORE": "dynamodb://eu-central-1/stateroom"}
    printed = json.loads(subprocess.run(plan, check=True, capture_output=True, env=env).stdout)["Resources"]
    ours = read("aws/template.yaml")["Resources"]
    assert ours["Table"]["Properties"].pop("TableName") == {"Ref": "TableName"}
    printed["Table"]["Properties"].pop("TableName")
    assert ours["Table"] == printed["Table"]
    assert ours["AppPolicy"] == printed["AppPolicy"]
    assert ours["Queue"]["Properties"]["VisibilityTimeout"] >= ours["Worker"]["Properties"]["Timeout"]


def made_by(tool: str, folder: Path, python: str, *given: str) -> list[str]:
    """`make lambda` into a folder; the distributions that are in it."""
    venv = ROOT / ".venv" if (ROOT / ".venv").exists() else Path(sys.prefix)
    made = ["make", "-o", "install", "lambda", f"LAMBDA={folder}", f"LAMBDA_PYTHON={python}", f"VENV={venv}", *given]
    subprocess.run([*made, *([] if tool == "uv" else ["UV=false"])], check=True, cwd=ROOT, capture_output=True)
    return sorted(one.name for one in folder.glob("*.dist-info"))


def test_where_uv_cannot_be_had_pip_makes_the_same_functions_folder_for_the_same_machine(tmp_path: Path) -> None:
    """Of a part of the lock: a wheel for any machine, and two for one Python and one glibc each."""
    blocks = re.split(r"\n(?=\S)", (DEPLOY / "requirements.lock").read_text())
    chosen = [one for one in blocks if one.startswith(("certifi==", "msgspec==", "multidict=="))]
    lock = tmp_path / "part.lock"
    lock.write_text("\n".join(chosen))
    folder = tmp_path / "pip"
    other = "3.13" if sys.version_info[:2] != (3, 13) else "3.12"
    found = made_by("pip", folder, other, f"LAMBDA_LOCK={lock}")
    assert len(found) == len(chosen) + 1 == 4
    assert made_by("uv", tmp_path / "uv", other, f"LAMBDA_LOCK={lock}") == found
    tag = f"cpython-{other.replace('.', '')}-x86_64-linux-gnu"
    libraries = [one.name for one in folder.rglob("*.cpython-*.so")]
    assert libraries
    assert all(tag in name for name in libraries)
    assert not list(folder.rglob("*.pyc")), "another Python's byte code is of no use, and a third of the limit"


def test_the_deployed_lock_asks_for_the_same_on_every_machine_that_makes_the_functions_folder() -> None:
    """pip reads the markers for the machine it runs on."""
    requirements = [line.rstrip("\\ ") for line in (DEPLOY / "requirements.lock").read_text().splitlines()]
    markers = [Requirement(line).marker for line in requirements if line and line[0].isalpha() and " ; " in line]
    assert markers
    for marker in markers:
        assert marker is not None
        machines = [
            {"sys_platform": system, "python_version": version, "python_full_version": f"{version}.1"}
            for system in ("linux", "darwin")
            for version in ("3.11", "3.12", "3.13")
        ]
        assert len({marker.evaluate(dict(one)) for one in machines}) == 1, marker


def test_the_functions_folder_is_below_lambdas_limit_and_takes_a_signed_event_by_itself(tmp_path: Path) -> None:
    """`make lambda` for the Python that is here; then the template's handler, from that folder and nothing else."""
    folder = tmp_path / "lambda"
    made_by("uv", folder, f"{sys.version_info.major}.{sys.version_info.minor}")
    size = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
    assert size < 240 << 20  # AWS: 250 MB unzipped
    url = dynamodb.fresh_table()
    try:
        with local_slack() as slack:
            env = environment(slack, url, AWS_DEFAULT_REGION=dynamodb.REGION)
            apply = [sys.executable, "-m", "stateroom", "migrate", "apply"]
            subprocess.run(apply, check=True, capture_output=True, env=env)
            env |= {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "tests")])}
            function = Environment("ingress", env, tmp_path / "log", alone=True)
            try:
                body = envelope(mention("hi", "1700000000.000100"))
                headers = {"content-type": "application/json", **sign(SEED_SECRET, int(time.time()), body)}
                found = function.call(request_event("POST", "/slack/events", headers, body))
                assert found["statusCode"] == 200
            finally:
                function.end()
    finally:
        dynamodb.drop_table(url)
