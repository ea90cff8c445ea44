"""Installing through the page, what `oauth.v2.access` answers and refuses, revoking, uninstalling, coming back."""

from collections.abc import Iterator
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from stateroom.emulator.config import SEED_APP, SEED_CLIENT_ID, SEED_CLIENT_SECRET, SEED_TOKEN
from support.installing import (
    REDIRECT,
    answered,
    app_manifest,
    authorize_path,
    client_call,
    code_of,
    installed,
    press,
)
from support.local_slack import Clock, EventApp, LocalSlack, eventually, local_slack

pytestmark = pytest.mark.service

Json = dict[str, Any]


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    """One workspace with the app; each test that needs an empty one adds a team of its own."""
    with local_slack() as running:
        running.register("http://127.0.0.1:9/", manifest=app_manifest())
        yield running


def fresh_team(slack: LocalSlack, team: str) -> Json:
    return slack.add_team(team, install=False)


def client(slack: LocalSlack, token: str | None = None) -> WebClient:
    return WebClient(token=token, base_url=slack.api_url)


def refusal(slack: LocalSlack, path: str) -> str:
    status, shown, _ = slack.request("GET", path)
    assert status == 400
    return str(shown["text"])


def test_a_person_lets_an_app_into_another_team(slack: LocalSlack) -> None:
    team = fresh_team(slack, "T0000OA01")
    person = team["users"][1]
    status, location = press(slack, authorize_path(team="T0000OA01"), team="T0000OA01", user=person)
    assert status == 303
    assert location.startswith(f"{REDIRECT}?code=")
    assert answered(location)["state"] == "s1"
    answer = client(slack).oauth_v2_access(
        client_id=SEED_CLIENT_ID,
        client_secret=SEED_CLIENT_SECRET,
        code=answered(location)["code"],
        redirect_uri=REDIRECT,
    )
    token = answer["access_token"]
    assert token.startswith("xoxb-")
    bot_user = answer["bot_user_id"]
    assert answer.data == {
        "ok": True,
        "app_id": SEED_APP,
        "authed_user": {"id": person},
        "scope": "app_mentions:read,chat:write",
        "token_type": "bot",
        "access_token": token,
        "bot_user_id": bot_user,
        "team": {"id": "T0000OA01", "name": "Another workspace"},
        "enterprise": None,
        "is_enterprise_install": False,
    }
    who = client(slack, token).auth_test()
    assert (who["team_id"], who["user_id"], who["is_enterprise_install"]) == ("T0000OA01", bot_user, False)
    assert who["bot_id"]
    client(slack, token).chat_postMessage(channel=team["channel"], text="here I am")
    assert [one["text"] for one in slack.messages(team["channel"], team="T0000OA01")] == ["here I am"]
    with pytest.raises(SlackApiError, match="missing_scope"):
        client(slack, token).users_list()


def test_scopes_add_up_and_a_token_stays_the_same(slack: LocalSlack) -> None:
    team = fresh_team(slack, "T0000OA02")
    who = {"team": "T0000OA02", "user": team["users"][0]}
    first = installed(slack, **who)
    more = installed(slack, authorize_path(scope="users:read", user_scope="search:read"), **who)
    assert more["access_token"] == first["access_token"]
    assert more["scope"] == "app_mentions:read,chat:write,users:read"
    assert client(slack, first["access_token"]).users_list()["ok"]
    person = more["authed_user"]
    assert (person["token_type"], person["scope"]) == ("user", "search:read")
    seen = client(slack, person["access_token"]).auth_test()
    assert (seen["user_id"], seen["team_id"]) == (who["user"], "T0000OA02")


def test_user_scopes_alone_make_no_bot(slack: LocalSlack) -> None:
    team = fresh_team(slack, "T0000OA03")
    path = authorize_path(scope="", user_scope="chat:write,channels:history")
    answer = installed(slack, path, team="T0000OA03", user=team["users"][0])
    assert "access_token" not in answer
    assert "bot_user_id" not in answer
    token = answer["authed_user"]["access_token"]
    assert token.startswith("xoxp-")
    posted = client(slack, token).chat_postMessage(channel=team["channel"], text="in my own name")
    assert posted["message"]["user"] == team["users"][0]
    assert (
        client(slack, token).conversations_history(channel=team["channel"])["messages"][0]["text"] == "in my own name"
    )


def test_cancel_tells_the_app(slack: LocalSlack) -> None:
    status, location = press(slack, authorize_path(state="a b&c"), decision="deny")
    assert status == 303
    assert answered(location) == {"error": "access_denied", "state": "a b&c"}


def test_a_code_works_once_for_its_app_and_address_and_not_for_long() -> None:
    clock = Clock()
    with local_slack(clock=clock) as slack:
        slack.sim("POST", "apps", {"app_id": "A0OTHER", "client_id": "9.9", "client_secret": "other"})
        code = code_of(slack)
        given = {"code": code, "redirect_uri": REDIRECT}
        for client_id, wrong, error in (
            (("none", "x"), {}, "invalid_client_id"),
            ((SEED_CLIENT_ID, "wrong"), {}, "bad_client_secret"),
            (("9.9", "other"), {}, "invalid_code"),
            ((SEED_CLIENT_ID, SEED_CLIENT_SECRET), {"code": "never"}, "invalid_code"),
            ((SEED_CLIENT_ID, SEED_CLIENT_SECRET), {"redirect_uri": "http://127.0.0.1:9/other"}, "bad_redirect_uri"),
            ((SEED_CLIENT_ID, SEED_CLIENT_SECRET), {"grant_type": "password"}, "invalid_grant_type"),
        ):
            answer = client_call(slack, "oauth.v2.access", client_id, **{**given, **wrong})
            assert answer == {"ok": False, "error": error}
        assert client_call(slack, "oauth.v2.access", **given)["ok"] is True
        assert client_call(slack, "oauth.v2.access", **given)["error"] == "code_already_used"
        last, late = code_of(slack), code_of(slack)
        clock.forward(600)
        assert client_call(slack, "oauth.v2.access", code=last, redirect_uri=REDIRECT)["ok"] is True
        clock.forward(1)
        assert client_call(slack, "oauth.v2.access", code=late, redirect_uri=REDIRECT)["error"] == "invalid_code"


def test_secrets_may_come_in_the_body_and_are_never_written_down(slack: LocalSlack) -> None:
    code = code_of(slack)
    body = f"client_id={SEED_CLIENT_ID}&client_secret={SEED_CLIENT_SECRET}&code={code}&redirect_uri={REDIRECT}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = slack.request("POST", "/api/oauth.v2.access", body, headers)[1]
    assert answer["ok"] is True
    shown = str(slack.calls("oauth.v2.access"))
    for secret in (code, SEED_CLIENT_SECRET, answer["access_token"]):
        assert secret not in shown


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"client_id": "none"}, "invalid_client_id"),
        ({"scope": ""}, "invalid_scope"),
        ({"team": "T0000NONE"}, "invalid_team"),
        ({"redirect_uri": "http://127.0.0.1:9/other"}, "bad_redirect_uri"),
        ({"redirect_uri": "https://evil.example/slack/oauth_redirect"}, "bad_redirect_uri"),
        ({"redirect_uri": "http://127.0.0.1:9@evil.example/slack/oauth_redirect"}, "bad_redirect_uri"),
        ({"redirect_uri": f"{REDIRECT}/../../elsewhere"}, "bad_redirect_uri"),
        ({"redirect_uri": f"{REDIRECT}#part"}, "bad_redirect_uri"),
        ({"redirect_uri": "javascript:alert(1)"}, "bad_redirect_uri"),
    ],
)
def test_what_cannot_be_installed_is_said_on_the_page(slack: LocalSlack, changed: dict[str, str], code: str) -> None:
    assert code in refusal(slack, authorize_path(**changed))


def test_the_page_runs_no_script_escapes_what_it_shows_and_takes_no_foreign_form(slack: LocalSlack) -> None:
    status, shown, headers = slack.request("GET", authorize_path(state='"><script>alert(1)</script><b>'))
    assert status == 200
    assert "<script" not in shown["text"]
    assert "<b>" not in shown["text"]
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' http://127.0.0.1:9;" in f"{policy};"
    assert "script-src" not in policy
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://evil.example"}
    assert slack.request("POST", "/oauth/v2/authorize", b"decision=allow", form)[0] == 403
    assert slack.request("GET", "/page/authorize.css")[0] == 200


def test_a_revoked_bot_leaves_and_the_app_is_told_that_it_is_uninstalled_with_its_last_token(slack: LocalSlack) -> None:
    team = fresh_team(slack, "T0000OA04")
    answer = installed(slack, authorize_path(user_scope="search:read"), team="T0000OA04", user=team["users"][0])
    bot, person = answer["access_token"], answer["authed_user"]["access_token"]
    assert client(slack, bot).auth_revoke(test=True)["revoked"] is False
    assert client(slack, bot).auth_test()["ok"]
    assert client(slack, bot).auth_revoke()["revoked"] is True
    for method in ("auth.test", "chat.postMessage"):
        assert slack.call(method, token=bot, channel=team["channel"], text="x")["error"] == "account_inactive"
    members = next(one["members"] for one in slack.state()["channels"] if one["id"] == team["channel"])
    assert answer["bot_user_id"] not in members
    assert [one["id"] for one in slack.state()["users"] if one.get("deleted")][-1:] == [answer["bot_user_id"]]
    assert client(slack, person).auth_test()["ok"]
    slack.sim("POST", f"apps/{SEED_APP}/revoke", {"kind": "user", "team": "T0000OA04"})
    assert slack.call("auth.test", token=person)["error"] == "token_revoked"


@pytest.mark.parametrize("order", ["tokens_revoked", "app_uninstalled"])
async def test_both_events_of_an_uninstall_come_in_the_order_asked_for(order: str) -> None:
    with local_slack() as slack:
        async with EventApp() as app:
            slack.register(app.url, manifest=app_manifest())
            answer = installed(slack, authorize_path(user_scope="search:read"), user="U00000002")
            slack.sim("POST", f"apps/{SEED_APP}/uninstall", {"order": order})
            await eventually(lambda: len(app.received) == 2)
    assert app.events()[0]["type"] == order
    (revoked,) = app.events("tokens_revoked")
    assert revoked["tokens"] == {"oauth": ["U00000002"], "bot": [answer["bot_user_id"]]}
    for one in app.received:
        assert (one.envelope["team_id"], one.envelope["api_app_id"]) == ("T00000001", SEED_APP)


def test_an_app_that_is_gone_can_come_back_as_the_same_bot_with_another_token(slack: LocalSlack) -> None:
    team = fresh_team(slack, "T0000OA05")
    who = {"team": "T0000OA05", "user": team["users"][0]}
    first = installed(slack, **who)
    old = client(slack, first["access_token"])
    with pytest.raises(SlackApiError, match="bad_client_secret"):
        old.apps_uninstall(client_id=SEED_CLIENT_ID, client_secret="wrong")
    assert old.apps_uninstall(client_id=SEED_CLIENT_ID, client_secret=SEED_CLIENT_SECRET)["ok"]
    assert slack.call("auth.test", token=first["access_token"])["error"] == "account_inactive"
    slack.register("http://127.0.0.1:9/", team="T0000OA05")
    assert slack.call("auth.test", token=first["access_token"])["error"] == "account_inactive"
    again = installed(slack, **who)
    assert again["bot_user_id"] == first["bot_user_id"]
    assert again["access_token"] != first["access_token"]
    client(slack, again["access_token"]).chat_postMessage(channel=team["channel"], text="back")


def test_the_control_plane_installs_and_refuses_what_cannot_be(slack: LocalSlack) -> None:
    team = fresh_team(slack, "T0000OA06")
    asked = {"team": "T0000OA06", "user": team["users"][1], "user_scopes": ["search:read"]}
    answer = slack.sim("POST", f"apps/{SEED_APP}/install", asked)
    assert client(slack, answer["access_token"]).auth_test()["team_id"] == "T0000OA06"
    assert answer["authed_user"]["id"] == team["users"][1]
    slack.sim("POST", f"apps/{SEED_APP}/uninstall", {"team": "T0000OA06"})
    for path, body, status in (
        (f"apps/{SEED_APP}/uninstall", {"team": "T0000OA06"}, 404),
        (f"apps/{SEED_APP}/uninstall", {"order": "sideways"}, 400),
        (f"apps/{SEED_APP}/revoke", {"kind": "bot", "team": "T0000OA06"}, 404),
        (f"apps/{SEED_APP}/revoke", {"kind": "all"}, 400),
        (f"apps/{SEED_APP}/install", {"org_wide": True, "enterprise": "E0NONE"}, 404),
        ("apps/A0NONE/install", {}, 404),
    ):
        sent = slack.request("POST", f"/_sim/{path}", body)
        assert (sent[0], set(sent[1])) == (status, {"error", "detail"})


def test_the_seeded_token_dies_with_its_app_and_lives_again_when_it_is_registered() -> None:
    with local_slack() as slack:
        slack.sim("POST", f"apps/{SEED_APP}/uninstall", {})
        assert slack.call("auth.test")["error"] == "account_inactive"
        slack.register("http://127.0.0.1:9/", bot_token=SEED_TOKEN)
        assert slack.call("auth.test")["ok"] is True


def test_installs_and_dead_tokens_survive_a_restart(tmp_path: Any) -> None:
    state = f"sqlite:///{tmp_path}/slack.db"
    with local_slack(state=state) as slack:
        slack.register("http://127.0.0.1:9/", manifest=app_manifest(token_rotation_enabled=True))
        slack.add_team("T0000OA07", install=False, enterprise_id="E00000001")
        kept = slack.sim("POST", f"apps/{SEED_APP}/install", {"team": "T0000OA07", "user_scopes": ["search:read"]})
        slack.sim("POST", f"apps/{SEED_APP}/uninstall", {"team": "T00000001"})
    with local_slack(state=state) as slack:
        assert slack.call("auth.test")["error"] == "account_inactive"
        who = slack.call("auth.test", token=kept["access_token"])
        assert (who["team_id"], who["enterprise_id"]) == ("T0000OA07", "E00000001")
        assert slack.call("auth.test", token=kept["authed_user"]["access_token"])["ok"] is True
        renewed = client_call(slack, "oauth.v2.access", grant_type="refresh_token", refresh_token=kept["refresh_token"])
        assert renewed["ok"] is True
