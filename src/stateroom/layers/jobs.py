"""Jobs: requests of Slack that a listener of somebody's own app is to be run for, and what it says (invariants 1, 2).

Rules of this file: one page over the port; it knows no Bolt and calls nothing. A job is claimed before Slack is told
that we have it. Its row is its lease: `token` is the safety (every write checks it), `due_at` only patience. A message
is on record before it is sent, by its place in the order of calls, so a rerun finds what an earlier run began; that it
was sent is written with the next thing that is written.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from stateroom.engines.port import Check, Engine, Put, Query, Row, Update, Write
from stateroom.expr.builder import attr
from stateroom.model.attributes import Attribute
from stateroom.model.codec import normalise
from stateroom.model.content import FULL, Content
from stateroom.model.definition import Definition, Index
from stateroom.model.errors import ConditionFailed, KeyMissing, LeaseLost, SealBroken

OPEN: Final = ("running", "waiting")
CLOSED: Final = ("done", "failed")
KEPT: Final = 7 * 86400.0  # seconds that a closed job's id stays, so that a late redelivery is known
_SECRETS: Final = frozenset({"token", "bot_access_token"})  # of a request: a run authorizes itself anew

JOBS: Final = Definition(
    name="sr_jobs",
    key="id",
    attributes={
        "id": Attribute("string", required=True),  # <app>:<event_id, trigger_id or digest>
        "app": Attribute("string", required=True),
        "what": Attribute("string", required=True),
        "state": Attribute("string", required=True),  # running | waiting | done | failed
        "acked": Attribute("boolean", required=True),
        "ack": Attribute("string", personal=True),
        "body": Attribute("string", personal=True),
        "user": Attribute("slack#/types/user_id", personal=True),
        "token": Attribute("integer", required=True),
        "due_at": Attribute("number"),
        "received_at": Attribute("number", required=True),
        "closed_at": Attribute("number"),
        "claims": Attribute("integer"),
        "attempts": Attribute("integer"),
        "reason": Attribute("string"),
        "held": Attribute("object"),  # of a copied row: what lets a worker find it, until the copy is released
    },
    indexes=(Index("app", "due_at", across_teams=True), Index("closed_at", across_teams=True)),
    expires=True,
    on_erase="clear",  # the id stays as long as Slack may redeliver the request, or it would be run again
)
CALLS: Final = Definition(
    name="sr_job_calls",
    key="id",
    attributes={
        "id": Attribute("string", required=True),  # <job>:<voice>:<number>
        "job": Attribute("string", required=True),
        "method": Attribute("string", required=True),
        "began_at": Attribute("number", required=True),
        "deadline": Attribute("number", required=True),
        "state": Attribute("string", required=True),  # intended | done | refused
        "channel": Attribute("string"),
        "ts": Attribute("string"),
        "view": Attribute("string"),
        "digest": Attribute("string", required=True),
    },
    expires=True,
)
DEFINITIONS: Final = (JOBS, CALLS)
HELD: Final[dict[str, tuple[str, ...]]] = {JOBS.name: ("due_at",)}  # what a copy puts aside
# What `encrypt_content` seals: from its digest a short answer could be guessed.
WORDS: Final[dict[str, tuple[str, ...]]] = {JOBS.name: ("ack", "body"), CALLS.name: ("digest",)}


def key_of(app: str, body: Mapping[str, Any]) -> str:
    """The id under which every delivery of one request is the same job."""
    named = body.get("event_id") or body.get("trigger_id")
    return f"{app}:{named or digest(without_secrets(body))}"


def without_secrets(body: Any) -> Any:
    """The request as it may be kept: Slack's tokens go wherever they are."""
    if isinstance(body, Mapping):
        return {name: without_secrets(value) for name, value in body.items() if name not in _SECRETS}
    return [without_secrets(one) for one in body] if isinstance(body, list) else body


def digest(value: Any) -> str:
    """Tells whether two values are the same, without keeping either."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Job:
    """A claimed job. Every write is refused (LeaseLost) once somebody else has it."""

    def __init__(self, jobs: Jobs, row: Row) -> None:
        self._jobs = jobs
        self.id = row.id
        self.team = row.team
        self.item: Mapping[str, Any] = row.item
        self.token = int(row.item["token"])
        self.voice = "listener"
        self.started = False  # whether a listener was found for it
        self.over = False  # whether it ended, well or badly: what is said now is an error handler's
        self.renewed_at = jobs.clock()
        self._numbers: Counter[str] = Counter()
        self._calls: dict[str, dict[str, Any]] | None = None if int(row.item["claims"]) > 1 else {}
        self._pending: list[Write] = []

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.token}>"

    def __deepcopy__(self, _memo: object) -> Job:
        return self  # a handle: Bolt copies what a request's context holds

    # --- the job

    async def renew(self) -> None:
        """Hold it for another while."""
        self.renewed_at = self._jobs.clock()
        await self._move({"due_at": self._jobs.until()}, running=True)

    @property
    def acked(self) -> bool:
        """Whether it is on record that Slack is told."""
        return bool(self.item["acked"])

    async def acknowledge(self, answer: str) -> None:
        """Slack is about to be told: from now on it is run whatever happens. `answer` is for a redelivery."""
        await self._move(_told(answer))

    async def finish(self, answer: str | None) -> None:
        """It ran to its end and is never run again. `answer`: what Slack was or will be told, if anything."""
        await self._close("done", _told(answer), remove=("body", "due_at", "reason"))

    async def fail(self, reason: str, *, again: float | None, answer: str | None = None) -> None:
        """It failed: to be tried again in `again` seconds, or not any more."""
        attempts = int(self.item.get("attempts", 0)) + 1
        changed = {"attempts": attempts, "reason": reason, **_told(answer)}
        self.voice = "error"
        if again is None:
            gone = ("due_at",) if self._jobs.keeps_words else ("body", "due_at")
            await self._close("failed", changed, remove=gone)
            return
        # One claim: this one came to an end in good order, so those before it did not kill their processes.
        changed |= {"state": "waiting", "due_at": self._jobs.until(again), "claims": 1}
        self.over = True
        await self._move(changed, running=True)

    # --- what it says

    def next_call(self) -> str:
        """The key of the next message of this run."""
        number = self._numbers[self.voice]
        self._numbers[self.voice] += 1
        return f"{self.id}:{self.voice}:{number:03d}"

    async def call(self, key: str) -> Mapping[str, Any] | None:
        """What an earlier run left on record of this call."""
        if self._calls is None:
            self._calls = await self._jobs.calls_of(self.team, self.id)
        return self._calls.get(key)

    async def intend(self, key: str, method: str, mark: str, *, seconds: float) -> None:
        """Record that the call is about to be made; it ends within `seconds`."""
        now = self._jobs.clock()
        item = {
            "id": key,
            "job": self.id,
            "method": method,
            "began_at": _moment(now),
            "deadline": _moment(now + seconds),
            "state": "intended",
            "digest": mark,
        }
        put = Put(CALLS.name, self.team, key, item, expires_at=now + 2 * KEPT)
        await self._commit(*self._noted(), put)

    def sent(self, key: str, mark: str, **found: str) -> None:
        """It was made; recorded with the next write. `found`: what Slack shows, as `channel`, `ts`, `view`."""
        done = {"state": "done", "digest": mark, **{name: value for name, value in found.items() if value}}
        self._pending.append(Update(CALLS.name, self.team, key, set=done, condition=attr("id") == key))

    async def refused(self, key: str) -> None:
        """Slack refused it, so that nothing was done: it stands for nothing."""
        await self._commit(Update(CALLS.name, self.team, key, set={"state": "refused"}, condition=attr("id") == key))

    async def flush(self) -> None:
        """Write what was sent, now."""
        if self._pending:
            await self._commit(*self._noted())

    # --- writing under the token

    def _noted(self) -> list[Write]:
        """What was sent and is not on record. If this commit fails it is found in Slack again, as after a crash."""
        noted, self._pending = self._pending, []
        return noted

    async def _commit(self, *writes: Write) -> None:
        check = Check(JOBS.name, self.team, self.id, condition=attr("token") == self.token)
        try:
            await self._jobs.engine.commit([check, *writes])
        except ConditionFailed as failed:
            if failed.index == 0:
                raise LeaseLost(self.id, self.token) from None
            raise

    async def _move(self, changed: Mapping[str, Any], *, running: bool = False) -> None:
        """Change the row, if it is still ours; `running`: only while it runs."""
        mine = attr("token") == self.token
        condition = mine & (attr("state") == "running") if running else mine
        try:
            write = Update(JOBS.name, self.team, self.id, set=changed, condition=condition)
            (done, *_) = await self._jobs.engine.commit([write, *self._noted()])
        except ConditionFailed:
            raise LeaseLost(self.id, self.token) from None
        assert done.row is not None
        self.item = done.row.item

    async def _close(self, state: str, changed: Mapping[str, Any], *, remove: tuple[str, ...]) -> None:
        now = self._jobs.clock()
        self.over = True
        body = {"state": state, "closed_at": _moment(now), **changed}
        closing = Update(JOBS.name, self.team, self.id, set=body, remove=remove, expires_at=now + KEPT)
        await self._commit(*self._noted(), closing)
        self.item = {**self.item, **body}


def _told(answer: str | None) -> dict[str, Any]:
    return {} if answer is None else {"acked": True, "ack": answer}


class Jobs:
    """The jobs of one app, in all teams. `seconds`: how long a silent run keeps its job."""

    def __init__(
        self, engine: Engine, clock: Callable[[], float], app: str, *, seconds: float, content: Content = FULL
    ) -> None:
        self.engine = engine
        self.clock = clock
        self._app = app
        self._seconds = seconds
        self.keeps_words = content.kind == "full" or (content.seconds or 0) >= KEPT

    async def claim(self, team: str, body: Mapping[str, Any], *, what: str, user: str | None, acked: bool) -> Job | Row:
        """The job, durable and ours to run; or its row, when it is done, waits, or somebody else runs it.

        `acked`: Slack is told as soon as this returns, so the job is owed from now on.
        """
        now, key = self.clock(), key_of(self._app, body)
        item: dict[str, Any] = {
            "id": key,
            "app": self._app,
            "what": what,
            "state": "running",
            "acked": acked,
            "body": json.dumps(without_secrets(body), ensure_ascii=False, separators=(",", ":")),
            "token": int(now * 1_000_000),
            "due_at": self.until(),
            "received_at": _moment(now),
            "claims": 1,
            "attempts": 0,
        }
        if user:
            item["user"] = user
        (done,) = await self.engine.commit([Put(JOBS.name, team, key, item, keep=True)])
        row = done.row
        assert row is not None
        if done.changed:
            return Job(self, row)
        return (await self.take(row) if self._is_free(row) else None) or row

    async def take(self, row: Row) -> Job | None:
        """Begin a job again; None when somebody else just did."""
        changed = {
            "state": "running",
            "token": int(row.item["token"]) + 1,
            "due_at": self.until(),
            "claims": int(row.item.get("claims", 0)) + 1,
        }
        same = (attr("token") == row.item["token"]) & (attr("state") == row.item["state"])
        gone = ("closed_at", "reason")
        taking = Update(JOBS.name, row.team, row.id, set=changed, remove=gone, expires_at=None, condition=same)
        try:
            (done,) = await self.engine.commit([taking])
        except ConditionFailed:
            return None
        assert done.row is not None
        return Job(self, done.row)

    async def set_aside(self, row: Row, reason: str) -> None:
        """End a job that was taken and whose request could not be opened. It is kept as it is, to be run again by hand
        when there are keys for it.
        """
        now, token = self.clock(), int(row.item["token"]) + 1
        body = {"state": "failed", "reason": reason, "closed_at": _moment(now)}
        gone = ("due_at",) if self.keeps_words else ("body", "due_at")
        mine = (attr("token") == token) & (attr("state") == "running")
        ending = Update(JOBS.name, row.team, row.id, set=body, remove=gone, expires_at=now + KEPT, condition=mine)
        try:
            await self.engine.commit([ending])
        except (ConditionFailed, KeyMissing, SealBroken):
            pass  # somebody else has it; or it is done, and cannot be shown, which is why

    async def due(self, limit: int) -> list[Row]:
        """Jobs that nobody runs and whose time has come, longest due first."""
        high = _moment(self.clock() + 0.001)  # `high` is exclusive
        query = Query(JOBS.name, None, limit, index="app_due_at", equals=(self._app,), high=high)
        return (await self.engine.query(query)).rows

    async def get(self, team: str, key: str) -> Row | None:
        """One row."""
        (row,) = await self.engine.get(JOBS.name, team, [key])
        return row

    async def calls_of(self, team: str, job: str) -> dict[str, dict[str, Any]]:
        """What a job has on record of its calls, by key."""
        found: dict[str, dict[str, Any]] = {}
        after: tuple[Any, ...] | None = None
        while True:
            page = await self.engine.query(Query(CALLS.name, team, 100, low=f"{job}:", high=f"{job};", after=after))
            found |= {row.id: row.item for row in page.rows}
            if page.position is None:
                return found
            after = page.position

    def until(self, seconds: float | None = None) -> Any:
        """The moment a lease that begins now ends, or another time from now."""
        return _moment(self.clock() + (self._seconds if seconds is None else seconds))

    def _is_free(self, row: Row) -> bool:
        """Whether a redelivery may run it: its process is gone, or it ended before Slack was told anything."""
        if row.item["state"] == "running":
            return "due_at" in row.item and float(row.item["due_at"]) <= self.clock()  # else it is held (a copy's)
        return row.item["state"] == "failed" and not row.item["acked"]


def _moment(seconds: float) -> Any:
    return normalise(round(seconds, 6))


def describe(row: Row) -> dict[str, Any]:
    """A job for people and machines: where it stands, without a word of its content."""
    names = ("id", "app", "what", "state", "acked", "attempts", "claims", "reason")
    found: dict[str, Any] = {name: row.item[name] for name in names if name in row.item}
    found |= {name: float(row.item[name]) for name in ("received_at", "due_at", "closed_at") if name in row.item}
    return {"team": row.team, **found}


async def listed(engine: Engine, *, state: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """Jobs of all apps and teams: the open ones by due time, then the closed ones, newest first."""
    condition = None if state is None else attr("state") == state
    found: list[Row] = []
    for index, descending in (("app_due_at", False), ("closed_at", True)):
        if len(found) < limit:
            query = Query(JOBS.name, None, limit - len(found), index=index, descending=descending, condition=condition)
            found += (await engine.query(query)).rows
    return [describe(row) for row in found]


async def retry(engine: Engine, clock: Callable[[], float], team: str, job: str) -> dict[str, Any] | None:
    """Run a failed job again, or a waiting one now; None when there is nothing to try again."""
    (row,) = await engine.get(JOBS.name, team, [job])
    if row is None or "body" not in row.item:
        return None
    if row.item["state"] not in ("waiting", "failed") and "held" not in row.item:
        return None
    # Whoever asks for it wants it run, also when Slack was never told.
    body = {"state": "waiting", "due_at": _moment(clock()), "attempts": 0, "claims": 1, "acked": True}
    gone = ("closed_at", "reason", "held")
    write = Update(JOBS.name, team, job, set=body, remove=gone, expires_at=None, if_version=row.version)
    (done,) = await engine.commit([write])
    return None if done.row is None else describe(done.row)
