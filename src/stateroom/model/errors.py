"""The one tree of errors.

Rules of this file: every error answers "what may I do now?" through two flags and its fields, never through prose
alone. `retryable`: the same call may succeed later, unchanged. `maybe_applied`: the write may have happened; read
before you write again, or repeat it with the same id. Messages carry no message text, no token and no item content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class StateroomError(Exception):
    """Base of all errors that Stateroom raises on purpose. Never raised itself."""

    retryable: bool = False
    maybe_applied: bool = False


class InvalidValue(StateroomError, ValueError):
    """A value is refused at the door; nothing was stored. `.field` names the attribute or argument."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class InvalidId(InvalidValue):
    """An id that is not of Slack's shape (or of a key's) was refused before it became a key or a path."""


class InvalidDefinition(StateroomError, ValueError):
    """A datastore definition cannot be kept. `.datastore` and `.attribute` say where."""

    def __init__(self, datastore: str, attribute: str | None, detail: str) -> None:
        place = datastore if attribute is None else f"{datastore}.{attribute}"
        super().__init__(f"{place}: {detail}")
        self.datastore = datastore
        self.attribute = attribute


class InvalidCondition(StateroomError, ValueError):
    """A condition cannot be read or means nothing. `.position` is the offending character (0-based) or None."""

    def __init__(self, detail: str, position: int | None = None) -> None:
        super().__init__(detail if position is None else f"{detail} (at character {position})")
        self.position = position


class InvalidCursor(StateroomError, ValueError):
    """A cursor was made for another query or team, or is no cursor: start again without it."""


class ItemTooLarge(StateroomError):
    """An item is over the engine's or the profile's limit. `.size` and `.limit` in bytes."""

    def __init__(self, place: str, size: int, limit: int) -> None:
        super().__init__(f"{place}: the item has {size} bytes, the limit is {limit}; split it or store a reference")
        self.size = size
        self.limit = limit


class ConditionFailed(StateroomError):
    """A condition, a version or `if_absent` did not hold; nothing of the batch was written.

    `.current` is the row as it is now (None: it does not exist), `.version` its version (0: it does not exist),
    `.index` the position of the refused write in its batch.
    """

    def __init__(self, place: str, current: Mapping[str, Any] | None, *, version: int = 0, index: int = 0) -> None:
        found = "no such item" if current is None else "the item differs"
        super().__init__(f"{place}: the condition does not hold ({found}); read .current and decide again")
        self.place = place
        self.current = current
        self.version = version
        self.index = index


class IllegalTransition(ConditionFailed):
    """A lifecycle does not lead from the item's state to the new one; nothing was written.

    `.from_state` is the state as it is now (None: there is no item, or it has none), `.to_state` the refused one.
    """

    def __init__(
        self,
        place: str,
        current: Mapping[str, Any] | None,
        from_state: str | None,
        to_state: str | None,
        *,
        version: int = 0,
        index: int = 0,
    ) -> None:
        super().__init__(place, current, version=version, index=index)
        self.args = (f"{place}: no transition from {from_state!r} to {to_state!r}; read .current and decide again",)
        self.from_state = from_state
        self.to_state = to_state


class UniqueViolation(ConditionFailed):
    """Another item holds the same values under a unique index. `.attributes` names the index's attributes."""

    def __init__(
        self,
        place: str,
        current: Mapping[str, Any] | None,
        attributes: tuple[str, ...],
        *,
        version: int = 0,
        index: int = 0,
    ) -> None:
        super().__init__(place, current, version=version, index=index)
        names = ", ".join(attributes)
        self.args = (f"{place}: another item has the same {names}, which is unique; .current is that other item",)
        self.attributes = attributes


class TransactionConflict(StateroomError):
    """A row that the transaction read was changed by somebody else; nothing was written: run the block again.

    `.current` is that row as it is now (None: it does not exist).
    """

    retryable = True

    def __init__(self, place: str, current: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{place}: changed since the transaction read it; nothing was written, run the block again")
        self.place = place
        self.current = current


class BulkFailed(StateroomError):
    """Some items of a bulk call were not written; the others were. `.failed` maps a position to its error."""

    def __init__(self, place: str, failed: Mapping[int, StateroomError], total: int) -> None:
        super().__init__(f"{place}: {len(failed)} of {total} failed; .failed has the error by position")
        self.place = place
        self.failed = failed
        self.retryable = all(error.retryable for error in failed.values())
        self.maybe_applied = any(error.maybe_applied for error in failed.values())


class IdempotencyMismatch(StateroomError, ValueError):
    """The key was used for another call: another item, other changes, another condition. Nothing was written.

    `.key` is the place of the record: `<datastore>/<key>`.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"{key}: this idempotency key belongs to a call with other arguments; use another key")
        self.key = key


class LeaseLost(StateroomError):
    """Another holder has the lease, or it ran out: stop, write nothing, send nothing."""

    def __init__(self, name: str, token: int) -> None:
        super().__init__(f"lease {name} with fencing token {token} is lost; stop the work that it protected")
        self.name = name
        self.token = token


class Unsupported(StateroomError):
    """This engine does not declare the construct. `.construct` names it; another engine has it."""

    def __init__(self, engine: str, construct: str) -> None:
        super().__init__(f"{engine} does not support {construct}; docs/engines.md lists the engines that do")
        self.engine = engine
        self.construct = construct


class UnknownDatastore(StateroomError):
    """No definition of that name was given to the store."""


class CorruptData(StateroomError):
    """Stored bytes cannot be read as what they must be. Never answered with an empty result."""

    def __init__(self, place: str, detail: str, advice: str = "restore it from a backup or an export") -> None:
        super().__init__(f"{place}: {detail}; nothing was changed, {advice}")
        self.place = place


class FormatTooNew(CorruptData):
    """The row was written by a newer version of Stateroom or of your definitions: deploy that one."""

    def __init__(self, place: str, detail: str) -> None:
        super().__init__(place, detail, "deploy the newer code")


class StoreUnavailable(StateroomError):
    """The store cannot be reached or used now. `.reason` is one word: busy, full, readonly, closed, io, missing."""

    def __init__(self, place: str, reason: str, detail: str, *, retryable: bool, maybe_applied: bool = False) -> None:
        super().__init__(f"{place}: {detail}")
        self.place = place
        self.reason = reason
        self.retryable = retryable
        self.maybe_applied = maybe_applied


class MigrationNeeded(StateroomError):
    """The store's schema is older than the definitions: run `stateroom migrate plan`, then `apply`."""


class MigrationRefused(StateroomError):
    """A migration would lose data, or cannot be done; nothing was changed. `.steps` says which of its steps, in words.

    `.blocked`: not even with permission to lose data; the step says what to do first.
    """

    def __init__(self, steps: Sequence[str], *, blocked: bool = False) -> None:
        way = "nothing helps but to do what it says" if blocked else "allow data loss (--allow-data-loss) to do it"
        super().__init__(f"refused: {'; '.join(steps)}; nothing was changed, {way}")
        self.steps = tuple(steps)
        self.blocked = blocked


class Throttled(StateroomError):
    """The other side asked to slow down. `.retry_after` in seconds."""

    retryable = True

    def __init__(self, place: str, retry_after: float) -> None:
        super().__init__(f"{place}: throttled; try again in {retry_after:g} s")
        self.retry_after = retry_after


class SlackError(StateroomError):
    """Slack refused a call or could not be reached. `.code`: Slack's own, or `timeout`, `connection`."""

    def __init__(self, method: str, code: str, *, retryable: bool = False, maybe_applied: bool = False) -> None:
        super().__init__(f"{method}: {code}")
        self.method = method
        self.code = code
        self.retryable = retryable
        self.maybe_applied = maybe_applied


class SignatureRefused(StateroomError):
    """A request is not proven to come from Slack. `.reason` is safe to log."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"request refused: {reason}")
        self.reason = reason


class PayloadRefused(StateroomError):
    """A signed request body is not what Slack sends. `.status` is the HTTP status to answer, `.code` the error code."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail


class ModelError(StateroomError):
    """The language model gave no usable answer. `.reason` is one word, safe to log."""

    def __init__(self, reason: str, *, retryable: bool, retry_after: float | None = None) -> None:
        super().__init__(f"the model gave no answer: {reason}")
        self.reason = reason
        self.retryable = retryable
        self.retry_after = retry_after


class WrongUse(StateroomError, ValueError):
    """The caller asked for what cannot be: a setting, an option, a combination. The message says what to give."""


class DefinitionWarning(UserWarning):
    """A definition that works here and may not on Slack; also in `Definition.warnings`. Never an error by itself."""


class KeyMissing(StateroomError):
    """A secret can be neither sealed nor opened: no keys were given, or not the one that sealed it.

    Nothing was stored, unless `.maybe_applied`: then a change was, and only its result cannot be shown. `.datastore`,
    `.attribute`; `.key_id` is the id of the key that is missing, None when no keys were given at all.
    """

    def __init__(self, datastore: str, attribute: str, key_id: str | None = None, advice: str | None = None) -> None:
        place = f"{datastore}.{attribute}"
        if key_id is None:
            words = f"{place} is encrypted and no keys were given; set STATEROOM_KEYS, or open the store with keys="
        else:
            way = advice or f"which was not given; add {key_id}:… to STATEROOM_KEYS"
            words = f"{place} is sealed with the key {key_id}, {way}"
        super().__init__(f"{words} (docs/keys.md)")
        self.datastore = datastore
        self.attribute = attribute
        self.key_id = key_id


class SealBroken(CorruptData):
    """A sealed value was changed, or stands in another place than the one it was sealed for; it is not shown."""


class KeyServiceError(StateroomError):
    """The key service (KMS) did not wrap or unwrap a data key; nothing was stored. `.reason` is its code, or a word.

    Retryable when it could not be reached or asked to slow down; a refusal (no right, a key that was disabled) is not.
    """

    def __init__(self, place: str, reason: str, *, retryable: bool) -> None:
        way = "it may be back soon, try again" if retryable else "see its rights and the key's state (docs/keys.md)"
        super().__init__(f"{place}: the key service did not answer with a key: {reason}; {way}")
        self.place = place
        self.reason = reason
        self.retryable = retryable
