"""AWS KMS: data keys are wrapped by a key that never leaves it (layers/keys.py, `KeyService`).

Rules of this file: boto3 is imported at the first call, and called in a thread. Credentials come from the platform's
own chain, never from the URL. Each call is bounded in time: what waits for it holds up people. What the key is bound to
goes along as the encryption context, which AWS shows in CloudTrail: team and key number, nothing secret.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from stateroom.model.errors import KeyServiceError, SealBroken, WrongUse

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 5.0
_HOW: Final = "write the key service as aws://region/key-id, with ?endpoint=URL for another address"
# https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html#API_Decrypt_Errors and CommonErrors
_PASSING: Final = frozenset(
    (
        *("DependencyTimeoutException", "KeyUnavailableException", "KMSInternalException", "ServiceUnavailable"),
        *("InternalFailure", "ThrottlingException", "RequestTimeout", "RequestExpired", "500", "502", "503", "504"),
    )
)


class AwsKms:
    """One symmetric key of AWS KMS, by id, alias or ARN. `endpoint`: another address than AWS's own."""

    def __init__(self, region: str, key: str, endpoint: str | None = None) -> None:
        self.name: Final = f"aws/{region}/{key}"
        self._region = region
        self._key = key
        self._endpoint = endpoint
        self._client: Any = None

    @classmethod
    def of(cls, url: str) -> AwsKms:
        """aws://region/key-id?endpoint=URL. WrongUse for what is none."""
        parts = urlsplit(url)
        region, key, options = parts.netloc, unquote(parts.path[1:]), parse_qs(parts.query)
        if not region or not key or "@" in region or options.keys() - {"endpoint"}:
            raise WrongUse(_HOW)
        return cls(region, key, options.get("endpoint", [None])[0])

    def __repr__(self) -> str:
        return f"<AwsKms {self._region}>"

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        """`key`, encrypted in KMS together with `context`. KeyServiceError."""
        found = await self._call("encrypt", KeyId=self._key, Plaintext=key, EncryptionContext=dict(context))
        return bytes(found["CiphertextBlob"])

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """What was wrapped. KeyServiceError; SealBroken when it was changed, or wrapped with another context."""
        found = await self._call("decrypt", KeyId=self._key, CiphertextBlob=wrapped, EncryptionContext=dict(context))
        return bytes(found["Plaintext"])

    async def _call(self, verb: str, **arguments: Any) -> Any:
        return await asyncio.to_thread(self._blocking, verb, arguments)

    def _blocking(self, verb: str, arguments: Mapping[str, Any]) -> Any:
        try:
            from botocore import exceptions as aws  # type: ignore[import-untyped]
        except ImportError:
            raise WrongUse("the key service aws:// needs boto3; pip install 'stateroom[dynamodb]'") from None
        try:
            call: Callable[..., Any] = getattr(self._made(), verb)
            return call(**arguments)
        except aws.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "unknown"))
            if code == "InvalidCiphertextException":
                raise SealBroken(self.name, "the wrapped key was changed, or belongs to another place") from None
            raise KeyServiceError(self.name, code, retryable=code in _PASSING) from None
        except (aws.ConnectionError, aws.HTTPClientError) as error:
            raise KeyServiceError(self.name, type(error).__name__, retryable=True) from None
        except aws.BotoCoreError as error:  # no credentials, no such region
            raise KeyServiceError(self.name, type(error).__name__, retryable=False) from None

    def _made(self) -> Any:
        if self._client is None:
            import boto3  # type: ignore[import-untyped]
            from botocore.config import Config  # type: ignore[import-untyped]

            bounds = Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"total_max_attempts": 2, "mode": "standard"},
            )
            self._client = boto3.client("kms", region_name=self._region, endpoint_url=self._endpoint, config=bounds)
        return self._client
