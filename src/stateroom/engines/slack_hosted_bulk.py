"""Calls that go together: what many tasks want of one datastore at once becomes bulk calls of up to 25.

Rules of this file: one bulk call of a verb and a datastore is under way at a time; others gather behind it. No id is in
a call twice (Slack refuses that). What a call leaves over (`failed_items`) is sent again with growing pauses; what does
not fit is told to its own caller, and the rest of its batch goes again without it. A lone one uses the lone method,
whose tier is the larger one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stateroom.engines.slack_hosted_errors import PARTIAL, Lost, Refused, translate
from stateroom.engines.slack_hosted_line import Line, Wait, backoff
from stateroom.model.errors import InvalidValue, StateroomError, Throttled

BULK: Final = 25
AGAIN: Final = 7  # times that leftovers are sent again without any of them being taken


@dataclass
class Ask:
    """What one caller wants: the row's id, its item (of a put), and where the answer goes."""

    id: str
    future: asyncio.Future[Any]
    item: Mapping[str, Any] = field(default_factory=dict)

    def tell(self, value: Any) -> None:
        """The result, or the error."""
        if self.future.done():
            return
        if isinstance(value, BaseException):
            self.future.set_exception(value)
        else:
            self.future.set_result(value)


class Gatherer:
    """The gets, puts and deletes of one loop, by datastore. `keys`: the key attribute of each datastore."""

    def __init__(self, line: Line, place: str, keys: Mapping[str, str], wait: Wait) -> None:
        self._line = line
        self._place = place
        self._keys = keys
        self._wait = wait
        self._waiting: dict[tuple[str, str], list[Ask]] = {}
        self._going: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._senders = {"get": self._get, "put": self._put, "delete": self._delete}

    async def join(self, verb: str, table: str, id: str, item: Mapping[str, Any] | None = None) -> Any:
        """The result: an item or None of `get`, None of `put` and `delete`."""
        ask = Ask(id, asyncio.get_running_loop().create_future(), item or {})
        self._waiting.setdefault((verb, table), []).append(ask)
        if (verb, table) not in self._going:
            self._going[verb, table] = asyncio.ensure_future(self._work(verb, table))
        return await ask.future

    async def close(self) -> None:
        """Until all that was asked for is done."""
        while self._going:
            await asyncio.gather(*self._going.values(), return_exceptions=True)

    async def _work(self, verb: str, table: str) -> None:
        await asyncio.sleep(0)  # the other tasks of this turn go along
        while waiting := self._waiting.pop((verb, table), None):
            group, rest = first([one for one in waiting if not one.future.done()])
            if rest:
                self._waiting[verb, table] = rest
            try:
                await self._senders[verb](table, group)
            except StateroomError as error:
                for one in group:
                    one.tell(error)
            except (Refused, Lost) as error:
                told = translate(error, f"{self._place}/{table}", writing=verb != "get")
                for one in group:
                    one.tell(told)
            finally:
                for one in group:
                    one.future.cancel()  # nobody is left waiting, whatever happened
        del self._going[verb, table]

    async def _get(self, table: str, group: Sequence[Ask]) -> None:
        if len(group) == 1:
            answer = await self._line.send("get", {"datastore": table, "id": group[0].id})
            group[0].tell(answer.get("item") or None)
            return
        done = await self._bulk("bulkGet", table, "ids", {one.id: one.id for one in group})
        found = {str(item.get(self._keys[table])): item for item in done.items}
        for one in group:
            one.tell(done.error if one.id in done.left else found.get(one.id))

    async def _delete(self, table: str, group: Sequence[Ask]) -> None:
        if len(group) == 1:
            await self._line.send("delete", {"datastore": table, "id": group[0].id})
            group[0].tell(None)
            return
        done = await self._bulk("bulkDelete", table, "ids", {one.id: one.id for one in group})
        for one in group:
            one.tell(done.error if one.id in done.left else None)

    async def _put(self, table: str, group: Sequence[Ask]) -> None:
        if len(group) == 1:
            await self._line.send("put", {"datastore": table, "item": group[0].item})
            group[0].tell(None)
            return
        done = await self._bulk("bulkPut", table, "items", {one.id: one.item for one in group})
        again = [one for one in group if one.id in done.left]
        for one in group:
            if one.id not in done.left:
                one.tell(None)
        if isinstance(done.error, InvalidValue):
            await self._without(table, again, done)
            return
        for one in again:
            one.tell(done.error)

    async def _without(self, table: str, group: Sequence[Ask], done: _Done) -> None:
        """A batch with an item that does not fit was refused as a whole: the others go again."""
        rest = [one for one in group if one.id not in done.bad]
        if len(rest) == len(group):  # Slack does not say which: each for itself
            for one in group:
                await self._alone(table, one)
            return
        for one in group:
            if one.id in done.bad:
                one.tell(done.error)
        if rest:
            await self._put(table, rest)

    async def _alone(self, table: str, one: Ask) -> None:
        try:
            await self._line.send("put", {"datastore": table, "item": one.item})
        except (Refused, Lost) as error:
            one.tell(translate(error, f"{self._place}/{table}", writing=True))
        else:
            one.tell(None)

    async def _bulk(self, verb: str, table: str, name: str, inputs: Mapping[str, Any]) -> _Done:
        """A bulk call, and those for what it left over, until Slack takes no more of it."""
        done, idle, key = _Done(set(inputs)), 0, self._keys[table]
        while done.left:
            sent = [one for id, one in inputs.items() if id in done.left]
            try:
                answer: Mapping[str, Any] = await self._line.send(verb, {"datastore": table, name: sent})
                failed: Sequence[Any] = answer.get("failed_items") or ()
            except Refused as refused:
                if refused.code != PARTIAL or not refused.failed:
                    return self._broken(done, refused, table, verb)
                answer, failed = refused.answer, refused.failed
            except Lost as lost:
                return self._broken(done, lost, table, verb)
            done.items += answer.get("items") or ()
            left = {str(one.get(key)) if isinstance(one, dict) else str(one) for one in failed} & done.left
            idle = idle + 1 if len(left) == len(done.left) else 0
            done.left = left
            if idle > AGAIN:
                done.error = Throttled(f"{self._place}/{table}", 1.0)
                return done
            if left:
                await self._wait(backoff(idle))
        return done

    def _broken(self, done: _Done, error: Refused | Lost, table: str, verb: str) -> _Done:
        done.error = translate(error, f"{self._place}/{table}", writing=verb != "bulkGet")
        if isinstance(error, Refused):
            done.bad = {str(item.get(self._keys[table])) for item in error.bad_items}
        return done


@dataclass
class _Done:
    """What a bulk call came to. `left`: ids that were not done, because of `error`; `bad`: those at fault."""

    left: set[str]
    items: list[Any] = field(default_factory=list)
    error: StateroomError | None = None
    bad: set[str] = field(default_factory=set)


def first(waiting: Sequence[Ask]) -> tuple[list[Ask], list[Ask]]:
    """What goes in one call: up to 25, no id twice; and what waits on, in order."""
    group: dict[str, Ask] = {}
    for number, one in enumerate(waiting):
        if one.id in group or len(group) == BULK:
            return list(group.values()), list(waiting[number:])
        group[one.id] = one
    return list(group.values()), []
