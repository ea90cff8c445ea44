"""Slack-hosted datastores for tests: a local Slack over HTTP, and what lets the conformance suite speak to it.

Rules of this file: the engine under test is the real one and its calls are real. The suite's rows have any attributes
and no key among them; Slack's have declared ones, and their key is one of them. So `Bare` adds the key on the way in
and takes it off on the way out, and `untyped` lets datastores of a local Slack take any attribute.
"""

from __future__ import annotations

import atexit
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from msgspec.structs import replace

from stateroom.emulator.config import SEED_TOKEN
from stateroom.emulator.datastores import Datastores
from stateroom.engines.conformance import CHANGED, ITEMS
from stateroom.engines.port import Page, Put, Query, Row, Table, Update, Write, Written
from stateroom.engines.slack_hosted import SlackHostedEngine
from stateroom.model.codec import normalise_item
from stateroom.model.errors import StateroomError
from support.local_slack import LocalSlack, local_slack

KEY = "pk"
UNTYPED = "cf_"


class _Any(Mapping[str, Any]):
    """Every attribute is declared."""

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> Any:
        return None

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def keys(self) -> Any:
        return _Names()


class _Names:
    def __ge__(self, other: object) -> bool:
        return True

    def __contains__(self, name: object) -> bool:
        return True


def _untyped(definition: Any) -> Any:
    if not definition.name.startswith(UNTYPED):
        return definition
    return SimpleNamespace(
        name=definition.name, key=definition.key, ttl=definition.ttl, attributes=_Any(), clean=normalise_item
    )


@contextmanager
def untyped() -> Iterator[None]:
    """Datastores whose names begin with `cf_` take any attribute."""
    define = Datastores.define

    def loosely(self: Datastores, app: str, definitions: Any) -> None:
        define(self, app, [_untyped(one) for one in definitions])

    Datastores.define = loosely  # type: ignore[method-assign]
    try:
        yield
    finally:
        Datastores.define = define  # type: ignore[method-assign]


def manifest(
    *names: str, key: str = "id", attributes: Mapping[str, Any] | None = None, ttl: str = ""
) -> dict[str, Any]:
    """Of an app hosted by Slack with these datastores."""
    known = {key: {"type": "string"}, **(attributes or {})}
    one: dict[str, Any] = {"primary_key": key, "attributes": known}
    if ttl:
        one["time_to_live_attribute"] = ttl
    return {
        "_metadata": {"major_version": 2},
        "display_information": {"name": "Hosted"},
        "oauth_config": {"scopes": {"bot": ["datastore:read", "datastore:write"]}},
        "settings": {"function_runtime": "slack"},
        "datastores": dict.fromkeys(names, one),
    }


@contextmanager
def hosting(*names: str, **said: Any) -> Iterator[tuple[LocalSlack, str, str]]:
    """A local Slack with an app that has these datastores: it, a URL that may write, the app's token."""
    with untyped(), local_slack() as slack:
        url, token = app_of(slack, *names, **said)
        yield slack, url, token


def app_of(slack: LocalSlack, *names: str, **said: Any) -> tuple[str, str]:
    """A new app: its URL and token."""
    app = f"A{secrets.token_hex(5).upper()}"
    answer = slack.sim("POST", "apps", {"app_id": app, "manifest": manifest(*names, **said)})
    return url_of(slack, app), str(answer["bot_token"])


def url_of(slack: LocalSlack, app: str, *, write: bool = True, tiers: str = "off") -> str:
    end = "&write=1" if write else ""
    return f"slack://?app_id={app}&endpoint={quote(slack.api_url, safe='')}&tiers={tiers}{end}"


class Bare(SlackHostedEngine):
    """The engine, for rows whose key is not among their attributes."""

    def __init__(self, url: str, clock: Callable[[], float], token: str = SEED_TOKEN) -> None:
        super().__init__(url, clock, token)
        for name in (ITEMS, CHANGED, "cf_other", "sr_leases"):
            self.know(name, KEY, None)

    async def apply(self, tables: Sequence[Table], *, dry_run: bool = False) -> list[str]:
        for table in tables:
            self.know(table.name, KEY, None)
        try:
            return await super().apply(tables, dry_run=dry_run)
        except StateroomError:
            for table in tables:
                self._keys.pop(table.name)
            raise

    async def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        return [None if row is None else _off(row) for row in await super().get(table, team, ids)]

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        done = await super().commit([_on(write) for write in writes])
        return [one if one.row is None else one._replace(row=_off(one.row)) for one in done]

    async def query(self, query: Query) -> Page:
        page = await super().query(query)
        return page._replace(rows=[_off(row) for row in page.rows])


def _on(write: Write) -> Write:
    if isinstance(write, Put):
        return replace(write, item={**write.item, KEY: write.id})
    return replace(write, base={}) if isinstance(write, Update) else write


def _off(row: Row) -> Row:
    return row._replace(item={name: value for name, value in row.item.items() if name != KEY})


@cache
def shared() -> LocalSlack:
    """One local Slack for a test process, whose `cf_` datastores take any attribute."""
    stack = ExitStack()
    atexit.register(stack.close)  # which keeps it, too
    stack.enter_context(untyped())
    return stack.enter_context(local_slack())


def conformance_url() -> tuple[str, str]:
    """An app of its own with the suite's datastores: URL and token."""
    return app_of(shared(), ITEMS, "sr_leases", key=KEY)
