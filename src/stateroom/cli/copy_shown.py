"""What `stateroom copy` shows: plans, figures, verdicts; and stores' URLs without what is secret in them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit, urlunsplit

import click

from stateroom.cli.output import note, print_json, print_table
from stateroom.layers.copy import Copied
from stateroom.layers.copy_plan import Lack, Plan, Size
from stateroom.layers.copy_verify import Verdict

SHOWN: Final = 20
HIDDEN: Final = "PASSWORD"
_OPTION: Final = re.compile(r"([?&](?:ssl)?password=)[^&#]*")


def safe(url: str) -> str:
    """The URL with its passwords left out: libpq takes them as options, too."""
    parts = urlsplit(_OPTION.sub(rf"\1{HIDDEN}", url))
    if parts.password is None:
        return urlunsplit(parts) if _OPTION.search(url) else url
    user, host = parts.username or "", parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{HIDDEN}@{host}"))


def place(url: str) -> str:
    """A store's URL, whatever folder a command is run in; without what may be given in another way next time."""
    file = url.removeprefix("sqlite:///")
    return safe(url) if file == url else os.path.realpath(file)


def same_place(one: str, other: str) -> bool:
    """Whether two URLs are one store, as far as they tell, or two names of one file.

    SQLite keeps its journal beside the name: written by the other one, the file would be damaged. Of what a URL does
    not tell copy_alone.py finds out, but for a platform's stores, which keep no lease.
    """
    files = place(one), place(other)
    if files[0] == files[1] or (all(map(os.path.exists, files)) and os.path.samefile(*files)):
        return True
    hosted = _hosted(one)
    return hosted is not None and hosted == _hosted(other)


def _hosted(url: str) -> tuple[str, ...] | None:
    """The app and the workspace of slack://, whose token is the same for both ends."""
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    return tuple(str(options.get(name)) for name in ("app_id", "team", "endpoint")) if parts.scheme == "slack" else None


def show_plan(
    plan: Plan,
    sizes: Mapping[str, Size],
    lacks: Sequence[Lack],
    estimate: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """What a dry run found."""
    tables = [{"datastore": w.name, **_size(sizes[w.name]), "skipped": w.skipped} for w in plan.works]
    if as_json:
        print_json({"datastores": tables, "lacks": [one.plain() for one in lacks], **estimate})
        return
    some = [t for t in tables if t["rows"]]
    print_table(("Datastore", "Rows", "Bytes", "Largest", ""), [_cells(t) for t in some])
    for one in lacks:
        click.echo(f"{'loses' if one.loses else 'note'}: {one.datastore}: {one.what}")
    for step in estimate["steps"]:
        click.echo(f"to do first: {step}")
    if estimate["refused"]:
        click.echo(f"refused: {estimate['refused']}")
    if estimate["cutover"]:
        click.echo(f"cut-over: {estimate['cutover']}")
    click.echo(
        f"{estimate['rows']} rows, {estimate['bytes']} bytes, {estimate['calls']} calls, about {estimate['seconds']} s"
    )


def _size(size: Size) -> dict[str, Any]:
    return {"rows": size.rows, "bytes": size.bytes, "largest": size.largest, "teams": len(size.teams)}


def _cells(table: Mapping[str, Any]) -> tuple[object, ...]:
    return table["datastore"], table["rows"], table["bytes"], table["largest"], "skipped" if table["skipped"] else ""


def show_copied(done: Copied, verdicts: Sequence[Verdict] | None, *, as_json: bool, **more: Any) -> None:
    """What a copy did; a line each for JSON, the sum of it last."""
    differing = None if verdicts is None else [one for one in verdicts if not one.same]
    failed = done.failures
    if as_json:
        for table in done.tables:
            print_json({"kind": "datastore", **table.plain()})
        for one in verdicts or ():
            print_json({"kind": "verdict", **one.plain()})
        for refusal in failed.told:
            print_json({"kind": "failed", **refusal})
        told = {"seen": _sum(done, "seen"), "written": _sum(done, "written"), "removed": _sum(done, "removed")}
        same = None if differing is None else not differing
        print_json({"kind": "copied", **told, "failed": failed.count, "settled": done.settled, "same": same, **more})
        return
    print_table(
        ("Datastore", "Seen", "Written", "Removed"),
        [(t.table, t.seen, t.written, t.removed) for t in done.tables if t.seen],
    )
    for refusal in failed.told[:SHOWN]:
        note(f"not taken: {refusal['team']} {refusal['datastore']}/{refusal['row']}: {refusal['reason']}")
    for one in (differing or ())[:SHOWN]:
        note(f"differs: {one.team} {one.datastore}: {one.source} rows in the source, {one.target} in the target")
    if verdicts is not None and not differing:
        click.echo(f"the same in {len(verdicts)} datastores by team, by count and content")
    if not done.settled:
        note("the source kept changing: run it again, add --follow, or --cutover")


def _sum(done: Copied, name: str) -> int:
    return sum(getattr(table, name) for table in done.tables)
