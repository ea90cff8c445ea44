"""The runbooks: cleanup.md, migration.md, recovery.md. Every step is a command.

Rules of this file: a `sh` block holds commands alone, which a test runs in bash from the output folder. For Slack's own
datastores they are the Slack CLI's, for an external store Stateroom's; both take the same JSON. Nothing in them has to
be filled in but what the first block exports.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from stateroom.design.diff import Migration
from stateroom.design.narrowing import DEPLOY
from stateroom.design.parts import Plan, Retained, Store
from stateroom.design.render import Block, Code, Heading, Listed, Table, Words
from stateroom.design.typescript_plan import jobs_of
from stateroom.model.attributes import SLACK

DAY = 86400
TEAM = 'export TEAM="T00000001"'
EXPORT_LIMIT = 10_000  # where the Slack CLI's query --to-file ends (reference of this project, section 6)


def _command(store: Store, verb: str, argument: str, *rest: str) -> str:
    """A command of the tool that reaches a datastore. Slack's works on the app that is chosen, ours on a workspace."""
    tool, team = ("slack", ()) if store.home == "slack" else ("stateroom", ('--team "$TEAM"',))
    return " ".join((tool, "datastore", verb, argument, *rest, *team))


def _begin(store: Store) -> list[str]:
    return [] if store.home == "slack" else [TEAM]


def _json(value: object) -> str:
    """JSON for a shell, in double quotes, so that $NAMES in it are replaced."""
    text = json.dumps(value, ensure_ascii=True)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`") + '"'


def _job(name: str) -> str:
    """The command that starts a generated job: Slack runs it each hour from then on, and what is finished rests."""
    return f"(cd typescript && slack trigger create --trigger-def triggers/{name}.ts)"


def cleanup(plan: Plan) -> list[Block]:
    """What ends by itself, what is swept, and how to sweep and to forget by hand."""
    found: list[Block] = [Heading(1, f"{plan.design.app.name}: cleanup")]
    if "sweep" in jobs_of(plan):
        words = "Once after the first deploy, start the sweep; it runs each hour, removes what is due and then rests:"
        found += [Words(words), Code(_job("sweep"), "sh")]
    if "copies" in jobs_of(plan):
        words = "And the job that brings copied attributes over again, where a run was stopped before it had:"
        found += [Words(words), Code(_job("copies"), "sh")]
    for one in plan.retention:
        found += _cleanup(plan, one, plan.store(one.datastore))
    return found


def _cleanup(plan: Plan, one: Retained, store: Store) -> Iterator[Block]:
    yield Heading(2, one.entity)
    yield Words(f"{one.claims[0].text}: {one.claims[0].reason}.")
    if one.how == "ttl":
        yield Words("See how many Slack has still to remove:")
        asked: dict[str, object] = {"datastore": store.name, "expression": "#ttl < :now"}
        asked |= {"expression_attributes": {"#ttl": store.ttl}, "expression_values": {":now": "@NOW@"}}
        lines = [*_begin(store), 'export NOW="$(date +%s)"', _command(store, "count", _number(asked, "NOW"))]
        yield Code("\n".join(lines), "sh")
    elif one.where is not None and plan.design.by_name[one.entity].retention is not None:
        kept = plan.design.by_name[one.entity].retention
        assert kept is not None
        kind = store.attributes[kept.after].type
        asked = {"datastore": store.name, "expression": one.where.expression}
        asked |= {"expression_attributes": dict(one.where.names), "expression_values": {":before": "@BEFORE@"}}
        yield Words(f"By hand, if the daily sweep has not run: {one.deletes_per_run} items a run at most.")
        argument = _number(asked, "BEFORE", text=not kind.endswith("timestamp"))
        lines = [*_begin(store), _before(kind, kept.days), _command(store, "count", argument)]
        yield Code("\n".join(lines), "sh")
    if one.erasure:
        yield Words("To forget a person:")
        yield Listed([f"{step.do}{f' (`{step.call}`)' if step.call else ''}" for step in one.erasure], numbered=True)
        names = [a.name for a in store.attributes.values() if a.personal and a.type == f"{SLACK}user_id"]
        if names:
            asked = {"datastore": store.name, "expression": " OR ".join(f"#{name} = :person" for name in names)}
            asked |= {"expression_attributes": {f"#{name}": name for name in names}}
            asked |= {"expression_values": {":person": "$PERSON"}}
            lines = [*_begin(store), 'export PERSON="U00000001"', _command(store, "query", _json(asked))]
            yield Code("\n".join(lines), "sh")


def _number(asked: dict[str, object], name: str, *, text: bool = False) -> str:
    """A JSON argument in which a number comes from the environment."""
    return _json(asked).replace(f'\\"@{name}@\\"', f'\\"${name}\\"' if text else f"${name}")


def _before(kind: str, days: float) -> str:
    seconds = round(days * DAY)
    moment = f"$(( $(date +%s) - {seconds} ))"
    if kind == f"{SLACK}date":
        return f'export BEFORE="$(date -u -d @{moment} +%Y-%m-%d)"'
    return f'export BEFORE="{moment}{"" if kind.endswith("timestamp") else ".000000"}"'


def recovery(plan: Plan) -> list[Block]:
    """Export, restore and the rebuild of what follows from it."""
    found: list[Block] = [Heading(1, f"{plan.design.app.name}: recovery")]
    found.append(
        Words(
            "Slack's hosted datastores have no point-in-time restore: what is not exported is gone. "
            f"The Slack CLI's export ends at {EXPORT_LIMIT:,} items; the generated export function does not."
        )
    )
    sizes = {one.datastore: one for one in plan.capacity}
    rows = []
    for store in _kept(plan):
        items = sizes[store.name].items_today
        way = "Slack CLI" if items < EXPORT_LIMIT else "the generated export function"
        rows.append(
            (store.name, f"{items:,}", way if store.home == "slack" else "the store's own backup, or stateroom")
        )
    found.append(Table(("datastore", "items today", "export by"), rows))
    first = [TEAM] if any(one.home == "external" for one in _kept(plan)) else []
    lines = [*first, *(_export(store) for store in _kept(plan))]
    found += [Heading(2, "1. Export"), Code("\n".join(lines), "sh")]
    found += [Heading(2, "2. Count what was exported"), Code("\n".join(_lines(store) for store in _kept(plan)), "sh")]
    found += [Heading(2, "3. Restore"), Words("Putting the same items again changes nothing; newer ones are replaced.")]
    found += [Code("\n".join(_restore(store) for store in _kept(plan)), "sh")]
    found += [Heading(2, "4. Compare"), Code("\n".join(_count(store) for store in _kept(plan)), "sh")]
    return [*found, *_by_functions(plan, "rebuild" in jobs_of(plan))]


def _kept(plan: Plan) -> list[Store]:
    """What is exported and put back: not where jobs keep their place, which counts for the moment alone."""
    return [one for one in plan.stores if one.role != "state"]


def _by_functions(plan: Plan, rebuilds: bool) -> Iterator[Block]:
    """What the generated project does for recovery: lookups, the scheduled export, and its restore."""
    if rebuilds:
        words = "5. Rebuild the lookups: the rebuild reads every item of the entity, not only open ones"
        lookups = [one for one in plan.stores if one.role == "lookup"]
        yield Heading(2, words)
        yield Listed([f"{one.name} from all of {one.entity}" for one in lookups])
        yield Code(_job("rebuild"), "sh")
    exported = [one for one in plan.stores if one.home == "slack" and one.role in ("entity", "entries", "audit")]
    if not exported:
        return
    words = "Once after the first deploy, say which private channel takes the files, and start the export of each day:"
    yield Heading(2, "The scheduled export and its restore")
    yield Words(words)
    channel = "(cd typescript && slack env add EXPORT_CHANNEL C0123456789)"
    yield Code("\n".join((channel, _job("export"))), "sh")
    yield Words("To restore, download the files. Items that are there are kept; --overwrite replaces them.")
    first = ['export SLACK_TOKEN="$(slack auth token)"', 'export SLACK_APP_ID="A00000001"']
    script = "(cd typescript && deno run -A scripts/restore.ts {0} ../{0}.jsonl)"
    yield Code("\n".join((*first, *(script.format(one.name) for one in exported))), "sh")


def _export(store: Store) -> str:
    option = "--to-file" if store.home == "slack" else "--output"
    verb = "query" if store.home == "slack" else "export"
    return _command(store, verb, _json({"datastore": store.name}), f"{option} {store.name}.jsonl")


def _lines(store: Store) -> str:
    return f"wc -l {store.name}.jsonl"


def _restore(store: Store) -> str:
    asked, file = _json({"datastore": store.name}), f"--from-file {store.name}.jsonl"
    if store.home == "slack":
        return _command(store, "bulk-put", asked, file)
    return _command(store, "import", asked, file, "--any-state")


def _count(store: Store) -> str:
    return _command(store, "count", _json({"datastore": store.name}))


def migration(plan: Plan, found: Migration | None) -> list[Block]:
    """The steps from the old design to this one; without an old one, how a next attribute is added."""
    listed: list[Block] = [Heading(1, f"{plan.design.app.name}: migration")]
    if found is None:
        return [*listed, *_next_attribute(plan)]
    rows = [(one.place, one.kind, "breaks" if one.breaking else "fine", one.detail) for one in found.changes]
    listed += (
        [Heading(2, "What changes"), Table(("place", "change", "verdict", "what its store says"), rows)] if rows else []
    )
    if found.fills:
        words = "What the backfill gives to items (typescript/changes.ts; `default` in the design changes it):"
        filled = [
            (f"{one.datastore}.{one.attribute}", json.dumps(one.value), _to_whom(one.only)) for one in found.fills
        ]
        listed += [Words(words), Table(("attribute", "value", "of items that"), filled)]
    for number, one in enumerate(found.parts, 1):
        listed += [Heading(2, f"{number}. {one.title}"), Words(f"{one.claim.text}: {one.claim.reason}.")]
        listed += [Listed([f"{s.do}{f' (`{s.call}`)' if s.call else ''}" for s in one.steps], numbered=True)]
        listed += [Code("\n".join(one.commands), "sh")] if one.commands else []
        listed += [Words("The way back:"), Listed([s.do for s in one.back], numbered=True)]
    if not rows and not found.parts:
        listed.append(Words("Nothing changes that a datastore would see."))
    return listed


def _to_whom(only: tuple[str, ...]) -> str:
    return f"have another value than {', '.join(only)}" if only else "lack it"


def _next_attribute(plan: Plan) -> Iterator[Block]:
    """How the next attribute of each datastore is added, with the commands of each step."""
    yield Words("There is no older design. This is how the next attribute of each datastore is added.")
    for one in plan.rollouts:
        store, claim = plan.store(one.datastore), one.claims[0]
        yield Heading(2, one.datastore)
        yield Words(f"{claim.text}: {claim.reason}.")
        yield Listed([f"{s.do} (`{s.call}`)" for s in one.steps], numbered=True)
        asked: dict[str, object] = {"datastore": store.name, "expression": "attribute_not_exists(#new)"}
        asked |= {"expression_attributes": {"#new": "$NEW"}}
        last = list(store.attributes)[-1]
        lines = [f'export NEW="{last}"', DEPLOY, _job("backfill"), _command(store, "count", _json(asked)), DEPLOY]
        yield Code("\n".join(lines), "sh")
        yield Words("The way back:")
        yield Listed([s.do for s in one.back], numbered=True)
        yield Code(DEPLOY, "sh")
    if any(one.home == "external" for one in plan.stores):
        yield Heading(2, "The external store")
        yield Words("Change definitions.py, look at the plan, then carry it out; rows of older versions are rewritten.")
        yield Code("stateroom migrate plan\nstateroom migrate apply\nstateroom migrate backfill", "sh")
