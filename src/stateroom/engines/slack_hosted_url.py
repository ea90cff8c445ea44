"""A Slack-hosted store's URL: `slack://?app_id=A…[&endpoint=…/api/][&team=T…][&write=1][&tiers=off]`.

Rules of this file: pure. A token is never part of a URL, which is shown and logged: it comes from the settings.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from stateroom.model.errors import WrongUse
from stateroom.model.ids import is_id

ENDPOINT: Final = "https://slack.com/api/"
HOW: Final = "write the store as slack://?app_id=A0123456789, with &write=1 where it may be written"
_APP: Final = re.compile(r"A[A-Z0-9]{2,30}")
_OPTIONS: Final = frozenset({"app_id", "endpoint", "team", "write", "tiers"})


class Address(NamedTuple):
    """`team`: the workspace, where the URL says it. `tiers`: whether calls are paced by Slack's rate tiers."""

    app_id: str
    endpoint: str
    team: str
    write: bool
    tiers: bool

    @property
    def place(self) -> str:
        """For errors."""
        return f"slack://?app_id={self.app_id}"


def read_url(url: str) -> Address:
    """The parts of the URL. WrongUse."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.netloc or parts.path.strip("/") or parts.fragment or options.keys() - _OPTIONS:
        raise WrongUse(HOW)
    if not _APP.fullmatch(options.get("app_id", "")):
        raise WrongUse(HOW)
    endpoint = options.get("endpoint", ENDPOINT)
    where = urlsplit(endpoint)
    if where.scheme not in ("http", "https") or "@" in where.netloc or not endpoint.endswith("/api/"):
        raise WrongUse("?endpoint= takes an address that ends in /api/")
    team = options.get("team", "")
    if team and not is_id("team", team):
        raise WrongUse("?team= takes a workspace's id, such as T0123456789")
    return Address(options["app_id"], endpoint, team, _switch(options, "write", "0"), _switch(options, "tiers", "on"))


def _switch(options: dict[str, str], name: str, default: str) -> bool:
    value = options.get(name, default)
    if value not in ("0", "1", "on", "off"):
        raise WrongUse(f"?{name}= takes 1 or 0")
    return value in ("1", "on")
