"""Single values of a payload: each is what it must be, or PayloadRefused names its field.

Rules of this file: a refusal never echoes a value; the shapes of ids are Slack's and stand here once. An id that
passes is safe as a key, a path and an object name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn, TypeVar

from stateroom.model.errors import PayloadRefused
from stateroom.slack.event_types import FileRef

TEAM: Final = re.compile(r"[TE][A-Z0-9]{1,31}")
CHANNEL: Final = re.compile(r"[CDG][A-Z0-9]{1,31}")
PERSON: Final = re.compile(r"[UW][A-Z0-9]{1,31}")
AUTHOR: Final = re.compile(r"[UWB][A-Z0-9]{1,31}")
TIMESTAMP: Final = re.compile(r"[0-9]{10}\.[0-9]{6}")
EVENT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_FILE_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")
_MAX_SIZE: Final = 2**53

_T = TypeVar("_T")


def refuse(field: str) -> NoReturn:
    """Raise the refusal for a field."""
    raise PayloadRefused(400, "invalid_payload", f"{field} is missing or malformed")


def checked(shape: re.Pattern[str], value: Any, field: str) -> str:
    """Return a string of that shape."""
    if type(value) is str and shape.fullmatch(value) is not None:
        return value
    refuse(field)


def together(*shapes: re.Pattern[str]) -> re.Pattern[str]:
    """The shape of values of these shapes, a line each; none of them has a line's end in it."""
    return re.compile("\n".join(shape.pattern for shape in shapes))


def all_shaped(shapes: re.Pattern[str], *values: Any) -> bool:
    """Say whether strings have the shapes that were put `together`, in a third of the time; not which has not."""
    try:
        return shapes.fullmatch("\n".join(values)) is not None
    except TypeError:
        return False


def first_given(*values: _T | None) -> _T | None:
    """Return the first value that is not None."""
    return next((value for value in values if value is not None), None)


def as_object(value: Any, field: str) -> Mapping[str, Any] | None:
    """Return a JSON object, or None when it is null or missing."""
    if value is None:
        return None
    if not isinstance(value, dict):
        refuse(field)
    return value


def storable_text(value: Any, field: str) -> str:
    """Return a person's text so that every engine can store it: without U+0000, half surrogates replaced."""
    if value is None:
        return ""
    if not isinstance(value, str):
        refuse(field)
    if value.isascii():
        return value.replace("\0", "")
    text: str = value.replace("\0", "")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def thread_of(value: Any, ts: str, field: str) -> str | None:
    """A message that has replies names itself as its thread; it is not in one."""
    if value is None or value == ts:
        return None
    return checked(TIMESTAMP, value, field)


def channel_type_of(value: Any, channel: str) -> str:
    """Return Slack's word for the channel; app_mention has none, so a D id tells a direct message."""
    if value is None:
        return "im" if channel[0] == "D" else ""
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        refuse("event.channel_type")
    return value


def mentions(text: str, own_user: str | None) -> bool:
    """Say whether the text names the user."""
    return own_user is not None and (f"<@{own_user}>" in text or f"<@{own_user}|" in text)


def whole_number(value: Any, otherwise: int) -> int:
    """Return a size or a time, and `otherwise` for anything that cannot be one: no event is refused for it."""
    return value if type(value) is int and 0 <= value < _MAX_SIZE else otherwise  # a bool is no number here


def plain_name(name: str) -> str:
    """Return a type's name when it is safe to log, else an empty string."""
    return name if _NAME.fullmatch(name) else ""


def files_of(value: Any, field: str) -> tuple[FileRef, ...]:
    """Return the files beside a message."""
    if value is None:
        return ()
    if not isinstance(value, list):
        refuse(field)
    return tuple(_file(entry, field) for entry in value)


def _file(value: Any, field: str) -> FileRef:
    """A deleted or access-checked file comes without name, type and size."""
    if not isinstance(value, dict):
        refuse(field)
    return FileRef(
        id=checked(_FILE_ID, value.get("id"), f"{field}.id"),
        name=storable_text(value.get("name"), f"{field}.name"),
        mimetype=storable_text(value.get("mimetype"), f"{field}.mimetype"),
        size=whole_number(value.get("size"), 0),
    )


def users_of(value: Any, field: str) -> tuple[str, ...]:
    """Return a list of user ids."""
    if value is None:
        return ()
    if not isinstance(value, list):
        refuse(field)
    return tuple(checked(AUTHOR, entry, field) for entry in value)
