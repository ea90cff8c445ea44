"""The turn's table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateroom.bot.turn import MEANING, STATES, TRANSITIONS, IllegalTransition, backoff, diagram, step

EVENTS = sorted({event for _, event in TRANSITIONS})


def test_every_state_is_named_explained_and_reachable() -> None:
    assert set(MEANING) == set(STATES)
    reached = {"received"}
    while True:
        more = {after for (before, _), after in TRANSITIONS.items() if before in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(STATES)


def test_what_is_done_or_refused_stays_so() -> None:
    assert not [pair for pair in TRANSITIONS if pair[0] in ("done", "refused")]


def test_from_every_open_state_a_turn_can_be_taken_over_and_ended() -> None:
    for state in ("received", "claimed", "answering", "posted"):
        assert (state, "claim") in TRANSITIONS
    for state in ("claimed", "answering", "posted"):
        assert step(state, "fail") == "failed"


def test_nothing_is_done_before_it_was_posted_or_was_silent() -> None:
    assert {before for (before, event), after in TRANSITIONS.items() if after == "done"} == {"posted", "claimed"}


@given(st.sampled_from(STATES), st.sampled_from(EVENTS))
def test_an_event_that_the_table_does_not_know_is_an_error(state: str, event: str) -> None:
    if (state, event) in TRANSITIONS:
        assert step(state, event) in STATES
    else:
        with pytest.raises(IllegalTransition):
            step(state, event)


@given(st.integers(1, 60), st.floats(0, 0.999), st.floats(0, 100))
def test_waiting_grows_is_capped_jittered_and_never_shorter_than_slack_asked(
    attempt: int, chance: float, asked: float
) -> None:
    wait = backoff(attempt, 1.0, lambda: chance, asked=asked)
    top = min(60.0, 2.0 ** (attempt - 1))
    assert wait >= asked
    assert wait == asked or top / 2 <= wait <= top


def test_the_diagram_shows_every_transition() -> None:
    drawn = diagram()
    for (before, event), after in TRANSITIONS.items():
        assert f"{before} --> {after}: {event}" in drawn
