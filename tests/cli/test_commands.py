"""The command as a whole: help, errors as one line, exit codes, and what is imported for what."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from stateroom import __version__
from stateroom.cli import COMMANDS, main
from support.tables import each


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("STATEROOM_STORE", "SLACK_SIGNING_SECRET", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def run(*args: str, **environ: str) -> Result:
    return CliRunner().invoke(main, list(args), env=environ)


def all_commands(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [path]
    context = click.Context(command)
    found = [path] if path else []
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        found += all_commands(inner, (*path, name))
    return found


def test_the_version_is_told() -> None:
    assert run("--version").stdout == f"stateroom {__version__}\n"


def test_each_command_has_help() -> None:
    paths = all_commands(main)  # here, and not when tests are collected: it imports everything
    assert len(paths) > 40
    for path in paths:
        result = run(*path, "--help")
        assert result.exit_code == 0, path
        assert result.stdout.startswith(f"Usage: stateroom {' '.join(path)} ")
        assert len(result.stdout.splitlines()[2].strip()) > 10, path


def test_without_arguments_the_help_is_shown() -> None:
    result = run()
    assert result.exit_code == 2
    assert all(name in result.stderr for name in COMMANDS)


@each(
    "args",
    [
        ("swerve",),
        ("serve", "--prot", "1"),
        ("serve", "--port", "x"),
        ("serve", "--port", "70000"),
        ("emulator", "--tiers", "maybe"),
        ("emulator", "--host", "0.0.0.0"),
        ("emulator", "--time-scale", "0"),
        ("threads", "import"),
        ("threads", "import", "missing.jsonl"),
        ("threads", "import", "--folder", "."),
        ("threads", "erase", "C1:1", "--json"),
        ("turns", "list", "--state", "lost"),
        ("turns", "show"),
        ("serve", "--store", "mysql://x"),
        ("worker", "--store", "sqlite:///"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_one_line_on_stderr_and_2(args: tuple[str, ...]) -> None:
    result = run(*args, SLACK_SIGNING_SECRET="s")
    assert result.exit_code == 2
    assert result.stdout == "" or "--json" in args
    told = result.stderr or result.stdout
    assert told.count("\n") == 1
    assert len(told) > 20


def test_serve_without_a_signing_secret_is_one_line_that_says_where_to_find_it() -> None:
    result = run("serve")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("stateroom: set SLACK_SIGNING_SECRET")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("args", [("--socket",), ("--no-socket",)], ids=" ".join)
def test_serve_names_the_token_that_the_chosen_way_lacks(args: tuple[str, ...]) -> None:
    environ = {"SLACK_APP_TOKEN": "xapp-1"} if args == ("--no-socket",) else {"SLACK_SIGNING_SECRET": "s"}
    result = run("serve", *args, **environ)
    assert (result.exit_code, result.stdout) == (2, "")
    assert ("SLACK_APP_TOKEN (xapp" in result.stderr) == (args == ("--socket",))


@pytest.mark.parametrize("command", ["serve", "serve --no-worker", "worker"])
def test_a_model_that_is_not_allowed_is_refused_at_the_start(command: str) -> None:
    environ = {"SLACK_SIGNING_SECRET": "s", "STATEROOM_MODEL": "a:b", "STATEROOM_MODELS": "c:d"}
    result = run(*command.split(), **environ)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("stateroom: STATEROOM_MODEL is not in STATEROOM_MODELS")


@pytest.mark.service
@pytest.mark.parametrize("command", ["serve", "worker"])
@pytest.mark.parametrize("model", ["no-such-provider:x", "antropic:claude"])
def test_an_unknown_model_is_refused_where_it_is_to_answer(command: str, model: str) -> None:
    result = run(command, SLACK_SIGNING_SECRET="s", STATEROOM_MODEL=model)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"stateroom: STATEROOM_MODEL {model} cannot be used: Unknown model: {model}\n"


@pytest.mark.parametrize("command", ["serve", "serve --no-worker", "worker"])
@pytest.mark.parametrize(
    ("model", "region", "says"),
    [
        ("nonsense", "", "is no model string"),
        ("bedrock:claude", "", "give a Bedrock model id"),
        (
            "bedrock:global.anthropic.claude-haiku-4-5-20251001-v1:0",
            "eu-central-1",
            "a global profile answers anywhere",
        ),
        ("bedrock:us.anthropic.claude-haiku-4-5-20251001-v1:0", "eu-central-1", "its profile answers in us"),
    ],
)
def test_a_model_that_is_none_or_leaves_its_region_is_refused_at_the_start(
    command: str, model: str, region: str, says: str
) -> None:
    environ = {"SLACK_SIGNING_SECRET": "s", "STATEROOM_MODEL": model, "STATEROOM_MODEL_REGION": region}
    result = run(*command.split(), **environ)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.service
@pytest.mark.parametrize("model", ["no-such-provider:x", "bedrock:eu.anthropic.claude-haiku-4-5-20251001-v1:0"])
def test_ingress_alone_looks_at_the_list_of_models_and_imports_none_of_them(model: str) -> None:
    code = (
        "import sys; from stateroom.cli import serve, settings;"
        f"serve.check_model(settings.load({{'STATEROOM_MODEL': {model!r}}}), worker=False);"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert not HEAVY & set(done.stdout.split())


def test_a_wrong_setting_is_one_line_and_2() -> None:
    result = run("serve", STATEROOM_CONCURRENCY="many")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "stateroom: STATEROOM_CONCURRENCY: give a whole number from 1 to 1000\n"


@pytest.mark.parametrize(
    ("args", "code", "status"),
    [
        (("turns", "list", "--json"), "store_unavailable", 1),
        (("turns", "list", "--json", "--nope"), "wrong_use", 2),
        (("threads", "export", "--json", "--store", "ftp://x"), "wrong_use", 2),
    ],
)
def test_machines_get_errors_as_json_on_stdout(args: tuple[str, ...], code: str, status: int) -> None:
    result = run(*args)
    assert (result.exit_code, result.stderr) == (status, "")
    told = json.loads(result.stdout)
    assert told.keys() == {"error", "detail"}
    assert told["error"] == code


def test_serve_refuses_a_disk_that_goes_with_the_process() -> None:
    environ = {"SLACK_SIGNING_SECRET": "s", "K_SERVICE": "bot"}
    for command in ("serve", "worker"):
        result = run(command, **environ)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Cloud Run" in result.stderr
        assert "--allow-ephemeral" in result.stderr


def test_a_memory_store_is_refused_where_nobody_else_could_see_it() -> None:
    for args in (("serve", "--no-worker"), ("worker",)):
        result = run(*args, "--store", "memory://", SLACK_SIGNING_SECRET="s")
        assert result.exit_code == 2
        assert "one process alone" in result.stderr


def test_a_missing_extra_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "stateroom.bot.server", raising=False)
    monkeypatch.delitem(sys.modules, "stateroom.bot.protocol", raising=False)
    monkeypatch.delattr("stateroom.bot.server", raising=False)  # the package remembers what it has loaded
    monkeypatch.delattr("stateroom.bot.protocol", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = run("serve", SLACK_SIGNING_SECRET="s")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("stateroom: uvicorn is not installed; pip install 'stateroom[all]'")


HEAVY = {
    "rich",
    "pydantic",
    "pydantic_ai",
    "aiohttp",
    "slack_sdk",
    "boto3",
    "botocore",
    "anthropic",
    "openai",
    "starlette",
}


@pytest.mark.parametrize("module", ["stateroom.cli", "stateroom.cli.serve", "stateroom.bot.server"])
def test_serving_imports_no_model_no_client_and_nothing_for_people(module: str) -> None:
    code = f"import sys, {module}; from stateroom.cli import logs; logs.set_up('info', 'json'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert not HEAVY & set(done.stdout.split())
