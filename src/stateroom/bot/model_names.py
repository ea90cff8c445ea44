"""Names of models: who provides one, and whether its requests may leave a region.

Rules of this file: pure. A Bedrock id begins with a geography when it is a cross-region inference profile: AWS then
chooses among the regions of that geography (docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support).
A pinned region is a promise, so what is not known to stay in its geography is refused.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from stateroom.model.errors import WrongUse

OFFLINE: Final = "offline"
REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]+){1,3}-\d{1,2}")
_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:bedrock:(?P<region>[a-z0-9-]+):(?P<account>\d{12})?:(?P<kind>[a-z-]+)/(?P<id>[A-Za-z0-9.:_/-]+)"
)
_ID: Final = re.compile(r"[a-z0-9-]+(?:\.[A-Za-z0-9_-]+)+(?::[A-Za-z0-9]+)*")
# Geographies of inference profiles, and the regions whose pin they keep. `global` keeps none.
GEOGRAPHIES: Final[dict[str, re.Pattern[str]]] = {
    "us": re.compile(r"us-(?!gov-).*"),
    "us-gov": re.compile(r"us-gov-.*"),
    "eu": re.compile(r"eu-.*"),
    "ca": re.compile(r"ca-.*"),
    "apac": re.compile(r"ap-.*"),
    "jp": re.compile(r"ap-northeast-[13]"),
    "in": re.compile(r"ap-south-[12]"),
    "au": re.compile(r"ap-southeast-[246]"),
    "global": re.compile(r"(?!)"),
}
# Who makes models: where one stands second, a geography stands first, also one that is newer than this table.
_MAKERS: Final = re.compile(
    "ai21|amazon|anthropic|cohere|deepseek|google|luma|meta|minimax|mistral|moonshot|moonshotai|nvidia|openai|qwen|"
    "stability|twelvelabs|writer|xai|zai"
)


class ModelName(NamedTuple):
    """`provider:id`."""

    provider: str
    id: str


def parse(name: str) -> ModelName:
    """The parts of a model string; WrongUse when it is none."""
    provider, colon, model = name.partition(":")
    if not colon or not provider or not model or any(one.isspace() for one in name):
        raise WrongUse(
            f"STATEROOM_MODEL {name!r} is no model string: give provider:id, such as "
            "bedrock:eu.anthropic.claude-haiku-4-5-20251001-v1:0, or offline"
        )
    if provider == "bedrock" and not (_ARN.fullmatch(model) or _ID.fullmatch(model)):
        raise WrongUse(f"STATEROOM_MODEL {name!r}: give a Bedrock model id, an inference profile's id, or an ARN")
    return ModelName(provider, model)


def geography(model: str) -> str | None:
    """The geography of a cross-region profile; None for a model of one region."""
    first, _, rest = model.partition(".")
    return first if first in GEOGRAPHIES or _MAKERS.fullmatch(rest.partition(".")[0]) else None


def region_of(model: str) -> str | None:
    """The region in an ARN; None for an id."""
    found = _ARN.fullmatch(model)
    return None if found is None else found["region"]


def leaves(model: str, region: str) -> str | None:
    """Why requests to a Bedrock model might leave the pinned region's geography, or None."""
    found = _ARN.fullmatch(model)
    if found is not None and found["region"] != region:
        return f"the ARN is of {found['region']}"
    place = geography(model if found is None else found["id"])
    if place is None or (place in GEOGRAPHIES and GEOGRAPHIES[place].fullmatch(region)):
        return None
    return "a global profile answers anywhere" if place == "global" else f"its profile answers in {place}"


def check_region(name: ModelName, region: str) -> None:
    """WrongUse when the model might answer outside of the pinned region's geography; an empty region pins nothing."""
    why = leaves(name.id, region) if region and name.provider == "bedrock" else None
    if why is not None:
        raise WrongUse(
            f"STATEROOM_MODEL {name.provider}:{name.id} does not stay in STATEROOM_MODEL_REGION {region}: {why}; "
            "choose a profile of that geography, or a model without one"
        )
