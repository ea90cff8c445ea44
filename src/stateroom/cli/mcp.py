"""`stateroom mcp`: the design compiler and the condition checker as tools of Claude, ChatGPT and others.

Rules of this file: it carries values between the protocol's official SDK and mcp_tools.py, over stdin and stdout, and
logs to stderr. Nothing here writes, and items are shown only when the person who starts it says so (`--query`): what a
tool answers goes to the model's provider. Errors of ours are told to the model, whose next try they are for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Final, ParamSpec

import click
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from stateroom import __version__
from stateroom.cli import mcp_tools as tools
from stateroom.cli.datastore_argument import Source
from stateroom.cli.datastore_target import Target
from stateroom.cli.datastore_target import use as on_target
from stateroom.cli.datastore_where import condition_of
from stateroom.cli.definitions import definitions_option
from stateroom.cli.output import store_option
from stateroom.design.example import TEXT
from stateroom.design.schema import published
from stateroom.model.codec import normalise_item
from stateroom.model.errors import StateroomError

P = ParamSpec("P")

INSTRUCTIONS: Final = (
    "Stateroom designs what a Slack app remembers. Write a design (the resources have its JSON Schema and a commented "
    "example), check it with design_check, mend what the findings say, and build it with design_build. Use "
    "check_expression and estimate_item instead of guessing what a condition means or how large an item is."
)
PAGE: Final = 100  # items of one answer at most
_READS: Final = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)

Design = Annotated[str, Field(description="The design file's text, YAML or JSON.")]


def told(tool: Callable[P, tools.Answer]) -> Callable[P, tools.Answer]:
    """The tool with our errors as the protocol has them: the words go to the model, no traceback to the log."""

    @wraps(tool)
    def call(*args: P.args, **kwargs: P.kwargs) -> tools.Answer:
        try:
            return tool(*args, **kwargs)
        except StateroomError as error:
            raise ToolError(str(error)) from None

    return call


def design_check(
    design: Design | None = None,
    manifest: Annotated[
        dict[str, Any] | None, Field(description="Slack's app manifest, instead of a design: then without volumes.")
    ] = None,
) -> tools.Answer:
    """Say what a design runs into on Slack's datastores: findings (id, severity, place, reason, cure), the access map
    with calls, pages and items evaluated today and in a year, calls against each rate tier, sizes, and go or no-go of
    each obligation. A file that cannot be read gives `valid: false` and every problem with line, column and next step.
    """
    return tools.design_check(design, manifest)


def design_build(
    design: Design,
    files: Annotated[list[str], Field(description="Names of files whose text is wanted; none: design.md.")] = [],  # noqa: B006
) -> tools.Answer:
    """Compile a design into everything that it needs: design.md, manifest.json, definitions.py, TypeScript that deploys
    on Slack, runbooks. Answers with the name and size of each file and the text of those that are asked for.
    """
    return tools.design_build(design, files)


def check_expression(
    expression: Annotated[str, Field(description="\"status = 'open' AND votes > 3\", or Slack's own syntax.")],
    names: Annotated[dict[str, str] | None, Field(description="For Slack's syntax: #name to attribute.")] = None,
    values: Annotated[dict[str, Any] | None, Field(description="For Slack's syntax: :value to value.")] = None,
    item: Annotated[dict[str, Any] | None, Field(description="An item to try the condition on.")] = None,
    key: Annotated[str | None, Field(description="The primary key, which Slack allows in no expression.")] = None,
) -> tools.Answer:
    """Check a datastore condition: whether it means something, what Slack must be sent (expression, names, values),
    which attributes it looks at and, given an item, whether it holds for it. Wrong ones say why and at which character.
    """
    return tools.check_expression(expression, names, values, item, key)


def estimate_item(
    item: Annotated[dict[str, Any] | None, Field(description="A whole item to weigh.")] = None,
    design: Design | None = None,
    entity: Annotated[str | None, Field(description="With design: the entity whose average item is weighed.")] = None,
    items: Annotated[int, Field(ge=1, le=10**9, description="How many there are, for what a full read costs.")] = 1000,
) -> tools.Answer:
    """Weigh an item as DynamoDB counts it against Slack's 400 KB, attribute by attribute, and say what reading all
    items costs: pages of 1 MB, calls, and seconds under the rate tier.
    """
    return tools.estimate_item(item, design, entity, items)


def explain_finding(
    id: Annotated[str, Field(description="A finding's id, such as SR-301.")],
) -> tools.Answer:
    """Explain one finding of design_check: why it matters, its cure, and its page of the documentation."""
    return tools.explain_finding(id)


def query_tool(source: Source) -> Callable[..., tools.Answer]:
    """`datastore_query` on the store that was named when the server was started."""

    def datastore_query(  # noqa: PLR0917, the protocol gives arguments by name
        datastore: Annotated[str, Field(description="The datastore's name.")],
        where: Annotated[str | None, Field(description="\"status = 'open'\"; nothing: all items.")] = None,
        team: Annotated[str | None, Field(description="The workspace; nothing: the only one.")] = None,
        order: Annotated[str | None, Field(description="A declared index to order by; nothing: by key.")] = None,
        limit: Annotated[int, Field(ge=1, le=PAGE, description="At most so many items.")] = 20,
        cursor: Annotated[str | None, Field(description="Of the answer before, to go on behind it.")] = None,
    ) -> tools.Answer:
        """Read items of a datastore that fulfil a condition. Nothing is written; encrypted attributes stay sealed."""
        chosen = condition_of({}, where)
        asked = {"datastore": datastore, **({} if team is None else {"team": team})}

        async def job(target: Target) -> tools.Answer:
            page = await target.read.query(chosen, order=order, limit=limit, cursor=cursor)
            return {"items": [tools.plain(normalise_item(one)) for one in page.items], "cursor": page.cursor}

        return on_target(source, asked, job)

    return datastore_query


def server(query: Source | None) -> MCPServer[Any]:
    """The server with its tools and resources. `query`: the store that may be read; None: none."""
    made: MCPServer[Any] = MCPServer(
        "stateroom", title="Stateroom", instructions=INSTRUCTIONS, version=__version__, log_level="WARNING"
    )
    for tool in (design_check, design_build, check_expression, estimate_item, explain_finding):
        made.add_tool(told(tool), annotations=_READS)
    if query is not None:
        made.add_tool(told(query_tool(query)), annotations=_READS)
    made.resource("stateroom://design.schema.json", mime_type="application/json")(design_schema)
    made.resource("stateroom://design.example.yaml", mime_type="application/yaml")(design_example)
    return made


def design_schema() -> str:
    """The JSON Schema of a design file."""
    return published()


def design_example() -> str:
    """A commented design file to begin with."""
    return TEXT.replace("NAME", '"my-app"')


@click.command()
@click.option("--query", is_flag=True, help="Also offer datastore_query: the model may read items of the store.")
@definitions_option
@store_option
def mcp(*, query: bool, definitions: str | None, store: str | None) -> None:
    """Offer the design compiler to Claude, ChatGPT and other MCP clients, over stdin and stdout.

    Tools: design_check, design_build, check_expression, estimate_item, explain_finding; with --query also
    datastore_query, which reads and never writes. docs/mcp.md has the lines that each client's settings need.
    """
    asyncio.run(server(Source(store, definitions) if query else None).run_stdio_async())
