"""`apps.status` and `apps.manifest.*`, as the Slack CLI calls them: JSON, a person's token, `app_id`."""

import pytest

from support.datastores import PERSON, AppStore, Json, manifest, register
from support.local_slack import LocalSlack

pytestmark = pytest.mark.service


def call(slack: LocalSlack, method: str, **args: object) -> Json:
    return slack.call(f"apps.{method}", token=PERSON, **args)


def changed(*path: str, to: object = None) -> Json:
    """The manifest with one part set, or taken out."""
    said = manifest()
    place = said
    for step in path[:-1]:
        place = place[step]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return said


ATTRIBUTES = ("datastores", "tickets", "attributes")


def test_the_cli_finds_itself_and_its_apps(slack: LocalSlack) -> None:
    register(slack, "A0DEV")
    who = slack.call("auth.test", token=PERSON)
    assert (who["user_id"], who["user"], who["team_id"], who["is_enterprise_install"]) == (
        "U00000001",
        "ada",
        "T00000001",
        False,
    )
    status = call(slack, "status", app_ids=["A0DEV", "A00000001", "A0NONE"], team_id="T00000001")
    assert status["apps"] == [
        {"app_id": "A0DEV", "is_installed": True, "is_hosted": True},
        {"app_id": "A00000001", "is_installed": True, "is_hosted": False},
    ]
    assert call(slack, "status", app_ids=["A0DEV"], team_id="T00000009")["error"] == "team_not_found"
    for number, (said, hosted) in enumerate(
        ((changed("settings"), True), (manifest(settings={"function_runtime": "remote"}), False))
    ):
        register(slack, f"A0{number}", said=said)
        assert [one["is_hosted"] for one in call(slack, "status", app_ids=[f"A0{number}"])["apps"]] == [hosted]


def test_a_manifest_comes_back_as_it_was_given(slack: LocalSlack) -> None:
    register(slack, "A0DEV")
    assert call(slack, "manifest.export", app_id="A0DEV")["manifest"] == manifest()
    assert call(slack, "manifest.export", app_id="A00000001")["manifest"] == {
        "display_information": {"name": "stateroom"}
    }
    assert call(slack, "manifest.export", app_id="A0NONE")["error"] == "invalid_app_id"


def test_a_sound_manifest_validates_without_a_word(slack: LocalSlack) -> None:
    register(slack, "A0DEV")
    for more in ({}, {"app_id": "A0DEV"}):
        assert call(slack, "manifest.validate", manifest=manifest(), **more) == {"ok": True, "errors": []}


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        (changed("display_information"), "/display_information/name"),
        (changed("display_information", "name", to=""), "/display_information/name"),
        (changed("datastores", "tickets", "primary_key", to="none"), "/datastores/tickets/attributes/none"),
        (changed(*ATTRIBUTES, "key", to={"type": "integer"}), "/datastores/tickets/attributes/key"),
        (changed(*ATTRIBUTES, "expires", to={"type": "integer"}), "/datastores/tickets/attributes/expires"),
        (changed(*ATTRIBUTES, "owner", to={"type": "#/types/None"}), "/datastores/tickets/attributes/owner"),
        (changed("datastores", to=[7]), "/datastores"),
        (changed("datastores", "tickets", to=7), "/datastores/tickets"),
        (manifest(datastores={"my/store": manifest()["datastores"]["tickets"]}), "/datastores/my~1store"),
        (
            changed(*ATTRIBUTES, "owner", to={"type": "object", "properties": {}, "required": [{}]}),
            "/datastores/tickets/attributes/owner",
        ),
        (manifest(features={"bot_user": {"display_name": 5}}), "/features/bot_user/display_name"),
        (manifest(oauth_config={"scopes": {"bot": "datastore:read"}}), "/oauth_config/scopes/bot"),
        (manifest(oauth_config={"scopes": {"bot": [5]}}), "/oauth_config/scopes/bot"),
        (
            manifest(settings={"event_subscriptions": {"request_url": 5}}),
            "/settings/event_subscriptions/request_url",
        ),
        (
            manifest(settings={"event_subscriptions": {"bot_events": {}}}),
            "/settings/event_subscriptions/bot_events",
        ),
    ],
)
def test_a_manifest_that_cannot_be_is_refused_with_its_place(slack: LocalSlack, said: Json, pointer: str) -> None:
    for method in ("validate", "create"):
        answer = call(slack, f"manifest.{method}", manifest=said)
        assert answer["error"] == "invalid_manifest"
        assert [one["pointer"] for one in answer["errors"]] == [pointer]


def test_what_slacks_schema_refuses_is_no_registration_either(slack: LocalSlack) -> None:
    said = manifest(oauth_config={"scopes": {"bot": 5}})
    status, answer, _ = slack.request("POST", "/_sim/apps", {"app_id": "A0DEV", "manifest": said})
    assert (status, answer["error"]) == (400, "invalid_arguments")
    assert "/oauth_config/scopes/bot" in answer["detail"]
    assert "A0DEV" not in {app["app_id"] for app in slack.state()["apps"]}


def test_more_than_ten_datastores_are_refused(slack: LocalSlack) -> None:
    one = manifest()["datastores"]["tickets"]
    said = manifest(datastores={f"d{number}": one for number in range(11)})
    assert call(slack, "manifest.validate", manifest=said)["error"] == "invalid_manifest"
    said["datastores"].popitem()
    assert call(slack, "manifest.validate", manifest=said)["ok"] is True


@pytest.mark.parametrize(
    ("said", "pointers"),
    [
        (manifest(datastores={}), ["/datastores/tickets"]),
        (changed(*ATTRIBUTES, "state"), ["/datastores/tickets/attributes/state"]),
        (changed(*ATTRIBUTES, "points", to={"type": "string"}), ["/datastores/tickets/attributes/points"]),
        (changed(*ATTRIBUTES, "more", to={"type": "string"}), []),
    ],
)
def test_a_change_that_loses_data_is_warned_of_and_needs_consent(
    slack: LocalSlack, said: Json, pointers: list[str]
) -> None:
    register(slack, "A0DEV")
    warnings = call(slack, "manifest.validate", manifest=said, app_id="A0DEV").get("warnings", [])
    assert [(one["code"], one["pointer"]) for one in warnings] == [("breaking_change", place) for place in pointers]
    answer = call(slack, "manifest.update", manifest=said, app_id="A0DEV")
    assert answer["ok"] is not bool(pointers)
    if pointers:
        assert answer["error"] == "schema_compatibility_error"
        assert call(slack, "manifest.export", app_id="A0DEV")["manifest"] == manifest()
        assert (
            call(slack, "manifest.update", manifest=said, app_id="A0DEV", consent_breaking_changes=True)["ok"] is True
        )
    assert call(slack, "manifest.export", app_id="A0DEV")["manifest"] == said


def test_a_manifest_that_names_no_scopes_any_more_takes_them_back(slack: LocalSlack) -> None:
    store = register(slack, said=manifest(oauth_config={"scopes": {"bot": ["chat:write"]}}))
    assert store.refused("count")["error"] == "missing_scope"
    answer = call(slack, "manifest.update", manifest=changed("oauth_config"), app_id=store.app_id)
    assert answer["permissions_updated"] is True
    assert store.ok("count")["count"] == 0


def test_a_type_that_slack_does_not_document_is_warned_of(slack: LocalSlack) -> None:
    said = changed(*ATTRIBUTES, "file", to={"type": "slack#/types/file_id"})
    warnings = call(slack, "manifest.validate", manifest=said)["warnings"]
    assert [one["code"] for one in warnings] == ["undocumented"]


def test_an_app_that_is_made_has_its_datastores_at_once(slack: LocalSlack) -> None:
    made = call(slack, "manifest.create", manifest=manifest())
    assert made["credentials"]["signing_secret"]
    other = call(slack, "manifest.create", manifest=manifest())
    assert len({made["app_id"], other["app_id"], "A00000001"}) == 3
    token = slack.sim("POST", "apps", {"app_id": made["app_id"]})["bot_token"]
    bot = AppStore(slack, token, made["app_id"])
    bot.ok("put", item={"key": "a"})
    assert AppStore(slack, PERSON).ok("get", app_id=made["app_id"], id="a")["item"] == {"key": "a"}


def test_a_manifest_may_come_as_text_in_a_form(slack: LocalSlack) -> None:
    person = AppStore(slack, PERSON)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Bearer {person.token}"}
    body = b'manifest={"display_information":{"name":"Made"}}'
    answer = slack.request("POST", "/api/apps.manifest.create", body, headers)[1]
    assert answer["ok"] is True
    assert {app["app_id"]: app["name"] for app in slack.state()["apps"]}[answer["app_id"]] == "Made"
