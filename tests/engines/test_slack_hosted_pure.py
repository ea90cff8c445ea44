"""What slack:// decides before it calls: what Slack's filter is asked, and when a call may leave."""

from random import Random

from stateroom.engines.conformance.conditions import World
from stateroom.engines.slack_hosted_filter import native
from stateroom.engines.slack_hosted_pace import TIERS, Pace, seconds_for
from stateroom.expr.builder import attr
from stateroom.expr.check import check
from stateroom.expr.evaluate import evaluate


def test_slack_is_never_asked_for_less_than_the_condition_matches() -> None:
    world = World(7)
    rows = [world.row() for _ in range(30)]
    asked = 0
    for _ in range(300):
        condition = world.condition()
        found = native(condition, "id")
        if found is not None:
            check(found)
            asked += 1
            assert all(evaluate(found, row) for row in rows if evaluate(condition, row))
    assert asked > 30


def test_what_slack_does_not_document_is_not_asked() -> None:
    a, b = attr("a"), attr("b")
    assert native((a == 1) & (b != 2), "id") == (a == 1)
    assert native((a == 1) | (b != 2), "id") is None
    for own in (attr("id") == "x", ~(a == 1), a.exists(), a.is_in([1, 2]), a == 2**60, a != 1, attr("a", "b") == 1):
        assert native(own, "id") is None
    for theirs in (a.between(1, 2), a.begins_with("x"), a.contains("x"), a.not_exists(), (a < 1) | (b >= 2)):
        assert native(theirs, "id") == theirs


def test_no_minute_has_more_calls_than_the_tier() -> None:
    random = Random(3)
    for method, tier in TIERS.items():
        pace, now, left = Pace(), 1000.0, []
        for _ in range(4 * tier):
            now += random.choice((0.0, 0.0, 0.0, 2.0))
            left.append(now + pace.take(method, now))
        left.sort()
        assert all(left[n + tier] - left[n] >= 59.999 for n in range(len(left) - tier))
        assert seconds_for(method, 4 * tier) > 120


def test_a_method_that_is_held_leaves_when_slack_said() -> None:
    pace = Pace(strict=False)
    assert pace.take("get", 5.0) == 0
    pace.hold("get", 12.0)
    assert (pace.take("get", 5.0), pace.take("put", 5.0), pace.take("get", 13.0)) == (7.0, 0, 0)
