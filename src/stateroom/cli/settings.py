"""Settings: the environment first, then `stateroom.toml`, then the default. The reference page is made from the table.

Rules of this file: no other file of the project reads environment variables or `stateroom.toml`. A setting is one line
of SETTINGS and one field of Settings. A wrong value is one line that names the variable and what to give, and never
repeats the value: it may be a secret in the wrong place.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from stateroom.cli import settings_values as values
from stateroom.model.content import FULL, Content
from stateroom.model.errors import WrongUse
from stateroom.model.sealing import Keyring

if TYPE_CHECKING:
    from stateroom.bot.config import BotConfig
    from stateroom.slack.prompts import Prompt

# Where the disk goes with the process: variables that the platform itself sets, and its name.
EPHEMERAL: Final[Mapping[str, str]] = {
    "K_SERVICE": "Cloud Run",
    "CLOUD_RUN_JOB": "Cloud Run",
    "AWS_LAMBDA_FUNCTION_NAME": "AWS Lambda",
    "ECS_CONTAINER_METADATA_URI": "Amazon ECS",
    "ECS_CONTAINER_METADATA_URI_V4": "Amazon ECS",
    "DYNO": "Heroku",
}
LOG_LEVELS: Final = ("debug", "info", "warning", "error", "critical")


class Setting(NamedTuple):
    """One setting. `default` as written in the environment; `parse` raises ValueError with what to give."""

    name: str
    default: str
    help: str
    parse: Callable[[str], Any] = str
    secret: bool = False

    @property
    def key(self) -> str:
        """Its name in `stateroom.toml`, and as a field of Settings."""
        return self.name.removeprefix("STATEROOM_").lower()


_SECONDS: Final = values.number(0.01, 3600)

SETTINGS: Final[tuple[Setting, ...]] = (
    Setting("STATEROOM_STORE", "sqlite:///stateroom.db", "Where state is kept, as a URL; `--store` goes before it."),
    Setting(
        "STATEROOM_THREADS",
        "",
        "Another store for conversations alone, such as `s3://bucket/prefix`; empty: they are in the store.",
    ),
    Setting(
        "STATEROOM_WAKE_SQS",
        "",
        "URL of an SQS queue that wakes workers of a `dynamodb://` store at once; empty: they poll.",
    ),
    Setting(
        "STATEROOM_KEYS",
        "",
        "Keys of encrypted attributes: `id:base64-of-32-bytes,older:…`; the first seals, all open (docs/keys.md).",
        values.keys,
        secret=True,
    ),
    Setting(
        "STATEROOM_KMS",
        "",
        "A key service that wraps the keys of people's words: `aws://region/key-id?endpoint=` (docs/keys.md).",
    ),
    Setting(
        "STATEROOM_ENCRYPT_CONTENT",
        "false",
        "Whether people's words are sealed, too: `true` or `false`; needs keys or a key service.",
        values.yes,
    ),
    Setting(
        "STATEROOM_CONTENT", "full", "What is kept of people's words: `full`, `ttl:30d` or `none`.", values.content
    ),
    Setting("STATEROOM_MODEL", "offline", "The model that answers: a pydantic-ai model string, or `offline`."),
    Setting(
        "STATEROOM_MODELS", "", "Models that may be used, separated by commas; empty: only that one.", values.names
    ),
    Setting(
        "STATEROOM_MODEL_URL",
        "",
        "Where the model's provider is, such as `http://127.0.0.1:11434/v1`; empty: at its own address.",
        values.model_url,
    ),
    Setting(
        "STATEROOM_MODEL_REGION",
        "",
        "The AWS region of Bedrock, which pins: a profile that may leave its geography is refused (docs/model.md).",
        values.region,
    ),
    Setting(
        "STATEROOM_MODEL_CONTROL_URL",
        "",
        "Where `doctor` asks Bedrock about the model; empty: at AWS's own address.",
        values.model_url,
    ),
    Setting(
        "STATEROOM_MODEL_STREAM", "true", "Whether the answer is asked for in pieces: `true` or `false`.", values.yes
    ),
    Setting("STATEROOM_MODEL_CONNECT_SECONDS", "5", "Patience with a connection to the provider.", _SECONDS),
    Setting(
        "STATEROOM_MODEL_FIRST_SECONDS",
        "30",
        "Patience with the model's first word, and with each silence after it; streamed or whole.",
        _SECONDS,
    ),
    Setting("STATEROOM_MODEL_SECONDS", "120", "Patience with one whole answer of the model.", _SECONDS),
    Setting(
        "STATEROOM_RETRY_SECONDS",
        "120",
        "How long after its first failure a turn is tried again, whatever the provider's Retry-After says.",
        values.number(0, 86400),
    ),
    Setting(
        "STATEROOM_MAX_PROMPT",
        "4000",
        "Characters of one message that the model is given, at most; a longer one is refused.",
        values.number(1, 1_000_000, whole=True),
    ),
    Setting(
        "STATEROOM_MAX_OUTPUT_TOKENS", "1024", "Tokens of one answer, at most.", values.number(1, 1_000_000, whole=True)
    ),
    Setting("STATEROOM_TEMPERATURE", "1", "How freely the model chooses its words.", values.number(0, 2)),
    Setting(
        "STATEROOM_GUARDRAIL", "", "A guardrail of Bedrock that every request names, as `id:version`.", values.guardrail
    ),
    Setting(
        "STATEROOM_FEEDBACK",
        "false",
        "Whether two buttons to judge it stand below each answer; presses are counted in /metrics and logged.",
        values.yes,
    ),
    Setting(
        "STATEROOM_LOG_LEVEL", "info", "Least severity that is logged: debug … critical.", values.choice(*LOG_LEVELS)
    ),
    Setting(
        "STATEROOM_LOG_FORMAT",
        "",
        "`json` or `text`; empty: text on a terminal, else json.",
        values.choice("json", "text"),
    ),
    Setting("STATEROOM_DEFINITIONS", "", "Modules with your datastores, separated by commas.", values.names),
    Setting(
        "STATEROOM_LEASE_SECONDS",
        "10",
        "How long a worker holds a conversation without renewing: what a crash delays an answer by.",
        values.number(1, 60),
    ),
    Setting("STATEROOM_POLL_SECONDS", "0.2", "How soon a worker sees what another process received.", _SECONDS),
    Setting(
        "STATEROOM_CONCURRENCY",
        "16",
        "Conversations that one worker answers at once.",
        values.number(1, 1000, whole=True),
    ),
    Setting(
        "STATEROOM_MAX_ATTEMPTS",
        "4",
        "Tries before the person is told that it failed.",
        values.number(1, 100, whole=True),
    ),
    Setting(
        "STATEROOM_WINDOW_TOKENS",
        "8000",
        "Tokens of history that the model is given, at most.",
        values.number(1, 10_000_000, whole=True),
    ),
    Setting(
        "STATEROOM_WINDOW_LIMIT",
        "50",
        "Messages of history that the model is given, at most.",
        values.number(1, 10_000, whole=True),
    ),
    Setting("STATEROOM_STREAM_INTERVAL", "0.5", "Seconds between two appends to a streamed answer.", _SECONDS),
    Setting(
        "STATEROOM_OFFLINE_PACE",
        "0.03",
        "Seconds between two words of the offline responder.",
        values.number(0.0, 10.0),
    ),
    Setting("STATEROOM_BACKOFF_SECONDS", "1", "Wait before the second try; doubled each time, at most 60.", _SECONDS),
    Setting(
        "STATEROOM_SWEEP_SECONDS",
        "300",
        "Seconds between two looks of the workers for what has expired; 0: only `stateroom sweep` does it.",
        values.number(0, 86400),
    ),
    Setting(
        "STATEROOM_FEATURES",
        "mentions,threads,direct",
        "What the Slack app can do, as `stateroom init` wrote it; separated by commas.",
        values.features,
    ),
    Setting(
        "STATEROOM_PROMPTS",
        "",
        "Prompts suggested where a conversation is opened: `title => message | title | …`, at most four.",
        values.prompts,
    ),
    Setting(
        "STATEROOM_PUBLIC_URL",
        "",
        "Where browsers reach `serve`, for installs, such as `https://bot.example.com`; empty: only on this machine.",
        values.public_url,
    ),
    Setting(
        "STATEROOM_UNINSTALL_SECONDS",
        "0",
        "Seconds between an uninstall and the erase of everything of the workspace; an install before keeps it.",
        values.number(0, 90 * 86400),
    ),
    Setting("STATEROOM_CONFIG", "stateroom.toml", "The settings file; only from the environment.", Path),
    Setting("SLACK_BOT_TOKEN", "", "Bot token of the one workspace served; empty: installed teams only.", secret=True),
    Setting(
        "SLACK_SIGNING_SECRET",
        "",
        "Proves that a request comes from Slack; `serve` needs it, except over Socket Mode.",
        secret=True,
    ),
    Setting("SLACK_APP_TOKEN", "", "App-level token (`xapp-…`): `serve` uses Socket Mode then.", secret=True),
    Setting(
        "SLACK_SERVICE_TOKEN",
        "",
        "The Slack CLI's service token, for `slack://` stores; empty: the bot token.",
        secret=True,
    ),
    Setting("SLACK_CLIENT_ID", "", "The app's client id: lets people install it at `/slack/install`."),
    Setting("SLACK_CLIENT_SECRET", "", "The app's client secret, which belongs to it.", secret=True),
    Setting("SLACK_SCOPES", "", "Bot scopes that an install asks for; empty: those of the features.", values.names),
    Setting("SLACK_USER_SCOPES", "", "Scopes that an install asks of the person.", values.names),
    Setting("SLACK_API_URL", "https://slack.com/api/", "Where Slack's Web API is; ends in `/api/`.", values.api_url),
)
_BY_KEY: Final = {setting.key: setting for setting in SETTINGS if setting.name != "STATEROOM_CONFIG"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, parsed. `given` names those that were set, by environment or file; `ephemeral` the platform."""

    store: str = "sqlite:///stateroom.db"
    threads: str = ""
    wake_sqs: str = ""
    keys: Keyring | None = None  # shows its ids alone
    kms: str = ""
    encrypt_content: bool = False
    content: Content = FULL
    model: str = "offline"
    models: tuple[str, ...] = ()
    model_url: str = ""
    model_region: str = ""
    model_control_url: str = ""
    model_stream: bool = True
    model_connect_seconds: float = 5.0
    model_first_seconds: float = 30.0
    model_seconds: float = 120.0
    retry_seconds: float = 120.0
    max_prompt: int = 4000
    max_output_tokens: int = 1024
    temperature: float = 1.0
    guardrail: str = ""
    feedback: bool = False
    log_level: str = "info"
    log_format: str = ""
    definitions: tuple[str, ...] = ()
    lease_seconds: float = 10.0
    poll_seconds: float = 0.2
    concurrency: int = 16
    max_attempts: int = 4
    window_tokens: int = 8000
    window_limit: int = 50
    stream_interval: float = 0.5
    offline_pace: float = 0.03
    backoff_seconds: float = 1.0
    sweep_seconds: float = 300.0
    features: tuple[str, ...] = ("mentions", "threads", "direct")
    prompts: tuple[Prompt, ...] = ()
    config: Path = Path("stateroom.toml")
    slack_bot_token: str = field(default="", repr=False)
    slack_signing_secret: str = field(default="", repr=False)
    slack_app_token: str = field(default="", repr=False)
    slack_service_token: str = field(default="", repr=False)
    slack_client_id: str = ""
    slack_client_secret: str = field(default="", repr=False)
    slack_scopes: tuple[str, ...] = ()
    slack_user_scopes: tuple[str, ...] = ()
    slack_api_url: str = "https://slack.com/api/"
    public_url: str = ""
    uninstall_seconds: float = 0.0
    given: frozenset[str] = frozenset()
    ephemeral: str = ""
    has_display: bool = False

    def bot_config(self) -> BotConfig:
        """What the bot is told."""
        from stateroom.bot.config import BotConfig
        from stateroom.slack.features import scopes

        return BotConfig(
            store=self.store,
            threads=self.threads,
            keys=self.keys,
            kms=self.kms,
            encrypt_content=self.encrypt_content,
            content=self.content,
            signing_secret=self.slack_signing_secret,
            bot_token=self.slack_bot_token,
            app_token=self.slack_app_token,
            features=self.features,
            prompts=self.prompts,
            slack_api_url=self.slack_api_url,
            client_id=self.slack_client_id,
            client_secret=self.slack_client_secret,
            scopes=self.slack_scopes or tuple(scopes(self.features)),
            user_scopes=self.slack_user_scopes,
            public_url=self.public_url,
            uninstall_seconds=self.uninstall_seconds,
            model=self.model,
            models=self.models,
            model_url=self.model_url,
            model_region=self.model_region,
            model_control_url=self.model_control_url,
            model_stream=self.model_stream,
            model_connect_seconds=self.model_connect_seconds,
            model_first_seconds=self.model_first_seconds,
            model_seconds=self.model_seconds,
            retry_seconds=self.retry_seconds,
            max_prompt=self.max_prompt,
            max_output_tokens=self.max_output_tokens,
            temperature=self.temperature,
            guardrail=self.guardrail,
            feedback=self.feedback,
            lease_seconds=self.lease_seconds,
            poll_seconds=self.poll_seconds,
            concurrency=self.concurrency,
            max_attempts=self.max_attempts,
            backoff_seconds=self.backoff_seconds,
            sweep_seconds=self.sweep_seconds,
            window_tokens=self.window_tokens,
            window_limit=self.window_limit,
            stream_interval=self.stream_interval,
            offline_pace=self.offline_pace,
        )


def load(
    environ: Mapping[str, str] = os.environ, *, store: str | None = None, definitions: str | None = None
) -> Settings:
    """The settings as they are now; `store` and `definitions` are options. WrongUse names what is wrong."""
    config = Path(environ.get("STATEROOM_CONFIG") or "stateroom.toml")
    texts = _from_file(config, must_exist=bool(environ.get("STATEROOM_CONFIG")))
    texts |= {s.key: (s.name, environ[s.name]) for s in _BY_KEY.values() if environ.get(s.name)}
    if store:
        texts["store"] = ("--store", store)
    if definitions:
        texts["definitions"] = ("--definitions", definitions)
    found = {key: _parsed(_BY_KEY[key], origin, text) for key, (origin, text) in texts.items()}
    if found.get("wake_sqs") and (not store or store.startswith("dynamodb://")):
        found["store"] = _waking(found.get("store", ""), found["wake_sqs"])
    return Settings(
        **found,
        config=config,
        given=frozenset(_BY_KEY[key].name for key in found),
        ephemeral=next((name for variable, name in EPHEMERAL.items() if environ.get(variable)), ""),
        has_display=bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")),
    )


def _waking(store: str, queue: str) -> str:
    """The store's URL with the queue in it. WrongUse where it has no use for one."""
    if not store.startswith("dynamodb://"):
        raise WrongUse("STATEROOM_WAKE_SQS belongs to a dynamodb:// store; other stores wake their workers themselves")
    return f"{store}{'&' if '?' in store else '?'}queue={quote(queue, safe='')}"


def child_environment(changes: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for a process of ours: as it is, with `changes`."""
    return {**environ, **changes}


def _parsed(setting: Setting, origin: str, text: str) -> Any:
    try:
        return setting.parse(text)
    except ValueError as error:
        raise WrongUse(f"{origin}: give {error}") from None


def _from_file(path: Path, *, must_exist: bool) -> dict[str, tuple[str, str]]:
    """Key to (where it stands, text). Values are written as TOML has them: numbers, strings, lists of strings."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if must_exist:
            raise WrongUse("STATEROOM_CONFIG names a file that is not there") from None
        return {}
    except OSError as error:
        raise WrongUse(f"{path.name} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise WrongUse(f'{path.name} is not valid TOML; write lines such as store = "sqlite:///state.db"') from None
    if unknown := sorted(table.keys() - _BY_KEY.keys()):
        raise WrongUse(f"{path.name}: {unknown[0]} is no setting; docs/settings.md lists them")
    return {key: (f"{path.name}: {key}", text) for key, value in table.items() if (text := _text(path, key, value))}


def _text(path: Path, key: str, value: Any) -> str:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ",".join(value)
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    raise WrongUse(f"{path.name}: {key}: give a string, a number or a list of strings")
