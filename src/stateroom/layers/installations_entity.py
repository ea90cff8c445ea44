"""What an installation is: the stored rows, what is let in at the door, and what is found.

Rules of this file: pure; the clock's time is handed in. No error ever shows a token. Values come and go as dicts with
the field names of slack_sdk's `Installation` and `Bot`. A place is the workspace, or the organisation where the install
is org-wide: its id is the team of every row (invariant 5). Bot fields have one home, the place's row, so that a token
that was exchanged is new for everybody at once (docs/format.md, "Installations").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from stateroom.model import codec
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition, Index
from stateroom.model.errors import InvalidId, InvalidValue
from stateroom.model.ids import check_id

HISTORY: Final = 10  # earlier grants remembered, without their tokens
_SEEN: Final = 8  # ids of events remembered: Slack redelivers within hours

_TEXT: Final = Attribute("string")
_NEEDED: Final = Attribute("string", required=True)
_NUMBER: Final = Attribute("number")
_WHOLE: Final = Attribute("integer")
_SECRET: Final = Attribute("string", encrypted=True)
_OWN: Final = Attribute("string", encrypted=True, personal=True)
_PERSON: Final = Attribute("slack#/types/user_id", personal=True)
_GRANTS: Final = Attribute(
    "array", items=Attribute("object", properties={"installed_at": _NUMBER, "bot_scopes": _TEXT, "user_scopes": _TEXT})
)
_ABOUT: Final = {
    "id": _NEEDED,
    "client_id": _NEEDED,
    "app_id": _TEXT,
    "enterprise_id": _TEXT,
    "enterprise_name": _TEXT,
    "team_id": _TEXT,
    "team_name": _TEXT,
    "is_enterprise_install": Attribute("boolean"),
}
PLACES: Final = Definition(
    name="sr_installations",
    key="id",  # <client id>/<enterprise id, or - >
    attributes={
        **_ABOUT,
        "state": _NEEDED,
        "state_at": Attribute("number", required=True),
        "bot_token": _SECRET,
        "bot_refresh_token": _SECRET,
        "bot_token_expires_at": _WHOLE,
        "bot_token_lives": _WHOLE,  # seconds, as Slack said when it was exchanged
        "bot_id": _TEXT,
        "bot_user_id": _TEXT,
        "bot_scopes": _TEXT,
        "bot_installed_at": _NUMBER,
        "bot_custom": _SECRET,
        "newest_user": _PERSON,
        "newest_at": _NUMBER,
        "history": _GRANTS,
        "events": Attribute("array", items=_TEXT),
        "erase_at": _NUMBER,  # only while UNINSTALLED: when everything of the place is to go
        "erasing_until": _NUMBER,  # somebody erases it, and holds it so long at least: no install meanwhile
    },
    indexes=(Index("erase_at", across_teams=True),),
    on_erase="clear",
)
PEOPLE: Final = Definition(
    name="sr_installers",
    key="id",  # <client id>/<enterprise id, or - >/<user id>
    attributes={
        **_ABOUT,
        "enterprise_url": _TEXT,
        "user_id": Attribute("slack#/types/user_id", required=True, personal=True),
        "user_token": _OWN,
        "user_refresh_token": _OWN,
        "user_token_expires_at": _WHOLE,
        "user_token_lives": _WHOLE,
        "user_scopes": _TEXT,
        "incoming_webhook_url": _SECRET,  # who has it may post
        "incoming_webhook_channel": _TEXT,
        "incoming_webhook_channel_id": _TEXT,
        "incoming_webhook_configuration_url": _SECRET,
        "token_type": _TEXT,
        "installed_at": Attribute("number", required=True),
        "custom": _SECRET,
        "history": _GRANTS,
    },
)
MEMBERS: Final = Definition(
    name="sr_org_teams",
    key="id",  # <client id>/<team id>, in the team of the organisation
    attributes={"id": _NEEDED, "client_id": _NEEDED, "member": _NEEDED, "at": Attribute("number", required=True)},
    indexes=(Index("member", across_teams=True, current=True),),
)

# The fields of slack_sdk's to_dict, in its order.
BOT_FIELDS: Final = (
    *("app_id", "enterprise_id", "enterprise_name", "team_id", "team_name"),
    *("bot_token", "bot_id", "bot_user_id", "bot_scopes", "bot_refresh_token", "bot_token_expires_at"),
    *("is_enterprise_install", "installed_at"),
)
_TOKENS_OF_BOT: Final = BOT_FIELDS[5:11]
FIELDS: Final = (
    *("app_id", "enterprise_id", "enterprise_name", "enterprise_url", "team_id", "team_name"),
    *_TOKENS_OF_BOT,
    *("user_id", "user_token", "user_scopes", "user_refresh_token", "user_token_expires_at"),
    *("incoming_webhook_url", "incoming_webhook_channel", "incoming_webhook_channel_id"),
    *("incoming_webhook_configuration_url", "is_enterprise_install", "token_type", "installed_at"),
)
_INPUTS: Final = {*FIELDS, "bot_token_expires_in", "user_token_expires_in", "custom_values"}
_BOT_OF_PLACE: Final = (*_TOKENS_OF_BOT, "bot_token_lives", "bot_installed_at", "bot_custom")

# Seed 002's team id; Slack asks apps to treat the other ids as opaque.
_TEAM: Final = re.compile(r"T[A-Z0-9]{8,30}")
_ORG: Final = re.compile(r"E[A-Z0-9]{2,30}")
_CLIENT: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_SHAPES: Final[Mapping[str, tuple[re.Pattern[str], str]]] = {
    "team_id": (_TEAM, "is a T and at least eight capital letters or digits, such as T01234567"),
    "enterprise_id": (_ORG, "is an E and capital letters or digits, such as E01234567"),
    "user_id": (re.compile(r"[UW][A-Z0-9]{2,30}"), "is a user id such as U01234567"),
    "bot_user_id": (re.compile(r"[UWB][A-Z0-9]{2,30}"), "is a user id such as U01234567"),
    "bot_token": (re.compile(r"(xoxe\.)?xoxb-[A-Za-z0-9._-]{1,1000}"), "begins with xoxb- or xoxe.xoxb-"),
    "user_token": (re.compile(r"(xoxe\.)?xoxp-[A-Za-z0-9._-]{1,1000}"), "begins with xoxp- or xoxe.xoxp-"),
    "bot_refresh_token": (re.compile(r"xoxe-[A-Za-z0-9._-]{1,1000}"), "begins with xoxe-"),
    "user_refresh_token": (re.compile(r"xoxe-[A-Za-z0-9._-]{1,1000}"), "begins with xoxe-"),
}


class Place(NamedTuple):
    """Where an installation is kept: the team of its rows, and the key of the place's row there."""

    team: str
    key: str
    client: str
    enterprise: str | None

    def named(self) -> dict[str, Any]:
        """What the place's row says of where it is."""
        own = {"id": self.key, "client_id": self.client, "is_enterprise_install": self.team == self.enterprise}
        inside = {} if self.enterprise is None else {"enterprise_id": self.enterprise}
        return {**own, **inside, **({} if self.team == self.enterprise else {"team_id": self.team})}

    def person(self, user: str) -> str:
        """The key of somebody's row."""
        return f"{self.key}/{user}"

    @property
    def people(self) -> tuple[str, str]:
        """The bounds of the keys of everybody's rows: low <= key < high."""
        return f"{self.key}/", f"{self.key}0"  # 0 is what follows /


class Given(NamedTuple):
    """An installation at the door: what of it is the place's, and what is the installer's (None: only a bot)."""

    place: Place
    bot: dict[str, Any]
    person: dict[str, Any] | None
    installed_at: Any


def check_client(client_id: object) -> str:
    """A client id as it may stand in a key; none is a dash."""
    if client_id in (None, ""):
        return "-"
    if isinstance(client_id, str) and _CLIENT.fullmatch(client_id):
        return client_id
    raise InvalidId("client_id", "is not a client id such as 1234567890.1234567890")


def place_of(client: str, enterprise_id: object, team_id: object, *, org_wide: bool | None) -> Place | None:
    """Where to look; None when neither id says. Org-wide, or without a team, it is the organisation's place."""
    enterprise = check_id("team", enterprise_id, "enterprise_id") if enterprise_id else None
    if not org_wide and team_id:
        return Place(check_id("team", team_id, "team_id"), f"{client}/{enterprise or '-'}", client, enterprise)
    return None if enterprise is None else Place(enterprise, f"{client}/{enterprise}", client, enterprise)


# --- in


def given_of(client: str, values: Mapping[str, Any], now: float, *, person: bool) -> Given:
    """What is to be stored of an installation, or of a bot. InvalidValue names the field and never shows its value."""
    if not isinstance(values, Mapping):
        raise InvalidValue("installation", "takes a dict with the fields of slack_sdk's Installation.to_dict()")
    plain = {name: _DOORS.get(name, _text)(name, values[name]) for name in FIELDS if values.get(name) not in (None, "")}
    for kind in ("bot", "user"):
        _expiry(plain, values, kind, now)
    custom = _custom(values)
    org_wide = bool(plain.get("is_enterprise_install"))
    place = place_of(client, plain.get("enterprise_id"), plain.get("team_id"), org_wide=org_wide)
    if place is None:
        raise InvalidValue("installation.team_id", "is missing: an install has a team, or an enterprise")
    at = plain.setdefault("installed_at", codec.normalise(round(now, 6)))
    about = {name: plain[name] for name in _ABOUT if name in plain} | {"client_id": client}
    about["is_enterprise_install"] = org_wide
    bot: dict[str, Any] = {name: plain[name] for name in _TOKENS_OF_BOT if name in plain}
    bot |= about | {"id": place.key, "bot_installed_at": at} | ({"bot_custom": custom} if custom else {})
    if not person:
        if "bot_token" not in plain:
            raise InvalidValue("bot.bot_token", "is missing")
        return Given(place, bot, None, at)
    if "user_id" not in plain:
        raise InvalidValue("installation.user_id", "is missing: who installed it")
    own = {name: plain[name] for name in PEOPLE.attributes if name in plain}
    own |= about | {"id": place.person(plain["user_id"]), "installed_at": at} | ({"custom": custom} if custom else {})
    return Given(place, bot, own, at)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidValue(f"installation.{name}", "must be a string")
    if name in _SHAPES and not _SHAPES[name][0].fullmatch(value):
        raise InvalidValue(f"installation.{name}", _SHAPES[name][1])
    return str(codec.normalise(value, f"installation.{name}"))


def _scopes(name: str, value: object) -> str:
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
        raise InvalidValue(f"installation.{name}", "must be a list of strings, or one with commas between them")
    return _text(name, ",".join(one.strip() for one in value if one.strip()))


def _flag(name: str, value: object) -> bool:
    if value in (True, False):  # databases give 0 and 1
        return bool(value)
    raise InvalidValue(f"installation.{name}", "must be true or false")


def seconds(name: str, value: object) -> float:
    """A time as seconds since 1970. A date without a zone is UTC, as slack_sdk's databases keep it."""
    if isinstance(value, str):
        value = _read(name, value)
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not hasattr(value, "__float__") or not 0 < float(value) < 1e11:  # NaN is not
        raise InvalidValue(f"installation.{name}", "must be a time: seconds since 1970, above 0, or a date")
    return float(value)


def _read(name: str, value: str) -> float | datetime:
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise InvalidValue(f"installation.{name}", "must be a time: seconds since 1970, or an ISO date") from None


def _whole(name: str, value: object) -> int:
    return int(seconds(name, value))


def _time(name: str, value: object) -> Any:
    return codec.normalise(round(seconds(name, value), 6))


def _expiry(plain: dict[str, Any], values: Mapping[str, Any], kind: str, now: float) -> None:
    """`…_expires_in` counts from now; slack_sdk lets the absolute one go before it."""
    name, left = f"{kind}_token_expires_at", values.get(f"{kind}_token_expires_in")
    if name not in plain and left is not None:
        plain[name] = int(now) + _whole(f"{kind}_token_expires_in", left)


def _custom(values: Mapping[str, Any]) -> str:
    """Custom values as JSON text, sealed as a whole; those among the fields, as `to_dict` has them, too."""
    nested = values.get("custom_values") or {}
    if not isinstance(nested, Mapping):
        raise InvalidValue("installation.custom_values", "must be a dict")
    found = {**{name: one for name, one in values.items() if name not in _INPUTS}, **nested}
    try:
        return codec.encode(codec.normalise(found, "custom_values")).decode() if found else ""
    except InvalidValue as error:
        raise InvalidValue("installation.custom_values", error.detail) from None


_DOORS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "bot_scopes": _scopes,
    "user_scopes": _scopes,
    "bot_token_expires_at": _whole,
    "user_token_expires_at": _whole,
    "installed_at": _time,
    "is_enterprise_install": _flag,
}


# --- what the rows become


def with_bot(row: Mapping[str, Any], bot: Mapping[str, Any]) -> dict[str, Any]:
    """The place's row after a bot's fields were given: they replace older ones, and stay out behind newer ones."""
    about = {name: value for name, value in bot.items() if name in _ABOUT}
    if "bot_token" not in bot:
        return {**row, **about}
    if "bot_token" in row and row["bot_installed_at"] > bot["bot_installed_at"]:
        return {**about, **row, "history": remember(row, bot["bot_installed_at"], bot)}
    rest = {name: value for name, value in row.items() if name not in _BOT_OF_PLACE}
    found = {**rest, **about, **{name: bot[name] for name in _BOT_OF_PLACE if name in bot}}
    if "bot_token" in row and row["bot_installed_at"] != bot["bot_installed_at"]:
        found["history"] = remember(row, row["bot_installed_at"], row)
    return found


def without_bot(row: Mapping[str, Any]) -> dict[str, Any]:
    """The place's row without its bot."""
    return {name: value for name, value in row.items() if name not in _BOT_OF_PLACE}


def with_person(row: Mapping[str, Any] | None, person: Mapping[str, Any], bot_scopes: str) -> dict[str, Any] | None:
    """Somebody's row after they installed again; None when what is stored is newer."""
    if row is None:
        return dict(person)
    if row["installed_at"] > person["installed_at"]:
        return None
    found = dict(person)
    if row["installed_at"] == person["installed_at"]:
        return found | ({"history": row["history"]} if "history" in row else {})
    return found | {"history": remember(row, row["installed_at"], {**row, "bot_scopes": bot_scopes})}


def remember(row: Mapping[str, Any], at: Any, grant: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The history with a grant more, newest last, bounded; never a token."""
    scopes = {name: grant[name] for name in ("bot_scopes", "user_scopes") if grant.get(name)}
    entry = {"installed_at": at, **scopes}
    old = [one for one in row.get("history", []) if one["installed_at"] != at]
    return sorted([*old, entry], key=lambda one: float(one["installed_at"]))[-HISTORY:]


def seen(row: Mapping[str, Any], event_id: str) -> list[str]:
    """The ids of events that were taken, with one more."""
    return [*row.get("events", []), event_id][-_SEEN:]


# --- out


def bot_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """slack_sdk's fields of a bot, and `custom_values`."""
    item = {**row, "installed_at": row["bot_installed_at"]}
    return {name: _shown(name, item) for name in BOT_FIELDS} | {"custom_values": _customs(row.get("bot_custom"))}


def installation_of(person: Mapping[str, Any], place: Mapping[str, Any]) -> dict[str, Any]:
    """slack_sdk's fields of an installation: somebody's own, with the place's newest bot."""
    item = {**person, **{name: place[name] for name in _TOKENS_OF_BOT if name in place}}
    return {name: _shown(name, item) for name in FIELDS} | {"custom_values": _customs(person.get("custom"))}


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    """A place for people and machines, without a token."""
    names = ("client_id", "enterprise_id", "team_id", "team_name", "state", "app_id", "bot_id", "bot_user_id")
    found = {name: row.get(name) for name in names} | {"is_enterprise_install": bool(row.get("is_enterprise_install"))}
    found["bot_scopes"] = row.get("bot_scopes", "")
    for name in ("state_at", "bot_installed_at", "bot_token_expires_at", "erase_at"):
        found[name] = None if row.get(name) is None else float(row[name])
    return found


def _shown(name: str, item: Mapping[str, Any]) -> Any:
    value = item.get(name)
    if name == "installed_at":
        return None if value is None else float(value)
    if name == "is_enterprise_install":
        return bool(value)
    return "" if value is None and name.endswith("_scopes") else value


def _customs(text: str | None) -> dict[str, Any]:
    return {} if text is None else _python(codec.decode(text, "custom_values"))


def _python(value: Any) -> Any:
    """JSON as other code knows it: numbers that are no whole ones are floats."""
    if isinstance(value, dict):
        return {name: _python(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_python(one) for one in value]
    return value if value is None or isinstance(value, (str, int)) else float(value)
