"""The table of features: what each asks of Slack, and why."""

import pytest

from stateroom.model.errors import WrongUse
from stateroom.slack.features import DEFAULT, FEATURES, LEAST, checked, events, scopes


def test_every_feature_says_what_it_is_and_each_scope_why() -> None:
    for name, feature in FEATURES.items():
        assert len(feature.help) > 10, name
        assert all(reason.startswith("to ") for reason in feature.scopes.values()), name
        assert {*feature.needs, *feature.not_with} <= FEATURES.keys()


def test_what_is_enabled_by_itself_can_be() -> None:
    assert checked(DEFAULT) == DEFAULT
    assert checked(LEAST) == LEAST


def test_features_come_in_the_tables_order_each_once() -> None:
    assert checked(["direct", "mentions", "direct"]) == ("mentions", "direct")


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["mentoins"], "'mentoins' is no feature"),
        (["threads"], "threads needs mentions"),
        (["direct", "agent", "assistant"], "agent and assistant exclude each other"),
    ],
)
def test_what_cannot_be_together_is_refused_in_words(names: list[str], what: str) -> None:
    with pytest.raises(WrongUse, match=what):
        checked(names)


def test_a_scope_of_two_features_has_both_reasons() -> None:
    assert set(scopes(["mentions", "threads"])["channels:history"]) == {"mentions", "threads"}


def test_events_are_named_once() -> None:
    assert events(["mentions", "mentions", "direct"]) == ["app_mention", "message.im"]
