"""`stateroom design`: the design compiler on files.

Rules of this file: it reads and writes files; what they say is design/'s. Exit codes: 0 done, 1 the findings say no
(`--fail-on`) or a diff breaks, 2 the file is wrong. stdout has the result, stderr everything else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from stateroom.cli import settings
from stateroom.cli.definitions import chosen, definitions_option, from_file, manifest_option
from stateroom.cli.output import json_option, note, print_json, printable
from stateroom.design.document import from_definitions, read_design
from stateroom.design.findings import ORDER
from stateroom.design.parts import Finding, Plan
from stateroom.design.plan import plan as planned
from stateroom.design.problems import DesignInvalid
from stateroom.design.structs import Design
from stateroom.model.errors import WrongUse

F = TypeVar("F", bound=Callable[..., Any])
FORMATS: Final = ("md", "html", "json", "csv")
NEVER: Final = "never"
FAULTS: Final = ("throttle", "timeout", "partial_failure", "error", "none")

fail_on_option: Callable[[F], F] = click.option(
    "--fail-on",
    type=click.Choice(("error", "warning", "info", NEVER)),
    default="error",
    show_default=True,
    help="Exit with 1 when there is a finding as bad as this.",
)
format_option: Callable[[F], F] = click.option(
    "--format", "form", type=click.Choice(FORMATS), help="What to write on stdout instead of the table of findings."
)


@click.group()
def design() -> None:
    """Compile a design file: datastores, access map, capacity, findings, runbooks.

    `design init` writes a commented file to begin with; docs/design.md says what each field means.
    """


def load(name: str) -> Design:
    """The design of a file; `-` is stdin. Every fault is told on stderr, then DesignInvalid; WrongUse if unreadable."""
    try:
        with click.open_file(name, "r", encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise WrongUse(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise WrongUse(f"{name} is no UTF-8 text") from None
    try:
        return read_design(text)
    except DesignInvalid as error:
        for one in error.problems[1:]:
            note(f"{name}:{one.line}:{one.column}: {one.path}: {one.problem}; {one.step}")
        first = error.problems[0]
        where = f"{name}:{first.line}:{first.column}: {first.path}: " if first.path else f"{name}:{first.line}: "
        raise WrongUse(f"{where}{first.problem}; {first.step}") from None


def show(plan: Plan, form: str | None) -> None:
    """A plan on stdout."""
    from stateroom.design import outputs
    from stateroom.design.render import markdown, page
    from stateroom.design.render_document import blocks

    if form == "md":
        click.echo(markdown(blocks(plan)), nl=False)
    elif form == "html":
        click.echo(page(f"{plan.design.app.name}: the design of its state", blocks(plan)), nl=False)
    elif form == "csv":
        click.echo(outputs.access_csv(plan), nl=False)
    elif form == "json":
        print_json(outputs.summary(plan))
    else:
        show_findings(plan.findings)


def show_findings(findings: tuple[Finding, ...]) -> None:
    """One line each, the worst first, and a sum."""
    colours = {"error": "red", "warning": "yellow", "info": "blue"}
    for one in findings:
        line = "" if one.line is None else f" (line {one.line})"
        head = click.style(f"{one.severity:7} {one.id}", fg=colours[one.severity])
        click.echo(f"{head}  {printable(one.place)}{line}: {printable(one.reason)}")
        click.echo(f"                 {printable(one.cure)}")
    counts = ", ".join(f"{sum(one.severity == kind for one in findings)} {kind}" for kind in ORDER)
    note(f"stateroom: {counts}")


def judge(findings: tuple[Finding, ...], fail_on: str) -> None:
    """Leave with 1 when a finding is as bad as `fail_on`."""
    if fail_on != NEVER and any(ORDER[one.severity] <= ORDER[fail_on] for one in findings):  # type: ignore[index]
        sys.exit(1)


@design.command()
@click.argument("file", required=False, metavar="[DESIGN]")
@definitions_option
@manifest_option
@format_option
@fail_on_option
def check(*, file: str | None, definitions: str | None, manifest: str | None, form: str | None, fail_on: str) -> None:
    """Say what DESIGN would run into; without one, of your --definitions or a Slack --manifest what can be said.

    A manifest has no volumes and no patterns, so capacity and calls are left out, and a finding says so.
    """
    if file is not None:
        found = load(file)
    elif manifest is not None:
        found = from_definitions(from_file(manifest))
    else:
        found = from_definitions(chosen(settings.load(definitions=definitions)))
    plan = planned(found)
    show(plan, form)
    judge(plan.findings, fail_on)


@design.command()
@click.argument("file", metavar="DESIGN")
@click.option("--out", metavar="DIR", help="Write every file there; it is made, and files of that name are replaced.")
@click.option("--from", "old", metavar="OLD", help="An older design: migration.md then leads from it to this one.")
@format_option
@fail_on_option
def build(*, file: str, out: str | None, old: str | None, form: str | None, fail_on: str) -> None:
    """Compile DESIGN: design.md, design.html, manifest, definitions, TypeScript, access patterns, runbooks, lock.

    The same file gives the same bytes. With --out, stdout lists the files; without, --format chooses what is shown.
    """
    from stateroom.design.diff import diff as compared
    from stateroom.design.outputs import outputs

    plan = planned(load(file))
    if out is not None:
        found = None if old is None else compared(planned(load(old)), plan)
        written = write_all(Path(out), outputs(plan, found))
        if form is None:
            for path in written:
                click.echo(path)
    if form is not None or out is None:
        show(plan, form or "md")
    judge(plan.findings, fail_on)


def write_all(folder: Path, files: dict[str, str]) -> list[Path]:
    """Write the files below a folder, which is made; their paths in order. WrongUse where that cannot be done."""
    written = []
    try:
        for name, text in sorted(files.items()):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            written.append(path)
    except OSError as error:
        raise WrongUse(f"{folder} cannot be written: {error.strerror}") from None
    return written


@design.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option("--format", "form", type=click.Choice(("md", "json")), default="md", show_default=True, help="Of stdout.")
def diff(*, old: str, new: str, form: str) -> None:
    """Write the migration from one design to another. Exits with 1 when a change breaks what is stored.

    Each part says how long it takes under Slack's tiers and how to go back.
    """
    from stateroom.design.diff import diff as compared
    from stateroom.design.outputs import findings_json
    from stateroom.design.render import markdown
    from stateroom.design.render_runbooks import migration

    plan = planned(load(new))
    found = compared(planned(load(old)), plan)
    if form == "json":
        parts = [{"title": one.title, "kind": one.kind, "claim": one.claim.text} for one in found.parts]
        changes = [one._asdict() for one in found.changes]
        print_json({"changes": changes, "parts": parts, "findings": findings_json(found.findings)})
    else:
        click.echo(markdown(migration(plan, found)), nl=False)
    if found.findings:
        sys.exit(1)


@design.command()
@click.argument("file", metavar="DESIGN")
@click.option("--minutes", type=click.FloatRange(0, 600), default=60, show_default=True, help="Of simulated time.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the moments at which runs begin.")
@click.option(
    "--most", type=click.IntRange(1), default=50_000, show_default=True, help="Items loaded; more are scaled."
)
@click.option("--fault", "faults", type=click.Choice(FAULTS), multiple=True, help="Inject these alone. Default: all.")
@click.option(
    "--store",
    metavar="URL",
    default="memory://",
    show_default=True,
    help="An empty one, for what Slack does not serve.",
)
@json_option
def simulate(**given: Any) -> None:
    """Run DESIGN on a local Slack in simulated time, and show what was predicted beside what was measured.

    Items of the stated sizes and numbers are loaded; every pattern runs alone, behind a busy minute, and with all
    others at its rate; calls fail; runs race. Exits with 1 when a prediction is off by more than 10 %.
    """
    from stateroom.cli.design_simulate import Options, show_simulated
    from stateroom.cli.design_simulate import simulate as simulated
    from stateroom.cli.progress import live

    plan, as_json = planned(load(given.pop("file"))), given.pop("as_json")
    with live("simulating:") as tell:
        found = simulated(plan, Options(**{**given, "faults": given["faults"] or FAULTS}), tell)
    show_simulated(found, as_json=as_json)
    if not found.ok:
        sys.exit(1)


@design.command()
@click.argument("file", default="design.yaml", metavar="[FILE]")
@click.option("--name", default="my-app", show_default=True, help="The app's name.")
def init(*, file: str, name: str) -> None:
    """Write a commented design to FILE [design.yaml]; a file that is there stays. -: stdout."""
    import msgspec

    from stateroom.design.example import TEXT

    text = TEXT.replace("NAME", msgspec.json.encode(name).decode())
    read_design(text)
    if file == "-":
        click.echo(text, nl=False)
        return
    try:
        with Path(file).open("x", encoding="utf-8", newline="\n") as out:
            out.write(text)
    except FileExistsError:
        raise WrongUse(f"{file} is there already; name another file, or - for stdout") from None
    except OSError as error:
        raise WrongUse(f"{file} cannot be written: {error.strerror}") from None
    click.echo(f"{file} is written. Next: stateroom design check {file}")


@design.command()
@click.argument("id", metavar="SR-xxx")
def explain(*, id: str) -> None:
    """What a finding means, why it matters, and the cure."""
    from stateroom.design.findings import identified, page

    click.echo(page(identified(id)), nl=False)
