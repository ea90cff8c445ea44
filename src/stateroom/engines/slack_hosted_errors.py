"""What Slack's answers to `apps.datastore.*` mean for a caller of the port: one table from code to a clear error.

Rules of this file: pure. The codes are those that Slack lists for the nine methods and for all of its Web API; what is
in `errors[]` of a `datastore_error` is not published but for one code, so it is told by code and pointer and nothing is
rested on it. Slack's own sentences are never shown: nobody says that they hold no values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from stateroom.model.errors import InvalidValue, StateroomError, StoreUnavailable, Throttled

PARTIAL: Final = "partial_failure"
INNER: Final = "datastore_error"
QUOTA_SECONDS: Final = 60.0
_CODE: Final = re.compile(r"[a-zA-Z0-9_]{1,64}")
_POINTER: Final = re.compile(r"(/[A-Za-z0-9_$.-]{1,64}){1,8}")


class Refused(Exception):
    """Slack has said no. `failed`: the inputs that a bulk call left over; `entries`: those of `errors[]`."""

    def __init__(self, code: str, answer: Mapping[str, Any], *, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.answer = answer
        self.retry_after = retry_after
        self.failed: Sequence[Any] = _list(answer.get("failed_items"))
        self.entries: Sequence[Mapping[str, Any]] = [e for e in _list(answer.get("errors")) if isinstance(e, dict)]

    @property
    def bad_items(self) -> list[Mapping[str, Any]]:
        """The inputs that Slack names as the ones that do not fit."""
        return [entry["item"] for entry in self.entries if isinstance(entry.get("item"), dict)]

    @property
    def inner(self) -> str:
        """The first code of `errors[]`."""
        return next((c for e in self.entries if (c := _safe(_CODE, e.get("code")))), "")

    @property
    def pointer(self) -> str:
        """Where in the arguments the first of them is."""
        return next((p for e in self.entries if (p := _safe(_POINTER, e.get("pointer")))), "")


class Lost(Exception):
    """No answer came, or none that could be read. `sent`: the request may have reached Slack."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("sent" if sent else "not sent")
        self.sent = sent


class _Meaning(NamedTuple):
    reason: str
    sentence: str
    retryable: bool = False
    unclear: bool = False  # whether a write may have been done all the same


_TOKEN: Final = _Meaning("refused", "Slack refuses the token; set SLACK_SERVICE_TOKEN or SLACK_BOT_TOKEN anew")
_PLAN: Final = _Meaning("refused", "the workspace's plan or the app has no datastores hosted by Slack")
_NONE: Final = _Meaning("missing", "the app has no such datastore; declare it in the manifest and deploy the app")
_FAULT: Final = _Meaning("io", "Slack has a fault of its own; try again", True, True)
_OTHER: Final = _Meaning("io", "Slack refused the call")
MEANINGS: Final[Mapping[str, _Meaning]] = {
    **dict.fromkeys(
        ("invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "not_allowed_token_type"),
        _TOKEN,
    ),
    "missing_scope": _Meaning("refused", "the token lacks datastore:read or datastore:write; add it and install anew"),
    "access_denied": _Meaning("refused", "the token may not use this app's datastores"),
    "no_permission": _Meaning("refused", "the token may not use this app's datastores"),
    "invalid_app_id": _Meaning("missing", "there is no such app for this token; look at ?app_id="),
    "app_not_hosted": _PLAN,
    "free_team_not_allowed": _PLAN,
    "restricted_plan_level": _PLAN,
    "invalid_datastore": _NONE,
    "datastore_config_not_found": _NONE,
    "datastore_migration_in_progress": _Meaning("busy", "Slack moves the app's data now; try again later", True),
    "team_added_to_org": _Meaning("busy", "the workspace moves to an organisation now; try again later", True),
    "request_timeout": _Meaning("io", "the request reached Slack cut short; try again", True),
    **dict.fromkeys(("fatal_error", "internal_error", "service_unavailable", "server_error"), _FAULT),
}
_GONE: Final = "no answer came from Slack; see that the endpoint and the network are right, and try again"


def translate(error: Refused | Lost, place: str, *, writing: bool) -> StateroomError:
    """The error for a caller; `writing`: whether it was done may be unknown."""
    if isinstance(error, Lost):
        unknown = writing and error.sent
        told = f"{_GONE}; whether it was written is not known" if unknown else _GONE
        return StoreUnavailable(place, "io", told, retryable=True, maybe_applied=unknown)
    if error.retry_after is not None:
        return Throttled(place, error.retry_after)
    if error.code == PARTIAL:
        return Throttled(place, 1.0)
    if error.code == "team_quota_exceeded":
        return Throttled(f"{place} (the workspace's quota of requests is used up)", QUOTA_SECONDS)
    code = error.inner if error.code == INNER and error.inner else error.code
    meaning = MEANINGS.get(code)
    if meaning is None and error.code == INNER:
        return InvalidValue(f"{place}{error.pointer}", f"is refused by Slack ({code}); nothing was written")
    meaning = meaning or _OTHER
    unknown = writing and meaning.unclear
    told = f"{meaning.sentence} ({code})" + ("; whether it was written is not known" if unknown else "")
    return StoreUnavailable(place, meaning.reason, told, retryable=meaning.retryable, maybe_applied=unknown)


def code_of(answer: Any, status: int) -> str:
    """Slack's word for what is wrong; anything else in its place could be text that belongs in no log."""
    told = answer.get("error") if isinstance(answer, dict) else None
    return _safe(_CODE, told) or ("server_error" if status >= 500 else f"http_{status}")


def _safe(pattern: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
