"""Files: slack_sdk's upload in both steps, what a token may read, a person's upload, deleting, limits, restart."""

import http.client
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from stateroom.emulator import files
from stateroom.emulator.config import SEED_CHANNEL, SEED_DM, SEED_TOKEN
from support.local_slack import PATIENCE, UNHURRIED, EventApp, LocalSlack, eventually, local_slack

pytestmark = pytest.mark.service

Json = dict[str, Any]
PICTURE = bytes(range(256)) * 1200  # two pieces, every byte


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    with local_slack(**UNHURRIED) as running:
        yield running


@pytest.fixture
def client(slack: LocalSlack) -> WebClient:
    return WebClient(token=SEED_TOKEN, base_url=slack.api_url)


def fetched(slack: LocalSlack, url: str, token: str | None = SEED_TOKEN) -> tuple[int, bytes, Json]:
    """A file as an app downloads it."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        connection.request("GET", parts.path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(), {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()


def uploaded(client: WebClient, name: str = "plan.png", data: bytes = PICTURE, **more: Any) -> Json:
    more = {"channel": SEED_CHANNEL, **more}
    return dict(client.files_upload_v2(filename=name, file=data, **more)["files"][0])


def person_file(slack: LocalSlack, name: str, data: bytes) -> Json:
    path = f"/_sim/files?team=T00000001&channel={SEED_CHANNEL}&user=U00000002&name={name}"
    status, answer, _ = slack.request("POST", path, data, {"Content-Type": "application/octet-stream"})
    assert status == 200, answer
    return dict(answer["file"])


async def test_an_app_uploads_and_the_message_carries_the_file(slack: LocalSlack) -> None:
    async with EventApp() as app:
        slack.register(app.url)
        parent = slack.say("where is the plan?")
        client = AsyncWebClient(token=SEED_TOKEN, base_url=slack.api_url)
        answer = await client.files_upload_v2(
            file_uploads=[
                {"filename": "plan.png", "file": PICTURE, "title": "The plan", "alt_txt": "A plan"},
                {"filename": "notes.txt", "content": "first\nsecond"},
            ],
            channel=SEED_CHANNEL,
            thread_ts=parent,
            initial_comment="here",
        )
        plan, notes = answer["files"]
        (message,) = slack.replies(parent)
        await eventually(lambda: len(app.events("file_shared")) == len(app.events("file_created")) == 2)
        said = await eventually(lambda: [one for one in app.events("message") if one.get("subtype") == "file_share"])
    assert (message["text"], message["subtype"], message["thread_ts"]) == ("here", "file_share", parent)
    assert [one["id"] for one in message["files"]] == [plan["id"], notes["id"]]
    assert (plan["title"], plan["mimetype"], plan["filetype"], plan["size"]) == (
        "The plan",
        "image/png",
        "png",
        307_200,
    )
    assert plan["alt_txt"] == "A plan"
    assert plan["shares"]["public"][SEED_CHANNEL][0]["thread_ts"] == parent
    assert (notes["pretty_type"], notes["channels"]) == ("Plain Text", [SEED_CHANNEL])
    assert said[0]["files"][0]["url_private"].startswith(f"{slack.url}/files-pri/T00000001-{plan['id']}/")
    shared = {one["file_id"]: one for one in app.events("file_shared")}
    assert shared[plan["id"]]["channel_id"] == SEED_CHANNEL
    assert {one["file_id"] for one in app.events("file_created")} == {plan["id"], notes["id"]}


def test_a_private_address_gives_the_bytes_for_a_token_and_a_sign_in_page_without(
    slack: LocalSlack, client: WebClient
) -> None:
    file = uploaded(client)
    for name, shown in (("url_private", "inline"), ("url_private_download", "attachment")):
        status, data, headers = fetched(slack, file[name])
        assert (status, data, headers["content-type"]) == (200, PICTURE, "image/png")
        assert headers["content-disposition"].startswith(shown)
    foreign = slack.add_team("T0000FI01")["installs"][0]["bot_token"]
    for token in (None, "xoxb-none", foreign):
        status, data, headers = fetched(slack, file["url_private"], token)
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b"Sign in" in data
    slack.sim("POST", "apps", {"app_id": "A0FILE", "install": False})
    scoped = slack.sim("POST", "apps/A0FILE/install", {"scopes": ["chat:write"]})["access_token"]
    assert b"Sign in" in fetched(slack, file["url_private"], scoped)[1]


def test_what_is_uploaded_cannot_run_in_the_page(slack: LocalSlack, client: WebClient) -> None:
    file = uploaded(client, "evil.html", b"<script>alert(1)</script>")
    _, _, headers = fetched(slack, file["url_private"])
    assert headers["content-disposition"].startswith("attachment")
    assert "sandbox" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_a_persons_file_reaches_the_app_and_can_be_read(slack: LocalSlack, client: WebClient) -> None:
    file = person_file(slack, "data.csv", b"a,b\n1,2\n")
    with pytest.raises(SlackApiError, match="file_not_found"):
        client.files_info(file=file["id"])
    ts = slack.say("look", user="U00000002", files=[{"id": file["id"]}])
    (message,) = [one for one in slack.messages() if one["ts"] == ts]
    assert (message["subtype"], message["files"][0]["name"]) == ("file_share", "data.csv")
    seen = client.files_info(file=file["id"])["file"]
    assert (seen["user"], seen["channels"], seen["size"]) == ("U00000002", [SEED_CHANNEL], 8)
    assert fetched(slack, seen["url_private"])[1] == b"a,b\n1,2\n"
    assert slack.request("GET", f"/_sim/files/{file['id']}")[1]["text"] == "a,b\n1,2\n"
    (read,) = client.conversations_history(channel=SEED_CHANNEL, oldest=ts, inclusive=True)["messages"]
    assert read["files"][0]["url_private"] == seen["url_private"]


def test_content_given_with_a_message_is_a_file_too(slack: LocalSlack, client: WebClient) -> None:
    slack.say("see", files=[{"name": "a.txt", "content": "aGVsbG8="}])
    file = slack.messages()[-1]["files"][0]
    assert fetched(slack, client.files_info(file=file["id"])["file"]["url_private"])[1] == b"hello"


def test_files_are_listed_by_who_and_where_and_deleted_by_their_own_app(slack: LocalSlack, client: WebClient) -> None:
    first = uploaded(client, "one.txt", b"1", channel=SEED_DM)
    second = uploaded(client, "two.txt", b"2", channel=SEED_DM)
    assert {one["id"] for one in client.files_list(channel=SEED_DM)["files"]} == {first["id"], second["id"]}
    page = client.files_list(channel=SEED_DM, count=1, page=2)
    assert (len(page["files"]), page["paging"]["total"], page["paging"]["pages"]) == (1, 2, 2)
    theirs = person_file(slack, "x.txt", b"x")
    slack.say("mine", user="U00000002", files=[{"id": theirs["id"]}])
    assert [one["id"] for one in client.files_list(user="U00000002")["files"]][-1:]
    with pytest.raises(SlackApiError, match="cant_delete_file"):
        client.files_delete(file=theirs["id"])
    assert client.files_delete(file=first["id"])["ok"]
    with pytest.raises(SlackApiError, match="file_not_found"):
        client.files_info(file=first["id"])
    assert b"Sign in" in fetched(slack, first["url_private"])[1]
    message = next(one for one in slack.messages(SEED_DM) if one["files"][0]["id"] == first["id"])
    assert message["files"] == [{"id": first["id"], "mode": "tombstone"}]


def test_what_does_not_fit_or_never_came_is_refused(slack: LocalSlack, client: WebClient) -> None:
    with pytest.raises(SlackApiError, match="file_upload_size_restricted"):
        client.files_getUploadURLExternal(filename="big", length=files.FILE_LIMIT + 1)
    begun = client.files_getUploadURLExternal(filename="a.txt", length=3)
    path = urlsplit(str(begun["upload_url"])).path
    raw = {"Content-Type": "application/octet-stream"}
    assert slack.request("POST", path, b"four", raw)[0] == 400
    assert slack.request("POST", f"{path}x", b"abc", raw)[0] == 404
    complete = {"files": [{"id": begun["file_id"]}], "channel_id": SEED_CHANNEL}
    with pytest.raises(SlackApiError, match="file_not_found"):
        client.files_completeUploadExternal(**complete)
    assert slack.request("POST", path, b"abc", raw)[1] == {"text": "OK - 3"}
    with pytest.raises(SlackApiError, match="channel_not_found"):
        client.files_completeUploadExternal(files=complete["files"], channel_id="C0NONE")
    with pytest.raises(SlackApiError, match="invalid_arguments"):
        client.files_completeUploadExternal(**(complete | {"files": 2 * complete["files"]}))
    assert begun["file_id"] not in str(slack.messages())
    assert client.files_completeUploadExternal(**complete)["files"][0]["id"] == begun["file_id"]
    assert slack.request("POST", path, b"abc", raw)[0] == 404
    assert slack.request("POST", "/_sim/files?name=a", b"", raw)[0] == 400


def test_a_form_is_taken_apart(slack: LocalSlack, client: WebClient) -> None:
    data = b"--not\r\n the end\r\n\x00\xff"
    begun = client.files_getUploadURLExternal(filename="a.bin", length=len(data))
    form = (
        b'--XX\r\nContent-Disposition: form-data; name="filename"; filename="a.bin"\r\n\r\n' + data + b"\r\n--XX--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=XX"}
    assert slack.request("POST", urlsplit(str(begun["upload_url"])).path, form, headers)[0] == 200
    file = client.files_completeUploadExternal(files=[{"id": begun["file_id"]}])["files"][0]
    assert fetched(slack, file["url_private"])[1] == data


def test_files_survive_a_restart(tmp_path: Any) -> None:
    state = f"sqlite:///{tmp_path}/slack.db"
    with local_slack(state=state) as slack:
        file = uploaded(WebClient(token=SEED_TOKEN, base_url=slack.api_url))
    with local_slack(state=state) as slack:
        again = WebClient(token=SEED_TOKEN, base_url=slack.api_url).files_info(file=file["id"])["file"]
        assert again["url_private"].startswith(slack.url)
        assert fetched(slack, again["url_private"])[1] == PICTURE
        slack.reset()
        assert slack.call("files.info", file=file["id"])["error"] == "file_not_found"
