"""Slack's own clients over all nine datastore methods: deno-slack-api on Node, and slack_sdk, blocking and async."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from support.datastores import ARGS, METHODS, PERSON, AppStore, Json, register
from support.deno_client import deno_calls
from support.local_slack import LocalSlack
from support.node import Workspace

pytestmark = pytest.mark.service

FILTER = {
    "expression": "#s = :s AND attribute_not_exists(#o)",
    "expression_attributes": {"#s": "state", "#o": "owner"},
    "expression_values": {":s": "open"},
}
PLAIN = {"key": "a", "state": "ö&="}
OF_KEY = {"expression": "#k = :k", "expression_attributes": {"#k": "key"}, "expression_values": {":k": "a"}}
# What is called, and what must come back.
STORY: list[tuple[str, Json, Json]] = [
    (
        "put",
        {"item": {"key": "a", "state": "open", "points": 1.5, "tags": ["x"], "urgent": True}},
        {
            "ok": True,
            "datastore": "tickets",
            "item": {"key": "a", "state": "open", "points": 1.5, "tags": ["x"], "urgent": True},
        },
    ),
    (
        "put",
        {"item": {"key": "a", "state": "ö&="}},
        {"ok": True, "datastore": "tickets", "item": {"key": "a", "state": "ö&="}},
    ),
    (
        "update",
        {"item": {"key": "a", "count": 3}},
        {"ok": True, "datastore": "tickets", "item": {"key": "a", "state": "ö&=", "count": 3}},
    ),
    ("get", {"id": "a"}, {"ok": True, "datastore": "tickets", "item": {"key": "a", "state": "ö&=", "count": 3}}),
    ("get", {"id": "gone"}, {"ok": True, "datastore": "tickets", "item": {}}),
    (
        "bulkPut",
        {"items": [{"key": "b", "state": "open"}, {"key": "c", "state": "open", "owner": {"id": "x"}}, {"key": "d"}]},
        {"ok": True, "datastore": "tickets", "failed_items": []},
    ),
    (
        "bulkGet",
        {"ids": ["d", "gone", "b"]},
        {"ok": True, "datastore": "tickets", "items": [{"key": "d"}, {"key": "b", "state": "open"}]},
    ),
    ("query", FILTER, {"ok": True, "datastore": "tickets", "items": [{"key": "b", "state": "open"}]}),
    ("count", FILTER, {"ok": True, "datastore": "tickets", "count": 1}),
    ("count", {}, {"ok": True, "datastore": "tickets", "count": 4}),
    ("delete", {"id": "d"}, {"ok": True}),
    ("delete", {"id": "d"}, {"ok": True}),
    ("bulkDelete", {"ids": ["a", "b", "gone"]}, {"ok": True, "failed_items": []}),
    (
        "query",
        {"limit": 10},
        {"ok": True, "datastore": "tickets", "items": [{"key": "c", "state": "open", "owner": {"id": "x"}}]},
    ),
]
# Every documented error that needs no fault.
ERRORS: list[tuple[str, Json, str]] = [
    *((method, {**args, "datastore": "nothing"}, "datastore_error") for method, args in ARGS.items()),
    *((method, {"datastore": ""}, "invalid_arguments") for method in METHODS),
    *((method, {**args, "app_id": "A0NONE"}, "invalid_app_id") for method, args in ARGS.items()),
    ("put", {"item": {"state": "open"}}, "datastore_error"),
    ("update", {"item": {"key": "a", "more": 1}}, "datastore_error"),
    ("bulkPut", {"items": [{"key": "a"}, {"key": "a"}]}, "datastore_error"),
    ("bulkPut", {"items": [{"key": str(number)} for number in range(26)]}, "invalid_arguments"),
    (
        "query",
        {"expression": "#k = :k", "expression_attributes": {"#k": "key"}, "expression_values": {":k": "a"}},
        "datastore_error",
    ),
    ("count", {"expression": "tags ="}, "datastore_error"),
    ("query", {"limit": 1001}, "invalid_arguments"),
    ("query", {"cursor": "nonsense"}, "invalid_arguments"),
]
# Every documented error of the nine methods that only a fault provokes.
BY_FAULT = (
    *("invalid_datastore", "app_not_hosted", "access_denied", "free_team_not_allowed", "restricted_plan_level"),
    *("datastore_migration_in_progress", "team_quota_exceeded", "account_inactive", "token_expired", "token_revoked"),
    *("ekm_access_denied", "enterprise_is_restricted", "org_login_required", "no_permission", "is_bot"),
    *("two_factor_setup_required", "accesslimited", "fatal_error", "service_unavailable", "team_added_to_org"),
    *("method_deprecated", "deprecated_endpoint", "request_timeout"),
)


def named(method: str, args: Json) -> tuple[str, Json]:
    return f"apps.datastore.{method}", {"datastore": "tickets", **args}


@pytest.fixture
def store(slack: LocalSlack) -> AppStore:
    return register(slack)


def test_slacks_deno_client_does_all_nine(node_workspace: Workspace, store: AppStore) -> None:
    answers = deno_calls(node_workspace, store.slack, [named(method, args) for method, args, _ in STORY])
    assert answers == [wanted for _, _, wanted in STORY]
    assert {method for method, _, _ in STORY} == set(METHODS)


def test_slacks_deno_client_meets_every_error_that_can_be_provoked(node_workspace: Workspace, store: AppStore) -> None:
    register(store.slack, "A0OTHER")
    answers = deno_calls(node_workspace, store.slack, [named(method, args) for method, args, _ in ERRORS])
    assert [(one["ok"], one["error"]) for one in answers] == [(False, error) for _, _, error in ERRORS]
    assert all(one["errors"][0].keys() >= {"code", "message", "pointer"} for one in answers if "errors" in one)
    wrong = [
        *(named(method, {**ARGS[method], "token": "xoxb-wrong"}) for method in METHODS),
        ("apps.datastore.fly", {}),
    ]
    (nobody,) = deno_calls(node_workspace, store.slack, [named("count", {})], token="")
    assert nobody["error"] == "not_authed"
    answers = deno_calls(node_workspace, store.slack, wrong)
    assert [one["error"] for one in answers] == ["invalid_auth"] * 9 + ["unknown_method"]


def test_slacks_deno_client_meets_faults(node_workspace: Workspace, store: AppStore) -> None:
    for code in BY_FAULT:
        store.slack.fault("error", method="apps.datastore.*", code=code)
    calls = [named(METHODS[number % 9], ARGS[METHODS[number % 9]]) for number in range(len(BY_FAULT))]
    answers = deno_calls(node_workspace, store.slack, calls)
    assert [one.get("error") for one in answers] == list(BY_FAULT)
    store.slack.fault("throttle", method="apps.datastore.get", retry_after=7)
    store.slack.fault("partial_failure", method="apps.datastore.bulk*", count=3)
    calls = [named(method, ARGS[method]) for method in ("get", "bulkGet", "bulkPut", "bulkDelete")]
    throttled, *partial = deno_calls(node_workspace, store.slack, calls)
    assert (throttled["thrown"]["status"], throttled["thrown"]["retryAfter"]) == (429, "7")
    assert [one["error"] for one in partial] == ["partial_failure"] * 3
    assert [one["failed_items"] for one in partial] == [["T-1"], [{"key": "T-1"}], ["T-1"]]


def test_slacks_deno_client_pages_and_may_name_the_app_with_a_persons_token(
    node_workspace: Workspace, store: AppStore
) -> None:
    store.fill([{"key": f"{number:02}"} for number in range(7)])
    seen: list[str] = []
    cursor: Any = None
    while cursor != "":
        args = {"app_id": store.app_id, "limit": 3, "cursor": cursor}
        (page,) = deno_calls(node_workspace, store.slack, [named("query", args)], token=PERSON)
        seen += [item["key"] for item in page["items"]]
        cursor = page.get("response_metadata", {}).get("next_cursor", "")
    assert seen == [f"{number:02}" for number in range(7)]


async def _tell(call: Callable[[], Awaitable[Any]]) -> Json:
    try:
        return dict((await call()).data)
    except SlackApiError as error:
        return dict(error.response.data)


async def test_slacks_async_python_client_does_all_nine_and_meets_the_errors(store: AppStore) -> None:
    client = AsyncWebClient(token=store.token, base_url=store.slack.api_url)
    for method, args, wanted in STORY:
        name, given = named(method, args)
        assert await _tell(lambda name=name, given=given: client.api_call(name, json=given)) == wanted  # type: ignore[misc]
    for method, args, error in ERRORS:
        name, given = named(method, args)
        answer = await _tell(lambda name=name, given=given: client.api_call(name, json=given))  # type: ignore[misc]
        assert (answer["ok"], answer["error"]) == (False, error)


def test_slacks_python_client_meets_faults(store: AppStore) -> None:
    client = WebClient(token=store.token, base_url=store.slack.api_url)
    for number, code in enumerate(BY_FAULT):
        store.slack.fault("error", method="apps.datastore.*", code=code)
        name, given = named(METHODS[number % 9], ARGS[METHODS[number % 9]])
        with pytest.raises(SlackApiError) as caught:
            client.api_call(name, json=given)
        assert caught.value.response["error"] == code
    store.slack.fault("partial_failure", method="apps.datastore.bulk*", count=3)
    for method, failed in (("bulkGet", ["T-1"]), ("bulkPut", [{"key": "T-1"}]), ("bulkDelete", ["T-1"])):
        name, given = named(method, ARGS[method])
        with pytest.raises(SlackApiError) as caught:
            client.api_call(name, json=given)
        assert (caught.value.response["error"], caught.value.response["failed_items"]) == ("partial_failure", failed)
    for token, error in (("", "not_authed"), ("xoxb-wrong", "invalid_auth")):
        with pytest.raises(SlackApiError) as caught:
            WebClient(token=token, base_url=store.slack.api_url).api_call("apps.datastore.count", json={})
        assert caught.value.response["error"] == error


def test_slacks_python_client_sends_forms_as_well(store: AppStore) -> None:
    client = WebClient(token=store.token, base_url=store.slack.api_url)
    for method, args, wanted in STORY:
        name, given = named(method, args)
        fields = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
        assert client.api_call(name, data=fields).data == wanted
