"""What a setting's text means: a parser for each kind of value.

Rules of this file: text in, value out, and ValueError with what to give instead; the text itself is never repeated, it
may be a secret in the wrong place. What only one kind of process needs is imported when a value of it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from stateroom.model.content import Content
from stateroom.model.errors import WrongUse
from stateroom.model.sealing import Keyring

if TYPE_CHECKING:
    from stateroom.slack.prompts import Prompt


def number(low: float, high: float, *, whole: bool = False) -> Callable[[str], Any]:
    kind = "a whole number" if whole else "a number"

    def parse(text: str) -> Any:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:  # NaN is not
            raise ValueError(f"{kind} from {low:g} to {high:g}")
        return value

    return parse


def choice(*names: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return text.lower()

    return parse


def names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def content(text: str) -> Content:
    try:
        return Content.parse(text)
    except WrongUse:
        raise ValueError("full, none or ttl:<number><s|m|h|d>, for example ttl:30d") from None


def yes(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", "yes", "no"):
        raise ValueError("true or false")
    return text.lower() in ("true", "1", "yes")


def keys(text: str) -> Keyring:
    try:
        return Keyring.parse(text)
    except WrongUse as error:
        raise ValueError(f"keys: {error}") from None


def features(text: str) -> tuple[str, ...]:
    from stateroom.slack.features import checked

    try:
        return checked(names(text))
    except WrongUse as error:
        raise ValueError(f"features of `stateroom init`: {error}") from None


def prompts(text: str) -> tuple[Prompt, ...]:
    from stateroom.slack.prompts import parse_prompts

    return parse_prompts(text)


def model_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.username or parts.query or parts.fragment:
        raise ValueError("an address without credentials and without a query, such as http://127.0.0.1:11434/v1")
    return text.rstrip("/")


def region(text: str) -> str:
    from stateroom.bot.model_names import REGION

    if not REGION.fullmatch(text):
        raise ValueError("an AWS region, such as eu-central-1")
    return text


def guardrail(text: str) -> str:
    name, colon, version = text.rpartition(":")
    if not colon or not name or not (version == "DRAFT" or version.isdecimal()):
        raise ValueError("a guardrail's id or ARN with its version, such as abc123:1 or abc123:DRAFT")
    return text


def public_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("an address without a query, for example https://bot.example.com")
    return text.rstrip("/")


def api_url(text: str) -> str:
    """Clients append the method's name to it, so it ends in a slash."""
    url = text.rstrip("/") + "/"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or not parts.path.endswith("/api/"):
        raise ValueError("an address that ends in /api/, for example https://slack.com/api/")
    return url
