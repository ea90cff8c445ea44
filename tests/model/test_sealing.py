"""Sealed values: what the format page says, what opens where, and that no key is ever told."""

import json
import pickle
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest

import stateroom as sr
from stateroom.model.codec import encode
from stateroom.model.sealing import Keyring, Place, key_id

ONE, TWO = bytes(range(32)), bytes(range(32, 64))
PLACE = Place("T00000001", "tickets", "T-1", "token")
RING = Keyring({"k2": TWO, "k1": ONE})


def test_the_vectors_of_the_format_page_are_what_is_written_and_read() -> None:
    page = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
    vectors: Any = json.loads(page.split("```json sealing-vectors\n", 1)[1].split("```", 1)[0])
    ring, nonce = Keyring.parse(vectors["keys"]), bytes.fromhex(vectors["nonce"])
    old = Keyring.parse(vectors["keys"].partition(",")[2])
    for place, bound, value, sealed in vectors["values"]:
        by = ring if key_id(sealed) == ring.first else old
        assert Place(*place).bound().hex() == bound
        assert by.seal(encode(value), Place(*place), lambda _: nonce) == sealed
        assert json.loads(ring.open(sealed, Place(*place))) == value


def test_the_first_key_seals_and_all_of_them_open() -> None:
    older = Keyring({"k1": ONE}).seal(b"1", PLACE)
    newer = RING.seal(b"1", PLACE)
    assert (key_id(older), key_id(newer)) == ("k1", "k2")
    assert RING.open(older, PLACE) == RING.open(newer, PLACE) == b"1"
    assert newer != RING.seal(b"1", PLACE)  # a new nonce each time


@pytest.mark.parametrize("part", range(4))
def test_a_value_opens_nowhere_but_in_its_place(part: int) -> None:
    elsewhere = PLACE._replace(**{Place._fields[part]: "other"})
    with pytest.raises(sr.SealBroken, match="moved"):
        RING.open(RING.seal(b"1", PLACE), elsewhere)


def test_parts_of_a_place_cannot_be_shifted_into_each_other() -> None:
    assert Place("a", "bc", "d", "e").bound() != Place("ab", "c", "d", "e").bound()


def test_a_changed_value_and_one_that_is_none_are_refused() -> None:
    sealed = RING.seal(b"value", PLACE)
    changed = sealed[:-2] + ("A" if sealed[-2] != "A" else "B") + sealed[-1]
    for text in (changed, sealed[:-3], sealed + "!", sealed.replace("1:k2:", "1:k1:"), "plain", "sr-sealed:1::x", ""):
        with pytest.raises(sr.SealBroken):
            RING.open(text, PLACE)


def test_a_lost_key_is_named_by_its_id() -> None:
    with pytest.raises(sr.KeyMissing, match=r"tickets\.token is sealed with the key k2.*STATEROOM_KEYS") as lost:
        Keyring({"k1": ONE}).open(RING.seal(b"1", PLACE), PLACE)
    assert (lost.value.datastore, lost.value.attribute, lost.value.key_id) == ("tickets", "token", "k2")


def test_a_keyring_is_read_with_blanks_either_alphabet_and_without_padding() -> None:
    written = f" k2:{urlsafe_b64encode(TWO).decode().rstrip('=')} , k1:{b64encode(ONE).decode()}"
    assert Keyring.parse(written).ids == ("k2", "k1")


SECRET = b64encode(b"a secret of 32 bytes, never shown"[:32]).decode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SECRET.rstrip("="), "key 1 has no id"),
        (f"k1:{SECRET},{SECRET}:k2", "the id of key 2"),
        (f"k1:{SECRET},k1:{SECRET}", "key 2 has the id of an earlier one"),
        (f"k1:{SECRET[:20]}", "key 1 is not 32 bytes"),
        (f"k1:{SECRET}é", "key 1 is not 32 bytes"),
        (f"k1:{SECRET},", "key 2 has no id"),
        (f"{SECRET[:9]}é:{SECRET}", "the id of key 1"),
    ],
)
def test_what_is_no_keyring_is_refused_without_showing_any_of_it(text: str, words: str) -> None:
    with pytest.raises(sr.WrongUse, match=words) as refused:
        Keyring.parse(text)
    assert SECRET[:9] not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_keyring_shows_its_ids_alone_and_is_not_pickled() -> None:
    ring = Keyring({"k1": ONE})
    ring.seal(b"1", PLACE)
    assert repr(ring) == str(ring) == "<Keyring k1>"
    with pytest.raises(TypeError):
        pickle.dumps(ring)
    with pytest.raises(sr.WrongUse):
        Keyring({})
    with pytest.raises(sr.WrongUse, match="31 bytes"):
        Keyring({"k1": ONE[1:]})


@pytest.mark.service
def test_the_package_and_a_store_without_keys_load_no_cryptography() -> None:
    code = (
        "import sys, asyncio, stateroom as sr, stateroom.store\n"
        "class A(sr.Datastore, name='a'):\n"
        "    id: str = sr.key()\n"
        "    secret: str | None = sr.encrypted()\n"
        "async def main():\n"
        "    async with sr.open('memory://', keys='k:' + 'A' * 43) as store:\n"
        "        await store.team('T00000001').datastore(A).put(A(id='1'))\n"
        "asyncio.run(main())\n"
        "sys.exit(any(name.startswith('cryptography') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
