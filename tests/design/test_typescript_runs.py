"""The generated TypeScript: type-checked against Slack's SDK, then run on Node against a local Slack."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from stateroom.design.document import read_design
from stateroom.design.parts import Fill
from stateroom.design.plan import plan
from stateroom.design.typescript import typescript_files
from support.hostile_design import hostile
from support.local_slack import local_slack
from support.node import CannotInstall, workspace
from support.typescript_project import Project, compiled, environment, installed

pytestmark = pytest.mark.service

DESIGN = """
app: {name: "it's \\"all\\""}
entities:
  request:
    key: request_id
    attributes:
      status: {type: string, values: [open, approved, rejected]}
      requester: user_id
      team: {type: string, references: team}
      team_title: {type: string, copy_of: team.title}
      votes: integer
      schema: integer
      created_at: timestamp
    lifecycle: {attribute: status, transitions: {open: [approved, rejected]}}
    volume: {initial: 90000, per_day: 90000}
    retention: {after: created_at, days: 1, mode: hard}
  note:
    key: note_id
    attributes: {body: string, day: date}
    volume: {initial: 100, per_day: 1}
    retention: {after: day, days: 30, mode: soft}
  team: {key: team_id, attributes: {title: string}, volume: {initial: 20}}
access_patterns:
  - {name: rename, entity: team, kind: update, attributes: [title]}
  - {name: approve, entity: request, kind: transition, from: open, to: approved, concurrent: true}
  - {name: reject, entity: request, kind: transition, from: open, to: rejected, concurrent: true}
  - {name: mine, entity: request, kind: list, where: "requester = :u", expected_items: 60, max_ms: 1500}
  - {name: vote, entity: request, kind: increment, attributes: [votes], concurrent: true}
compliance: {audit: true}
"""
FILLS = [Fill("request", "schema", 2, version=2), Fill("note", "body", 'a "body" ${x}')]
DAY = 86_400
GALLERY = sorted((Path(__file__).parents[2] / "examples" / "designs").glob("*.yaml"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, cannot_start: Callable[[str], NoReturn]) -> Iterator[Project]:
    try:
        node = workspace(tmp_path_factory.mktemp("typescript"))
    except CannotInstall as error:
        cannot_start(str(error))
    manifest = compiled(node, {**typescript_files(plan(read_design(DESIGN)), FILLS), **beside()})
    with local_slack() as slack:
        yield installed(node, slack, manifest)


@pytest.fixture(autouse=True)
def _empty(project: Project) -> None:
    project.clear()


def beside() -> dict[str, str]:
    """Compiled in the same run: the gallery, a project of hostile names, and a mistake that the compiler must see."""
    plans = {f"gallery/{one.stem}": plan(read_design(one.read_text())) for one in GALLERY} | {"hostile": hostile()}
    files = {
        f"{folder}/{path}": text
        for folder, made in plans.items()
        for path, text in typescript_files(made).items()
        if path.endswith(".ts")
    }
    wrong = """import type { Sweep } from "./sweep.ts";
// @ts-expect-error: an unused directive is an error, so this says that the types are looked at
export const wrong: Partial<Sweep> = { days: "1" };
"""
    return {**files, "wrong.ts": wrong}


def requests(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"request_id": f"R-{number:04d}", "status": "open", **more} for number in range(count)]


def now() -> int:
    return int(time.time())


def test_the_sdk_exports_every_datastore_workflow_and_function_of_the_design(project: Project) -> None:
    found = project.manifest
    jobs = {"sweep", "backfill", "export", "rebuild", "copies"}
    assert found["display_information"]["name"] == 'it\'s "all"'
    assert {*found["datastores"]} == {
        *(
            "request",
            "note",
            "team",
            "request_by_requester",
            "request_votes_entries",
            "claims",
            "audit_trail",
            "sweep_state",
        )
    }
    assert {*found["functions"]} == {f"stateroom_{job}" for job in jobs}
    assert {*found["workflows"]} == {f"stateroom_{job}_workflow" for job in jobs}
    assert all(one["steps"] for one in found["workflows"].values())


def test_hostile_names_are_data(project: Project) -> None:
    script = 'import manifest from "./out/hostile/manifest.js"; import { LIFECYCLES } from "./out/hostile/plan.js";'
    manifest, cycles = project.run(script + "say([manifest, LIFECYCLES]);")
    assert manifest["display_information"]["name"] == hostile().design.app.name
    for one in hostile().stores:
        assert set(manifest["datastores"][one.name]["attributes"]) == set(one.attributes)
    assert [cycle["transitions"] for cycle in cycles] == [
        {state: list(ways) for state, ways in one.lifecycle.transitions.items()}
        for one in hostile().design.entities
        if one.lifecycle is not None
    ]


# Sweep


HANDLER = """
import handler from "./out/functions/%s.js";
const env = { SLACK_API_URL: given.url, ...given.env };
say(await handler({ inputs: {}, env, token: given.token, team_id: "T00000001", enterprise_id: "" }));
"""
SWEEP = """
import { sweep } from "./out/sweep.js";
import { SWEEPS } from "./out/plan.js";
const one = SWEEPS.find((sweep) => sweep.datastore === given.datastore);
"""


def test_the_sweep_removes_what_is_due_and_nothing_else(project: Project) -> None:
    old, fresh = now() - 2 * DAY, now() - DAY // 2
    project.fill("request", [
        {"request_id": "old", "created_at": old}, {"request_id": "fresh", "created_at": fresh},
        {"request_id": "timeless"}, {"request_id": "old, too", "created_at": 1},
    ])  # fmt: skip
    project.fill(
        "note", [{"note_id": "old", "day": "2020-01-01", "body": "x"}, {"note_id": "new", "day": "2999-01-01"}]
    )
    entries = [{"entry_id": f"{owner}#{n}", "of_request_id": owner} for owner in ("old", "fresh") for n in (1, 2)]
    project.fill("request_votes_entries", entries)
    assert project.run(HANDLER % "sweep") == {"outputs": {"done": True, "touched": 5}}
    assert {item["request_id"] for item in project.items("request")} == {"fresh", "timeless"}
    notes = {item["note_id"]: item for item in project.items("note")}
    assert notes["new"] == {"note_id": "new", "day": "2999-01-01"}
    assert notes["old"]["body"] == "x"
    assert notes["old"]["deleted_at"] >= now() - 60
    assert {item["of_request_id"] for item in project.items("request_votes_entries")} == {"fresh"}
    # The design asks for audit: what went has its row.
    audited = {(row["datastore"], row["item"], row["action"], row["after"]) for row in project.items("audit_trail")}
    gone = {("request", id, "sweep", "deleted") for id in ("old", "old, too")}
    assert audited == {*gone, ("note", "old", "sweep", "marked")}
    # It rests until tomorrow, though the trigger comes each hour.
    project.fill("request", [{"request_id": "old", "created_at": old}])
    assert project.run(HANDLER % "sweep") == {"outputs": {"done": True, "touched": 0}}


def test_a_soft_deletion_is_taken_back_by_absence(project: Project) -> None:
    project.fill("note", [{"note_id": "a", "day": "2020-01-01", "body": "x"}])
    script = """
import { undelete } from "./out/sweep.js";
await sweep(slack, one, budget());
say([await undelete(slack, one, "a", budget()), await undelete(slack, one, "a", budget())]);
"""
    assert project.run(SWEEP + script, datastore="note") == [True, False]
    assert project.items("note") == [{"note_id": "a", "day": "2020-01-01", "body": "x"}]


def test_a_sweep_that_is_stopped_goes_on_where_it_was(project: Project) -> None:
    project.fill("request", [*requests(1100, created_at=1), {"request_id": "z", "created_at": now()}])
    project.slack.fault("throttle", method="apps.datastore.query", skip=1, retry_after=100)
    script = """
const report = await sweep(slack, one, new retry.Budget(retry.RUN_MS, 1, quick));
say([report, made.filter(([method]) => method.endsWith("query"))]);
"""
    stopped, _ = project.run(SWEEP + script, datastore="request")
    assert stopped == {"job": "sweep request", "done": False, "touched": 1000}
    (kept,) = project.items("sweep_state")
    assert kept["cursor"]
    assert len(project.items("request")) == 101
    finished, asked = project.run(SWEEP + script, datastore="request")
    assert finished == {"job": "sweep request", "done": True, "touched": 1100}
    assert [args["cursor"] for _, args in asked] == [kept["cursor"]]
    assert [item["request_id"] for item in project.items("request")] == ["z"]


def test_a_sweep_that_is_killed_is_done_again_and_loses_nothing(project: Project) -> None:
    for calls in (2, 3, 4):
        project.clear()
        project.fill("request", [*requests(60, created_at=1), {"request_id": "z", "created_at": now()}])
        dying = "const dying = watched(() => { if (made.length > given.calls) process.exit(9); });"
        project.run(SWEEP + dying + "await sweep(dying, one, budget());", code=9, datastore="request", calls=calls)
        left = {item["request_id"] for item in project.items("request")}
        assert len(left) > 1
        assert {row["item"] for row in project.items("audit_trail")} >= {f"R-{n:04d}" for n in range(60)} - left
        report = project.run(SWEEP + "say(await sweep(slack, one, budget()));", datastore="request")
        assert report["done"]
        assert [item["request_id"] for item in project.items("request")] == ["z"]


def test_what_a_batch_could_not_remove_is_sent_again_alone(project: Project) -> None:
    project.fill("request", requests(30, created_at=1))
    project.slack.fault("partial_failure", method="apps.datastore.bulkDelete", failures=3)
    script = """
await sweep(slack, one, budget());
say(made.filter(([method]) => method.endsWith("bulkDelete")).map(([, args]) => args.ids.length));
"""
    assert project.run(SWEEP + script, datastore="request") == [25, 3, 5]
    assert project.items("request") == []


def test_a_transition_makes_the_calls_that_the_plan_counts(project: Project) -> None:
    project.fill("request", requests(1))
    script = """
import { transition } from "./out/claim.js";
const moved = await transition(slack, "request", "R-0000", "open", "approved", "run-1", budget());
say([moved, made.map(([method, args]) => [method, args.datastore])]);
"""
    moved, made = project.run(script)
    assert moved == {"moved": True, "confirmed": True}
    calls = plan(read_design(DESIGN)).access("approve").calls
    lookups = [call for call in calls if "_by_" in call.datastore]  # the app's own code keeps these
    assert made == [[call.method, call.datastore] for call in calls if call not in lookups]


# Backfill


BACKFILL = """
import { backfill, left } from "./out/backfill.js";
import { CHANGES } from "./out/changes.js";
const change = CHANGES.find((one) => one.datastore === given.datastore);
"""


def test_a_backfill_reaches_items_that_lack_the_version(project: Project) -> None:
    given = [{"request_id": "none"}, {"request_id": "one", "schema": 1}, {"request_id": "three", "schema": 3}]
    project.fill("request", given)
    script = "const before = await left(slack, change, budget()); await backfill(slack, change, budget());"
    script += "say([before, await left(slack, change, budget())]);"
    assert project.run(BACKFILL + script, datastore="request") == [2, 0]
    assert {item["request_id"]: item["schema"] for item in project.items("request")} == {
        "none": 2,
        "one": 2,
        "three": 3,
    }


def test_a_backfill_resumes_inside_the_time_of_a_function(project: Project) -> None:
    """Half of a tier, 45 s: a run fills some dozens and says that it is not done; the next ones do the rest."""
    project.fill("request", requests(90, requester="U00000001"))
    runs = []
    while not runs or not runs[-1]["done"]:
        script = "const run = budget(); const began = quick.now(); const report = await backfill(slack, change, run);"
        report, took = project.run(BACKFILL + script + "say([report, quick.now() - began]);", datastore="request")
        runs.append(report)
        assert took < 60_000
        assert len(runs) < 6
    assert len(runs) > 1
    found = project.items("request")
    assert len(found) == 90
    assert all(item["schema"] == 2 and item["requester"] == "U00000001" for item in found)


def test_a_backfill_keeps_what_people_change_meanwhile(project: Project) -> None:
    project.fill("request", requests(3))
    script = """
const busy = watched(async (method, data) => {
  if (!method.endsWith(".update") || made.some(([, d]) => d.item?.status === "approved")) return;
  await slack.apiCall(method, { datastore: "request", item: { request_id: data.item.request_id, status: "approved" } });
});
await backfill(busy, change, budget());
"""
    project.run(BACKFILL + script, datastore="request")
    assert sorted(item["status"] for item in project.items("request")) == ["approved", "open", "open"]


def test_values_that_are_gone_are_replaced_and_nothing_else_is_touched(project: Project) -> None:
    values = {"a": "open", "b": "held", "c": "zz", "d": "", "e": "Approved", "f": None, "g": "rejected"}
    items = [{"request_id": id, "status": value, "votes": 3} for id, value in values.items()]
    project.fill("request", [{name: value for name, value in one.items() if value is not None} for one in items])
    script = """
const only = ["rejected", "open", "approved"];
const one = { ...change, job: "v", attribute: "status", version: null, only, fill: () => ({ status: "open" }) };
const before = await left(slack, one, budget());
const report = await backfill(slack, one, budget());
say([before, report.touched, await left(slack, one, budget())]);
"""
    assert project.run(BACKFILL + script, datastore="request") == [4, 4, 0]
    after = {item["request_id"]: item for item in project.items("request")}
    filled = dict.fromkeys("abcde", "open") | {"f": None, "g": "rejected"}
    assert {id: one.get("status") for id, one in after.items()} == filled
    assert all(one["votes"] == 3 for one in after.values())


# Claims


CLAIM = """
import { claim, finish, once, transition } from "./out/claim.js";
const real = () => new retry.Budget(retry.RUN_MS);
"""


def test_of_two_racing_runs_at_most_one_moves_an_item_and_both_know(project: Project) -> None:
    project.fill("request", requests(4))
    script = """
const by = (event) => ({ actor: "U00000001", event });
const run = (id, to, owner) => transition(slack, "request", id, "open", to, owner, real(), by(owner));
const ids = [...Array(4).keys()].map((n) => `R-000${n}`);
say(await Promise.all(ids.map(async (id) => [id, await Promise.all([
  run(id, "approved", `${id}a`), run(id, "rejected", `${id}b`),
])])));
"""
    moved = 0
    told = project.run(CLAIM + script)
    states = {item["request_id"]: item["status"] for item in project.items("request")}
    for id, (approve, reject) in told:
        winners = [to for to, one in (("approved", approve), ("rejected", reject)) if one["moved"]]
        assert len(winners) <= 1
        assert states[id] == (winners[0] if winners else "open")
        assert all(one.get("confirmed", True) for one in (approve, reject))
        moved += len(winners)
    assert moved >= 1, told
    audited = {(row["item"], row["after"]) for row in project.items("audit_trail")}
    assert audited == {(id, state) for id, state in states.items() if state != "open"}


def test_a_run_that_was_too_slow_to_know_says_so(project: Project) -> None:
    """Its put comes after the other has won: without a look at its own time it would take itself for the winner."""
    project.fill("request", requests(1))
    script = """
const slow = watched(async (method) => {
  if (method.endsWith(".put")) await new Promise((resolve) => setTimeout(resolve, 1600));
});
const run = (client, to, owner) => transition(client, "request", "R-0000", "open", to, owner, real());
say(await Promise.all([run(slack, "approved", "a"), run(slow, "rejected", "b")]));
"""
    first, second = project.run(CLAIM + script)
    assert first == {"moved": True, "confirmed": True}
    assert second == {"moved": False, "why": "unsure"}
    assert [item["status"] for item in project.items("request")] == ["approved"]


def test_a_transition_tells_what_it_met(project: Project) -> None:
    project.fill("request", requests(3))
    script = """
const quickly = () => new retry.Budget(retry.RUN_MS, 1, quick);
const go = (client, id, from, to) => transition(client, "request", id, from, to, crypto.randomUUID(), quickly());
const rude = watched(undefined, async (method, data) => {
  if (method.endsWith(".update")) await slack.apiCall(method, { ...data, item: { ...data.item, status: "rejected" } });
});
say([
  await go(slack, "R-0000", "open", "approved"), await go(slack, "R-0000", "open", "rejected"),
  await go(slack, "gone", "open", "approved"), await go(slack, "R-0001", "approved", "open"),
  await go(slack, "R-0001", "toString", "open"), await go(rude, "R-0002", "open", "approved"),
]);
"""
    assert project.run(CLAIM + script) == [
        {"moved": True, "confirmed": True},
        {"moved": False, "why": "state", "state": "approved"},
        {"moved": False, "why": "missing"},
        {"moved": False, "why": "not allowed"},
        {"moved": False, "why": "not allowed"},
        {"moved": True, "confirmed": False},
    ]


def test_work_runs_once_for_a_key_and_a_crash_leaves_its_claim(project: Project) -> None:
    script = """
const quickly = () => new retry.Budget(retry.RUN_MS, 1, quick);
let times = 0;
const go = (key, owner, work) => once(slack, key, owner, quickly(), work);
const work = async () => ++times;
const told = [await go("Ev1", "a", work), await go("Ev1", "b", work)];
const crash = await go("Ev2", "c", async () => { throw new Error("x"); }).catch(() => "crashed");
told.push(crash, await go("Ev2", "d", work));
ahead += 121_000;
told.push(await go("Ev2", "e", work));
say([told, times]);
"""
    told, times = project.run(CLAIM + script)
    assert told == [
        {"ran": True, "result": 1, "recorded": True},
        {"ran": False, "why": "done"},
        "crashed",
        {"ran": False, "why": "held"},
        {"ran": True, "result": 2, "recorded": True},
    ]
    assert times == 2


# Retry


CALL = """
const get = (budget) => retry.call(slack, "apps.datastore.get", { datastore: "request", id: "x" }, budget);
const tried = async (budget) => {
  try {
    return (await get(budget)).ok;
  } catch (error) {
    return [error.name, error.code ?? error.neededMs, error.retryable ?? null];
  }
};
"""


def test_retry_after_is_waited_for_in_real_time(project: Project) -> None:
    project.slack.fault("throttle", method="apps.datastore.get", retry_after=1)
    script = "const began = Date.now(); await get(new retry.Budget(9000)); say([Date.now() - began, made.length]);"
    took, calls = project.run(CALL + script)
    assert 1000 <= took < 9000
    assert calls == 2


def test_a_wait_is_never_shorter_than_retry_after_and_never_without_end(project: Project) -> None:
    project.slack.fault("throttle", method="apps.datastore.get", retry_after=7, count=4)
    assert project.run(CALL + "say([await tried(budget()), waits, made.length]);") == [True, [7500] * 4, 5]
    project.slack.fault("throttle", method="apps.datastore.get", retry_after=3, count=None)
    told, waits, calls = project.run(CALL + "say([await tried(budget()), waits, made.length]);")
    assert (told, len(waits), calls) == (["CallFailed", "ratelimited", True], 4, 5)
    project.slack.clear_faults()
    project.slack.fault("throttle", method="apps.datastore.get", retry_after=60)
    assert project.run(CALL + "say([await tried(budget()), waits, made.length]);") == [
        *(["OutOfTime", 60500, None], [], 1),
    ]


@pytest.mark.parametrize(
    ("fault", "told", "calls"),
    [
        ({"kind": "error", "code": "ratelimited"}, True, 2),
        ({"kind": "error", "code": "internal_error", "http": 503}, True, 2),
        ({"kind": "error", "code": "invalid_auth"}, ["CallFailed", "invalid_auth", False], 1),
        ({"kind": "error", "code": "team_quota_exceeded"}, ["CallFailed", "team_quota_exceeded", False], 1),
    ],
)
def test_what_may_pass_is_tried_again_and_nothing_else(
    project: Project, fault: dict[str, Any], told: Any, calls: int
) -> None:
    project.slack.fault(method="apps.datastore.get", **fault)
    assert project.run(CALL + "say([await tried(budget()), made.length]);") == [told, calls]


def test_a_job_that_fails_fails_its_function_and_not_the_other_jobs(project: Project) -> None:
    project.fill("note", [{"note_id": "old", "day": "2020-01-01"}])
    project.slack.fault("error", method="apps.datastore.query", code="access_denied")
    told = project.run(HANDLER % "sweep")
    assert told == {"error": "apps.datastore.query failed: access_denied"}
    assert project.items("note")[0]["deleted_at"]


# Export, restore, rebuild


def test_an_export_restores_the_same_items(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [*requests(1010), {"request_id": 'ö "x"\n', "status": "open", "votes": 3, "created_at": 1}]
    project.fill("request", given)
    assert project.run(HANDLER % "export") == {"error": "set the channel: slack env add EXPORT_CHANNEL C0123456789"}
    told = project.run(HANDLER % "export", env={"EXPORT_CHANNEL": "C00000001"})
    assert told == {"outputs": {"done": True, "touched": 1011}}
    before = project.items("request")
    files = exported(project, tmp_path)
    assert len(files) == 2
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)
    project.call("bulkDelete", "request", ids=[item["request_id"] for item in given[100:120]])
    project.call("put", "request", item={"request_id": "R-0000", "status": "approved"})
    script = ["out/scripts/restore.js", "request", *files]
    done = project.node.node(*script)
    assert done.returncode == 0, done.stderr
    after = project.items("request")
    assert after[1:] == before[1:]
    assert after[0] == {"request_id": "R-0000", "status": "approved"}
    assert project.node.node(script[0], "--overwrite", *script[1:]).returncode == 0
    assert project.items("request") == before


def test_a_restore_of_a_broken_file_puts_nothing(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)
    broken = tmp_path / "x.jsonl"
    broken.write_text('{"request_id": "a"}\n{"note_id": "b"}\n')
    done = project.node.node("out/scripts/restore.js", "request", broken)
    assert done.returncode != 0
    assert "line 2" in done.stderr
    assert project.items("request") == []
    assert project.node.node("out/scripts/restore.js", "nothing", broken).returncode == 2


def exported(project: Project, folder: Path) -> list[Path]:
    """The files of the channel, downloaded as a person would."""
    found = []
    for message in project.slack.messages():
        for file in message.get("files", []):
            script = (
                "say(await (await fetch(given.place, { headers: { authorization: `Bearer ${given.token}` } })).text());"
            )
            text = project.run(script, place=project.slack.url + file["url_private_download"])
            place = folder / file["name"]
            place.write_text(text)
            found.append(place)
    return found


def test_a_rebuild_finds_lost_entries_and_drops_wrong_ones(project: Project) -> None:
    items = [{"request_id": f"R-{n}", "status": "approved", "requester": f"U0000000{n % 2}"} for n in range(6)]
    project.fill("request", [*items, {"request_id": "nobody's"}])
    project.fill("request_by_requester", [
        {"lookup_key": "U00000000", "ids": ["R-0", "R-1", "gone"]}, {"lookup_key": "U00000009", "ids": ["R-3"]},
    ])  # fmt: skip
    assert project.run(HANDLER % "rebuild")["outputs"]["done"]
    found = {one["lookup_key"]: sorted(one["ids"]) for one in project.items("request_by_requester")}
    assert found == {"U00000000": ["R-0", "R-2", "R-4"], "U00000001": ["R-1", "R-3", "R-5"]}


def test_what_was_written_in_bulk_is_listed_at_once_and_copies_follow_without_a_rest(project: Project) -> None:
    items = [
        {"request_id": f"R-{n}", "status": "open", "requester": f"U0000000{n % 2}", "team": "t"} for n in range(30)
    ]
    project.fill("request_by_requester", [{"lookup_key": "U00000001", "ids": ["R-1", "old"]}])
    project.fill("team", [{"team_id": "t", "title": "new"}])
    script = """
import { listNow } from "./out/rebuild.js";
import { copiesAll } from "./out/copies.js";
await retry.putAll(slack, "request", given.items, budget());
const first = await listNow(slack, "request", given.items, budget());
const again = await listNow(slack, "request", given.items, budget());
const brought = [];
for (const rest of [undefined, undefined, 0]) brought.push((await copiesAll(slack, budget(), rest))[0].touched);
say([first, again, brought]);
"""
    first, again, brought = project.run(script, items=items)
    assert (first, again) == (2, 0)
    assert brought == [30, 0, 0]  # the second one rested; the third one looked, and everything was right
    found = {one["lookup_key"]: one["ids"] for one in project.items("request_by_requester")}
    assert sorted(found["U00000000"]) == sorted(f"R-{n}" for n in range(0, 30, 2))
    assert sorted(found["U00000001"]) == sorted([*(f"R-{n}" for n in range(1, 30, 2)), "old"])


def test_copies_are_brought_over_where_they_differ_and_nothing_else_is_touched(project: Project) -> None:
    project.fill("team", [{"team_id": "t1", "title": "new"}, {"team_id": "t2", "title": "same"}])
    held = [("R-1", "t1", "old"), ("R-2", "t2", "same"), ("R-3", "gone", "kept"), ("R-4", "t1", None)]
    items = [{"request_id": id, "team": team, "team_title": title, "votes": 3} for id, team, title in held]
    project.fill("request", [{name: value for name, value in one.items() if value is not None} for one in items])
    assert project.run(HANDLER % "copies")["outputs"] == {"done": True, "touched": 2}
    found = {one["request_id"]: (one["team_title"], one["votes"]) for one in project.items("request")}
    assert found == {"R-1": ("new", 3), "R-2": ("same", 3), "R-3": ("kept", 3), "R-4": ("new", 3)}


KEYS = [["a"], ["a#b"], ["a%", "#"], ["a", "%23"], [7], ["x", 1700000000], ["", ""]]


def test_keys_are_made_as_in_python(project: Project) -> None:
    from stateroom.design.keys import encode

    found = project.run('import { keyOf } from "./out/keys.js"; say(given.keys.map(keyOf));', keys=KEYS)
    assert found == [encode(parts) for parts in KEYS]
