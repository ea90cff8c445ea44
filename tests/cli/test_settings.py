"""Settings: where they come from, and what is said about a wrong one."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from stateroom.bot.config import BotConfig
from stateroom.cli.settings import EPHEMERAL, SETTINGS, Setting, Settings, child_environment, load
from stateroom.model.content import Content
from stateroom.model.errors import WrongUse
from support.tables import each


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(text: str) -> None:
    Path("stateroom.toml").write_text(text)


def test_without_anything_set_the_bot_gets_its_own_defaults() -> None:
    assert load({}).bot_config() == BotConfig()


@each("setting", SETTINGS)
def test_each_documented_default_is_the_real_one(setting: Setting) -> None:
    written("")
    assert getattr(load({setting.name: setting.default}), setting.key) == getattr(Settings(), setting.key)


def test_each_setting_has_a_field_and_each_field_a_setting() -> None:
    facts = {"given", "ephemeral", "has_display"}
    assert {setting.key for setting in SETTINGS} == {field.name for field in fields(Settings)} - facts


def test_each_setting_says_what_it_does() -> None:
    assert all(len(setting.help) > 10 and setting.help.endswith((".", ")")) for setting in SETTINGS)


def test_every_setting_reaches_the_bot() -> None:
    environ = {
        "STATEROOM_STORE": "sqlite:///x.db",
        "STATEROOM_CONTENT": "ttl:30d",
        "STATEROOM_KMS": "aws://eu-central-1/key",
        "STATEROOM_ENCRYPT_CONTENT": "true",
        "STATEROOM_MODEL": "test",
        "STATEROOM_MODELS": "test, other",
        "STATEROOM_LEASE_SECONDS": "5",
        "STATEROOM_POLL_SECONDS": "0.05",
        "STATEROOM_CONCURRENCY": "3",
        "STATEROOM_MAX_ATTEMPTS": "2",
        "STATEROOM_WINDOW_TOKENS": "100",
        "STATEROOM_WINDOW_LIMIT": "7",
        "STATEROOM_STREAM_INTERVAL": "0.1",
        "STATEROOM_OFFLINE_PACE": "0",
        "STATEROOM_BACKOFF_SECONDS": "0.5",
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_SIGNING_SECRET": "s",
        "SLACK_API_URL": "http://127.0.0.1:1/api",
    }
    assert load(environ).bot_config() == BotConfig(
        store="sqlite:///x.db",
        content=Content("ttl", 30 * 86400),
        kms="aws://eu-central-1/key",
        encrypt_content=True,
        model="test",
        models=("test", "other"),
        lease_seconds=5,
        poll_seconds=0.05,
        concurrency=3,
        max_attempts=2,
        window_tokens=100,
        window_limit=7,
        stream_interval=0.1,
        offline_pace=0,
        backoff_seconds=0.5,
        bot_token="xoxb-1",
        signing_secret="s",
        slack_api_url="http://127.0.0.1:1/api/",
    )


def test_the_models_settings_reach_the_bot() -> None:
    environ = {
        "STATEROOM_MODEL_URL": "http://127.0.0.1:1/v1/",
        "STATEROOM_MODEL_CONTROL_URL": "http://127.0.0.1:2",
        "STATEROOM_MODEL_REGION": "eu-central-1",
        "STATEROOM_MODEL_STREAM": "false",
        "STATEROOM_MODEL_CONNECT_SECONDS": "1",
        "STATEROOM_MODEL_FIRST_SECONDS": "2",
        "STATEROOM_MODEL_SECONDS": "3",
        "STATEROOM_RETRY_SECONDS": "4",
        "STATEROOM_MAX_PROMPT": "5",
        "STATEROOM_MAX_OUTPUT_TOKENS": "6",
        "STATEROOM_TEMPERATURE": "0.7",
        "STATEROOM_GUARDRAIL": "abc:1",
        "STATEROOM_FEEDBACK": "true",
    }
    assert load(environ).bot_config() == BotConfig(
        model_url="http://127.0.0.1:1/v1",
        model_control_url="http://127.0.0.1:2",
        model_region="eu-central-1",
        model_stream=False,
        model_connect_seconds=1,
        model_first_seconds=2,
        model_seconds=3,
        retry_seconds=4,
        max_prompt=5,
        max_output_tokens=6,
        temperature=0.7,
        guardrail="abc:1",
        feedback=True,
    )


def test_seed_limits_are_the_defaults() -> None:
    found = load({})
    assert (found.max_prompt, found.max_output_tokens, found.temperature) == (4000, 1024, 1.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STATEROOM_MODEL_URL", "http://user:password@127.0.0.1/"),
        ("STATEROOM_MODEL_URL", "127.0.0.1:8000"),
        ("STATEROOM_MODEL_REGION", "europe"),
        ("STATEROOM_GUARDRAIL", "some-name"),
        ("STATEROOM_TEMPERATURE", "hot"),
    ],
)
def test_a_wrong_setting_of_the_model_is_named_and_not_repeated(name: str, value: str) -> None:
    with pytest.raises(WrongUse, match=name) as refused:
        load({name: value})
    assert value not in str(refused.value)


def test_keys_reach_the_bot_and_are_shown_by_no_repr() -> None:
    found = load({"STATEROOM_KEYS": f"k1:{'A' * 43}="})
    assert found.keys is not None
    assert found.bot_config().keys is found.keys
    assert "AAAA" not in repr((found, found.bot_config()))


def test_an_empty_variable_means_unset() -> None:
    written('slack_bot_token = "xoxb-file"')
    assert load(dict.fromkeys((s.name for s in SETTINGS), "")).slack_bot_token == "xoxb-file"


def test_the_option_goes_before_the_environment_and_that_before_the_file() -> None:
    written('store = "sqlite:///file.db"\nmodel = "file"\nconcurrency = 2\nmodels = ["a", "b"]\npoll_seconds = 0.5')
    found = load({"STATEROOM_STORE": "sqlite:///environment.db", "STATEROOM_MODEL": "environment"}, store="memory://")
    assert (found.store, found.model, found.concurrency, found.models) == ("memory://", "environment", 2, ("a", "b"))
    assert found.poll_seconds == 0.5


def test_what_was_set_is_known() -> None:
    written("concurrency = 2")
    assert load({"STATEROOM_MODEL": "offline"}).given == {"STATEROOM_MODEL", "STATEROOM_CONCURRENCY"}


def test_the_file_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('model = "named"')
    assert load({"STATEROOM_CONFIG": "other.toml"}).model == "named"


WRONG: list[tuple[Mapping[str, str], str]] = [
    ({"STATEROOM_CONCURRENCY": "SECRET"}, "STATEROOM_CONCURRENCY: give a whole number from 1 to 1000"),
    ({"STATEROOM_CONCURRENCY": "1.5"}, "STATEROOM_CONCURRENCY: give a whole number"),
    ({"STATEROOM_CONCURRENCY": "0"}, "STATEROOM_CONCURRENCY: give a whole number"),
    ({"STATEROOM_LEASE_SECONDS": "nan"}, "STATEROOM_LEASE_SECONDS: give a number from 1 to 60"),
    ({"STATEROOM_POLL_SECONDS": "inf"}, "STATEROOM_POLL_SECONDS: give a number"),
    ({"STATEROOM_KEYS": "k1:SECRET"}, "STATEROOM_KEYS: give keys: key 1 is not 32 bytes"),
    ({"STATEROOM_ENCRYPT_CONTENT": "SECRET"}, "STATEROOM_ENCRYPT_CONTENT: give true or false"),
    ({"STATEROOM_LOG_LEVEL": "SECRET"}, "STATEROOM_LOG_LEVEL: give one of debug, info"),
    ({"STATEROOM_LOG_FORMAT": "xml"}, "STATEROOM_LOG_FORMAT: give one of json, text"),
    ({"STATEROOM_CONTENT": "SECRET"}, "STATEROOM_CONTENT: give full, none or ttl:"),
    ({"SLACK_API_URL": "https://SECRET.example/"}, "SLACK_API_URL: give an address that ends in /api/"),
    ({"SLACK_API_URL": "slack.com/api/"}, "SLACK_API_URL: give an address that ends in /api/"),
    ({"STATEROOM_CONFIG": "SECRET.toml"}, "STATEROOM_CONFIG names a file that is not there"),
]


@each(("environ", "expected"), WRONG)
def test_a_wrong_value_is_one_line_that_names_it_and_never_repeats_it(
    environ: Mapping[str, str], expected: str
) -> None:
    with pytest.raises(WrongUse) as caught:
        load(environ)
    assert str(caught.value).startswith(expected)
    assert "SECRET" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("modell = 'x'", "stateroom.toml: modell is no setting"),
        ("concurrency = true", "stateroom.toml: concurrency: give a string, a number"),
        ("concurrency = 'many'", "stateroom.toml: concurrency: give a whole number"),
        ("model = ", "stateroom.toml is not valid TOML"),
        ("config = 'other.toml'", "stateroom.toml: config is no setting"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(text: str, expected: str) -> None:
    written(text)
    with pytest.raises(WrongUse) as caught:
        load({})
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("given", ["https://slack.com/api", "https://slack.com/api/", "https://slack.com/api//"])
def test_slacks_address_always_ends_in_one_slash(given: str) -> None:
    assert load({"SLACK_API_URL": given}).slack_api_url == "https://slack.com/api/"


def test_secrets_are_not_in_the_repr() -> None:
    found = load({"SLACK_BOT_TOKEN": "xoxb-hidden", "SLACK_SIGNING_SECRET": "hidden-too"})
    assert "hidden" not in repr(found)
    assert "hidden" not in repr(found.bot_config())


@pytest.mark.parametrize("variable", EPHEMERAL)
def test_an_ephemeral_disk_is_known_by_its_platforms_variable(variable: str) -> None:
    assert load({variable: "x"}).ephemeral == EPHEMERAL[variable]
    assert load({variable: ""}).ephemeral == ""


def test_a_childs_environment_is_ours_with_changes() -> None:
    assert child_environment({"A": "2"}, {"A": "1", "B": "3"}) == {"A": "2", "B": "3"}
