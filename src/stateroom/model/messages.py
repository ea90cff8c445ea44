"""Messages of a model conversation: pydantic-ai's JSON, kept as one text (docs/format.md, "Threads").

Rules of this file: pure, and pydantic-ai is never imported; its own objects are dumped by the adapter that their owner
has loaded. The text is kept as it came, so numbers of any width survive, but for three things: binaries become
references (model/binaries.py), characters that a store cannot hold become U+FFFD (a reply that was paid for is worth
more than one broken character), and line ends between tokens go, so that a text is one line of JSON Lines.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from stateroom.model.binaries import may_hold_binaries, without_binaries
from stateroom.model.errors import CorruptData, FormatTooNew, InvalidValue

FORMAT: Final = "pydantic-ai"
VERSION: Final = 1
KINDS: Final = ("request", "response")

Messages = Sequence[Any] | bytes | bytearray | str

_encoder: Final = msgspec.json.Encoder(decimal_format="number")
_decoder: Final = msgspec.json.Decoder()
_raws: Final = msgspec.json.Decoder(list[msgspec.Raw])
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# One escape at a time, so that an escaped backslash is never taken for the start of the next escape.
_PAIR: Final = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_BROKEN: Final = r"\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})"
_ESCAPE: Final = re.compile(rf"({_PAIR})|({_BROKEN})|\\.")


def to_text(messages: Messages) -> str:
    """Messages as the text that is kept: one line of JSON, an array of one or more messages.

    Takes pydantic-ai messages, a list of dicts, or a JSON array as bytes or str. InvalidValue names the position.
    """
    text = _printable(_json(messages))
    if not from_text(text):
        raise InvalidValue("messages", "is empty; append what the turn added")
    if "\n" in text or "\r" in text:
        text = msgspec.json.format(text, indent=-1)
    return without_binaries(text) if may_hold_binaries(text) else text


def from_text(text: object) -> list[dict[str, Any]]:
    """The messages of a JSON text. InvalidValue names the position of what is no message."""
    found = decoded(text)
    if not _sound(found):
        raise not_messages(found)
    messages: list[dict[str, Any]] = found
    return messages


def not_messages(found: Any) -> InvalidValue:
    """The error for what `decoded` gave and is no array of messages."""
    return InvalidValue(*_fault(found))


def decoded(text: object) -> Any:
    """The value of a JSON text, messages or not; whoever goes through them checks them (`model.window.Chooser`)."""
    try:
        return _decoder.decode(text) if isinstance(text, str) else None
    except msgspec.ValidationError:  # the one thing that JSON allows and pydantic-ai could not read back
        raise InvalidValue("messages", "holds a number that no 64-bit float can hold") from None
    except msgspec.DecodeError:
        raise InvalidValue("messages", "is not JSON") from None
    except RecursionError:
        raise InvalidValue("messages", "is nested too deeply") from None


def check_format(name: object, version: object, place: str) -> None:
    """FormatTooNew for a newer version, CorruptData for a format that is not known."""
    if name != FORMAT:
        raise CorruptData(place, f"the messages are not in the format {FORMAT}")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise CorruptData(place, "the format's version is missing")
    if version > VERSION:
        raise FormatTooNew(place, f"the messages have format version {version}, this release reads up to {VERSION}")


def turns_of(text: str) -> list[str]:
    """A whole conversation (as of `to_text`) as its turns: each begins with a request in which a person speaks."""
    turns: list[list[str]] = []
    for raw in _raws.decode(text):
        message = _decoder.decode(raw)
        spoken = any(part.get("part_kind") == "user-prompt" for part in message["parts"])
        if not turns or (message["kind"] == "request" and spoken):
            turns.append([])
        turns[-1].append(bytes(raw).decode())
    return [f"[{','.join(turn)}]" for turn in turns]


def _json(messages: Messages) -> str:
    if isinstance(messages, str):
        return messages
    if isinstance(messages, (bytes, bytearray)):
        try:
            return bytes(messages).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InvalidValue("messages", "is not UTF-8") from None
    entries = list(messages)
    if all(isinstance(entry, dict) for entry in entries):
        return _encoded(entries)
    return _dumped(entries)


def _encoded(entries: list[Any]) -> str:
    try:
        return _encoder.encode(entries).decode()
    except UnicodeEncodeError:
        return _encoder.encode(_mended(entries)).decode()
    except (TypeError, RecursionError):
        raise InvalidValue("messages", "holds a value that has no JSON form") from None


def _dumped(entries: list[Any]) -> str:
    loaded = sys.modules.get("pydantic_ai.messages")
    if loaded is None:
        raise InvalidValue("messages", "takes pydantic-ai messages, their JSON, or a list of dicts")
    adapter = loaded.ModelMessagesTypeAdapter
    try:
        text: str = adapter.dump_json(entries, warnings=False).decode()
    except ValueError:  # pydantic's word for a lone surrogate; the plain form keeps it, so that it can be mended
        text = _encoded(adapter.dump_python(entries, mode="json", warnings=False))
    return text


def _mended(value: Any) -> Any:
    """Plain JSON values without lone surrogates."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_mended(key): _mended(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mended(inner) for inner in value]
    return value


def _printable(text: str) -> str:
    """JSON text with U+FFFD where a string holds U+0000 or half of a surrogate pair."""
    if not text.isascii():
        text = _SURROGATE.sub("\ufffd", text)
    if "\\u0000" in text or "\\ud" in text or "\\uD" in text:
        text = _ESCAPE.sub(lambda found: "\ufffd" if found[2] else found[0], text)
    return text


def _sound(found: Any) -> bool:
    """Whether it is an array of messages. On the way of every append, so it does not count positions."""
    if type(found) is not list:
        return False
    for message in found:
        if type(message) is not dict or message.get("kind") not in KINDS or type(message.get("parts")) is not list:
            return False
        for part in message["parts"]:
            if type(part) is not dict or type(part.get("part_kind", "")) is not str:
                return False
    return True


def _fault(found: Any) -> tuple[str, str]:
    """Where (such as `messages[3].parts`) and why `found` is not an array of messages."""
    if type(found) is not list:
        return "messages", "is not an array of messages"
    position = next(i for i, message in enumerate(found) if not _sound([message]))
    where, message = f"messages[{position}]", found[position]
    if type(message) is not dict:
        return where, "is not an object"
    if message.get("kind") not in KINDS:
        return f"{where}.kind", "must be request or response"
    parts = message.get("parts")
    if type(parts) is not list:
        return f"{where}.parts", "must be an array"
    number = next(i for i, part in enumerate(parts) if not _sound([{**message, "parts": [part]}]))
    if type(parts[number]) is not dict:
        return f"{where}.parts[{number}]", "is not an object"
    return f"{where}.parts[{number}].part_kind", "must be a string"
