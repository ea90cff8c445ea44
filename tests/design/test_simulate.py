"""`stateroom design simulate`: what a design claims, measured by running it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from stateroom.cli import main

pytestmark = pytest.mark.service
GALLERY = sorted((Path(__file__).parents[2] / "examples" / "designs").glob("*.yaml"))


def simulated(file: Path, *options: str) -> tuple[int, list[dict[str, object]], str]:
    done = CliRunner().invoke(main, ["design", "simulate", str(file), "--json", *options])
    return done.exit_code, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.parametrize("file", GALLERY, ids=lambda one: one.stem)
def test_the_gallery_costs_what_is_predicted(file: Path) -> None:
    code, rows, told = simulated(file, "--minutes", "10", "--most", "30000")
    assert [row for row in rows if not row["ok"]] == []
    assert (code, "predictions" in told) == (0, True)


def test_the_same_seed_measures_the_same() -> None:
    polls = next(one for one in GALLERY if one.stem == "polls")
    once, again, other = (simulated(polls, "--minutes", "5", "--seed", seed)[1] for seed in ("1", "1", "2"))
    assert once == again
    assert [row["ok"] for row in once] == [row["ok"] for row in other]
