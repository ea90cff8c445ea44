"""Make the reference pages from the program: docs/cli.md, settings.md, api.md, turn.md, and tables of written pages.

Rules of this file: nothing is written here that the program knows itself; what lacks a help text or a docstring is an
error, not an empty line. `--check` writes nothing and exits 1 when a page is not what it would write.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

ROOT: Final = Path(__file__).parents[1]
NOTE: Final = "<!-- Made by `make reference` from the program. Do not edit. -->\n"
# Classes that users hold but never name: what the public ones hand out.
HANDED_OUT: Final = (
    "stateroom.engines.handle.Datastore",
    "stateroom.layers.threads.Threads",
    "stateroom.layers.threads.Thread",
)


class MissingText(Exception):
    """A command, option or public name does not say what it is for."""


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command of the tree with its full name, parents first."""
    context = click.Context(command, info_name=path)
    yield path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            sub = command.get_command(context, name)
            if sub is None:
                raise MissingText(f"{path} lists {name} and does not have it")
            yield from commands(sub, f"{path} {name}")


def paragraphs(text: str) -> str:
    """A docstring as Markdown; click's mark for text it must not wrap is dropped."""
    return inspect.cleandoc(text).replace("\b\n", "").strip()


def cli_page() -> str:
    from stateroom.cli import main

    parts = [NOTE, "# Commands\n", "Exit codes: 0 done, 1 the answer is no or it did not work, 2 wrong use.\n"]
    for path, command, context in commands(main, "stateroom"):
        if not command.help:
            raise MissingText(f"{path} has no help text")
        parts.append(f"{'#' * min(path.count(' ') + 2, 4)} {path}\n\n{paragraphs(command.help)}\n")
        parts.append(f"```\n{' '.join([path, *command.collect_usage_pieces(context)])}\n```\n")
        rows = [option_row(path, parameter, context) for parameter in command.params if shown(parameter)]
        parts += ["| option | meaning |\n| --- | --- |\n" + "".join(rows)] if rows else []
    return "\n".join(parts)


def shown(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and not parameter.hidden


def option_row(path: str, option: click.Parameter, context: click.Context) -> str:
    record = option.get_help_record(context)
    if record is None or not record[1].strip():
        raise MissingText(f"{path} {option.opts[0]} has no help text")
    names, meaning = (" ".join(text.split()).replace("|", "\\|") for text in record)
    return f"| `{names}` | {meaning} |\n"


def settings_page() -> str:
    from stateroom.cli.settings import SETTINGS

    head = (
        "# Settings\n\nFrom the environment first, then from `stateroom.toml` (the name in lower case and without "
        "`STATEROOM_`), then the default. An empty variable means unset.\n"
    )
    rows = [f"| `{s.name}` | {f'`{s.default}`' if s.default else '–'} | {s.help} |\n" for s in SETTINGS]
    return "\n".join([NOTE, head, "| setting | default | meaning |\n| --- | --- | --- |\n" + "".join(rows)])


def first_paragraph(name: str, thing: Any) -> str:
    """What the docstring says first. The text that dataclass makes up when there is none does not count."""
    text = inspect.cleandoc(thing.__doc__ or "")
    if not text or text.startswith(f"{getattr(thing, '__name__', name)}("):
        raise MissingText(f"{name} has no docstring")
    return " ".join(text.split("\n\n")[0].split())


class Written(str):
    """An annotation as it stands in the source, without the quotes of a string."""

    __repr__ = str.__str__


def signature(thing: Any) -> str:
    """The parameters as they are written; nothing for what has none of its own."""
    if isinstance(thing, type) and "__init__" not in vars(thing):
        return ""
    found = inspect.signature(thing)
    parameters = [
        p.replace(annotation=Written(p.annotation)) if isinstance(p.annotation, str) else p
        for p in found.parameters.values()
        if p.name not in ("self", "cls")
    ]
    gives = found.return_annotation
    return str(
        found.replace(parameters=parameters, return_annotation=Written(gives) if isinstance(gives, str) else gives)
    )


def methods(owner: type) -> Iterator[tuple[str, str]]:
    """Heading and text of each public method that the class itself has."""
    for name, raw in vars(owner).items():
        thing = getattr(raw, "fget", None) or getattr(raw, "func", None) or getattr(raw, "__func__", raw)
        if name.startswith("_") or not inspect.isfunction(thing):
            continue
        call = "" if isinstance(raw, property) or hasattr(raw, "func") else signature(thing)
        mark = "await " if inspect.iscoroutinefunction(thing) else ""
        yield f"{mark}.{name}{call}", first_paragraph(f"{owner.__name__}.{name}", thing)


def entry(name: str, thing: Any) -> str:
    lines = [f"### `{name}`\n"]
    if inspect.isfunction(thing):
        lines.append(f"```\n{name}{signature(thing)}\n```\n")
    if inspect.isfunction(thing) or inspect.isclass(thing):
        lines.append(first_paragraph(name, thing) + "\n")
    else:
        lines.append(f"A name for the type `{thing}`.\n")
    if inspect.isclass(thing):
        lines += ["".join(f"- `{head}`: {text}\n" for head, text in methods(thing))] * any(methods(thing))
    return "\n".join(lines)


def kind(thing: Any) -> str:
    if inspect.isclass(thing):
        return "Errors" if issubclass(thing, Exception) else "Classes"
    return "Functions" if inspect.isfunction(thing) else "Types of attributes"


def api_page() -> str:
    import stateroom

    public = {name: getattr(stateroom, name) for name in stateroom.__all__}
    parts = [
        NOTE,
        "# The Python face\n",
        "`import stateroom as sr`; every public name, and what the classes hand out.\n",
    ]
    for group in ("Functions", "Classes", "Types of attributes", "Errors"):
        members = [entry(name, thing) for name, thing in sorted(public.items()) if kind(thing) == group]
        parts += [f"## {group}\n", *members] if members else []
    parts.append("## Handed out\n")
    for path in HANDED_OUT:
        module, _, name = path.rpartition(".")
        parts.append(entry(f"{module.rpartition('.')[2]}.{name}", getattr(import_module(module), name)))
    return "\n".join(parts)


def turn_page() -> str:
    from stateroom.bot.turn import MEANING, diagram

    rows = "".join(f"| `{state}` | {meaning} |\n" for state, meaning in MEANING.items())
    head = "# The turn\n\nOne accepted message, from its row to its end. Drawn from the table in `bot/turn.py`.\n"
    return "\n".join([NOTE, head, f"```mermaid\n{diagram()}```\n", f"| state | meaning |\n| --- | --- |\n{rows}"])


def states_page() -> str:
    from stateroom.layers.installations_states import EVENTS, MEANING, diagram

    head = (
        "# The states of an installation\n\nOne app in one workspace, or org-wide in one organisation. "
        "Drawn from the table in `layers/installations_states.py`.\n"
    )
    states = "".join(f"| `{state}` | {meaning} |\n" for state, meaning in MEANING.items())
    events = "".join(f"| `{event}` | {meaning} |\n" for event, meaning in EVENTS.items())
    tables = [f"| {head} | |\n| --- | --- |\n{rows}" for head, rows in (("state", states), ("event", events))]
    return "\n".join([NOTE, head, f"```mermaid\n{diagram()}```\n", *tables])


def emulator_page() -> str:
    """The written page, with the two tables between its marks made anew."""
    from stateroom.emulator import parity

    tables = {
        "methods": parity.table("method", parity.METHODS, parity.ABSENT_METHODS),
        "events": parity.table("event", parity.EVENTS, parity.ABSENT_EVENTS),
    }
    return written("docs/emulator.md", tables)


def model_page() -> str:
    """The written page, with the two tables between its marks made anew."""
    from stateroom.bot import endings, model_failures

    return written("docs/model.md", {"endings": endings.table(), "failures": model_failures.table()})


def written(path: str, tables: Mapping[str, str]) -> str:
    """A page that people write, with each table between its marks made anew."""
    page = (ROOT / path).read_text(encoding="utf-8")
    for name, text in tables.items():
        before, begin, rest = page.partition(f"<!-- {name}: made by")
        note, _, rest = rest.partition("\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->")
        if not end:
            raise MissingText(f"{path} has lost its mark for the {name}")
        page = f"{before}{begin}{note}\n\n{text}\n{end}{after}"
    return page


def schema_page() -> str:
    from stateroom.design.schema import published

    return published()


def findings_page() -> str:
    """The list of all findings, with their pages."""
    from stateroom.design.findings import FINDINGS

    rows = [f"| [{id}]({id}.md) | {kind.severity} | {kind.title} |" for id, kind in FINDINGS.items()]
    head = "# Findings\n\nWhat `stateroom design` tells, by its stable id.\n\n| id | severity | title |\n"
    return f"{NOTE}\n{head}| --- | --- | --- |\n" + "\n".join(rows) + "\n"


def finding_pages() -> dict[str, Callable[[], str]]:
    from stateroom.design.findings import FINDINGS, page

    return {f"docs/findings/{id}.md": partial(page, id) for id in FINDINGS}


PAGES: Final[dict[str, Callable[[], str]]] = {
    "docs/cli.md": cli_page,
    "docs/settings.md": settings_page,
    "docs/api.md": api_page,
    "docs/turn.md": turn_page,
    "docs/emulator.md": emulator_page,
    "docs/model.md": model_page,
    "docs/installation-states.md": states_page,
    "docs/design.schema.json": schema_page,
    "docs/findings/README.md": findings_page,
    **finding_pages(),
}


def stale(root: Path = ROOT) -> list[str]:
    """The pages that are not what the program says now."""
    texts = {page: (root / page).read_text(encoding="utf-8") if (root / page).exists() else "" for page in PAGES}
    return [page for page, make in PAGES.items() if texts[page] != make()]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page is out of date")
    arguments = parser.parse_args(argv)
    if arguments.check:
        old = stale()
        print(*[f"{page} is out of date: make reference" for page in old], sep="\n", end="\n" if old else "")
        return 1 if old else 0
    for page, make in PAGES.items():
        (ROOT / page).write_text(make(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
