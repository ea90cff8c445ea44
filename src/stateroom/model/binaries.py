"""Binary never enters history: a file inside a message becomes a reference with media type, size and SHA-256.

Rules of this file: pure; what comes out still loads with pydantic-ai's adapter. Bytes would be stored, and sent to the
model and paid for, again on every later turn. Shapes replaced: `kind: "binary"` objects, file URLs and texts that carry
a base64 `data:` URL, and the parts that consist of a file (`file`, the audio of `speech`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from decimal import Decimal
from typing import Any, Final

import msgspec

REFERENCE: Final = "stateroom_file"  # the key under which a reference keeps its facts

# Decimals, so that the numbers around a replaced file are written as they were read.
_decoder: Final = msgspec.json.Decoder(float_hook=Decimal)
_encoder: Final = msgspec.json.Encoder(decimal_format="number")
_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+=-]+)*;base64,([A-Za-z0-9+/_%-]*={0,2})", re.ASCII)


def may_hold_binaries(text: str) -> bool:
    """A quick look: False means surely none."""
    return '"binary"' in text or ";base64," in text


def without_binaries(text: str) -> str:
    """The JSON text with references for files; the very same text when it holds none."""
    before = _decoder.decode(text)
    after = _bare(before)
    return text if after is before else _encoder.encode(after).decode()


def _bare(value: Any) -> Any:
    """`value` without files; the same object when nothing was replaced."""
    if isinstance(value, str):
        return _DATA_URL.sub(_worded, value) if ";base64," in value else value
    if isinstance(value, list):
        items = [_bare(item) for item in value]
        return value if all(a is b for a, b in zip(items, value, strict=True)) else items
    if isinstance(value, dict):
        return _bare_object(value)
    return value


def _bare_object(value: dict[str, Any]) -> Any:
    part = value.get("part_kind")
    if part == "file" and (facts := _facts(value.get("content"))):
        return {"content": _words(facts), "part_kind": "text", REFERENCE: facts}
    if part == "speech" and (facts := _facts(value.get("audio"))):
        return {**{k: _bare(v) for k, v in value.items() if k != "audio"}, "audio": None, REFERENCE: facts}
    if facts := _facts(value):
        return {"content": _words(facts), "metadata": {REFERENCE: facts}, "kind": "text-content"}
    found = {name: _bare(inner) for name, inner in value.items()}
    return value if all(found[name] is inner for name, inner in value.items()) else found


def _facts(value: object) -> dict[str, Any] | None:
    """What is kept of a file: media type, size in bytes, SHA-256 in hex, identifier; None for anything else."""
    if not isinstance(value, dict):
        return None
    data, url = value.get("data"), value.get("url")
    if value.get("kind") == "binary" and isinstance(data, str):
        return _described(value.get("media_type"), data, value.get("identifier"))
    if isinstance(url, str) and isinstance(value.get("kind"), str) and url.startswith("data:") and ";base64," in url:
        head, _, content = url.removeprefix("data:").partition(";base64,")
        return _described(head.partition(";")[0] or None, content, value.get("identifier"))
    return None


def _described(media_type: object, data: str, identifier: object = None) -> dict[str, Any]:
    content = _content(data)
    digest = hashlib.sha256(content).hexdigest()
    return {
        "media_type": media_type if isinstance(media_type, str) else "application/octet-stream",
        "size": len(content),
        "sha256": digest,
        "identifier": identifier if isinstance(identifier, str) and identifier else digest[:6],
    }


def _content(data: str) -> bytes:
    """The bytes behind base64 in either alphabet; text that is no base64 stands for itself."""
    plain = data.replace("%3D", "=").replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return data.encode()


def _words(facts: dict[str, Any]) -> str:
    return f"[file {facts['identifier']}: {facts['media_type']}, {facts['size']} bytes, not kept]"


def _worded(found: re.Match[str]) -> str:
    return _words(_described(found[1], found[2]))
