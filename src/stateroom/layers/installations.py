"""Installations: who added the app where, with which tokens, and OAuth's state on the way there.

Rules of this file: the verbs of slack_sdk's installation stores, and what Slack's events do to what they keep. Place
and person are written in one commit that refuses rows that moved meanwhile, so two installs never mix. What rows are is
in installations_entity.py, which state follows which in installations_states.py, the exchange of tokens in
installations_rotation.py. Tokens are sealed by the engine that is handed over: without keys nothing is stored.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

from stateroom.engines.handle_sealing import sealing
from stateroom.engines.handle_surroundings import Surroundings, attempts
from stateroom.engines.port import Delete, Engine, Put, Query, Row, Write
from stateroom.layers import installations_oauth as oauth
from stateroom.layers import installations_states as states
from stateroom.layers.installations_entity import (
    MEMBERS,
    PEOPLE,
    PLACES,
    Given,
    Place,
    bot_of,
    check_client,
    given_of,
    installation_of,
    place_of,
    seen,
    told,
    with_bot,
    with_person,
    without_bot,
)
from stateroom.layers.installations_rotation import EARLY, Refresh, Rotation
from stateroom.layers.walking import BATCH, commit_each, pages
from stateroom.model.codec import normalise
from stateroom.model.errors import ConditionFailed, StoreUnavailable, TransactionConflict, Unsupported
from stateroom.model.ids import check_id
from stateroom.model.sealing import Keyring

_PATIENCE: Final = 20.0  # seconds that an install waits for an erase to end
DEFINITIONS: Final = (PLACES, PEOPLE, MEMBERS, oauth.STATES)
State = states.State
Item = Mapping[str, Any]


class Installations:
    """The installations of one app (`client_id`), in all workspaces.

    Found values are dicts with the fields of slack_sdk's `Installation` and `Bot` (times as numbers, scopes with commas
    between them) and `custom_values`. Ids that are none are refused with InvalidId; what is not there is None.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], float],
        *,
        client_id: str = "",
        keyring: Keyring | None = None,
        around: Surroundings | None = None,
        erase_after: float = 0.0,
        early: float = EARLY,
    ) -> None:
        able = engine.capabilities
        if able.atomic_rows == 1 or not able.conditions:
            raise Unsupported(able.name, "installations: they need several conditional rows in one commit")
        self._raw = engine
        self._engine = sealing(sealing(engine, keyring, PLACES), keyring, PEOPLE)
        self._clock = clock
        self._around = around or Surroundings(clock)
        self._erase_after = erase_after
        self.client_id = check_client(client_id)
        self._rotation = Rotation(self._engine, engine, clock, self._around, early=early)

    # --- slack_sdk's verbs

    async def save(self, installation: Item) -> None:
        """Keep an installation and its bot, in one commit. InvalidValue, InvalidId; KeyMissing without keys.

        An installation without a bot token leaves the bot that is there. The same `installed_at` again replaces.
        """
        await self._save(given_of(self.client_id, installation, self._clock(), person=True))

    async def save_bot(self, bot: Item) -> None:
        """Keep a bot alone."""
        await self._save(given_of(self.client_id, bot, self._clock(), person=False))

    async def find_bot(
        self, *, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None = False
    ) -> dict[str, Any] | None:
        """The workspace's newest bot; with `is_enterprise_install` the organisation's, whatever the team."""
        place = place_of(self.client_id, enterprise_id, team_id, org_wide=is_enterprise_install)
        row = None if place is None else await self._place(place)
        return None if row is None or "bot_token" not in row.item else bot_of(row.item)

    async def find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> dict[str, Any] | None:
        """Somebody's installation, or the newest of anybody, with the workspace's newest bot."""
        place = place_of(self.client_id, enterprise_id, team_id, org_wide=is_enterprise_install)
        row = None if place is None else await self._place(place)
        if place is None or row is None or row.item["state"] == "UNINSTALLED":
            return None
        user = user_id or row.item.get("newest_user")
        person = None if user is None else await self._person(place, check_id("user", user, "user_id"))
        if person is None and user_id is None:
            person = await self._newest(place)  # the one that was named is erased
        return None if person is None else installation_of(person.item, row.item)

    async def delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Forget the bot. Its token comes back with nobody's installation."""
        await self._each(place_of(self.client_id, enterprise_id, team_id, org_wide=False), self._forget_bot)

    async def delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        """Forget somebody's installation, or everybody's. The bot stays."""
        place = place_of(self.client_id, enterprise_id, team_id, org_wide=False)
        if place is None:
            return
        if user_id is not None:
            await self._forget_person(place, check_id("user", user_id, "user_id"))
            return
        await self._each(place, self._forget_newest)
        await self._forget_people(place, before=None)

    async def delete_all(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Forget the bot and everybody's installations."""
        await self.delete_bot(enterprise_id=enterprise_id, team_id=team_id)
        await self.delete_installation(enterprise_id=enterprise_id, team_id=team_id)

    # --- tokens

    async def fresh(self, found: dict[str, Any], refresh: Refresh) -> dict[str, Any]:
        """What was found, with tokens that do not expire soon; as it is where they do not expire.

        `refresh` is called with the refresh token, at most once for any number of callers and processes, and gives the
        answer of `oauth.v2.access`; the new pair is stored before it is returned. SlackError and Throttled come through
        only when the old token is past its end.
        """
        place = place_of(
            self.client_id, found.get("enterprise_id"), found.get("team_id"), org_wide=found["is_enterprise_install"]
        )
        return found if place is None else await self._rotation.fresh(place, found, refresh)

    # --- states

    async def state_of(self, *, enterprise_id: str | None, team_id: str | None) -> State:
        """UNINSTALLED, INSTALLED or REVOKED. Needs no keys."""
        place = place_of(self.client_id, enterprise_id, team_id, org_wide=False)
        row = None if place is None else await self._place(place, sealed=True)
        return "UNINSTALLED" if row is None else row.item["state"]

    async def installed_at(self, place: Place, user: str | None) -> float | None:
        """When what is kept was installed: the place's bot, or somebody's own. Needs no keys."""
        table, key, name = PLACES.name, place.key, "bot_installed_at"
        if user is not None:
            table, key, name = PEOPLE.name, place.person(user), "installed_at"
        (row,) = await self._raw.get(table, place.team, [key])
        return None if row is None or name not in row.item else float(row.item[name])

    async def places_in(self, team: str) -> list[tuple[str | None, State]]:
        """What is kept of this app under one team's or organisation's id: inside which organisation, in which state."""
        low, high = f"{self.client_id}/", f"{self.client_id}0"
        rows = (await self._raw.query(Query(PLACES.name, check_id("team", team), BATCH, low=low, high=high))).rows
        return [(row.item.get("enterprise_id"), row.item["state"]) for row in rows]

    async def listed(self, *, every_client: bool = False) -> AsyncIterator[dict[str, Any]]:
        """Every place of this app, or of all apps: ids, state, scopes and times; no tokens, so it needs no keys."""
        async for rows, _ in pages(self._raw, Query(PLACES.name, None, BATCH, whole=True)):
            for row in rows:
                if every_client or row.item["client_id"] == self.client_id:
                    yield told(row.item)

    async def people(self, *, enterprise_id: str | None, team_id: str | None) -> list[dict[str, Any]]:
        """Who installed it there: ids, scopes and times, newest first; no tokens."""
        place = place_of(self.client_id, enterprise_id, team_id, org_wide=False)
        rows = [] if place is None else [row async for row in self._people(place)]
        rows.sort(key=lambda row: float(row.item["installed_at"]), reverse=True)
        names = ("user_id", "user_scopes", "history")
        return [
            {n: row.item.get(n) for n in names}
            | {"installed_at": float(row.item["installed_at"]), "has_user_token": "user_token" in row.item}
            for row in rows
        ]

    async def uninstalled(self, *, enterprise_id: str | None, team_id: str | None, at: float, event_id: str) -> bool:
        """`app_uninstalled`, not later than `at`: no token is kept, and everything of the place is to be erased.

        False when it is of before the last install, or was heard before.
        """
        place = place_of(self.client_id, enterprise_id, team_id, org_wide=False)
        if place is None:
            return False
        took = await self._took(place, "uninstall", at, event_id, absent_too=True)
        if took or await self._heard(place, event_id):  # who heard it first may have been killed right behind that
            await self._forget_people(place, before=at)
        return took

    async def revoked(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        bot: bool,
        users: Sequence[str] = (),
        at: float,
        event_id: str,
    ) -> bool:
        """`tokens_revoked`, not later than `at`: of the bot, of people. False when nothing had to be forgotten."""
        place = place_of(self.client_id, enterprise_id, team_id, org_wide=False)
        if place is None:
            return False
        took = bot and await self._took(place, "revoke", at, event_id)
        for user in users:
            row = await self._person(place, user, sealed=True)
            if row is not None and float(row.item["installed_at"]) < at:
                await self._forget_person(place, user)
                took = True
        return took

    # --- OAuth's state

    async def issue_state(self, binding: str, *, seconds: float = oauth.LIVES) -> str:
        """A state for one way to Slack and back, of the browser that `binding` names; it ends by itself."""
        return await oauth.issue(self._raw, self._clock, self.client_id, binding, seconds)

    async def consume_state(self, state: str, binding: str) -> bool:
        """Whether the state was issued for that browser, is in time, and was not used; it is used then."""
        return await oauth.consume(self._raw, self.client_id, state, binding)

    # --- organisations

    async def note_member(self, *, enterprise_id: str, team_id: str) -> None:
        """An org-wide install serves this workspace: what leads from one to the other, also when all of it goes."""
        key = f"{self.client_id}/{check_id('team', team_id)}"
        item = {"id": key, "client_id": self.client_id, "member": team_id, "at": normalise(round(self._clock(), 6))}
        await self._raw.commit([Put(MEMBERS.name, check_id("team", enterprise_id), key, item, keep=True)])

    async def organisation_of(self, team_id: str) -> str | None:
        """The organisation whose org-wide install serves the workspace."""
        query = Query(MEMBERS.name, None, BATCH, index="member", equals=(team_id,))
        rows = (await self._raw.query(query)).rows
        return next((row.team for row in rows if row.item["client_id"] == self.client_id), None)

    # --- writing

    async def _save(self, given: Given) -> None:
        async for _ in attempts(self._around):
            row = await self._unheld(given.place)
            person = None if given.person is None else await self._person(given.place, given.person["user_id"])
            writes = self._writes(given, row, person)
            try:
                await self._engine.commit(writes)
            except ConditionFailed:
                continue
            return
        raise TransactionConflict(f"{PLACES.name}/{given.place.key}")

    def _writes(self, given: Given, row: Row | None, person: Row | None) -> list[Write]:
        before: Item = {"id": given.place.key} if row is None else row.item
        after = with_bot(before, given.bot)
        same = person is not None and person.item["installed_at"] == given.installed_at
        state: State = before.get("state", "UNINSTALLED")
        event = states.event_of_save(
            state, before.get("bot_scopes", ""), after.get("bot_scopes", ""), same=same or given.person is None
        )
        after |= {"state": states.step(state, event), "state_at": self._now()}
        after = {name: value for name, value in after.items() if name not in ("erase_at", "erasing_until")}
        writes: list[Write] = []
        if given.person is not None:
            if after.get("newest_at") is None or after["newest_at"] <= given.installed_at:
                after |= {"newest_user": given.person["user_id"], "newest_at": given.installed_at}
            own = with_person(None if person is None else person.item, given.person, before.get("bot_scopes", ""))
            if own is not None:
                writes.append(_put(PEOPLE, given.place, own, person))
        return [_put(PLACES, given.place, after, row), *writes]

    async def _unheld(self, place: Place) -> Row | None:
        """The place's row, once nobody is erasing what hangs from it: an install meanwhile would be erased, too."""
        ends = self._clock() + _PATIENCE
        while True:
            row = await self._place(place)
            if row is None or float(row.item.get("erasing_until", 0)) <= self._clock():
                return row
            if self._clock() >= ends:
                words = "what was uninstalled is being erased; install again in a minute"
                raise StoreUnavailable(PLACES.name, "busy", words, retryable=True)
            await self._around.sleep(0.05)

    async def _took(self, place: Place, event: str, at: float, event_id: str, *, absent_too: bool = False) -> bool:
        """Whether the event changed the place's row: it was not heard before and is not older than the last install."""

        def change(row: Row | None) -> dict[str, Any] | None:
            if row is None and not absent_too:
                return None
            old: Item = row.item if row is not None else place.named()
            installed = max(float(old.get("bot_installed_at", 0)), float(old.get("newest_at", 0)))
            if event_id in old.get("events", []) or at <= installed:
                return None
            state: State = old.get("state", "UNINSTALLED")
            item = without_bot(old) | {"state": states.step(state, event), "state_at": self._now()}
            item["events"] = seen(old, event_id)
            if item["state"] == "UNINSTALLED":
                item = {name: value for name, value in item.items() if name not in ("newest_user", "newest_at")}
                item.setdefault("erase_at", normalise(round(self._clock() + self._erase_after, 6)))
            return item

        return await self._changed(place, change)

    async def _each(self, place: Place | None, change: Callable[[Row | None], dict[str, Any] | None]) -> None:
        if place is not None:
            await self._changed(place, change)

    async def _changed(self, place: Place, change: Callable[[Row | None], dict[str, Any] | None]) -> bool:
        """Make the place's row what `change` says (None: nothing); one of which nothing is left goes.

        What stays sealed is written as it was read: to forget needs no keys.
        """
        async for _ in attempts(self._around):
            row = await self._place(place, sealed=True)
            item = change(row)
            if item is None:
                return False
            empty = "bot_token" not in item and "newest_user" not in item and item["state"] == "INSTALLED"
            write: Write = _put(PLACES, place, item, row)
            if empty and row is not None:
                write = Delete(PLACES.name, place.team, place.key, if_version=row.version)
            try:
                await self._raw.commit([write])
            except ConditionFailed:
                continue
            return True
        raise TransactionConflict(f"{PLACES.name}/{place.key}")

    @staticmethod
    def _forget_bot(row: Row | None) -> dict[str, Any] | None:
        return None if row is None or "bot_token" not in row.item else without_bot(row.item)

    @staticmethod
    def _forget_newest(row: Row | None) -> dict[str, Any] | None:
        if row is None:
            return None
        return {name: value for name, value in row.item.items() if name not in ("newest_user", "newest_at")}

    async def _forget_person(self, place: Place, user: str) -> None:
        await self._raw.commit([Delete(PEOPLE.name, place.team, place.person(user))])
        next_one = await self._newest(place, sealed=True)

        def change(row: Row | None) -> dict[str, Any] | None:
            item = self._forget_newest(row)
            if row is None or item is None or row.item.get("newest_user") != user:
                return None
            if next_one is not None:
                item |= {"newest_user": next_one.item["user_id"], "newest_at": next_one.item["installed_at"]}
            return item

        await self._changed(place, change)

    async def _forget_people(self, place: Place, *, before: float | None) -> None:
        rows = [row async for row in self._people(place) if before is None or row.item["installed_at"] < before]
        writes = [Delete(PEOPLE.name, row.team, row.id, if_version=row.version) for row in rows]
        await commit_each(self._raw, writes)  # one that was installed again meanwhile stays

    # --- reading

    async def _place(self, place: Place, *, sealed: bool = False) -> Row | None:
        engine = self._raw if sealed else self._engine
        (row,) = await engine.get(PLACES.name, place.team, [place.key])
        return row

    async def _heard(self, place: Place, event_id: str) -> bool:
        row = await self._place(place, sealed=True)
        return row is not None and event_id in row.item.get("events", [])

    async def _person(self, place: Place, user: str, *, sealed: bool = False) -> Row | None:
        engine = self._raw if sealed else self._engine
        (row,) = await engine.get(PEOPLE.name, place.team, [place.person(user)])
        return row

    async def _newest(self, place: Place, *, sealed: bool = False) -> Row | None:
        rows = [row async for row in self._people(place)]
        newest = max(rows, key=lambda row: float(row.item["installed_at"]), default=None)
        return None if newest is None else await self._person(place, newest.item["user_id"], sealed=sealed)

    async def _people(self, place: Place) -> AsyncIterator[Row]:
        low, high = place.people
        async for rows, _ in pages(self._raw, Query(PEOPLE.name, place.team, BATCH, low=low, high=high)):
            for row in rows:
                yield row

    def _now(self) -> Any:
        return normalise(round(self._clock(), 6))


def _put(definition: Any, place: Place, item: Item, row: Row | None) -> Put:
    """The row as a whole, if it is still what was read."""
    stored = definition.stored(item)
    return Put(definition.name, place.team, stored["id"], stored, if_version=0 if row is None else row.version)
