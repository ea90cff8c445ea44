"""What `stateroom mcp` can tell: designs compiled, conditions checked, items weighed, findings explained.

Rules of this file: pure, and without the protocol: texts and JSON values in, JSON values out. What cannot be done is an
error of ours whose message says the next step. Numbers that a model would otherwise guess come from design/ and expr/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from stateroom.cli.datastore_where import condition as condition_of
from stateroom.cli.datastore_where import slack_condition, translate
from stateroom.design.costs import took
from stateroom.design.document import from_definitions, read_design
from stateroom.design.facts import SLACK, source
from stateroom.design.findings import FINDINGS, identified, page
from stateroom.design.outputs import findings_json, outputs, summary
from stateroom.design.parts import Plan
from stateroom.design.plan import plan as planned
from stateroom.design.problems import DesignInvalid
from stateroom.design.sizes import item_bytes, item_max_bytes, items_per_page, pages
from stateroom.expr.check import check, paths
from stateroom.expr.evaluate import evaluate
from stateroom.expr.render import render
from stateroom.model.codec import normalise_item
from stateroom.model.errors import InvalidCondition, InvalidValue, WrongUse
from stateroom.model.profiles import size_of
from stateroom.model.schema.manifest import datastores_of

Answer = dict[str, Any]

MAX_TEXT: Final = 1 << 20  # characters of a file: as much as Slack's own bodies may have
WHOLE: Final = ("design.md",)  # what is shown of a build when nothing else is asked for


def design_check(design: str | None, manifest: Mapping[str, Any] | None) -> Answer:
    """What a design, or a Slack manifest without one, would run into."""
    if (design is None) == (manifest is None):
        raise WrongUse("give either design (YAML or JSON text) or manifest (Slack's, an object)")
    if design is not None:
        return _judged(design, summary)
    return {"valid": True, **plain(summary(planned(from_definitions(datastores_of(manifest or {})))))}


def design_build(design: str, files: list[str]) -> Answer:
    """Every file of a design by its name and size, and the texts of those that are asked for."""

    def told(plan: Plan) -> Answer:
        made = outputs(plan)
        if unknown := [name for name in files if name not in made]:
            raise WrongUse(f"there is no file {unknown[0]}; there are {', '.join(sorted(made))}")
        return {
            "findings": findings_json(plan.findings),
            "files": {name: len(text.encode()) for name, text in sorted(made.items())},
            "texts": {name: made[name] for name in files or WHOLE},
        }

    return _judged(design, told)


def check_expression(
    expression: str,
    names: Mapping[str, str] | None,
    values: Mapping[str, Any] | None,
    item: Mapping[str, Any] | None,
    key: str | None,
) -> Answer:
    """What a condition means in Slack's syntax, or where it is wrong; with an item, whether it holds for it."""
    known = None if values is None else normalise_item(values)
    try:
        if names or known:
            condition = slack_condition(_short(expression, "expression"), names, known)
            text, bound_names, bound = expression, dict(names or {}), known or {}
        else:
            made = translate(_short(expression, "expression"))
            text, bound_names, bound = made.text, made.names, made.values
            condition = condition_of(expression)
        check(condition, key=key)
    except InvalidCondition as error:
        return {"valid": False, "problem": str(error), "position": error.position}
    return {
        "valid": True,
        "slack": {"expression": text, "expression_attributes": bound_names, "expression_values": plain(bound)},
        "canonical": render(condition)[0],
        "attributes": sorted(paths(condition)),
        **({} if item is None else {"holds": evaluate(condition, normalise_item(item))}),
    }


def estimate_item(item: Mapping[str, Any] | None, design: str | None, entity: str | None, items: int) -> Answer:
    """Bytes of an item as DynamoDB counts them, and what reading so many of them costs under Slack's limits."""
    largest: int | None
    if item is not None and design is None:
        canonical = normalise_item(item)
        size = largest = size_of(canonical)
        each = {name: size_of({name: value}) for name, value in canonical.items()}
    elif design is not None and item is None:
        plan = planned(read_design(_short(design, "design")))
        if entity is None or entity not in plan.design.by_name:
            raise WrongUse(f"which entity? There are {', '.join(plan.design.by_name)}")
        attributes = plan.store(entity).attributes  # as it is stored: with its key, and all that the plan adds
        size, largest = item_bytes(attributes, SLACK), item_max_bytes(attributes, SLACK)
        each = {name: item_bytes({name: one}, SLACK) for name, one in attributes.items()}
    else:
        raise WrongUse("give either item (a JSON object), or design with entity")
    calls = pages(items, size, SLACK)
    tier = SLACK.tier("apps.datastore.query")
    return {
        "bytes": size,
        "largest_bytes": largest,
        "by_attribute": dict(sorted(each.items(), key=lambda one: (-one[1], one[0]))),
        "limit_bytes": SLACK.item_bytes,
        "fits": largest is not None and largest < SLACK.item_bytes,
        "scan": {
            "items": items,
            "items_per_page": items_per_page(size, SLACK),
            "calls": calls,
            "calls_per_minute_allowed": tier,
            "seconds": took({"apps.datastore.query": calls}, {}, SLACK) / 1000,
        },
        "source": source("item_bytes", "page_items", "page_bytes", "tier_4", "call_ms"),
    }


def explain_finding(id: str) -> Answer:
    """What a finding means."""
    id = identified(id)
    kind = FINDINGS[id]
    return {
        "id": id,
        "title": kind.title,
        "severity": kind.severity,
        "why": kind.why,
        "cure": kind.cure,
        "page": page(id),
    }


def plain(value: Any) -> Any:
    """A value of ours as JSON has it: whole numbers stay whole."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _judged(text: str, told: Callable[[Plan], Answer]) -> Answer:
    """`told` of the plan, or all that is wrong with the text at once: who mends one fault wants to see the others."""
    try:
        made = planned(read_design(_short(text, "design")))
    except DesignInvalid as error:
        return {"valid": False, "problems": [one._asdict() for one in error.problems]}
    return {"valid": True, **plain(told(made))}


def _short(text: str, what: str) -> str:
    if len(text) > MAX_TEXT:
        raise InvalidValue(
            what, f"has {len(text)} characters, at most {MAX_TEXT} are read; leave out what is not needed"
        )
    return text
