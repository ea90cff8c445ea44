"""Several people and workspaces, who is where, apps let in and taken out; and files."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from stateroom.emulator.config import SEED_CHANNEL, SEED_OTHER_USER
from support.browsing import Bot, Shown
from support.page_app import field_of, modal, page_app
from support.page_files import PNG, drop, paste

pytestmark = pytest.mark.service


async def test_q12_a_direct_message_is_started_with_anybody(shown: Shown) -> None:
    await shown.page.get_by_role("button", name="Write to somebody").click()
    await shown.page.locator(".chooser").get_by_role("option", name="Grace Hopper").click()
    await expect(shown.page.locator("h1 > span").last).to_have_text("Grace Hopper")
    await shown.write("only for you")
    await expect(shown.messages).to_have_count(1)
    await shown.page.get_by_label("Acting as").select_option(SEED_OTHER_USER)
    entry = shown.page.locator(".side-entry", has_text="Ada Lovelace")
    await expect(entry).to_have_count(1)
    channel = next(one for one in shown.slack.state()["channels"] if one.get("is_im") and one["id"] != "D00000001")
    assert set(channel["members"]) == {"U00000001", SEED_OTHER_USER}


async def test_q12_members_are_listed_and_a_stranger_may_join(shown: Shown) -> None:
    shown.slack.sim("POST", "conversations", {"channel": SEED_CHANNEL, "user": SEED_OTHER_USER, "leave": True})
    await shown.page.get_by_role("button", name="Members").click()
    await expect(shown.page.get_by_role("listbox", name="Members (2)").get_by_role("option")).to_have_count(2)
    await shown.page.keyboard.press("Escape")
    await shown.page.get_by_label("Acting as").select_option(SEED_OTHER_USER)
    await expect(shown.composer).to_be_disabled()
    await shown.page.get_by_role("button", name="Join it").click()
    await expect(shown.composer).to_be_enabled()
    await shown.write("now I am in")
    await expect(shown.messages).to_have_count(1)


async def test_q12_a_second_workspace_is_added_and_has_its_own_people_and_messages(shown: Shown) -> None:
    shown.slack.say("in the first")
    await shown.page.get_by_role("button", name="Local workspace").click()
    await shown.page.get_by_role("option", name="Add a workspace").click()
    form = shown.page.get_by_role("dialog", name="Add a workspace")
    await form.get_by_label("Name").fill("Second")
    await form.get_by_role("button", name="Add", exact=True).click()
    await expect(shown.page.locator(".team-name")).to_have_text("Second")
    await expect(shown.messages).to_have_count(0)
    await shown.write("in the second")
    await expect(shown.messages).to_have_count(1)
    await shown.page.reload()
    await expect(shown.page.locator(".team-name")).to_have_text("Second")
    await expect(shown.messages).to_have_text(re.compile("in the second"))
    await shown.page.locator(".team-button").click()
    await shown.page.get_by_role("option", name="Local workspace").click()
    await expect(shown.messages).to_have_text(re.compile("in the first"))
    assert [one["name"] for one in shown.slack.state()["teams"]] == ["Local workspace", "Second"]


async def test_apps_are_listed_revoked_uninstalled_and_installed_again(shown: Shown) -> None:
    async with page_app(shown.slack) as app:
        await shown.page.get_by_role("button", name="Apps").click()
        row = shown.page.locator(".app-row")
        await expect(row).to_contain_text("online over HTTP")
        await shown.shoot("1280-light-apps")
        await row.get_by_role("button", name="Uninstall").click()
        await expect(row).to_contain_text("not installed here")
        await app.heard("app_uninstalled")
        await row.get_by_role("button", name="Install stateroom").click()
        await expect(row.get_by_role("button", name="Uninstall")).to_be_visible()
        await row.get_by_role("button", name="Revoke token").click()
        await expect(shown.page.locator("dialog.apps .problem")).to_contain_text("is revoked")
        await app.heard("tokens_revoked")


async def test_an_app_is_installed_by_its_link(shown: Shown) -> None:
    async with page_app(shown.slack):
        await shown.page.get_by_role("button", name="Apps").click()
        await shown.page.get_by_role("link", name="Install page").click()
        page = shown.page
        await expect(page.get_by_role("heading", level=1)).to_contain_text("stateroom")
        await expect(page.locator("code").first).to_have_text("chat:write")
        await shown.shoot("1280-light-install")
        gone = []
        await page.route("**/oauth?*", lambda route: gone.append(route.request.url) or route.fulfill(body="back"))
        await page.get_by_role("button", name="Allow").click()
        await page.wait_for_url("**/oauth?*")
        assert "code=" in gone[0]


# ---- files


async def test_files_are_chosen_shown_and_downloaded(shown: Shown, tmp_path: Path) -> None:
    picture, notes = tmp_path / "wave.png", tmp_path / "notes.txt"
    picture.write_bytes(PNG)
    notes.write_text("nothing is lost\n")
    async with page_app(shown.slack) as app:
        await shown.page.locator("#composer-slot input[type=file]").set_input_files([picture, notes])
        await expect(shown.page.locator("#composer-slot .tray-chip")).to_have_count(2)
        await expect(shown.page.locator("#composer-slot progress")).to_have_count(0)
        await shown.write("two files")
        await expect(shown.page.locator("#composer-slot .tray-chip")).to_have_count(0)
        cards = shown.messages.locator(".file-card")
        await expect(cards).to_have_count(2)
        seen = cards.first.locator("img")
        await expect(seen).to_have_attribute("alt", "wave.png")
        assert await seen.evaluate("(el) => el.decode().then(() => el.naturalWidth)") == 8
        await expect(cards.last).to_contain_text("notes.txt")
        await expect(cards.last).to_contain_text("16 bytes")
        async with shown.page.expect_download() as started:
            await cards.last.get_by_role("link", name="Download notes.txt").click()
        saved = await (await started.value).path()
        assert saved.read_text() == "nothing is lost\n"
        event = (await app.heard("message"))["event"]
        assert [one["name"] for one in event["files"]] == ["wave.png", "notes.txt"]
        await shown.shoot("1280-light-files")


async def test_files_are_pasted_and_dropped(shown: Shown) -> None:
    await paste(shown.composer, "shot.png")
    await expect(shown.page.locator("#composer-slot .tray-chip")).to_contain_text("shot.png")
    await drop(shown.page.locator("#main"), "dropped.png")
    await expect(shown.page.locator("#composer-slot .tray-chip")).to_have_count(2)
    await shown.page.get_by_role("button", name="Remove shot.png").click()
    await shown.page.locator("#composer-slot .send-button").click()
    await expect(shown.messages.locator(".file-card img")).to_have_attribute("alt", "dropped.png")


async def test_q04_an_upload_that_fails_says_why_and_is_tried_again(shown: Shown) -> None:
    shown.excused.append("Failed to load resource")
    refused = {"error": "file_size", "detail": "a file has at most 1 byte"}

    async def refuse(route: Route) -> None:
        await route.fulfill(status=413, json=refused)

    await shown.page.route("**/_sim/files?*", refuse)
    await paste(shown.composer, "shot.png")
    chip = shown.page.locator("#composer-slot .tray-chip")
    await expect(chip.get_by_role("alert")).to_have_text("a file has at most 1 byte")
    await shown.page.unroute("**/_sim/files?*")
    await chip.get_by_role("button", name="Try again").click()
    await expect(chip.get_by_role("alert")).to_have_count(0)
    await shown.composer.press("Enter")
    await expect(shown.messages.locator(".file-card")).to_have_count(1)


async def test_files_of_a_form_go_with_its_submission(shown: Shown, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("x")
    async with page_app(shown.slack) as app:
        button = {"type": "button", "action_id": "open", "text": {"type": "plain_text", "text": "Open it"}}
        ts = Bot(shown.slack).say("x", blocks=[{"type": "actions", "elements": [button]}])
        await shown.body(ts).get_by_role("button", name="Open it").click()
        await app.heard("block_actions")
        app.open_modal(modal([field_of("papers", type="file_input", filetypes=["txt"])]), "block_actions")
        form = shown.page.get_by_role("dialog", name="A form")
        await form.get_by_role("button", name="Send").click()
        await expect(form.locator(".input-error").filter(visible=True)).to_contain_text("required")
        await form.locator("input[type=file]").set_input_files(notes)
        await expect(form.locator(".tray-chip")).to_contain_text("notes.txt")
        await expect(form.locator("progress")).to_have_count(0)
        await form.get_by_role("button", name="Send").click()
        await expect(form).to_have_count(0)
        held = (await app.heard("view_submission"))["view"]["state"]["values"]["papers"]["it"]
        assert [one["name"] for one in held["files"]] == ["notes.txt"]
