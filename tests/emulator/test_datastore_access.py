"""Who may call the datastore methods, in which form, and whose data they see. docs/slack-parity.md points here."""

from urllib.parse import quote_plus

import pytest

from stateroom.emulator.config import SEED_APP
from support.datastores import ARGS, METHODS, PERSON, READS, AppStore, ids, manifest, register
from support.local_slack import LocalSlack

pytestmark = pytest.mark.service


@pytest.fixture
def store(slack: LocalSlack) -> AppStore:
    return register(slack)


def test_forms_do_what_json_does(store: AppStore) -> None:
    item = {"key": "7", "state": "ö & = +", "count": 5, "tags": ["a"], "urgent": True}
    assert store.form("put", {"item": item}) == {"ok": True, "datastore": "tickets", "item": item}
    assert store.form("get", {"id": 7})["item"] == item
    assert store.get(7) == item
    assert store.ok("bulkGet", ids=[7])["items"] == [item]
    assert store.form("bulkPut", {"items": [{"key": "b"}]})["ok"] is True
    assert ids(store.form("bulkGet", {"ids": ["7", "b"]})) == ["7", "b"]
    assert store.form("query", {"limit": 1})["response_metadata"]["next_cursor"]
    assert store.form("bulkDelete", {"ids": ["b"]}) == {"ok": True, "failed_items": []}
    assert store.form("put", {"item": "{broken"})["error"] == "invalid_arguments"


@pytest.mark.parametrize(
    ("kind", "body", "error"),
    [
        ("application/xml; charset=koi8-r", b"<a/>", "invalid_post_type"),
        ("", b"datastore=tickets", "missing_post_type"),
        ("application/json; charset=koi8-r", b"{}", "invalid_charset"),
        ("application/json", b"{", "invalid_json"),
        ("application/json", b"[" * 100_000, "invalid_json"),
        ("application/json", b"[]", "json_not_object"),
        ("application/x-www-form-urlencoded", b"\xff", "invalid_form_data"),
        ("application/x-www-form-urlencoded", b"datastore=tickets&cursor=%ff", "invalid_form_data"),
        ("application/x-www-form-urlencoded", b"a-b=1", "invalid_arg_name"),
        ("application/x-www-form-urlencoded", b"ids[0]=1", "invalid_array_arg"),
        ("multipart/form-data; boundary=x", b"--x--", "invalid_form_data"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_in_slacks_words(
    store: AppStore, kind: str, body: bytes, error: str
) -> None:
    headers = {"Content-Type": kind, "Authorization": f"Bearer {store.token}"}
    assert store.slack.request("POST", "/api/apps.datastore.query", body, headers)[1]["error"] == error


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json; charset=ISO-8859-1", b'{"datastore":"tickets","item":{"key":"\xfc"}}'),
        ("application/x-www-form-urlencoded; charset=iso-8859-1", b'datastore=tickets&item={"key":"\xfc"}'),
        ("application/x-www-form-urlencoded; charset=iso-8859-1", b'datastore=tickets&item={"key":"%FC"}'),
    ],
)
def test_a_body_is_read_in_the_charset_it_names(store: AppStore, kind: str, body: bytes) -> None:
    headers = {"Content-Type": kind, "Authorization": f"Bearer {store.token}"}
    assert store.slack.request("POST", "/api/apps.datastore.put", body, headers)[1]["item"] == {"key": "ü"}


def test_the_token_may_stand_in_the_body(store: AppStore) -> None:
    body = f"token={quote_plus(store.token)}&datastore=tickets&id=a".encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert store.slack.request("POST", "/api/apps.datastore.get", body, kind)[1]["ok"] is True
    assert store.slack.request("POST", "/api/apps.datastore.get", b"datastore=tickets&id=a", kind)[1]["error"] == (
        "not_authed"
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_persons_token_names_the_app_and_a_bots_may(store: AppStore, method: str) -> None:
    person = AppStore(store.slack, PERSON)
    assert person.refused(method, **ARGS[method])["error"] == "invalid_arguments"
    assert person.refused(method, app_id="A0NONE", **ARGS[method])["error"] == "invalid_app_id"
    assert person.call(method, app_id=store.app_id, **ARGS[method])["ok"] is True
    assert store.call(method, app_id=store.app_id, **ARGS[method])["ok"] is True
    register(store.slack, "A0OTHER")
    assert store.refused(method, app_id="A0OTHER", **ARGS[method])["error"] == "invalid_app_id"
    assert AppStore(store.slack, "xoxp-T00000001-U0NONE").refused(method)["error"] == "invalid_auth"


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ("Bearer", "not_authed"),  # what is left of the Deno client's "Bearer " without a token
        ("bearer", "not_authed"),
        ("Bearer xoxb-wrong", "invalid_auth"),
        ("Basic eDp5", "invalid_auth"),
        ("bearer xoxb-local-1", None),
        ("Bearer  xoxb-local-1", None),
    ],
)
def test_a_bearer_is_read_in_any_case_and_may_be_empty(store: AppStore, header: str, error: str | None) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8", "Authorization": header}
    body = {"datastore": store.name}
    assert store.slack.request("POST", "/api/apps.datastore.count", body, headers)[1].get("error") == error


def test_a_person_reaches_only_the_apps_of_their_own_team(slack: LocalSlack) -> None:
    users = slack.add_team("T00000002")["users"]
    register(slack, "A0DEV")
    person = AppStore(slack, f"xoxp-T00000002-{users[0]}")
    assert person.refused("get", app_id="A0DEV", id="a")["error"] == "invalid_app_id"
    assert AppStore(slack, PERSON).ok("get", app_id="A0DEV", id="a")["item"] == {}


@pytest.mark.parametrize("method", METHODS)
def test_each_method_needs_its_scope(slack: LocalSlack, method: str) -> None:
    needed, other = ("datastore:read", "datastore:write") if method in READS else ("datastore:write", "datastore:read")
    store = register(slack, said=manifest(oauth_config={"scopes": {"bot": [other]}}))
    answer = store.refused(method)
    assert (answer["error"], answer["needed"], answer["provided"]) == ("missing_scope", needed, other)
    register(slack, said=manifest(oauth_config={"scopes": {"bot": [needed]}}))
    assert store.call(method, **ARGS[method])["ok"] is True


def test_a_person_has_every_scope(slack: LocalSlack) -> None:
    register(slack, said=manifest(oauth_config={"scopes": {"bot": ["chat:write"]}}))
    person = AppStore(slack, PERSON)
    assert person.call("put", app_id=SEED_APP, item={"key": "a"})["ok"] is True


def test_a_persons_token_posts_no_messages_and_a_bots_token_reads_no_manifests(store: AppStore) -> None:
    said = store.slack.call("chat.postMessage", token=PERSON, channel="C00000001", text="x")
    read = store.slack.call("apps.manifest.export", token=store.token, app_id=store.app_id)
    assert (said["error"], read["error"]) == ("not_allowed_token_type", "not_allowed_token_type")


def test_checks_come_in_order(slack: LocalSlack) -> None:
    """Each call is wrong in one way fewer than the one before it."""
    store = register(slack, said=manifest(oauth_config={"scopes": {"bot": ["datastore:write"]}}))
    register(slack, "A0OTHER")
    slack.fault("throttle", method="apps.datastore.get", count=None)

    def error(method: str = "apps.datastore.get", token: str = store.token, body: bytes = b"{}") -> str:
        headers = {"Content-Type": "application/json; charset=utf-8", "Authorization": f"Bearer {token}"}
        return str(slack.request("POST", f"/api/{method}", body, headers)[1]["error"])

    foreign = b'{"app_id":"A0OTHER"}'
    seen = [error("apps.datastore.fly", "", b"{"), error(body=b"{", token=""), error(token=""), error(token="xoxb-no")]
    seen.append(error(body=foreign))
    register(slack)
    seen += [error(body=foreign), error()]
    slack.clear_faults()
    seen += [error(), error(body=b'{"datastore":"nothing","id":"a"}')]
    assert seen == [
        "unknown_method",
        "invalid_json",
        "not_authed",
        "invalid_auth",
        "missing_scope",
        "invalid_app_id",
        "ratelimited",
        "invalid_arguments",
        "datastore_error",
    ]


def test_an_app_that_runs_elsewhere_has_no_datastores(slack: LocalSlack) -> None:
    store = register(slack, said=manifest(settings={"function_runtime": "remote"}))
    assert store.refused("get", id="a")["error"] == "app_not_hosted"
    said = manifest()
    del said["settings"]
    assert register(slack, said=said).get("a") == {}


def test_two_apps_have_two_sets_of_data(slack: LocalSlack) -> None:
    dev, prod = register(slack, "A0DEV"), register(slack, "A0PROD")
    dev.ok("put", item={"key": "a", "state": "dev"})
    prod.ok("put", item={"key": "a", "state": "prod"})
    assert (dev.get("a")["state"], prod.get("a")["state"]) == ("dev", "prod")
    dev.ok("bulkDelete", ids=["a"])
    assert (dev.ok("count")["count"], prod.ok("count")["count"]) == (0, 1)


def test_an_apps_data_is_the_same_in_all_its_teams(slack: LocalSlack) -> None:
    store = register(slack)
    slack.add_team("T00000002", bot_token="xoxb-two")
    store.ok("put", item={"key": "a"})
    assert AppStore(slack, "xoxb-two").get("a") == {"key": "a"}


def test_a_new_manifest_keeps_the_items_and_a_removed_attribute_stays_in_them(store: AppStore) -> None:
    store.ok("put", item={"key": "a", "state": "open"})
    said = manifest()
    del said["datastores"]["tickets"]["attributes"]["state"]
    register(store.slack, said=said)
    assert store.get("a") == {"key": "a", "state": "open"}
    assert store.inner("put", item={"key": "a", "state": "x"})["code"] == "attribute_not_declared"
    assert store.ok("update", item={"key": "a", "count": 1})["item"] == {"key": "a", "state": "open", "count": 1}


def test_another_type_leaves_stored_values_as_they_are(store: AppStore) -> None:
    store.ok("put", item={"key": "a", "state": "open"})
    said = manifest()
    said["datastores"]["tickets"]["attributes"]["state"] = {"type": "integer"}
    register(store.slack, said=said)
    assert store.ok("update", item={"key": "a", "count": 1})["item"] == {"key": "a", "state": "open", "count": 1}
    named = {"expression_attributes": {"#s": "state"}, "expression_values": {":v": "op"}}
    assert ids(store.ok("query", expression="begins_with(#s, :v)", **named)) == ["a"]
    assert store.inner("put", item={"key": "a", "state": "x"})["code"] == "attribute_invalid"


def test_a_removed_datastore_or_another_primary_key_deletes_the_items(store: AppStore) -> None:
    store.ok("put", item={"key": "a", "state": "open"})
    rekeyed = manifest()
    rekeyed["datastores"]["tickets"]["primary_key"] = "state"
    register(store.slack, said=rekeyed)
    assert store.ok("count")["count"] == 0
    store.ok("put", item={"state": "open"})
    register(store.slack, said=manifest(datastores={}))
    assert store.inner("get", id="open")["code"] == "datastore_config_not_found"
    register(store.slack, said=rekeyed)
    assert store.ok("count")["count"] == 0


def test_a_manifest_whose_datastores_cannot_be_is_refused_and_changes_nothing(store: AppStore) -> None:
    broken = manifest()
    broken["datastores"]["tickets"]["primary_key"] = "none"
    body = {"app_id": SEED_APP, "manifest": broken}
    status, answer, _ = store.slack.request("POST", "/_sim/apps", body)
    assert (status, answer["error"]) == (400, "invalid_arguments")
    assert "tickets" in answer["detail"]
    assert store.get("a") == {}
