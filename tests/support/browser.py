"""A person's browser at the bot's install pages: follows links by hand and keeps the cookies it is given.

Rules of this file: plain HTTP; a cookie goes back to the host that set it, and to no other.
"""

from __future__ import annotations

import http.client
import re
from html import unescape
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from support.installing import press
from support.local_slack import PATIENCE, LocalSlack


class Page(NamedTuple):
    """What came back; header names are small."""

    status: int
    headers: dict[str, str]
    text: str


class Browser:
    """One person's browser."""

    def __init__(self) -> None:
        self.cookies: dict[str, str] = {}

    def get(self, url: str, **headers: str) -> Page:
        """One request; cookies are kept."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
        sent = {"Accept": "text/html", **headers}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, headers=sent)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            page = Page(response.status, found, response.read().decode())
        finally:
            connection.close()
        if "set-cookie" in found:
            name, _, value = found["set-cookie"].split(";")[0].partition("=")
            self.cookies[name] = value
        return page

    def leave(self, bot: str) -> str:
        """Open the install page; the address of Slack's page behind its link."""
        page = self.get(f"{bot}/slack/install")
        assert page.status == 200, page
        link = re.search(r'href="([^"]+)"', page.text)
        assert link is not None, page.text
        return unescape(link[1])

    def allow(self, slack: LocalSlack, address: str, **who: str) -> str:
        """Press Allow (or another `decision`) on Slack's page; where it leads back to."""
        assert address.startswith(slack.url), address
        status, location = press(slack, address.removeprefix(slack.url), **who)
        assert status == 303, location
        return location

    def install(self, slack: LocalSlack, bot: str, **who: str) -> Page:
        """The whole way."""
        return self.get(self.allow(slack, self.leave(bot), **who))


def who(slack: LocalSlack, team: str) -> dict[str, str]:
    """The first person of a workspace."""
    people = [one for one in slack.state()["users"] if one["team"] == team and not one.get("is_bot")]
    return {"team": team, "user": people[0]["id"]}


def own_bot(slack: LocalSlack, team: str) -> str:
    """The bot's user in a workspace."""
    return str(next(one["id"] for one in slack.state()["users"] if one["team"] == team and one.get("is_bot")))


def channel_of(slack: LocalSlack, team: str) -> str:
    """A public channel of a workspace."""
    return str(next(one["id"] for one in slack.state()["channels"] if one["team"] == team and not one["is_im"]))


def whole(slack: LocalSlack, ts: str, team: str) -> list[dict[str, Any]]:
    """The answers in a thread, once none streams."""
    found = slack.replies(ts, channel_of(slack, team), team)
    return found if found and not any(one.get("streaming") for one in found) else []
