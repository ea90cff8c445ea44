"""`stateroom copy`: a store into another one, once or following it, and the cut-over.

Rules of this file: the command's words alone; what they lead to is in copy_run.py.
"""

from __future__ import annotations

import sys

import click

from stateroom.cli import settings
from stateroom.cli.copy_alone import SAME
from stateroom.cli.copy_run import Given, cut, follow, once, plan_only, thaw
from stateroom.cli.copy_shown import same_place
from stateroom.cli.definitions import definitions_option
from stateroom.cli.output import json_option
from stateroom.cli.stores import check_kept
from stateroom.model.errors import WrongUse

_SOURCE = "The store to copy. Default: $STATEROOM_STORE, else sqlite:///stateroom.db."
_TARGET = "The store to fill: an empty one, or one that this source filled before."
_DRY = "Say how long it takes, how many calls it makes and what the target lacks; write nothing."
_CUTOVER = "Freeze the source, carry the rest, compare, and let workers go on in the target."
_JOBS = {"dry_run": plan_only, "follow": follow, "cutover": cut}


@click.command("copy")
@click.option("--from", "source", metavar="URL", help=_SOURCE)
@click.option("--to", "target", metavar="URL", help=_TARGET)
@click.option("--datastore", "datastores", multiple=True, metavar="NAME", help="Only this one; may be given again.")
@click.option("--dry-run", is_flag=True, help=_DRY)
@click.option("--verify", is_flag=True, help="Compare both by count and content afterwards; exit 1 if they differ.")
@click.option("--follow", is_flag=True, help="Go on carrying what changes, until stopped.")
@click.option("--cutover", is_flag=True, help=_CUTOVER)
@click.option("--unfreeze", is_flag=True, help="Let the source be written again: the way back from a cut-over.")
@click.option("--release", is_flag=True, help="Let workers find the copied turns and jobs that are still open.")
@click.option("--throttle", type=click.FloatRange(0, min_open=True), metavar="N", help="Rows a second, at most.")
@click.option(
    "--quiet",
    type=click.FloatRange(0),
    default=10.0,
    metavar="S",
    help="How long a cut-over waits for a moment without running turns. [10]",
)
@click.option(
    "--migrate", is_flag=True, help="Make the tables that a target on a server lacks, as `migrate apply` does."
)
@click.option("--allow-data-loss", is_flag=True, help="Copy although the target cannot hold everything.")
@definitions_option
@json_option
def copy(*, source: str | None, target: str | None, definitions: str | None, as_json: bool, **more: object) -> None:
    """Copy a store into another one: items, threads with their numbers, the bot's inbox, installations, everything.

    The source is read, and that is all. A copy may be killed and run again: what is there is compared, not doubled.
    Turns that are still open arrive held: no worker answers them before a cut-over, or --release.

    \b
    stateroom copy --from sqlite:///state.db --to postgresql://host/bot --dry-run
    stateroom copy --from sqlite:///state.db --to postgresql://host/bot --migrate --cutover
    """
    jobs = [name for name in ("dry_run", "follow", "cutover", "unfreeze") if more.pop(name)]
    if len(jobs) > 1:
        raise WrongUse(f"give one of --{' and --'.join(jobs)}".replace("_", "-"))
    found = settings.load(store=source, definitions=definitions)
    check_kept(found.store)
    if jobs == ["unfreeze"]:
        thaw(found, as_json=as_json)
        return
    if not target:
        raise WrongUse("copy where? Give --to URL")
    check_kept(target)
    if more["datastores"] and (more["release"] or jobs == ["cutover"]):
        raise WrongUse("--cutover and --release are for whole stores; leave --datastore out")
    if same_place(found.store, target):
        raise WrongUse(SAME)
    given = Given(found, target, as_json=as_json, **more)  # type: ignore[arg-type]
    sys.exit(_JOBS.get("".join(jobs), once)(given))
