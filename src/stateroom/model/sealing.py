"""Sealing: a value becomes text that only a key opens, and only in the place it was made for (docs/format.md, "Sealed
values").

Rules of this file: pure but for the random nonce, which may be handed in; cryptography is imported when a value is
sealed or opened, never before. AES-256-GCM is the library's: nothing here invents any. No key and no value is ever in
an error or a repr. The first key of a ring seals, all of them open.
"""

from __future__ import annotations

import os
import re
import struct
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from stateroom.model.errors import KeyMissing, SealBroken, WrongUse

VALUE: Final = "sr-sealed:1:"  # how a sealed attribute begins; the key's id follows, and a colon
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12  # 96 bits, NIST SP 800-38D: random ones are safe for 2^32 values a key
TAG_BYTES: Final = 16

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SEALED: Final = re.compile(r"sr-sealed:1:([A-Za-z0-9][A-Za-z0-9_.-]{0,63}):([A-Za-z0-9_-]{38,})")
_HOW: Final = "write STATEROOM_KEYS as id:base64-of-32-bytes,older:…; `openssl rand -base64 32` makes one"

Random = Callable[[int], bytes]


class Cipher(Protocol):
    """What cryptography's AESGCM does for us."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


class Place(NamedTuple):
    """What a sealed value belongs to: it opens nowhere else. `key` is the item's, `attribute` its top-level one."""

    team: str
    datastore: str
    key: str
    attribute: str

    def bound(self, form: str = VALUE) -> bytes:
        """The associated data: each part with its length before it, so that no two places have the same."""
        parts = (form, *self)
        return b"".join(struct.pack(">I", len(data)) + data for data in (part.encode() for part in parts))

    @property
    def words(self) -> str:
        """For errors: where, without the item's key, which may be a person's id."""
        return f"{self.datastore}.{self.attribute}"


class Sealer(NamedTuple):
    """What seals: a key's id, its cipher, and how what it seals begins."""

    id: str
    cipher: Cipher
    form: str = VALUE


class Unread(str):
    """What a walk sees of a sealed value that it cannot open: no text, and the value to put back as it was."""

    sealed: str

    def __new__(cls, sealed: str) -> Unread:
        made = super().__new__(cls, "")
        made.sealed = sealed
        return made


class Keyring:
    """Keys by id. Made by `Keyring.parse` from the text of STATEROOM_KEYS, or from bytes, first one first."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise WrongUse(f"a keyring has one key at least; {_HOW}")
        for number, (id, key) in enumerate(keys.items(), 1):
            _check_id(id, number)
            if len(key) != KEY_BYTES:
                raise WrongUse(f"key {id} has {len(key)} bytes, not {KEY_BYTES}; {_HOW}")
        self._keys = MappingProxyType(dict(keys))
        self.ids: Final = tuple(keys)

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """`id:base64-of-32-bytes,older:…`. WrongUse tells which entry is wrong, by its number, and never its text."""
        found: dict[str, bytes] = {}
        for number, entry in enumerate((part.strip() for part in text.split(",")), 1):
            id, colon, written = entry.partition(":")
            if not colon:
                raise WrongUse(f"key {number} has no id before a colon; {_HOW}")
            _check_id(id, number)
            if id in found:
                raise WrongUse(f"key {number} has the id of an earlier one; {_HOW}")
            found[id] = _key_bytes(written, number)
        return cls(found)

    def __repr__(self) -> str:
        return f"<Keyring {', '.join(self.ids)}>"

    def __reduce__(self) -> str:
        raise TypeError("a keyring is not copied into files or other processes; hand them STATEROOM_KEYS")

    @property
    def first(self) -> str:
        """The id of the key that seals."""
        return self.ids[0]

    def seal(self, value: bytes, place: Place, random: Random = os.urandom) -> str:
        """`value` as text for `place`, sealed with the first key."""
        return write(Sealer(self.first, self._cipher), value, place, random)

    def open(self, text: str, place: Place) -> bytes:
        """What was sealed. KeyMissing when its key is not here, SealBroken when it was changed or moved."""
        return read(text, self._find, place)

    def _find(self, id: str, place: Place) -> Cipher:
        if id not in self._keys:
            raise KeyMissing(place.datastore, place.attribute, id)
        return self._ciphers(id)

    def _ciphers(self, id: str) -> Cipher:
        if id not in self._made:
            self._made[id] = cipher_of(self._keys[id])
        return self._made[id]

    @cached_property
    def _cipher(self) -> Cipher:
        return self._ciphers(self.first)

    @cached_property
    def _made(self) -> dict[str, Cipher]:
        return {}


def new_key(id: str, random: Random = os.urandom) -> str:
    """A keyring of one new key, as STATEROOM_KEYS has it."""
    return f"{id}:{b64encode(random(KEY_BYTES)).decode()}"


def cipher_of(key: bytes) -> Cipher:
    """The cipher of one key of 32 bytes."""
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise WrongUse("sealing needs the cryptography package; pip install 'stateroom[keys]'") from None
    return AESGCM(key)


def write(by: Sealer, value: bytes, place: Place, random: Random = os.urandom) -> str:
    """The sealed text: form, key id, and nonce, ciphertext and tag in base64url without padding."""
    nonce = random(NONCE_BYTES)
    sealed = nonce + by.cipher.encrypt(nonce, value, place.bound(by.form))
    return f"{by.form}{by.id}:{urlsafe_b64encode(sealed).rstrip(b'=').decode()}"


def read(text: str, find: Callable[[str, Place], Cipher], place: Place, form: str = VALUE) -> bytes:
    """What was sealed; `find` gives the cipher of a key id. SealBroken for text that is none."""
    from cryptography.exceptions import InvalidTag

    id, _, body = text.removeprefix(form).partition(":")
    if not text.startswith(form) or not _ID.fullmatch(id):
        raise SealBroken(place.words, "is no sealed value")
    cipher = find(id, place)
    try:
        data = b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place.bound(form))
    except (InvalidTag, ValueError):
        raise SealBroken(place.words, "the sealed value was changed, or moved here from another place") from None


def key_id(value: object) -> str | None:
    """The id of the key that a stored value is sealed with; None when it is no sealed value."""
    found = _SEALED.fullmatch(value) if isinstance(value, str) and value.startswith(VALUE) else None
    return None if found is None else found[1]


def hidden(name: str) -> str:
    """Under which name the words of an attribute are stored when they are sealed (layers/keys_words.py)."""
    return f"${name}"


def check_readable(item: Mapping[str, object], name: str, datastore: str) -> None:
    """KeyMissing where words are sealed that nobody opened, since the store was given no keys."""
    if hidden(name) in item:
        raise KeyMissing(datastore, name)


def _check_id(id: str, number: int) -> None:
    if not _ID.fullmatch(id):
        raise WrongUse(f"the id of key {number} is none: letters, digits, _ . and -, at most 64; {_HOW}")


def _key_bytes(written: str, number: int) -> bytes:
    text = written.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        key = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise WrongUse(f"key {number} is not {KEY_BYTES} bytes in base64; {_HOW}")
    return key
