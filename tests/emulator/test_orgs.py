"""Organisations with several teams: one org-wide install, its token, its events, its end."""

from collections.abc import Iterator
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from stateroom.emulator.config import SEED_APP
from support.installing import app_manifest, authorize_path, installed, press
from support.local_slack import UNHURRIED, EventApp, LocalSlack, eventually, local_slack

pytestmark = pytest.mark.service

Json = dict[str, Any]
ORG = "E00000001"
TEAMS = ("T0000ORG1", "T0000ORG2")


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    """An organisation of two teams beside the seeded one."""
    with local_slack(**UNHURRIED) as running:
        running.register("http://127.0.0.1:9/", manifest=app_manifest(org_deploy_enabled=True))
        for team in TEAMS:
            running.add_team(team, install=False, enterprise_id=ORG)
        yield running


def channel_of(slack: LocalSlack, team: str) -> str:
    return next(str(one["id"]) for one in slack.state()["channels"] if one["team"] == team and not one["is_im"])


def people_of(slack: LocalSlack, team: str) -> list[str]:
    return [one["id"] for one in slack.state()["users"] if one["team"] == team and not one["is_bot"]]


@pytest.fixture(scope="module")
def org_token(slack: LocalSlack) -> str:
    scopes = "chat:write,channels:read,users:read,app_mentions:read"
    answer = installed(slack, authorize_path(scope=scopes), team=TEAMS[0], user=people_of(slack, TEAMS[0])[0], org=ORG)
    assert (answer["team"], answer["is_enterprise_install"]) == (None, True)
    assert answer["enterprise"] == {"id": ORG, "name": f"Organisation {ORG}"}
    return str(answer["access_token"])


@pytest.fixture
def client(slack: LocalSlack, org_token: str) -> WebClient:
    return WebClient(token=org_token, base_url=slack.api_url)


def test_the_token_says_that_it_is_the_organisations(client: WebClient) -> None:
    who = client.auth_test()
    assert (who["enterprise_id"], who["team_id"], who["is_enterprise_install"]) == (ORG, ORG, True)
    assert [one["id"] for one in client.auth_teams_list()["teams"]] == list(TEAMS)


@pytest.mark.parametrize("team", TEAMS)
def test_it_works_in_each_team_by_channel_or_by_team_id(slack: LocalSlack, client: WebClient, team: str) -> None:
    channel = channel_of(slack, team)
    client.chat_postMessage(channel=channel, text=f"hello {team}")
    assert [one["text"] for one in slack.messages(channel, team=team)] == [f"hello {team}"]
    listed = client.conversations_list(team_id=team)["channels"]
    assert [one["id"] for one in listed] == [channel]
    assert {one["team_id"] for one in client.users_list(team_id=team)["members"]} == {team}


def test_a_list_without_a_team_and_a_foreign_team_are_refused(client: WebClient) -> None:
    with pytest.raises(SlackApiError, match="missing_argument"):
        client.conversations_list()
    with pytest.raises(SlackApiError, match="team_access_not_granted"):
        client.conversations_list(team_id="T00000001")
    with pytest.raises(SlackApiError, match="team_not_found"):
        client.conversations_list(team_id="T0000NONE")


def test_an_organisation_is_chosen_only_by_its_own_people_and_where_the_manifest_allows_it(slack: LocalSlack) -> None:
    assert press(slack, authorize_path(), org=ORG)[0] == 400
    slack.sim("POST", "apps", {"app_id": "A0SMALL", "client_id": "small", "install": False})
    shown = slack.request("GET", authorize_path(client_id="small"))[1]["text"]
    assert ORG not in shown


def test_an_install_in_one_team_of_an_organisation_names_it(slack: LocalSlack) -> None:
    slack.sim("POST", "apps", {"app_id": "A0ONE", "install": False})
    answer = slack.sim("POST", "apps/A0ONE/install", {"team": TEAMS[0]})
    assert answer["enterprise"]["id"] == ORG
    assert (answer["team"]["id"], answer["is_enterprise_install"]) == (TEAMS[0], False)
    who = slack.call("auth.test", token=answer["access_token"])
    assert (who["team_id"], who["enterprise_id"], who["is_enterprise_install"]) == (TEAMS[0], ORG, False)


async def test_its_events_name_the_organisation_and_its_end_is_told_once() -> None:
    with local_slack(**UNHURRIED) as slack:
        async with EventApp() as app:
            slack.register(app.url, manifest=app_manifest())
            for team in TEAMS:
                slack.add_team(team, install=False, enterprise_id=ORG)
            asked = {"enterprise": ORG, "org_wide": True}
            answer = slack.sim("POST", f"apps/{SEED_APP}/install", asked)
            bot = answer["bot_user_id"]
            slack.say(f"<@{bot}> hi", channel_of(slack, TEAMS[1]), team=TEAMS[1])
            await eventually(lambda: app.events("app_mention"))
            (said,) = [one.envelope for one in app.received if one.event["type"] == "app_mention"]
            assert (said["team_id"], said["enterprise_id"], said["is_enterprise_install"]) == (TEAMS[1], ORG, True)
            (granted,) = said["authorizations"]
            assert granted == {
                "enterprise_id": ORG,
                "team_id": None,
                "user_id": bot,
                "is_bot": True,
                "is_enterprise_install": True,
            }
            refused = slack.request("POST", f"/_sim/apps/{SEED_APP}/uninstall", {"team": TEAMS[0]})
            assert (refused[0], refused[1]["error"]) == (409, "org_wide")
            slack.sim("POST", f"apps/{SEED_APP}/uninstall", {"enterprise": ORG})
            await eventually(lambda: app.events("app_uninstalled"))
            (ended,) = [one.envelope for one in app.received if one.event["type"] == "app_uninstalled"]
            assert (ended["enterprise_id"], ended["authorizations"][0]["is_enterprise_install"]) == (ORG, True)
            assert slack.call("auth.test", token=answer["access_token"])["error"] == "account_inactive"
            assert slack.call("auth.test")["ok"] is True
