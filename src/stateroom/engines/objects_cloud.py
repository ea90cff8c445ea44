"""Objects in S3, Google Cloud Storage and Azure, by obstore.

Rules of this file: only obstore's blocking calls, in worker threads: its other half can abort the process at exit (a
test forbids it by name). obstore repeats nothing: what may be sent again is decided by who knows what it does.
Credentials come from the platform's own chain. obstore's errors hold addresses and bodies, so that nothing of them but
a status and a word goes into ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, S3Store

from stateroom.engines.objects_bucket import Found, Lost
from stateroom.model.errors import StateroomError, StoreUnavailable, Throttled

if TYPE_CHECKING:
    from obstore import PutMode

SECONDS: Final = 20  # for one request
REMOVED: Final = 500  # objects that one request removes
TIMES: Final[Any] = {"timeout": f"{SECONDS}s", "connect_timeout": "5s"}
_STATUS: Final = re.compile(r"status code: (\d{3})")
_TOKEN: Final = "performing token request"  # the platform's chain has no credentials to give
_NOT_SENT: Final = "kind: Connect"
_NO_BUCKET: Final = ("NoSuchBucket", "ContainerNotFound", "specified bucket does not exist")
_SLOW: Final = ("SlowDown", "ServerBusy", "rateLimitExceeded", "RequestLimitExceeded")
_REFUSED: Final = (
    "the credentials are refused here: none, wrong or expired ones, or a right is missing (docs/engines.md)"
)
T = TypeVar("T")


class CloudBucket:
    """A bucket (or container) and the prefix in it. `endpoint` and `region` where they are not the usual ones."""

    near = False
    drops = False  # obstore cannot remove under a condition
    every = 4  # the newest twenty entries are five requests at most: snapshot, listing, three entries
    readers = 16

    def __init__(
        self, scheme: Literal["s3", "gs", "az"], bucket: str, prefix: str, endpoint: str | None, region: str | None
    ) -> None:
        self.place = f"{scheme}://{bucket}/{prefix}".rstrip("/")
        self.lists_after = scheme != "az"  # Azure begins at the beginning, and obstore leaves out what was not asked
        self._prefix = f"{prefix}/" if prefix else ""
        self._bucket = bucket
        self._tag: Literal["version", "e_tag"] = "version" if scheme == "gs" else "e_tag"  # GCS compares generations
        try:
            self._store = _MAKERS[scheme](bucket, endpoint, region)
        except (BaseError, ValueError):
            raise self._refused("the address or the credentials of the environment cannot be used") from None

    def get(self, key: str) -> Found | None:
        def ask() -> Found | None:
            try:
                found = obstore.get(self._store, self._prefix + key)
                return Found(bytes(found.bytes()), found.meta[self._tag] or "")
            except FileNotFoundError as error:
                self._missing(error)
                return None

        return self._asked(ask)

    def put(self, key: str, data: bytes, tag: str | None) -> str:
        mode: PutMode = "create" if tag is None else {"version": tag} if self._tag == "version" else {"e_tag": tag}

        def ask() -> str:
            try:
                done = obstore.put(self._store, self._prefix + key, data, mode=mode, use_multipart=False)
                return done[self._tag] or ""
            except (AlreadyExistsError, PreconditionError) as error:
                self._missing(error)
                raise Lost(key) from None

        return self._asked(ask, writes=True)

    def sure(self, key: str) -> None:
        """What can be read there lasts."""

    def drop(self, key: str, tag: str) -> None:
        raise NotImplementedError

    def remove(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), REMOVED):
            some = [self._prefix + key for key in keys[start : start + REMOVED]]
            self._asked(lambda some=some: self._removed(some), writes=True)  # type: ignore[misc]

    def _removed(self, keys: list[str]) -> None:
        try:
            obstore.delete(self._store, keys)
        except FileNotFoundError as error:
            self._missing(error)
            for key in keys:  # one of them was absent: the others say for themselves
                try:
                    obstore.delete(self._store, key)
                except FileNotFoundError:
                    continue

    def names(self, folder: str, after: str = "") -> list[str]:
        within = f"{self._prefix}{folder}/"
        offset = f"{within}{after}" if after else None

        def ask() -> list[str]:
            found: list[str] = []
            for some in obstore.list(self._store, within, offset=offset, chunk_size=1000):
                found += (one["path"][len(within) :] for one in some)
            return sorted(found)

        return self._asked(ask)

    def folders(self, folder: str) -> list[str]:
        within = f"{self._prefix}{folder}/"

        def ask() -> list[str]:
            found = obstore.list_with_delimiter(self._store, within)
            return sorted(one.rstrip("/").rpartition("/")[2] for one in found["common_prefixes"])

        return self._asked(ask)

    def close(self) -> None:
        """obstore's connections end with the store itself."""

    # What obstore says, as ours.

    def _asked(self, ask: Callable[[], T], *, writes: bool = False) -> T:
        try:
            return ask()
        except FileNotFoundError:  # a put into a bucket that is not there, a listing of one
            raise self._no_bucket() from None
        except (PermissionDeniedError, UnauthenticatedError):
            raise self._refused(_REFUSED) from None
        except BaseError as error:
            raise self._translated(str(error), writes=writes) from None

    def _translated(self, text: str, *, writes: bool) -> StateroomError:
        found = _STATUS.search(text)
        status = int(found[1]) if found else 0
        if any(word in text for word in _NO_BUCKET):
            return self._no_bucket()
        if status in (429, 503) or any(word in text for word in _SLOW):
            return Throttled(self.place, 1.0)
        if _TOKEN in text or (not status and ("credential" in text.lower())):
            return self._refused(_REFUSED)
        if 400 <= status < 500 and status not in (408, 409):
            return self._refused(f"the request was refused with {status}: look at the address, the region and the key")
        what = f"it answered with {status}" if status else "no answer, or half of one"
        unsure = writes and status != 409 and _NOT_SENT not in text
        return StoreUnavailable(self.place, "io", f"{what}; try again", retryable=True, maybe_applied=unsure)

    def _missing(self, error: Exception) -> None:
        """Raise where it is the bucket that is not there."""
        if any(word in str(error) for word in _NO_BUCKET):
            raise self._no_bucket()

    def _no_bucket(self) -> StoreUnavailable:
        detail = f"there is no bucket {self._bucket}: make it, or correct the URL; Stateroom makes no buckets"
        return StoreUnavailable(self.place, "missing", detail, retryable=False)

    def _refused(self, detail: str) -> StoreUnavailable:
        return StoreUnavailable(self.place, "refused", detail, retryable=False)


def _client(endpoint: str | None) -> Any:
    plain = endpoint is not None and endpoint.startswith("http://")
    return {**TIMES, "allow_http": plain}


_ONCE: Final[Any] = {"max_retries": 0}


def _s3(bucket: str, endpoint: str | None, region: str | None) -> Any:
    given: dict[str, Any] = {} if endpoint is None else {"endpoint": endpoint}
    if region is not None:
        given["region"] = region
    return S3Store(bucket, client_options=_client(endpoint), retry_config=_ONCE, **given)


def _gcs(bucket: str, endpoint: str | None, region: str | None) -> Any:
    given: dict[str, Any] = {} if endpoint is None else {"config": {"base_url": endpoint}}
    return GCSStore(bucket, client_options=_client(endpoint), retry_config=_ONCE, **given)


def _azure(bucket: str, endpoint: str | None, region: str | None) -> Any:
    given: dict[str, Any] = {} if endpoint is None else {"endpoint": endpoint}
    return AzureStore(bucket, client_options=_client(endpoint), retry_config=_ONCE, **given)


_MAKERS: Final = {"s3": _s3, "gs": _gcs, "az": _azure}
