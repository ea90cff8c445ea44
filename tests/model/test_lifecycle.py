"""Lifecycles: which state may follow which, and where an item may begin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateroom.model.errors import InvalidDefinition
from stateroom.model.lifecycle import Lifecycle

TICKET = Lifecycle("status", open=["approved", "refused"], approved=["done"], refused=["open"])


def test_states_are_all_that_are_named_in_their_order() -> None:
    assert TICKET.states == ("open", "approved", "refused", "done")


@pytest.mark.parametrize(
    ("state", "before"),
    [
        ("open", {"open", "refused"}),
        ("approved", {"approved", "open"}),
        ("done", {"done", "approved"}),
        ("gone", set()),
    ],
)
def test_a_state_is_reached_from_those_that_lead_to_it_and_from_itself(state: str, before: set[str]) -> None:
    assert TICKET.allowed_from(state) == before


def test_without_an_initial_state_an_item_may_begin_in_any_known_one() -> None:
    assert all(TICKET.may_begin(state) for state in TICKET.states)
    assert not TICKET.may_begin("gone")


@pytest.mark.parametrize("initial", ["open", ("open", "approved")])
def test_with_initial_states_an_item_begins_there_only(initial: str | tuple[str, ...]) -> None:
    lifecycle = Lifecycle("status", initial, open=["approved"], approved=["done"])
    begins = [s for s in lifecycle.states if lifecycle.may_begin(s)]
    assert begins == ([initial] if isinstance(initial, str) else list(initial))


def test_names_that_are_no_arguments_are_given_as_a_mapping() -> None:
    lifecycle = Lifecycle("status", transitions={"in review": ["initial"], "initial": ["attribute"]}, attribute=[])
    assert lifecycle.states == ("in review", "initial", "attribute")
    assert lifecycle.attribute == "status"


def test_a_state_instead_of_a_list_of_states_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match=r'open=\["approved"\]'):
        Lifecycle("status", open="approved")


def test_two_of_the_same_are_equal_and_may_be_in_a_set() -> None:
    same = Lifecycle("status", open=("approved", "refused"), approved=["done"], refused=["open"])
    assert {TICKET, same} == {TICKET}
    assert Lifecycle("status", "open", open=["approved", "refused"], approved=["done"], refused=["open"]) != TICKET


@given(st.dictionaries(st.sampled_from("abcd"), st.lists(st.sampled_from("abcd"), max_size=3), min_size=1))
def test_transitions_read_backwards_are_the_same_transitions(ways: dict[str, list[str]]) -> None:
    lifecycle = Lifecycle("status", transitions=ways)
    for state in lifecycle.states:
        for following in lifecycle.states:
            allowed = following in ways.get(state, ()) or state == following
            assert (state in lifecycle.allowed_from(following)) == allowed


@given(st.dictionaries(st.sampled_from("abcd"), st.lists(st.sampled_from("abcd"), max_size=3), min_size=1))
def test_a_state_that_cannot_be_reached_is_a_fault_exactly_when_no_way_leads_there(ways: dict[str, list[str]]) -> None:
    lifecycle = Lifecycle("status", next(iter(ways)), transitions=ways)
    reached = {next(iter(ways))}
    for _ in "abcd":
        reached |= {s for state in reached for s in ways.get(state, ())}
    assert (list(lifecycle.faults(())) == []) == (reached == set(lifecycle.states))
