"""Signatures: what Slack signed passes, everything else is refused before it is parsed."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.signature import Clock, SignatureVerifier

from stateroom.model.errors import SignatureRefused, WrongUse
from stateroom.slack.signing import MAX_SKEW, Verifier, sign
from support.tables import each

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
NOW = 1_700_000_000
BODY = b'{"type":"url_verification","challenge":"x"}'

secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200)


def headers(secret: str = SECRET, at: int = NOW, body: bytes = BODY) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in sign(secret, at, body).items()]


class _Frozen(Clock):
    def now(self) -> float:
        return NOW


@given(secret=secrets, timestamp=st.integers(0, 10**12 - 1), body=st.binary(max_size=2000))
def test_the_signature_is_the_one_of_hmac(secret: str, timestamp: int, body: bytes) -> None:
    base = b"v0:%d:%s" % (timestamp, body)
    expected = "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()
    assert sign(secret, timestamp, body)["X-Slack-Signature"] == expected


@given(secret=secrets, body=st.text(max_size=500), skew=st.integers(-MAX_SKEW, MAX_SKEW))
def test_slacks_own_verifier_accepts_what_we_sign_and_we_accept_what_it_signs(
    secret: str, body: str, skew: int
) -> None:
    raw = body.encode()
    theirs = SignatureVerifier(secret, clock=_Frozen())
    assert theirs.is_valid_request(raw, sign(secret, NOW + skew, raw))
    digits = str(NOW + skew)
    made = theirs.generate_signature(timestamp=digits, body=raw)
    assert made is not None
    pairs = [(b"X-Slack-Request-Timestamp", digits.encode()), (b"X-Slack-Signature", made.encode())]
    Verifier(secret).verify(pairs, raw, NOW)


@given(body=st.binary(min_size=1, max_size=300), bit=st.integers(0, 7), data=st.data())
def test_a_body_with_one_bit_changed_is_refused(body: bytes, bit: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body) - 1))
    changed = bytearray(body)
    changed[at] ^= 1 << bit
    with pytest.raises(SignatureRefused, match="wrong signature"):
        Verifier(SECRET).verify(headers(body=body), bytes(changed), NOW)


@pytest.mark.parametrize("shape", [bytes.lower, bytes.upper, bytes.title, bytes.swapcase])
def test_header_names_are_read_in_any_case(shape) -> None:  # type: ignore[no-untyped-def]
    Verifier(SECRET).verify([(shape(name), value) for name, value in headers()], BODY, NOW)


@pytest.mark.parametrize("skew", [-MAX_SKEW, MAX_SKEW])
def test_five_minutes_either_way_are_accepted(skew: int) -> None:
    Verifier(SECRET).verify(headers(at=NOW + skew), BODY, NOW)


@pytest.mark.parametrize(("skew", "reason"), [(-MAX_SKEW - 1, "stale"), (MAX_SKEW + 1, "future")])
def test_a_second_more_is_refused_either_way(skew: int, reason: str) -> None:
    with pytest.raises(SignatureRefused, match=reason):
        Verifier(SECRET).verify(headers(at=NOW + skew), BODY, NOW)


@pytest.mark.parametrize("left_out", [0, 1])
def test_a_missing_header_is_refused(left_out: int) -> None:
    kept = headers()
    del kept[left_out]
    with pytest.raises(SignatureRefused, match=r"no .* header"):
        Verifier(SECRET).verify(kept, BODY, NOW)
    with pytest.raises(SignatureRefused):
        Verifier(SECRET).verify([], BODY, NOW)


@pytest.mark.parametrize("repeated", [0, 1])
def test_a_header_that_comes_twice_is_refused_even_if_both_are_right(repeated: int) -> None:
    pairs = headers()
    name, value = pairs[repeated]
    with pytest.raises(SignatureRefused, match="twice"):
        Verifier(SECRET).verify([*pairs, (name.upper(), value)], BODY, NOW)


@each(
    "timestamp",
    [
        *[b"", b"-1", b"+1700000000", b" 1700000000", b"1700000000 ", b"1700000000.0", b"17e8", b"1_700_000_000"],
        *["１７００００００００".encode(), "١٧".encode(), b"\xff", b"nan", b"9" * 5000, b"1700000000, 1700000000"],
    ],
)
def test_a_timestamp_that_is_not_plain_digits_is_refused(timestamp: bytes) -> None:
    signature = Verifier(SECRET).signature(timestamp, BODY)
    pairs = [(b"x-slack-request-timestamp", timestamp), (b"x-slack-signature", signature)]
    with pytest.raises(SignatureRefused, match="malformed timestamp"):
        Verifier(SECRET).verify(pairs, BODY, NOW)


@pytest.mark.parametrize("change", [bytes.upper, lambda s: s[:-1], lambda s: s + b"0", lambda s: s[3:], lambda _: b""])
def test_a_signature_of_another_form_is_refused(change) -> None:  # type: ignore[no-untyped-def]
    pairs = [(n, change(v) if n == b"X-Slack-Signature" else v) for n, v in headers()]
    with pytest.raises(SignatureRefused, match="wrong signature"):
        Verifier(SECRET).verify(pairs, BODY, NOW)


@given(value=st.binary(max_size=80))
def test_any_bytes_as_signature_are_refused_and_never_another_error(value: bytes) -> None:
    pairs = [(n, value if n == b"X-Slack-Signature" else v) for n, v in headers()]
    with pytest.raises(SignatureRefused):
        Verifier(SECRET).verify(pairs, BODY, NOW)


def test_another_apps_secret_is_refused() -> None:
    with pytest.raises(SignatureRefused, match="wrong signature"):
        Verifier("another").verify(headers(), BODY, NOW)


def test_a_clock_that_is_no_number_refuses() -> None:
    with pytest.raises(SignatureRefused):
        Verifier(SECRET).verify(headers(), BODY, float("nan"))


@pytest.mark.parametrize("secret", ["", "  ", "\n", " abc", "abc\n", "ключ", "\ud800"])
def test_a_secret_that_cannot_be_one_is_refused_at_construction(secret: str) -> None:
    with pytest.raises(WrongUse) as caught:
        Verifier(secret)
    assert not secret.strip() or secret not in str(caught.value)


def test_the_secret_is_in_no_repr() -> None:
    assert SECRET not in repr(Verifier(SECRET))
    assert SECRET not in str(vars(SignatureRefused("wrong signature")))


def test_one_verifier_answers_the_same_every_time() -> None:
    verifier = Verifier(SECRET)
    for _ in range(3):
        verifier.verify(headers(), BODY, NOW)
        with pytest.raises(SignatureRefused):
            verifier.verify(headers(), BODY + b" ", NOW)
