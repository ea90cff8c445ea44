"""What DynamoDB's refusals mean for a caller: one table from its error codes to a clear error.

Rules of this file: pure. The codes are those of
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html. DynamoDB's own sentences are
never shown: some hold values of rows, others account numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from stateroom.model.errors import ItemTooLarge, StateroomError, StoreUnavailable, Throttled

SLOW: Final = frozenset(
    (
        *("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "Throttling"),
        *("ThrottlingError", "ProvisionedThroughputExceeded"),
    )
)
MET: Final = frozenset(("TransactionConflictException", "TransactionConflict"))
IN_PROGRESS: Final = "TransactionInProgressException"  # of the same token
INVALID: Final = ("ValidationException", "ValidationError")  # of a request, of one row of a transaction
OVERSIZED: Final = "exceeded the maximum allowed size"
AGAIN: Final = 1.0  # seconds that somebody who was throttled for long is told to wait
LARGEST: Final = 400 * 1024  # bytes of an item as DynamoDB counts them


class Refused(Exception):
    """DynamoDB has answered with an error. `item`: the row as it is; `reasons`: those of a transaction, one each."""

    def __init__(self, code: str, status: int, message: str, answer: Mapping[str, Any]) -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.reasons: Sequence[Mapping[str, Any]] = answer.get("CancellationReasons") or ()
        told = [(code, message), *((reason.get("Code"), reason.get("Message")) for reason in self.reasons)]
        self.oversized = any(kind in INVALID and OVERSIZED in (words or "") for kind, words in told)
        first: Mapping[str, Any] = self.reasons[0] if self.reasons else answer
        self.item: Mapping[str, Any] | None = first.get("Item")

    @property
    def failed(self) -> bool:
        """Whether a condition did not hold."""
        return self.code == "ConditionalCheckFailedException" or self._has("ConditionalCheckFailed")

    @property
    def met(self) -> bool:
        """Whether somebody else was writing the same rows: nothing was written."""
        return self.code in MET or self._has("TransactionConflict")

    @property
    def slow(self) -> bool:
        """Whether it is to be sent again later: nothing was written."""
        return self.code in SLOW or any(self._has(code) for code in SLOW)

    @property
    def unclear(self) -> bool:
        """Whether a write may have been done all the same."""
        return self.status >= 500

    def _has(self, code: str) -> bool:
        return any(reason.get("Code") == code for reason in self.reasons)


class Lost(Exception):
    """No answer came. `sent`: the request may have reached DynamoDB."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("sent" if sent else "not sent")
        self.sent = sent


class _Meaning(NamedTuple):
    reason: str
    sentence: str
    retryable: bool


_SIGNED: Final = "AWS refuses these credentials; look at AWS_PROFILE, AWS_ACCESS_KEY_ID or the role, and at the clock"
_RIGHTS: Final = "the role lacks a right on the table; docs/engines.md has the policy"
_MEANINGS: Final[Mapping[str, _Meaning]] = {
    "ResourceNotFoundException": _Meaning(
        "missing", "there is no such table in this region; run `stateroom migrate apply`, or mend the URL", False
    ),
    "AccessDeniedException": _Meaning("refused", _RIGHTS, False),
    "UnrecognizedClientException": _Meaning("refused", _SIGNED, False),
    "InvalidSignatureException": _Meaning("refused", _SIGNED, False),
    "IncompleteSignatureException": _Meaning("refused", _SIGNED, False),
    "MissingAuthenticationTokenException": _Meaning("refused", _SIGNED, False),
    "ExpiredTokenException": _Meaning("refused", "the credentials have expired; get new ones", False),
    "ResourceInUseException": _Meaning("busy", "the table is being made or changed; try again", True),
    "LimitExceededException": _Meaning("busy", "too many tables or indexes are being made at once; try again", True),
    "KMSAccessDeniedException": _Meaning("refused", "the table's key may not be used by this role", False),
}
_FAULT: Final = _Meaning("io", "DynamoDB has a fault of its own; try again", True)
_OTHER: Final = _Meaning("io", "DynamoDB refused the request", False)
_GONE: Final = "no answer came from DynamoDB; see that the endpoint and the network are right, and try again"


def translate(error: Refused | Lost, place: str, *, writing: bool = False) -> StateroomError:
    """The error for a caller; `writing`: whether it was done may be unknown."""
    if isinstance(error, Lost):
        unknown = writing and error.sent
        told = f"{_GONE}; whether it was written is not known" if unknown else _GONE
        return StoreUnavailable(place, "io", told, retryable=True, maybe_applied=unknown)
    if error.slow:
        return throttled(place)
    if error.oversized:
        return ItemTooLarge(place, LARGEST + 1, LARGEST)
    meaning = _MEANINGS.get(error.code, _FAULT if error.status >= 500 else _OTHER)
    unknown = writing and error.unclear
    told = f"{meaning.sentence} ({error.code})" + ("; whether it was written is not known" if unknown else "")
    return StoreUnavailable(place, meaning.reason, told, retryable=meaning.retryable, maybe_applied=unknown)


def throttled(place: str) -> Throttled:
    """For what DynamoDB has put off too many times."""
    return Throttled(f"{place} (too many requests to the table, or to one key)", AGAIN)


def closed(place: str) -> StoreUnavailable:
    """For a call on a store that is closed."""
    return StoreUnavailable(place, "closed", "the store is closed; open it first", retryable=False)
