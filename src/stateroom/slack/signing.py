"""Proof that a request comes from Slack: the v0 signature over the raw bytes.

Rules of this file: the body is never parsed or decoded here; whatever is missing, repeated or malformed is refused
before any hash is made; the comparison takes the same time whatever differs. Slack's own rule: HMAC-SHA256 of
`v0:{timestamp}:{raw body}` under the signing secret, as lower hex after `v0=`, no older than five minutes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

from stateroom.model.errors import SignatureRefused, WrongUse

MAX_SKEW: Final = 300
"""Seconds by which a request's timestamp may differ from our clock, in either direction."""

SIGNATURE_HEADER: Final = "X-Slack-Signature"
TIMESTAMP_HEADER: Final = "X-Slack-Request-Timestamp"

SIGNED: Final = SIGNATURE_HEADER.lower().encode()
SIGNED_AT: Final = TIMESTAMP_HEADER.lower().encode()
_LENGTHS: Final = frozenset({len(SIGNED), len(SIGNED_AT)})
_BLOCK: Final = hashlib.sha256().block_size
# A Unix time has ten digits until the year 2286; longer ones only cost time in int().
_MAX_DIGITS: Final = 12
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))


def _key_of(secret: str) -> bytes:
    if not secret.strip():
        raise WrongUse("the signing secret is empty; give the one from the app's Basic Information page")
    if secret != secret.strip() or not secret.isascii():
        raise WrongUse("the signing secret has blanks around it or is not ASCII; copy it again from the app's page")
    return secret.encode("ascii")


def signed_of(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes | None, bytes | None]:
    """Return (timestamp, signature); names in any case.

    A header that comes twice is refused, SignatureRefused: two readers could each trust another.
    """
    timestamp: bytes | None = None
    signature: bytes | None = None
    for name, value in headers:
        if len(name) not in _LENGTHS:
            continue
        lowered = name.lower()
        if lowered == SIGNED_AT:
            if timestamp is not None:
                raise SignatureRefused("the timestamp header comes twice")
            timestamp = value
        elif lowered == SIGNED:
            if signature is not None:
                raise SignatureRefused("the signature header comes twice")
            signature = value
    return timestamp, signature


class Verifier:
    """Checks signatures for one signing secret. Safe to share between tasks and threads."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, secret: str) -> None:
        """Raise WrongUse for a secret that cannot be one (empty, blanks around it, not ASCII)."""
        key = _key_of(secret)
        if len(key) > _BLOCK:
            key = hashlib.sha256(key).digest()
        key = key.ljust(_BLOCK, b"\0")
        # HMAC hashes a block made of the key first, twice. Both states are kept and copied: a third of hmac.new's time.
        self._inner = hashlib.sha256(key.translate(_INNER_PAD))
        self._inner.update(b"v0:")
        self._outer = hashlib.sha256(key.translate(_OUTER_PAD))

    def __repr__(self) -> str:
        return "Verifier(secret=…)"

    def signature(self, timestamp: bytes, body: bytes) -> bytes:
        """Return the value of the signature header for a timestamp's digits and a raw body."""
        inner = self._inner.copy()
        inner.update(timestamp + b":")
        inner.update(body)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return b"v0=" + outer.hexdigest().encode("ascii")

    def verify(self, headers: Iterable[tuple[bytes, bytes]], body: bytes, now: float) -> None:
        """Return when Slack signed these bytes within five minutes of `now` (Unix seconds), else SignatureRefused.

        `headers` are name and value pairs, names in any case.
        """
        self.check(*signed_of(headers), body, now)

    def check(self, timestamp: bytes | None, signature: bytes | None, body: bytes, now: float) -> None:
        """`verify`, of the two headers' values where each came at most once."""
        if timestamp is None:
            raise SignatureRefused("no timestamp header")
        if signature is None:
            raise SignatureRefused("no signature header")
        # bytes.isdigit knows ASCII digits alone: no sign, no blank, no digit of another script.
        if not timestamp.isdigit() or len(timestamp) > _MAX_DIGITS:
            raise SignatureRefused("malformed timestamp")
        skew = now - int(timestamp)
        if skew > MAX_SKEW:
            raise SignatureRefused("stale timestamp")
        if not skew >= -MAX_SKEW:
            raise SignatureRefused("timestamp in the future")
        if not hmac.compare_digest(self.signature(timestamp, body), signature):
            raise SignatureRefused("wrong signature")


def sign(secret: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the two headers that Slack would send with `body` at `timestamp` (Unix seconds)."""
    digits = str(timestamp)
    value = Verifier(secret).signature(digits.encode("ascii"), body)
    return {TIMESTAMP_HEADER: digits, SIGNATURE_HEADER: value.decode("ascii")}
