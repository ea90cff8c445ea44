"""Random conditions over HTTP find what the definition of the language says, and nothing else."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateroom.expr.evaluate import evaluate
from stateroom.expr.render import render
from stateroom.expr.tree import Condition
from stateroom.model.codec import encode
from support.conditions import NAMES, conditions, numbers, texts, values
from support.datastores import AppStore, Json, ids, manifest, register
from support.local_slack import LocalSlack, local_slack

pytestmark = pytest.mark.service

ITEMS = 10
TYPES = dict(zip(NAMES, ("string", "number", "boolean", "array", "object"), strict=True))
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "string": texts,
    "number": numbers,
    "boolean": st.booleans(),
    "array": st.lists(values, max_size=3),
    "object": st.dictionaries(st.sampled_from(NAMES), values, max_size=3),
}
items = st.fixed_dictionaries({}, optional={name: BY_TYPE[kind] for name, kind in TYPES.items()})


@pytest.fixture(scope="module")
def store() -> Iterator[AppStore]:
    with local_slack() as slack:
        attributes = {name: {"type": kind} for name, kind in {"key": "string", **TYPES}.items()}
        datastores = {"tickets": {"primary_key": "key", "attributes": attributes}}
        yield register(slack, said=manifest(datastores=datastores))


def post(slack: LocalSlack, method: str, **args: Any) -> Json:
    headers = {"Content-Type": "application/json; charset=utf-8", "Authorization": "Bearer xoxb-local-1"}
    body = encode({"datastore": "tickets", **args})
    answer = slack.request("POST", f"/api/apps.datastore.{method}", body, headers)[1]
    assert answer["ok"] is True, answer
    return answer


@given(st.lists(items, min_size=1, max_size=ITEMS), conditions)
def test_random_conditions_find_what_evaluate_says(store: AppStore, rows: list[Json], condition: Condition) -> None:
    kept = [{"key": str(number), **row} for number, row in enumerate(rows)]
    kept += [{"key": str(number)} for number in range(len(rows), ITEMS)]
    post(store.slack, "bulkPut", items=kept)
    text, names, given_values = render(condition)
    args = {"expression": text, "expression_attributes": names, "expression_values": given_values}
    args = {name: value for name, value in args.items() if value is not None}
    wanted = [item["key"] for item in kept if evaluate(condition, item)]
    assert ids(post(store.slack, "query", **args)) == wanted
    assert post(store.slack, "count", **args)["count"] == len(wanted)
