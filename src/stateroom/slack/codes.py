"""What a failed Web API call means: may it be tried again, may it have been done?

Rules of this file: pure; one table, which docs/slack-wire.md shows (a test compares them). A code that is not in the
table is final: Slack understood the call and refused it, and would refuse it again. A call that only reads is never
"maybe applied".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from stateroom.model.errors import SlackError, StateroomError, Throttled


class Meaning(NamedTuple):
    """What the caller may do after a code, and why it is so."""

    retryable: bool
    maybe_applied: bool
    why: str


TIMEOUT: Final = "timeout"
CONNECTION: Final = "connection"
BAD_RESPONSE: Final = "bad_response"
SERVER_ERROR: Final = "server_error"
HTTP_ERROR: Final = "http_error"

MEANINGS: Final[Mapping[str, Meaning]] = {
    # Ours, for what never got an answer in Slack's form. Before anything was sent, neither was applied.
    TIMEOUT: Meaning(True, True, "no whole answer by the deadline"),
    CONNECTION: Meaning(True, True, "the connection failed or was cut"),
    BAD_RESPONSE: Meaning(True, True, "an answer that is not what the method gives"),
    SERVER_ERROR: Meaning(True, True, "HTTP 5xx"),
    HTTP_ERROR: Meaning(False, False, "another HTTP status without Slack's error"),
    # Slack's, that pass.
    "fatal_error": Meaning(True, True, "Slack failed, perhaps halfway"),
    "internal_error": Meaning(True, True, "Slack failed, perhaps halfway"),
    "service_unavailable": Meaning(True, True, "Slack is down, perhaps halfway"),
    "request_timeout": Meaning(True, False, "the request reached Slack cut short"),
    "team_added_to_org": Meaning(True, False, "the team moves to an organisation now"),
    "external_channel_migrating": Meaning(True, False, "the shared channel moves now"),
    # Slack's, that do not pass, and that the bot acts on.
    "message_not_in_streaming_state": Meaning(False, False, "the stream ended or expired; use chat.update"),
    "streaming_state_conflict": Meaning(False, False, "the message still streams; stop it first"),
    "stopped_by_user": Meaning(False, False, "a person stopped the stream"),
    "message_not_found": Meaning(False, False, "the message is gone"),
    "channel_not_found": Meaning(False, False, "the channel is gone or hidden from us"),
    "not_in_channel": Meaning(False, False, "the bot has to be invited"),
    "is_archived": Meaning(False, False, "nobody can write there"),
    "msg_too_long": Meaning(False, False, "split it"),
    "no_text": Meaning(False, False, "nothing to show"),
    "missing_scope": Meaning(False, False, "install the app again with the scope"),
    "invalid_auth": Meaning(False, False, "the token is wrong"),
    "not_authed": Meaning(False, False, "no token was given"),
    "token_revoked": Meaning(False, False, "install the app again"),
    "token_expired": Meaning(False, False, "refresh the token"),
    "account_inactive": Meaning(False, False, "the app was removed"),
}

THROTTLED: Final = frozenset({"ratelimited", "rate_limited"})
"""Codes that say what HTTP 429 says."""

READS: Final = frozenset({"auth.test", "conversations.replies", "conversations.info", "users.info"})
"""Methods that change nothing."""

_REFUSED: Final = Meaning(False, False, "Slack refuses the call")
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NO_HINT: Final = 1.0


def error_of(method: str, code: str, *, sent: bool = True) -> SlackError:
    """Return the error for a code; `sent` False when no byte of the request can have reached Slack."""
    meaning = MEANINGS.get(code, _REFUSED)
    applied = meaning.maybe_applied and sent and method not in READS
    return SlackError(method, code, retryable=meaning.retryable, maybe_applied=applied)


def error_of_answer(method: str, status: int, headers: Mapping[str, str], data: Any) -> StateroomError:
    """Return the error that an HTTP answer other than 200 with `ok: true` stands for."""
    told = data.get("error") if isinstance(data, dict) else None
    # A code is Slack's own word; anything else there could be text that belongs in no log.
    code = told if isinstance(told, str) and _CODE.fullmatch(told) else None
    if status == 429 or code in THROTTLED:
        return Throttled(method, _retry_after(headers))
    if code is not None and (status < 500 or code in MEANINGS):
        return error_of(method, code)
    if status >= 500:
        return error_of(method, SERVER_ERROR)
    if status == 408:
        return error_of(method, "request_timeout")
    return error_of(method, BAD_RESPONSE if 200 <= status < 300 else HTTP_ERROR)


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds to wait; Slack gives whole ones, a proxy before it may give none or a date."""
    for name, value in headers.items():
        if name.lower() == "retry-after":
            try:
                seconds = float(value)
            except ValueError:
                return _NO_HINT
            return seconds if math.isfinite(seconds) and seconds >= 0 else _NO_HINT
    return _NO_HINT
