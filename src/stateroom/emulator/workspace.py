"""The running local Slack: the world with its journal, feed, deliveries, faults and counts around it.

Rules of this file: it wires, the other files decide. `settle` is the one way from a change to the outside: first the
journal, then the page, then the apps; so nothing is shown or sent that a kill -9 could take back. Who only reads looks
first and settles before it answers: what it saw may be another's change that is still on its way into the journal.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

import msgspec

from stateroom.emulator import events, hooks, scheduled, seed, speech, stats, streams
from stateroom.emulator.config import EmulatorConfig
from stateroom.emulator.delivery import Deliverer
from stateroom.emulator.faults import Faults
from stateroom.emulator.feed import Feed
from stateroom.emulator.journal import Scribe, open_journal
from stateroom.emulator.ledger import Ledger
from stateroom.emulator.lines import HTTP, Lines, Outcome
from stateroom.emulator.records import App, Json, Pending, decode
from stateroom.emulator.sent import Sent
from stateroom.emulator.sockets import Hub
from stateroom.emulator.strip import Strip
from stateroom.emulator.tiers import Allowances
from stateroom.emulator.world import Effects, World

LOG = logging.getLogger(__name__)

REMEMBERED = 500


class Workspace:
    """Everything behind one server. `clock` gives Unix seconds, `new_id` an unused id with the prefix it is given."""

    def __init__(self, config: EmulatorConfig, clock: Callable[[], float], new_id: Callable[[str], str]) -> None:
        self.config = config
        self.clock = clock
        self.new_id = new_id
        self._journal = open_journal(config.state)
        self.world = World(journaled=self._journal.keeps)
        self.faults = Faults()
        self.allowances = Allowances()
        self.calls = Ledger("calls")
        self.deliveries = Ledger("deliveries")
        self.interactions = Ledger("interactions")
        self.sent = Sent()
        self.feed = Feed(first=int(clock() * 1000))
        self.strip = Strip(self.world)
        self.online: dict[str, bool] = {}
        self.processes: dict[str, Json] = {}  # by app: what is known of its process, as the page is told
        self.turns: OrderedDict[str, Json] = OrderedDict()
        self.closing = asyncio.Event()
        self.submitting: set[str] = set()  # modals whose app has not answered yet
        self._scribe = Scribe(self._journal)
        self.hub = Hub(clock, config.scaled, self._socket_changed)
        self.lines = Lines(self.hub, config.ack_seconds, clock)
        self.awaited: dict[str, asyncio.Future[Outcome]] = {}
        self._deliverer = Deliverer(self, self.lines, clock)
        self._delivered: OrderedDict[tuple[str, str, str], list[Pending]] = OrderedDict()

    # ---- life

    async def start(self) -> None:
        """Read the journal, or seed a new workspace; then resend what was never taken."""
        records = [decode(key, value) for key, value in await self._journal.load()]
        self.world.load(records)
        if not self.world.teams:
            seed.seed(self.world, self.config, self.clock())
        self._register_configured()
        await self.settle()
        self.strip.touch_all()
        self.resend()

    def _register_configured(self) -> None:
        config = self.config
        spec = seed.AppSpec(app_id=config.app_id, event_url=config.event_url)
        if config.manifest is not None:
            said = seed.spec_from_manifest(config.app_id, seed.read_manifest(config.manifest))
            address = config.event_url or said.event_url
            spec = replace(said, event_url=address)
        secrets = (config.signing_secret, config.client_secret)
        self.register(replace(spec, signing_secret=secrets[0], client_id=config.client_id, client_secret=secrets[1]))

    def register(self, spec: seed.AppSpec, team: str | None = None) -> App:
        place = team or next(iter(self.world.teams))
        app = seed.register(self.world, spec, place, self.clock())
        if not self.hub.connected(app.app_id):
            self.online.pop(app.app_id, None)
        self.strip.touch_all()
        return app

    def begin_close(self) -> None:
        """Let every open stream and held answer end."""
        self.closing.set()
        self.feed.close()

    async def close(self, *, wipe: bool = False) -> None:
        """End everything; `wipe`: the journal is empty afterwards."""
        self.begin_close()
        await self._deliverer.close()
        if wipe:
            await self._scribe.wipe()
        await self.hub.close()
        await self.lines.close()
        await self._scribe.close()

    # ---- from a change to the outside

    async def settle(self) -> None:
        """Make the changes since the last call durable, show them, send them."""
        effects = self.world.drain()
        pending, news = self._address(effects), self._as_it_is(effects.news)
        await self._scribe.write(effects.records)
        for one in pending:
            self.world.pending[one.key] = one
        self._publish(news)
        self._deliverer.submit(pending)
        await self._let_go()

    async def _let_go(self) -> None:
        """End the sockets of apps that are installed nowhere any more, once they have heard so."""
        for app_id in list(self.world.left):
            app = self.world.apps.get(app_id)
            if app is None or app.installs:
                self.world.left.discard(app_id)
            elif not any(one.app_id == app_id for one in self.world.pending.values()):
                self.world.left.discard(app_id)
                await self.hub.disconnect(app_id, "link_disabled")

    def _address(self, effects: Effects) -> list[Pending]:
        now, sent = self.clock(), []
        for happening in effects.happenings:
            for pending in events.for_apps(self.world, happening, self.new_id, now):
                sent.extend(self._with_faults(pending))
        for addressed in effects.addressed:
            for pending in events.for_one(self.world, addressed, self.new_id, now):
                sent.extend(self._with_faults(pending))
        for one in sent:
            effects.records[one.key] = msgspec.json.encode(one)
        return sent

    def _with_faults(self, pending: Pending) -> list[Pending]:
        fault = self.faults.meet_event(pending.type, pending.channel, kinds=("delay", "duplicate"))
        if fault is None:
            return [pending]
        self.tell_faults()
        if fault.kind == "delay":
            pending.due += fault.seconds
            return [pending]
        return [pending, msgspec.structs.replace(pending, copy=1)]

    def _as_it_is(self, news: list[Json]) -> list[Json]:
        """The news with each message as it is now, once: by the time the journal has it there may be a newer one."""
        found: dict[object, Json] = {}
        for item in news:
            if item["type"] != "message":
                found[len(found)] = item
                continue
            team, channel, ts = item["team"], item["channel"], item["ts"]
            message = self.world.rooms[team, channel].messages.get(ts)
            if message is not None and (team, channel, ts) not in found:
                view = self.world.sim_view(message)
                found[team, channel, ts] = {"type": "message", "team": team, "channel": channel, "message": view}
        return list(found.values())

    def _publish(self, news: list[Json]) -> None:
        for item in news:
            if item["type"] in ("message", "message_deleted"):
                self.strip.touch(item["team"], item["channel"])
            self.feed.publish(item)

    def tell_faults(self) -> None:
        self.feed.publish({"type": "fault", "faults": self.faults.listed()})

    # ---- deliveries (the deliverer's courier)

    def address_of(self, pending: Pending) -> App | None:
        """The app to send to; None when the event is no longer wanted (a reset, an app without an address)."""
        if pending.key not in self.world.pending:
            return None
        app = self.world.apps.get(pending.app_id)
        # Without an address or a socket it waits until the app has one.
        pending.parked = app is None or not self.lines.open_to(app)
        return None if pending.parked else app

    def judge(self, pending: Pending, outcome: Outcome) -> Outcome:
        """What the outcome counts as: a `drop_ack` fault turns an answer into a time-out."""
        if not outcome.taken:
            return outcome
        fault = self.faults.meet_event(pending.type, pending.channel, kinds=("drop_ack",))
        if fault is None:
            return outcome
        self.tell_faults()
        return replace(outcome, reason="http_timeout" if outcome.transport == HTTP else "timeout")

    async def settle_attempt(self, pending: Pending, outcome: Outcome) -> bool:
        """Record an attempt. True: another one follows at `pending.due`."""
        pending.sent += 1
        waiting = self.awaited.get(pending.event_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)
        self._record_delivery(pending, outcome)
        self.seen_online(pending.app_id, outcome)
        if outcome.taken:
            await self._taken(pending)
            return False
        wait = None if outcome.no_retry else events.retry_after(pending.sent)
        pending.reason = outcome.reason
        if wait is None:
            await self._give_up(pending)
            return False
        pending.due = self.clock() + self.config.scaled(wait)
        await self._scribe.write({pending.key: msgspec.json.encode(pending)})
        return True

    async def _taken(self, pending: Pending) -> None:
        self.world.pending.pop(pending.key, None)
        self.world.forget(pending.key)
        self._remember(pending)
        room = self.world.rooms.get((pending.team, pending.channel))
        message = room.messages.get(pending.ts) if room is not None else None
        if message is not None and pending.app_id not in message.acked:
            message.acked.append(pending.app_id)
            self.world.keep(message)
            self.strip.touch(pending.team, pending.channel)
        await self.settle()
        self.resend(pending.app_id, parked_only=True)

    async def _give_up(self, pending: Pending) -> None:
        """Slack drops an event here. With `--state` it waits for a restart of ours, or for the app to answer again."""
        if self.config.state is None:
            self.world.pending.pop(pending.key, None)
            self.world.forget(pending.key)
        else:
            pending.parked = True
            self.world.keep(pending)
        await self.settle()

    def on_its_way(self) -> list[Json]:
        """Events that no app has taken and that are not given up, without their bodies."""
        names = ("event_id", "app_id", "type", "subtype", "team", "channel", "ts", "sent", "due", "reason", "parked")
        return [{name: getattr(one, name) for name in names} for one in self.world.pending.values()]

    def resend(self, app_id: str | None = None, *, parked_only: bool = False) -> None:
        """Start the events that nobody is carrying: after a restart all of them, later only those that ran out."""
        chosen = []
        for pending in list(self.world.pending.values()):
            if (app_id in (None, pending.app_id)) and (pending.parked or not parked_only):
                pending.parked, pending.sent, pending.due = False, min(pending.sent, 1), self.clock()
                chosen.append(pending)
        self._deliverer.submit(chosen)

    def _record_delivery(self, pending: Pending, outcome: Outcome) -> None:
        entry: Json = {
            "event_id": pending.event_id,
            "app_id": pending.app_id,
            "type": pending.type,
            "attempt": pending.sent,
            "status": outcome.status,
            "at": self.clock(),
            "ms": outcome.ms,
            "transport": outcome.transport,
            "team": pending.team,
            "channel": pending.channel,
            "ts": pending.ts,
        }
        if pending.subtype is not None:
            entry["subtype"] = pending.subtype
        if outcome.reason is not None:
            entry["reason"] = outcome.reason
        self.deliveries.add(pending.event_id, entry)
        self.sent.keep(pending.event_id, pending.body)
        self.feed.publish({"type": "delivery", "delivery": entry})

    def seen_online(self, app_id: str, outcome: Outcome) -> None:
        self.set_online(app_id, outcome.status is not None or outcome.reason in ("http_timeout", "timeout"))

    def _socket_changed(self, app_id: str, connected: bool) -> None:
        """An app has its first or a further socket, or lost its last: what waited for one goes out."""
        app = self.world.apps.get(app_id)
        if app is None:
            return
        if connected and app.event_url is None and not app.socket_mode:
            app.socket_mode = True
            self.world.keep(app)
        self.set_online(app_id, connected)
        if connected:
            self.resend(app_id, parked_only=True)

    def set_online(self, app_id: str, online: bool, **more: object) -> None:
        """Tell the page when an app comes or goes."""
        if self.online.get(app_id) is not online or more:
            self.online[app_id] = online
            self.processes[app_id] = {**self.processes.get(app_id, {}), **more}
            self.feed.publish({"type": "bot", "app_id": app_id, "online": online, **more})

    def _remember(self, pending: Pending) -> None:
        place = (pending.team, pending.channel, pending.ts)
        if pending.type not in ("message", "app_mention") or pending.subtype in ("message_changed", "message_deleted"):
            return
        events_of = self._delivered.setdefault(place, [])
        if all(one.event_id != pending.event_id for one in events_of):
            events_of.append(pending)
        self._delivered.move_to_end(place)
        if len(self._delivered) > REMEMBERED:
            self._delivered.popitem(last=False)

    def deliver_again(self, channel: str | None, ts: str | None) -> int:
        """Send a taken message's events once more, as Slack's redelivery does. Returns how many events."""
        chosen = [
            place for place in self._delivered if place[1:] == (channel, ts) or (ts is None and self._said(place))
        ]
        # The newest by its own time: of two messages on their way at once the older may be taken last.
        newest = max(chosen, key=lambda place: place[2], default=None)
        return 0 if newest is None else self._send_again(self._delivered[newest])

    def _said(self, place: tuple[str, str, str]) -> bool:
        """Whether a person said it, and it is still there."""
        team, channel, ts = place
        message = self.world.rooms[team, channel].messages.get(ts)
        return message is not None and message.bot_id is None

    def _send_again(self, taken: list[Pending]) -> int:
        copies = [
            msgspec.structs.replace(one, copy=self.clock_mark(), sent=1, due=self.clock(), reason="http_timeout")
            for one in taken
        ]
        for one in copies:
            self.world.pending[one.key] = one
            self.world.keep(one)
        self._deliverer.submit(copies)
        return len(copies)

    def clock_mark(self) -> int:
        """A number that tells one redelivery of an event from the next."""
        return int(self.clock() * 1000)

    # ---- what time does

    async def tick(self) -> None:
        """Idle streams, old status lines and items long past their time to live go."""
        self.expire()
        self.world.hooks.expire(self.clock(), self.config.scaled(hooks.RESPONSE_SECONDS))
        self.world.datastores.sweep(self.clock(), self.config.scaled(self.config.ttl_lag_seconds))
        await self.settle()

    def expire(self) -> None:
        now, scaled = self.clock(), self.config.scaled
        streams.expire(self.world, now, scaled(self.config.stream_idle_seconds))
        scheduled.post_due(self.world, now)
        speech.expire_statuses(self.world, now, scaled(speech.STATUS_SECONDS))

    async def sweep(self) -> int:
        """Delete every item whose time is over, now. Returns how many."""
        swept = self.world.datastores.sweep(self.clock())
        await self.settle()
        return swept

    def counts(self) -> dict[str, int]:
        return self.strip.count(self.clock(), self.config.scaled(stats.LOST_AFTER_SECONDS))

    def forget_everything_said(self) -> None:
        self.world.forget_messages()
        self._delivered.clear()
        self.calls.clear()
        self.interactions.clear()
        self.deliveries.clear()
        self.sent.clear()
        self.strip.touch_all()
