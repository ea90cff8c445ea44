"""Clients of the models' providers, made for us: one request a call, bounded in time, at the address that was given.

Rules of this file: a provider is one row of `_MAKERS`; what is not in it is pydantic-ai's to make. No library retries
by itself: a try that nobody counts would be billed and would outlive the turn's patience. Credentials come from the
platform's own chain (AWS) or the library's own variables; none is read, kept or logged here. Everything is imported
when a model is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from stateroom.bot.config import BotConfig
from stateroom.bot.model_names import ModelName, parse, region_of
from stateroom.model.errors import WrongUse

_OLLAMA: Final = "http://localhost:11434/v1"
_ANY_KEY: Final = "not-needed"  # servers of one's own ask for none, and the library insists
NO_CREDENTIALS: Final = (
    "no AWS credentials were found: set AWS_PROFILE, AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, or "
    "AWS_BEARER_TOKEN_BEDROCK, or give the machine a role"
)


def make(config: BotConfig) -> Any:
    """pydantic-ai's model for STATEROOM_MODEL; nobody is asked anything. WrongUse says what lacks."""
    from pydantic_ai.exceptions import UserError
    from pydantic_ai.models import infer_model

    name = parse(config.model)
    try:
        maker = _MAKERS.get(name.provider)
        return infer_model(config.model) if maker is None else maker(config, name)
    except ImportError as missing:
        library = f" ({missing.name} is missing)" if missing.name else ""
        raise WrongUse(f"STATEROOM_MODEL {config.model}: its library is not installed{library}") from None
    except (UserError, ValueError) as refused:
        if isinstance(refused, WrongUse):
            raise
        # The library's own words name the variable that lacks, and never its value.
        raise WrongUse(f"STATEROOM_MODEL {config.model} cannot be used: {' '.join(str(refused).split())}") from None


def settings_of(config: BotConfig) -> dict[str, Any]:
    """What each request asks for, as pydantic-ai's model settings."""
    asked: dict[str, Any] = {"max_tokens": config.max_output_tokens, "temperature": config.temperature}
    if config.guardrail:
        guardrail, _, version = config.guardrail.rpartition(":")
        asked["bedrock_guardrail_config"] = {"guardrailIdentifier": guardrail, "guardrailVersion": version}
    return asked


def session_of(config: BotConfig, name: ModelName) -> Any:
    """An AWS session of the model's region. WrongUse without credentials or region."""
    import boto3  # type: ignore[import-untyped]
    from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

    try:
        session = boto3.Session(region_name=config.model_region or region_of(name.id))
    except BotoCoreError as failed:  # a profile that is not there, a file that cannot be read
        raise WrongUse(f"AWS's settings cannot be used: {' '.join(str(failed).split())}; mend AWS_PROFILE") from None
    if session.region_name is None:
        raise WrongUse("no AWS region is known: set STATEROOM_MODEL_REGION, such as eu-central-1")
    return session


def has_credentials(session: Any) -> bool:
    """Whether the platform's chain has any; it may ask the machine's metadata service, a second at most."""
    from botocore.exceptions import BotoCoreError

    try:
        token = session._session.get_auth_token(signing_name="bedrock")  # AWS_BEARER_TOKEN_BEDROCK
        return token is not None or session.get_credentials() is not None
    except BotoCoreError:  # a profile that is not there, a process that failed
        return False


def _bedrock(config: BotConfig, name: ModelName) -> Any:
    from botocore.config import Config  # type: ignore[import-untyped]
    from pydantic_ai.models.bedrock import BedrockConverseModel
    from pydantic_ai.providers.bedrock import BedrockProvider

    session = session_of(config, name)
    if not has_credentials(session):
        raise WrongUse(NO_CREDENTIALS)
    bounded = Config(
        connect_timeout=config.model_connect_seconds,
        read_timeout=config.model_first_seconds,
        retries={"total_max_attempts": 1},
        max_pool_connections=config.concurrency,
        tcp_keepalive=True,
    )
    client = session.client("bedrock-runtime", endpoint_url=config.model_url or None, config=bounded)
    return BedrockConverseModel(name.id, provider=BedrockProvider(bedrock_client=client))


def _anthropic(config: BotConfig, name: ModelName) -> Any:
    from anthropic import AsyncAnthropic, Timeout
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    limits = Timeout(config.model_first_seconds, connect=config.model_connect_seconds)
    client = AsyncAnthropic(base_url=config.model_url or None, max_retries=0, timeout=limits)
    if client.api_key is None and client.auth_token is None:
        raise WrongUse(f"STATEROOM_MODEL {config.model} cannot be used: set ANTHROPIC_API_KEY")
    return AnthropicModel(name.id, provider=AnthropicProvider(anthropic_client=client))


def _openai(config: BotConfig, name: ModelName) -> Any:
    """Chat Completions, which is what compatible servers speak."""
    from openai import OpenAIError
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    try:
        client = _openai_client(config, config.model_url or None)
    except OpenAIError:
        if not config.model_url:
            raise WrongUse(f"STATEROOM_MODEL {config.model} cannot be used: set OPENAI_API_KEY") from None
        client = _openai_client(config, config.model_url, api_key=_ANY_KEY)
    return OpenAIChatModel(name.id, provider=OpenAIProvider(openai_client=client))


def _ollama(config: BotConfig, name: ModelName) -> Any:
    from pydantic_ai.models.ollama import OllamaModel
    from pydantic_ai.providers.ollama import OllamaProvider

    client = _openai_client(config, config.model_url or _OLLAMA, api_key=_ANY_KEY)
    return OllamaModel(name.id, provider=OllamaProvider(openai_client=client))


def _openai_client(config: BotConfig, url: str | None, api_key: str | None = None) -> Any:
    from openai import AsyncOpenAI, Timeout

    limits = Timeout(config.model_first_seconds, connect=config.model_connect_seconds)
    return AsyncOpenAI(base_url=url, max_retries=0, timeout=limits, api_key=api_key)


_MAKERS: Final[Mapping[str, Callable[[BotConfig, ModelName], Any]]] = {
    "bedrock": _bedrock,
    "anthropic": _anthropic,
    "openai": _openai,
    "ollama": _ollama,
}
