"""A local Slack in this process and in simulated time, and the client that calls it as the plan says.

Rules of this file: every call goes through the local Slack's own handling of requests (bytes in, answer out). A call
takes the plan's time; what is waited for after a refusal is what design/failure.py says: Retry-After first, else our
own waits, each twice the one before, and no more attempts than the plan has. What prepares or clears away is not
counted, and no allowance is spent for it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final

import msgspec

from stateroom.cli.design_simulate_clock import now
from stateroom.design.facts import Facts
from stateroom.design.failure import waits
from stateroom.design.outputs import manifest
from stateroom.design.parts import PREFIX, Plan
from stateroom.emulator import api
from stateroom.emulator.config import SEED_APP, SEED_TOKEN, EmulatorConfig
from stateroom.emulator.faults import Fault
from stateroom.emulator.seed import AppSpec
from stateroom.emulator.workspace import Workspace
from stateroom.model.errors import WrongUse

Item = dict[str, Any]
_ENCODE: Final = msgspec.json.Encoder(decimal_format="number").encode
PASSING: Final = ("ratelimited", "internal_error", "request_timeout", "service_unavailable")
JITTER_MS: Final = 1000


@dataclass
class Meter:
    """What one run did: answered calls by method, and what Slack looked at for them."""

    calls: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    pages: int = 0
    evaluated: int = 0
    bytes: int = 0
    found: int = 0


class CallFailed(Exception):
    """Slack refused for good, or the attempts are used up. `code` as Slack has it."""

    def __init__(self, code: str, attempts: int) -> None:
        super().__init__(code)
        self.code, self.attempts = code, attempts


class LocalSlack:
    """The datastores of a plan in a local Slack."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan, self.facts = plan, plan.facts
        self.random = Random(seed)
        self.pristine: dict[tuple[str, str], Item] = {}
        numbers = itertools.count(1)
        self._workspace = Workspace(EmulatorConfig(), now, lambda prefix: f"{prefix}{next(numbers):08d}")

    async def start(self) -> None:
        """WrongUse where Slack does not take the plan's datastores."""
        await self._workspace.start()
        try:
            self._workspace.register(AppSpec(SEED_APP, manifest=manifest(self.plan)))
        except WrongUse as error:
            raise WrongUse(f"Slack would not take the datastores: {error}; see `stateroom design check`") from None
        await self._workspace.settle()

    async def close(self) -> None:
        await self._workspace.close()

    def tiers(self, on: bool) -> None:
        """Whether allowances count from now on; they are full again two minutes later."""
        self._workspace.config = replace(self._workspace.config, tiers=on)

    def fault(self, kind: str, method: str, **more: Any) -> None:
        """Let the next calls of a method go wrong."""
        self._workspace.faults.add(Fault(kind=kind, method=method, **more))

    def no_faults(self) -> None:
        self._workspace.faults.clear()

    async def answer(self, method: str, args: Mapping[str, Any]) -> api.Answer:
        """One request, answered at once; what is spent counts."""
        kind, bearer = "application/json; charset=utf-8", f"Bearer {SEED_TOKEN}"
        return await api.answer(self._workspace, api.Asked(method, kind, bearer, "", _ENCODE(args), "http://local"))

    async def quietly(self, verb: str, **args: Any) -> Item:
        """A request that costs nothing and meets no fault: for what prepares and clears away."""
        config, faults = self._workspace.config, self._workspace.faults
        self._workspace.config, self._workspace.faults = replace(config, tiers=False), type(faults)()
        try:
            reply = await self.answer(PREFIX + verb, args)
        finally:
            self._workspace.config, self._workspace.faults = config, faults
        if not reply.content["ok"]:
            raise WrongUse(f"the local Slack refuses {verb} of {args.get('datastore')}: {_told(reply.content)}")
        return reply.content

    async def fill(self, datastore: str, items: list[Item]) -> None:
        """Put items, as many at once as Slack takes, and as 10 MB of a request are."""
        size, most = max((len(_ENCODE(one)) for one in items[:1]), default=1), self.facts.bulk
        each = max(1, min(most, 4_000_000 // max(size, 1)))
        for start in range(0, len(items), each):
            await self.quietly("bulkPut", datastore=datastore, items=items[start : start + each])

    async def all(self, datastore: str) -> dict[str, Item]:
        """Every item of a datastore by its key."""
        key, found, cursor = self.plan.store(datastore).key, dict[str, Item](), ""
        while True:
            page = await self.quietly(
                "query", datastore=datastore, limit=1000, **({"cursor": cursor} if cursor else {})
            )
            found |= {one[key]: one for one in page["items"]}
            cursor = page.get("response_metadata", {}).get("next_cursor", "")
            if not cursor:
                return found


def _told(content: Mapping[str, Any]) -> str:
    errors = content.get("errors") or [{}]
    return f"{content.get('error')} {errors[0].get('message', '')} {errors[0].get('pointer', '')}".strip()


class Client:
    """The calls of one run, with the waits of the plan. `patient`: it comes back as often as it must."""

    def __init__(
        self, slack: LocalSlack, *, patient: bool = True, after: Mapping[str, asyncio.Task[None]] | None = None
    ):
        self.slack, self.facts, self.meter = slack, slack.facts, Meter()
        self.patient, self._after = patient, after or {}
        self.touched: set[tuple[str, str]] = set()

    async def call(self, verb: str, **args: Any) -> Item:
        """An answer, `partial_failure` included. CallFailed."""
        method, waited = PREFIX + verb, waits(self.facts)
        if method in self._after:
            await self._after[method]
        await self._remember(verb, args)
        for attempt in itertools.count(1):
            await asyncio.sleep(self.facts.call_ms / 1000)
            reply = await self.slack.answer(method, args)
            if reply.status == 200:
                await self._count(method, reply)
                code = reply.content.get("error", "")
                if reply.content["ok"] or code == "partial_failure":
                    return reply.content
                if code not in PASSING:
                    raise CallFailed(code, attempt)
            else:
                self.meter.refused += 1
                code = str(reply.content.get("error"))
            if attempt >= self.facts.attempts and not (self.patient and reply.status == 429):
                raise CallFailed(code, attempt)
            asked = reply.headers.get("Retry-After")
            ours = waited[min(attempt, len(waited)) - 1] if waited else self.facts.backoff_ms
            wait = ours if asked is None else int(asked) * 1000 + self.slack.random.random() * JITTER_MS
            await asyncio.sleep(wait / 1000)
        raise AssertionError

    async def _count(self, method: str, reply: api.Answer) -> None:
        meter, looked = self.meter, reply.looked
        meter.calls[method] += 1
        meter.pages += looked.pages
        meter.evaluated += looked.items
        meter.bytes += looked.bytes
        if method.endswith(".count"):  # Slack walks the pages by itself
            await asyncio.sleep(looked.pages * self.facts.count_page_ms / 1000)

    async def _remember(self, verb: str, args: Mapping[str, Any]) -> None:
        """What was there before a write, so that it can be put back uncounted."""
        if verb in ("get", "bulkGet", "query", "count"):
            return
        datastore = args["datastore"]
        key = self.slack.plan.store(datastore).key
        items = args.get("items", [args["item"]] if "item" in args else [])
        for id in [*args.get("ids", []), *([args["id"]] if "id" in args else []), *(one[key] for one in items)]:
            place = (datastore, id)
            self.touched.add(place)
            if place not in self.slack.pristine:
                self.slack.pristine[place] = (await self.slack.quietly("get", datastore=datastore, id=id))["item"]

    async def undo(self) -> None:
        """Everything as it was at the beginning: the volume stays what the file says."""
        back: dict[str, list[Item]] = {}
        for datastore, id in sorted(self.touched):
            item = self.slack.pristine[datastore, id]
            if item:
                back.setdefault(datastore, []).append(item)
            else:
                await self.slack.quietly("delete", datastore=datastore, id=id)
        for datastore, items in back.items():
            await self.slack.fill(datastore, items)
        self.touched.clear()

    # What runs are made of

    async def one(self, datastore: str, id: str) -> Item:
        """The item, empty when it is not there."""
        item: Item = (await self.call("get", datastore=datastore, id=id))["item"]
        return item

    async def many(self, verb: str, datastore: str, field: str, given: list[Any]) -> list[Item]:
        """A bulk call of any number, 25 at once, without repeats; what failed is sent again, after a wait."""
        found: list[Item] = []
        waited = waits(self.facts)
        for start in range(0, len(given), self.facts.bulk):
            ahead = given[start : start + self.facts.bulk]
            for attempt in itertools.count(1):
                answer = await self.call(verb, datastore=datastore, **{field: ahead})
                found += answer.get("items", [])
                ahead = answer.get("failed_items") or []
                if not ahead:
                    break
                if attempt >= self.facts.attempts:
                    raise CallFailed("partial_failure", attempt)
                await asyncio.sleep(waited[min(attempt, len(waited)) - 1] / 1000)
        return found

    async def pages(self, datastore: str, asked: Mapping[str, Any]) -> list[Item]:
        """Every page of a query."""
        found, cursor = list[Item](), ""
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = await self.call("query", datastore=datastore, limit=self.facts.page_items, **asked, **more)
            found += page["items"]
            cursor = page.get("response_metadata", {}).get("next_cursor", "")
            if not cursor:
                return found


def full_again(facts: Facts) -> float:
    """Seconds after which every allowance is full."""
    return 120.0 + facts.call_ms / 1000
