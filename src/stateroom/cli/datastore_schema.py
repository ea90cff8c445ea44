"""`stateroom datastore schema`: your datastores as a Slack manifest, TypeScript, Python or JSON, and what changed.

Rules of this file: stdout has the text and nothing else, so that it can be sent to a file; what the format cannot hold
is told on stderr. No store is opened.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import click

from stateroom.cli import settings
from stateroom.cli.definitions import chosen, definitions_option, from_file, manifest_option
from stateroom.cli.output import json_option, note, print_json, printable
from stateroom.model.definition import Definition
from stateroom.model.errors import WrongUse
from stateroom.model.profiles import check_profile
from stateroom.model.schema import compat, document, python, typescript
from stateroom.model.schema.doubts import doubts
from stateroom.model.schema.losses import losses
from stateroom.model.schema.manifest import APP, manifest_of

Definitions = Sequence[Definition]
FORMATS: Final = ("ts", "manifest", "python", "json")
NAME_LIMIT: Final = 35


@click.command()
@definitions_option
@manifest_option
@click.option("--format", "form", type=click.Choice(FORMATS), help="What to write on stdout.")
@click.option("--compare", "old", metavar="OLD", help="A manifest, or our own JSON, from before; -: stdin.")
@click.option("--app-name", metavar="NAME", help=f"The app's name in a manifest. Default: {APP}.")
@json_option
def schema(
    *,
    definitions: str | None,
    manifest: str | None,
    form: str | None,
    old: str | None,
    app_name: str | None,
    as_json: bool,
) -> None:
    """Write your datastores in another --format, or --compare them with OLD.

    They come from your modules or from a manifest: `python` from a manifest is how an app of Slack's own platform moves
    here, `ts` and `manifest` are how one moves there. What Slack cannot hold is left out and told on stderr.

    --compare lists what changed since OLD and what Slack says to it. Exit code 1 when a change is breaking.

    \b
    stateroom datastore schema --definitions app.models --format ts > datastores.ts
    stateroom datastore schema --manifest manifest.json --format python > models.py
    stateroom datastore schema --definitions app.models --compare deployed.json
    """
    if (form is None) == (old is None):
        raise WrongUse(f"give --format {'|'.join(FORMATS)}, or --compare OLD")
    if definitions is not None and manifest is not None:
        raise WrongUse("give --definitions or --manifest, not both")
    if app_name is not None and not 0 < len(app_name) <= NAME_LIMIT:
        raise WrongUse(f"--app-name: Slack takes names of 1 to {NAME_LIMIT} characters")
    if manifest == old == "-":
        raise WrongUse("stdin can be one of --manifest and --compare, not both")
    if old is not None and manifest is not None:
        compare(from_file(old, needed=False), from_file(manifest, needed=False), as_json=as_json)
        return
    found = chosen(settings.load(definitions=definitions), manifest)
    if old is not None:
        compare(from_file(old, needed=False), found, as_json=as_json)
    elif form in ("ts", "manifest"):
        told_losses(found)
        write(form, WRITERS[form](found, app_name or APP), as_json=as_json)
    elif app_name is not None:
        raise WrongUse("--app-name goes with --format ts or manifest")
    else:
        write(str(form), WRITERS[str(form)](found, ""), as_json=as_json)


WRITERS: Final[Mapping[str, Callable[[Definitions, str], str | dict[str, Any]]]] = {
    "ts": lambda found, name: typescript.write(found, name=name),
    "manifest": lambda found, name: manifest_of(found, name=name),
    "python": lambda found, _: python.write(found),
    "json": lambda found, _: document.write(found),
}


def told_losses(found: Definitions) -> None:
    """What Slack does not hold or may not take, on stderr. InvalidDefinition for more than Slack allows."""
    check_profile(found, "slack")
    for line in (*losses(found), *doubts(found)):
        note(f"stateroom: {printable(line)}")


def write(form: str, made: str | dict[str, Any], *, as_json: bool) -> None:
    """The text on stdout; for machines in one line, TypeScript and Python as `{"format", "text"}`."""
    import msgspec

    if as_json:
        print_json({"format": form, "text": made} if isinstance(made, str) else made)
    elif isinstance(made, str):
        click.echo(made, nl=False)
    else:
        click.echo(msgspec.json.format(msgspec.json.encode(made), indent=2))


def compare(old: Definitions, new: Definitions, *, as_json: bool) -> None:
    """Each change in a line; leaves with 1 when one of them is breaking."""
    changes = compat.compare(old, new)
    for change in changes:
        if as_json:
            print_json(change._asdict())
            continue
        mark = click.style("breaking", fg="red") if change.breaking else click.style("fine    ", fg="green")
        click.echo(f"{mark}  {printable(change.place)}: {change.kind}. {printable(change.detail)}")
    if not changes and not as_json:
        click.echo("no change that Slack sees")
    if any(change.breaking for change in changes):
        sys.exit(1)
