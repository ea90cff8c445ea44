"""What a failed request to a model means: one reason, and whether the next try may go better.

Rules of this file: it reads status and class of an error and never passes its words on: they may hold content. What no
row fits is left to whoever called, where it is a defect (bot/asking.py), and still ends in one right outcome.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from stateroom.model.errors import ModelError

TOO_LONG: Final = "too_long"


class Failure(NamedTuple):
    """`reason` is what logs and `stateroom turns` show."""

    reason: str
    retryable: bool
    means: str


# By HTTP status; the exception events of Bedrock's streams have the status of the same error before the stream.
STATUS: Final[dict[int, Failure]] = {
    400: Failure("bad_request", False, "the provider refuses the request; a setting may not fit the model"),
    401: Failure("access_denied", False, "the credentials are not right"),
    402: Failure("quota", False, "the account has no credit"),
    403: Failure("access_denied", False, "the credentials may not use the model, or it is not enabled"),
    404: Failure("model_gone", False, "there is no such model here, or it has reached its end (`stateroom doctor`)"),
    408: Failure("timeout", True, "the model took too long"),
    409: Failure("conflict", True, "the provider was busy with itself"),
    413: Failure(TOO_LONG, False, "the request is too long"),
    424: Failure("stream_broken", True, "the model failed while it was writing"),
    429: Failure("throttled", True, "too many requests; Retry-After is waited for"),
    503: Failure("unavailable", True, "the model is not there now"),
    529: Failure("overloaded", True, "the provider has too much to do"),
}
SERVER: Final = Failure("server_error", True, "the provider failed (any other 5xx)")
CLIENT: Final = Failure("bad_request", False, "any other 4xx")
OTHERS: Final = {
    "connection": Failure("connection", True, "the provider cannot be reached, or the stream was cut"),
    "timeout": Failure("timeout", True, "no connection, no first word or no next word in time"),
    "credentials": Failure("credentials", False, "no AWS credentials were found (`stateroom doctor`)"),
    "too_long": Failure(TOO_LONG, False, "the model's window is too small even for the message alone"),
    "bad_answer": Failure("bad_answer", True, "the answer cannot be read"),
    "configuration": Failure("configuration", False, "the model cannot be used with these settings"),
}
_OVERLONG: Final = ("input is too long", "prompt is too long", "context length", "context window", "too many tokens")


def of_status(status: int) -> Failure:
    """The row of an HTTP status."""
    return STATUS.get(status) or (SERVER if status >= 500 else CLIENT)


def failure_of(error: BaseException) -> ModelError:
    """The error of pydantic-ai, or of AWS's library below it, as ours."""
    row = _row(error)
    return ModelError(row.reason, retryable=row.retryable, retry_after=getattr(error, "retry_after", None))


def _row(error: BaseException) -> Failure:
    from pydantic_ai import exceptions

    if isinstance(error, exceptions.ModelContextWindowExceededError) or _is_overlong(error):
        return OTHERS["too_long"]
    if isinstance(error, exceptions.ModelHTTPError):
        return of_status(error.status_code)
    if isinstance(error, (exceptions.ModelTimeoutError, exceptions.ModelRequestTimeout, TimeoutError)):
        return OTHERS["timeout"]
    if isinstance(error, (exceptions.ModelAPIError, OSError)):
        return OTHERS["connection"]
    if isinstance(error, exceptions.UserError):
        return OTHERS["configuration"]
    if isinstance(error, exceptions.AgentRunError):
        return OTHERS["bad_answer"]
    return OTHERS["credentials" if "Credential" in type(error).__name__ else "connection"]  # botocore's own


def _is_overlong(error: Any) -> bool:
    """A validation error that says that the input is too long; each provider has its own words."""
    if getattr(error, "status_code", None) not in (400, 413):
        return False
    said = str(getattr(error, "body", "")).lower()
    return any(words in said for words in _OVERLONG)


def table() -> str:
    """The failures in Markdown."""
    lines = ["| reason | when | tried again |", "| --- | --- | --- |"]
    when: dict[tuple[str, bool, str], list[str]] = {}
    for status, row in STATUS.items():
        when.setdefault(row, []).append(str(status))
    for row in (SERVER, *OTHERS.values()):
        when.setdefault(row, [])
    for (reason, again, means), statuses in when.items():
        codes = f" (HTTP {', '.join(statuses)})" if statuses else ""
        lines.append(f"| `{reason}` | {means}{codes} | {'yes' if again else 'no'} |")
    return "\n".join(lines) + "\n"
