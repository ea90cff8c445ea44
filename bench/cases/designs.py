"""The design compiler on 10 entities and 100 patterns: read, planned and written, beside reading the YAML alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import yaml

from bench.frame import Contenders, Must, case

ENTITY = """  e{n}:
    key: [team, number]
    attributes: {{team: team_id, number: integer, status: {{type: string, values: [open, done]}}, who: user_id,
      body: {{type: string, avg_bytes: 400, max_bytes: 4000}}, at: timestamp}}
    lifecycle: {{attribute: status, transitions: {{open: [done]}}}}
    volume: {{initial: 9000, per_day: 100}}
    retention: {{after: at, days: 90}}
"""
PATTERN = """  - {{name: p{n}, entity: e{e}, kind: list, where: "who = :u AND status = 'open'", order: at desc,
     expected_items: 5, per_minute: 1}}
"""


def text() -> str:
    """A design of the size that the bound is said for."""
    entities = "".join(ENTITY.format(n=n) for n in range(10))
    patterns = "".join(PATTERN.format(n=n, e=n % 10) for n in range(100))
    return f"app: {{name: large}}\nentities:\n{entities}access_patterns:\n{patterns}"


@case(
    "design",
    "`design build` of 10 entities and 100 patterns",
    musts=[Must("read, plan and write", minus="read the YAML", at_most=1.0)],
)
@contextmanager
def large_design() -> Iterator[Contenders]:
    from stateroom.design.document import read_design
    from stateroom.design.outputs import outputs
    from stateroom.design.plan import plan

    given = text()

    def whole() -> float:
        began = perf_counter()
        outputs(plan(read_design(given)))
        return perf_counter() - began

    def yaml_alone() -> float:
        began = perf_counter()
        yaml.compose(given, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return perf_counter() - began

    yield {"read the YAML": yaml_alone, "read, plan and write": whole}
