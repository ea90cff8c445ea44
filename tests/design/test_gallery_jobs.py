"""The seven jobs on the gallery: what each says today, in a file that people read; a change of it is looked at.

`python tests/design/test_gallery_jobs.py` writes the file anew.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from stateroom.design.document import read_design
from stateroom.design.parts import PREFIX, Cost, Plan
from stateroom.design.plan import plan

pytestmark = pytest.mark.service
SHAPES = sorted((Path(__file__).parents[2] / "examples" / "designs").glob("*.yaml"))
SAID = Path(__file__).with_name("gallery.json")


def calls(cost: Cost) -> str:
    return " ".join(f"{method.removeprefix(PREFIX)} {times}" for method, times in cost.calls.items())


def seven_jobs(found: Plan) -> dict[str, Any]:
    """The decisions and numbers of each job."""
    on_slack = [one for one in found.capacity if one.home == "slack"]
    return {
        "modelling": {one.name: f"{one.role} in {one.home} by {', '.join(one.recipe.parts)}" for one in found.stores},
        "access": {
            one.pattern: one.operation if one.home == "external" else f"{one.operation}: {calls(one.today)}"
            for one in found.accesses
        },
        "consistency": {one.pattern: f"{one.cure}{'' if one.closes else ', not closed'}" for one in found.races},
        "capacity": {
            **{one.datastore: f"{one.item_bytes} B, {one.items_year} items in a year" for one in on_slack},
            **{one.method.removeprefix(PREFIX): f"{one.today:g} of {one.allowed} a minute" for one in found.tiers},
        },
        "retention": {one.entity: f"{one.how}, {one.mode}, {one.due_per_day} a day" for one in found.retention},
        "evolution": {one.datastore: f"{one.items} items, {one.seconds} s, {one.runs} runs" for one in found.rollouts},
        "failure": {one.pattern: sum(1 for f in found.failures if f.pattern == one.pattern) for one in found.accesses},
        "obligations": {f"{v.obligation} {v.place}": "go" if v.go else "no go" for v in found.verdicts},
        "findings": sorted(f"{one.id} {one.place}" for one in found.findings),
    }


@pytest.mark.parametrize("file", SHAPES, ids=lambda one: one.stem)
def test_each_job_says_of_the_gallery_what_was_looked_at(file: Path) -> None:
    assert seven_jobs(plan(read_design(file.read_text()))) == json.loads(SAID.read_text())[file.stem]


if __name__ == "__main__":
    made = {file.stem: seven_jobs(plan(read_design(file.read_text()))) for file in SHAPES}
    SAID.write_text(json.dumps(made, indent=1) + "\n")
