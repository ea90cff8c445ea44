"""AWS KMS over HTTP: data keys are wrapped there, bound to their team, and what fails says what to do."""

import socket
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from moto.server import ThreadedMotoServer

import stateroom as sr
from stateroom.engines.kms_aws import AwsKms
from stateroom.layers.keys import KEYS
from stateroom.layers.keys_rotate import Rotation, count, left
from stateroom.layers.walking import Pace
from stateroom.store import Store
from support.retention import rows_of
from support.threads import CHANNEL, TEAM, TS, ask

pytestmark = pytest.mark.service
REGION = "eu-central-1"
RING = f"k1:{b64encode(bytes([1]) * 32).decode()}"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def client(endpoint: str) -> Any:
    return boto3.client("kms", region_name=REGION, endpoint_url=endpoint)


@pytest.fixture
def url(client: Any, endpoint: str) -> str:
    key = client.create_key()["KeyMetadata"]["KeyId"]
    return f"aws://{REGION}/{key}?endpoint={quote(endpoint, safe='')}"


async def failure(call: Any) -> Any:
    try:
        await call
    except sr.StateroomError as error:
        return error
    raise AssertionError("it was not refused")


async def test_words_are_sealed_with_a_key_that_only_kms_unwraps(tmp_path: Path, url: str) -> None:
    store_url = f"sqlite:///{tmp_path}/kms.db"
    async with Store(store_url, kms=url, encrypt_content=True) as store:
        await store.team(TEAM).thread(CHANNEL, TS).append([ask("hush")], turn_id="t0")
        (row,) = await rows_of(store.raw, KEYS.name)
        assert row.item["wrapped"].startswith(f"sr-kms:1:aws/{REGION}/")
    async with Store(store_url, kms=url) as store:
        assert (await store.team(TEAM).thread(CHANNEL, TS).messages()).messages == [ask("hush")]
    assert b"hush" not in b"".join(one.read_bytes() for one in tmp_path.iterdir())


async def test_a_wrapped_key_opens_for_its_team_alone(url: str) -> None:
    service = AwsKms.of(url)
    wrapped = await service.wrap(bytes(32), {"team": "T1"})
    assert await service.unwrap(wrapped, {"team": "T1"}) == bytes(32)
    assert isinstance(await failure(service.unwrap(wrapped, {"team": "T2"})), sr.SealBroken)
    changed = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
    assert isinstance(await failure(service.unwrap(changed, {"team": "T1"})), sr.SealBroken)


async def test_a_refusal_is_not_retryable_and_says_where_to_look(url: str) -> None:
    refused = await failure(AwsKms.of(url.replace("?", "x?", 1)).wrap(bytes(32), {}))
    assert isinstance(refused, sr.KeyServiceError)
    assert (refused.reason, refused.retryable) == ("NotFoundException", False)
    assert "docs/keys.md" in str(refused)


async def test_kms_that_cannot_be_reached_is_retryable() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: refused at once
        url = f"aws://{REGION}/k?endpoint=http://127.0.0.1:{nobody.getsockname()[1]}"
        async with Store("memory://", kms=url, encrypt_content=True) as store:
            down = await failure(store.team(TEAM).thread(CHANNEL, TS).append([ask("hush")], turn_id="t0"))
            assert isinstance(down, sr.KeyServiceError)
            assert down.retryable
            assert "try again" in str(down)
            assert await rows_of(store.raw, "sr_entries") == []


async def test_rotation_moves_data_keys_from_the_keyring_to_kms(tmp_path: Path, url: str) -> None:
    store_url = f"sqlite:///{tmp_path}/moving.db"
    async with Store(store_url, keys=RING, encrypt_content=True) as store:
        await store.team(TEAM).thread(CHANNEL, TS).append([ask("hush")], turn_id="t0")
    async with Store(store_url, keys=RING, kms=url, encrypt_content=True) as store:
        assert store.data_keys is not None
        assert left(await count(store.raw, [], lambda _: None), store.keys, store.data_keys) == {"k1": 1}
        rotation = Rotation(store.raw, Pace(store.clock), store.keys, store.data_keys, told=lambda _: None)
        await rotation.run([])
        assert not left(await count(store.raw, [], lambda _: None), store.keys, store.data_keys)
    async with Store(store_url, kms=url) as store:  # the keyring is needed no more
        assert (await store.team(TEAM).thread(CHANNEL, TS).messages()).messages == [ask("hush")]


@pytest.mark.parametrize("url", ["aws://", "aws:///key", "aws://region/", "aws://u:p@region/key", "aws://r/k?x=1"])
def test_what_is_no_address_of_a_key_is_refused(url: str) -> None:
    with pytest.raises(sr.WrongUse, match="aws://region/key-id"):
        AwsKms.of(url)
