"""The URL of a store over objects, as what it means.

Rules of this file: pure. No part of a URL is a credential: one that has a user or a password is refused without being
shown. docs/engines.md, "Object storage".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from stateroom.model.errors import WrongUse

OPTIONS: Final = {"file": set[str](), "s3": {"endpoint", "region"}, "gs": {"endpoint"}, "az": {"endpoint"}}
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9._=@+,/-]*")
_HOW: Final = {
    "file": "write the store as file:///folder (file:relative is a folder below this one)",
    "s3": "write the store as s3://bucket/prefix, with ?endpoint=URL&region=NAME where they are not the usual ones",
    "gs": "write the store as gs://bucket/prefix, with ?endpoint=URL for another address",
    "az": "write the store as az://container/prefix, with ?endpoint=URL for another address",
}


class Address(NamedTuple):
    """Where objects are. `folder` for files, the others for the cloud."""

    scheme: str
    folder: Path
    bucket: str = ""
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None


def read_url(url: str) -> Address:
    """WrongUse, which never shows the URL."""
    parts = urlsplit(url)
    how = WrongUse(_HOW[parts.scheme])
    options = parse_qs(parts.query)
    if parts.fragment or "@" in parts.netloc or options.keys() - OPTIONS[parts.scheme]:
        raise how
    if parts.scheme == "file":
        path = unquote(parts.path)
        if parts.netloc or not path.strip("/"):
            raise how
        return Address("file", Path(path).absolute())
    prefix = parts.path.strip("/")
    if not _BUCKET.fullmatch(parts.netloc) or not _PREFIX.fullmatch(prefix):
        raise how
    if any(not part.strip(".") for part in prefix.split("/") if prefix):
        raise how
    endpoint = options.get("endpoint", [None])[0]
    if endpoint is not None and ("@" in endpoint or urlsplit(endpoint).scheme not in ("http", "https")):
        raise how
    return Address(parts.scheme, Path(), parts.netloc, prefix, endpoint, options.get("region", [None])[0])
