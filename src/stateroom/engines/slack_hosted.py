"""slack:// : the port over the datastores that Slack keeps for an app (`apps.datastore.*`).

Rules of this file: nothing is made up. What Slack has no call for (conditions, versions, several rows at once, orders,
logs, counters) is Unsupported by name. The token is handed in, never read from the URL; without `?write=1` nothing is
written. Slack's filter is asked what it surely understands (slack_hosted_filter.py), `evaluate` decides on the rows.
The order of pages is Slack's, which it does not document: a position is Slack's cursor and the last id behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from stateroom.engines.decide import check_place, check_whole
from stateroom.engines.port import Capabilities, Check, Delete, Page, Put, Query, Row, Table, Update, Write, Written
from stateroom.engines.slack_hosted_bulk import Gatherer
from stateroom.engines.slack_hosted_filter import native
from stateroom.engines.slack_hosted_line import Line, Wait
from stateroom.engines.slack_hosted_pace import Pace
from stateroom.engines.slack_hosted_url import read_url
from stateroom.expr.compiled import compile
from stateroom.expr.render import render
from stateroom.model.codec import encode, normalise_item
from stateroom.model.errors import ItemTooLarge, StoreUnavailable, Unsupported, WrongUse
from stateroom.model.profiles import ITEM_LIMIT as SLACKS_LIMIT
from stateroom.model.profiles import size_of

ITEM_LIMIT: Final = SLACKS_LIMIT - 1  # bytes of JSON; names and texts count alike there, and numbers less
PAGE: Final = 1000  # items that Slack looks at in one call, at most
VERSION: Final = 1  # of every row: Slack counts none
_SIDE = tuple[Line, Gatherer]


class SlackHostedEngine:
    """The port over one app's datastores in one workspace. `token`: the app's bot token, or the CLI's service token."""

    capabilities = Capabilities(
        "slack",
        durable=True,
        atomic_rows=1,
        item_limit=ITEM_LIMIT,
        append=False,
        conditions=False,
        indexes=False,
        unique=False,
        across_teams=False,
        ttl_hidden=False,
        expired=False,
        changes=False,
        processes=True,
        holds_inbox=False,
        names_in_order=False,
        embedded=False,
        hosted=True,
    )

    def __init__(
        self, url: str, clock: Callable[[], float], token: str | None = None, *, wait: Wait = asyncio.sleep
    ) -> None:
        self._address = read_url(url)
        self._place = self._address.place
        self._clock = clock
        self._token = token
        self._wait = wait
        self._pace = Pace(strict=self._address.tiers)
        self._team = self._address.team
        self._keys: dict[str, str] = {}
        self._ttls: dict[str, str | None] = {}
        self._there: set[str] = set()
        self._open = False
        self._sides: dict[asyncio.AbstractEventLoop, _SIDE] = {}

    def __repr__(self) -> str:
        return f"<SlackHostedEngine {self._address.app_id}>"

    async def open(self) -> None:
        """Ask Slack whose token it is. WrongUse without one, StoreUnavailable."""
        if not self._token:
            raise WrongUse("slack:// needs a token: set SLACK_SERVICE_TOKEN (the Slack CLI's) or SLACK_BOT_TOKEN")
        self._open = True
        try:
            self._team = self._team or await self._side()[0].team(self._place)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what is under way in this loop, then let go of the connections."""
        self._open = False
        sides, self._sides = self._sides, {}
        for loop, (line, gatherer) in sides.items():
            if loop is asyncio.get_running_loop():
                await gatherer.close()
                await line.close()

    def know(self, name: str, key: str, ttl: str | None) -> None:
        """The key's attribute and the expiry's of a datastore."""
        self._keys[name], self._ttls[name] = key, ttl

    @property
    def team(self) -> str:
        """The workspace whose rows these are; empty before it is open."""
        return self._team

    async def apply(self, tables: Sequence[Table], *, dry_run: bool = False) -> list[str]:
        """Which datastores the app lacks. Unsupported where one is to be made: its manifest does that."""
        self._ready()
        for table in tables:
            _refuse_table(table)
        missing = [table.name for table in tables if not await self._is_there(table.name)]
        if missing and not dry_run:
            raise Unsupported("slack", f"making the datastore {missing[0]}: declare it in the manifest and deploy")
        return [f"declare the datastore {name} in the app's manifest, and deploy it" for name in missing]

    async def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        key = self._key(table)
        self._check_team(team)
        _, gatherer = self._side()
        wanted = list(dict.fromkeys(id for id in ids if len(id) > 0))
        found = dict(
            zip(wanted, await asyncio.gather(*(gatherer.join("get", table, id) for id in wanted)), strict=True)
        )
        return [None if (item := found.get(id)) is None else self._row(table, key, item) for id in ids]

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        self._ready()
        if not writes:
            return []
        if len(writes) > 1:
            raise Unsupported("slack", f"a commit of {len(writes)} rows")
        (write,) = writes
        check_place(write)
        _refuse_conditions(write)
        self._key(write.table)
        self._check_team(write.team)
        if not self._address.write:
            raise WrongUse(f"{self._place} is open for reading; add &write=1 to the URL to write there")
        if isinstance(write, Put):
            return [await self._put(write)]
        if isinstance(write, Update):
            return [await self._update(write)]
        assert isinstance(write, Delete)
        return [await self._delete(write)]

    async def query(self, query: Query) -> Page:
        key = self._key(query.table)
        _refuse_order(query)
        if query.team is not None:
            self._check_team(query.team)
        behind = _behind(query)
        if query.whole and query.team is None and behind.team > self._team:
            return Page([], None)  # a walk over all teams that is past ours already
        return await self._page(query, key, behind if behind.team in ("", self._team) else _Behind())

    # The verbs, of what was checked.

    async def _put(self, write: Put) -> Written:
        item = self._checked(write.table, write.id, write.item, write.expires_at)
        await self._side()[1].join("put", write.table, write.id, item)
        return Written(self._row(write.table, self._keys[write.table], item), changed=True)

    async def _update(self, write: Update) -> Written:
        key = self._keys[write.table]
        for name, given in (("add", write.add), ("append", write.append), ("remove", write.remove)):
            if given:
                raise Unsupported("slack", f"an update with {name}")
        if write.base.keys() - {key}:
            (row,) = await self.get(write.table, write.team, [write.id])
            if row is None:
                raise Unsupported("slack", "an update that makes an item with defaults; put the whole item")
        item = {**write.set, key: write.id}
        _check_size(write.table, item)
        if write.expires_at != "same" and write.expires_at != self._expiry(write.table, item):
            raise Unsupported("slack", "an expiry beside the item's own attribute")
        answer = await self._ask("update", write.table, {"item": item})
        return Written(self._row(write.table, key, answer.get("item") or item), changed=True)

    async def _delete(self, write: Delete) -> Written:
        """Slack does not say whether there was something: it is looked at before."""
        if write.expired:
            raise Unsupported("slack", "the removal of expired rows: Slack does that itself")
        _, gatherer = self._side()
        there = await gatherer.join("get", write.table, write.id)
        if there is not None:
            await gatherer.join("delete", write.table, write.id)
        return Written(None, changed=there is not None)

    async def _page(self, query: Query, key: str, behind: _Behind) -> Page:
        """Slack's pages until `query.limit` rows match, or there is nothing more. Slack says that more follows, too,
        where a page is exactly full and nothing does: the next page is empty then."""
        args = _filter(query, key)
        matches = _true if query.condition is None else compile(query.condition)
        rows: list[Row] = []
        while True:
            # Without a condition every item counts, so a page never has more than are wanted.
            exact = query.condition is None and not behind.id
            size = min(PAGE, query.limit - len(rows)) if exact else PAGE
            given = {**args, "limit": size, **({"cursor": behind.cursor} if behind.cursor else {})}
            answer = await self._ask("query", query.table, given)
            follows = _cursor(answer)
            items = [self._row(query.table, key, item) for item in answer.get("items") or ()]
            fresh = [row for row in behind.cut(items) if _within(row.id, query) and matches(row.item)]
            room = query.limit - len(rows)
            rows += fresh[:room]
            if len(fresh) > room:
                return Page(rows, self._position(query, behind._replace(id=rows[-1].id)))
            if not follows:
                return Page(rows, None)
            if len(rows) == query.limit:
                return Page(rows, self._position(query, behind.on(follows)))
            behind = behind.on(follows)

    def _position(self, query: Query, behind: _Behind) -> tuple[Any, ...]:
        place = (behind.id, behind.cursor, behind.floor)
        return (self._team, *place) if query.whole else place

    # What the verbs share.

    def _ready(self) -> None:
        if not self._open:
            raise StoreUnavailable(self._place, "closed", "the store is closed; open it first", retryable=False)

    def _side(self) -> _SIDE:
        """The connections of the running loop, and its bulk calls."""
        self._ready()
        loop = asyncio.get_running_loop()
        side = self._sides.get(loop)
        if side is None:
            self._sides = {known: kept for known, kept in self._sides.items() if not known.is_closed()}
            address = self._address
            line = Line(address.endpoint, self._token or "", address.app_id, self._pace, wait=self._wait)
            side = self._sides[loop] = line, Gatherer(line, self._place, self._keys, self._wait)
        return side

    async def _ask(self, verb: str, table: str, args: Mapping[str, Any]) -> dict[str, Any]:
        return await self._side()[0].ask(verb, {"datastore": table, **args}, f"{self._place}/{table}")

    async def _is_there(self, table: str) -> bool:
        if table not in self._there:
            try:
                await self._ask("query", table, {"limit": 1})
            except StoreUnavailable as error:
                if error.reason != "missing":
                    raise
                return False
            self._there.add(table)
        return True

    def _key(self, table: str) -> str:
        self._ready()
        if table not in self._keys:
            told = f"nobody has said which attribute is the key of {table}; give its definition (--definitions)"
            raise StoreUnavailable(self._place, "missing", told, retryable=False)
        return self._keys[table]

    def _check_team(self, team: str) -> None:
        """Invariant 5: Slack's rows are of the workspace that the token is of."""
        if team != self._team:
            raise Unsupported("slack", f"rows of another workspace than {self._team}, whose token it is")

    def _row(self, table: str, key: str, item: Mapping[str, Any]) -> Row:
        found = normalise_item(item)
        return Row(str(found.get(key, "")), found, VERSION, self._expiry(table, found), self._team)

    def _expiry(self, table: str, item: Mapping[str, Any]) -> float | None:
        ttl = self._ttls.get(table)
        return float(item[ttl]) if ttl is not None and ttl in item else None

    def _checked(self, table: str, id: str, item: Mapping[str, Any], expires_at: float | None) -> dict[str, Any]:
        """The item as Slack is to have it."""
        if item.get(self._keys[table]) != id:
            raise Unsupported("slack", f"an item of {table} whose attribute {self._keys[table]} is not its key")
        if expires_at != self._expiry(table, item):
            raise Unsupported("slack", "an expiry beside the item's own attribute")
        _check_size(table, item)
        return dict(item)


def _check_size(table: str, item: Mapping[str, Any]) -> None:
    size = len(encode(item))
    if size > ITEM_LIMIT:
        raise ItemTooLarge(table, size, ITEM_LIMIT)
    if (counted := size_of(item)) > ITEM_LIMIT:
        raise ItemTooLarge(table, counted, ITEM_LIMIT)


def _refuse_table(table: Table) -> None:
    asked = {
        "a log": table.log,
        "an index": bool(table.indexes),
        "a look for expired rows": table.expires,
        "a log of changes": table.changes,
    }
    for words, wanted in asked.items():
        if wanted:
            raise Unsupported("slack", f"{words} of {table.name}")


def _refuse_conditions(write: Write) -> None:
    if not isinstance(write, (Put, Update, Delete)):
        raise Unsupported("slack", "a check" if isinstance(write, Check) else "a log")
    asked = {
        "a condition": write.condition is not None,
        "if_version": write.if_version is not None,
        "a guard": getattr(write, "guard", None) is not None,
        "keeping a row that is there": getattr(write, "keep", False),
    }
    for words, wanted in asked.items():
        if wanted:
            raise Unsupported("slack", f"{words} on a write")


def _refuse_order(query: Query) -> None:
    if query.whole:
        check_whole(query)
    if query.expired:
        raise Unsupported("slack", "a query for expired rows")
    if query.index is not None or query.equals:
        raise Unsupported("slack", "an order by an index")
    if query.descending:
        raise Unsupported("slack", "a descending order")
    if query.team is None and not query.whole:
        raise Unsupported("slack", "a query over all teams")


class _Behind(NamedTuple):
    """Where a page begins: at Slack's cursor, there behind the row with that id; without a cursor, behind `floor`."""

    team: str = ""
    cursor: str = ""
    id: str = ""
    floor: str = ""

    def cut(self, rows: list[Row]) -> list[Row]:
        """The rows behind the place; where its row is gone, those whose ids are behind it."""
        rows = [row for row in rows if row.id > self.floor]
        for number, row in enumerate(rows):
            if row.id == self.id:
                return rows[number + 1 :]
        return [row for row in rows if row.id > self.id] if self.id else rows

    def on(self, cursor: str) -> _Behind:
        """The next page of Slack's."""
        return self._replace(cursor=cursor, id="")


def _behind(query: Query) -> _Behind:
    """Of the position `(id, cursor, floor)`, in a whole walk `(team, …)`; somebody's own place is `(id,)` alone."""
    if query.after is None:
        return _Behind()
    team, *rest = query.after if query.whole else ("", *query.after)
    if len(rest) == 1:
        return _Behind(str(team), floor=str(rest[0]))
    last, cursor, floor = rest
    return _Behind(str(team), str(cursor), str(last), str(floor))


def _true(_item: object) -> bool:
    return True


def _within(id: str, query: Query) -> bool:
    return (query.low is None or id >= query.low) and (query.high is None or id < query.high)


def _filter(query: Query, key: str) -> dict[str, Any]:
    asked = native(query.condition, key)
    if asked is None:
        return {}
    text, names, values = render(asked)
    args = {"expression": text, "expression_attributes": names, "expression_values": values}
    return {name: given for name, given in args.items() if given}


def _cursor(answer: Mapping[str, Any]) -> str:
    more = answer.get("response_metadata")
    cursor = more.get("next_cursor") if isinstance(more, dict) else None
    return cursor if isinstance(cursor, str) else ""
