"""Whether a model of Bedrock may be used, and for how long: what Bedrock's control plane says (`stateroom doctor`).

Rules of this file: three questions at most, none to the model, so nothing is billed. What AWS does not let us ask is
`unknown`, never wrong: a role that may only call models is a good one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, NamedTuple

from stateroom.bot.config import BotConfig
from stateroom.bot.model_clients import NO_CREDENTIALS, has_credentials, session_of
from stateroom.bot.model_names import geography, parse
from stateroom.model.errors import WrongUse

_SECONDS: Final = 5.0
_RIGHTS: Final = "allow bedrock:GetFoundationModel and bedrock:GetInferenceProfile, or look at the console"
_GONE: Final = "choose a model of docs.aws.amazon.com/bedrock/latest/userguide/model-lifecycle that is active"


class Standing(NamedTuple):
    """One line: how it is, and what to do."""

    status: Literal["ok", "unknown", "warning", "wrong"]
    found: str
    advice: str = ""


def standings(config: BotConfig) -> list[Standing]:
    """What is known of the configured model; nothing for a provider that is not Bedrock. Waits for AWS."""
    name = parse(config.model)
    if name.provider != "bedrock":
        return []
    try:
        session = session_of(config, name)
    except WrongUse as refused:
        return [Standing("wrong", str(refused), "see docs/model.md")]
    if not has_credentials(session):
        return [Standing("wrong", NO_CREDENTIALS, "see docs/model.md")]
    return list(_Asker(_client(session, config), config.model_region).all(name.id))


def _client(session: Any, config: BotConfig) -> Any:
    from botocore.config import Config  # type: ignore[import-untyped]

    bounded = Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": 2})
    return session.client("bedrock", endpoint_url=config.model_control_url or None, config=bounded)


class _Asker:
    """The questions about one model. `pinned`: the region that it must not leave, if any."""

    def __init__(self, client: Any, pinned: str) -> None:
        self._client = client
        self._pinned = pinned

    def all(self, model: str) -> Iterator[Standing]:
        """A profile stands for models, possibly in many regions; each of them has a life of its own."""
        if not _is_profile(model):
            yield from self._model(model)
            return
        told = self._ask(model, lambda: self._client.get_inference_profile(inferenceProfileIdentifier=model))
        if isinstance(told, Standing):
            yield told
            return
        arns = [str(one["modelArn"]) for one in told["models"]]
        yield from self._left(arns)
        for one in sorted({arn.rpartition("/")[2] for arn in arns}):
            yield from self._model(one)

    def _left(self, arns: list[str]) -> Iterator[Standing]:
        """An application's profile does not show by its name where it leads."""
        regions = sorted({region for arn in arns if (region := arn.split(":")[3])})
        away = [region for region in regions if _leaves(region, self._pinned)] if self._pinned else []
        if away:
            found = f"the profile leads to {', '.join(away)}, and STATEROOM_MODEL_REGION pins {self._pinned}"
            yield Standing("wrong", found, "choose a profile of that geography")

    def _model(self, model: str) -> Iterator[Standing]:
        told = self._ask(model, lambda: self._client.get_foundation_model(modelIdentifier=model))
        if isinstance(told, Standing):
            yield told
            return
        cycle = told["modelDetails"].get("modelLifecycle", {})
        ends = cycle.get("endOfLifeTime")
        until = "" if ends is None else f" until {ends:%Y-%m-%d}"
        if cycle.get("status") == "LEGACY":
            yield Standing("warning", f"{model} is legacy: it can be used{until or ' for some time'}", _GONE)
        else:
            yield Standing("ok", f"{model} is active{until}")

    def _ask(self, model: str, question: Callable[[], dict[str, Any]]) -> dict[str, Any] | Standing:
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

        try:
            return question()
        except ClientError as refused:
            code = str(refused.response.get("Error", {}).get("Code"))
        except BotoCoreError as failed:
            return Standing("unknown", f"Bedrock was not reached: {type(failed).__name__}", "see the network")
        if code in ("ResourceNotFoundException", "ValidationException"):
            return Standing("wrong", f"{model} is not there: it is gone, or was never in this region", _GONE)
        return Standing("unknown", f"Bedrock does not say how {model} is: {code}", _RIGHTS)


def _is_profile(model: str) -> bool:
    return geography(model) is not None or ("inference-profile/" in model and model.startswith("arn:"))


def _leaves(region: str, pinned: str) -> bool:
    """Whether a region is outside of the geography that the pinned one is in."""
    return region.partition("-")[0] != pinned.partition("-")[0] or ("-gov-" in region) != ("-gov-" in pinned)
