"""Block Kit on the page: every block and element is drawn, acts as Slack's does, and stays text."""

import json
from typing import Any

import pytest
from playwright.async_api import expect

from stateroom.emulator.config import SEED_CHANNEL, SEED_OTHER_USER, SEED_USER
from support import kit_samples as kit
from support.browsing import Bot, Shown
from support.kit_samples import Json
from support.local_slack import eventually
from support.page_app import page_app

pytestmark = pytest.mark.service

EVIL = "<img src=x onerror='window.__hit = 1'>"
KEPT = {"type", "action_id", "block_id", "style", "status", "level", "indent", "url", "title_url", "video_url"}


async def test_q03_every_block_is_drawn(shown: Shown, bot: Bot) -> None:
    ts = bot.say("fallback", blocks=kit.texts())
    body = shown.body(ts)
    await expect(body.locator(".block-header")).to_contain_text("Deploy")
    assert await body.locator(".unknown-card").count() == 0
    await expect(body.locator(".block-fields > div")).to_have_text(["ByAda", "43 s"])
    await expect(body.locator(".block-rich li")).to_have_text(["first", "nested", "third"])
    await expect(body.locator(".block-rich ol")).to_have_attribute("start", "3")
    await expect(body.locator(".block-rich .mention")).to_have_text(
        ["@Ada Lovelace", "#general", "@here", "@S00000001", "T00000001"]
    )
    await expect(body.locator(".block-rich blockquote")).to_have_text("quoted")
    await expect(body.locator(".block-rich pre")).to_have_text("x = 1\ny = 2")
    await expect(body.locator(".chart caption")).to_have_text(["Answers (pie chart)", "Load (bar chart)"])
    await expect(body.locator(".callout-warning strong")).to_have_text("slow")
    await expect(body.locator(".video-card a")).to_have_attribute("href", "https://example.com/watch")
    await expect(body.locator(".plan .task-head")).to_have_text(
        ["Read the log, complete", "Ask the database, in progress", "Write it down, pending"]
    )
    await expect(body.locator("details.container .kit-card-title")).to_have_text("Two records")
    await shown.page.set_viewport_size({"width": 1280, "height": 1700})
    await shown.shoot("1280-light-blocks")


async def test_q03_a_data_table_is_sorted_and_paged(shown: Shown, bot: Bot) -> None:
    table = next(one for one in kit.texts() if one["type"] == "data_table")
    body = shown.body(bot.say("fallback", blocks=[table]))
    names = body.locator("tbody tr > :first-child")
    await expect(names).to_have_text(["c", "a"])
    await body.get_by_role("button", name="Took").click()
    await expect(names).to_have_text(["a", "c"])
    await body.get_by_role("button", name="Next").click()
    await expect(names).to_have_text(["b"])
    await expect(body.locator(".table-pages")).to_contain_text("2 of 2")


async def test_q03_attachments_keep_their_colour_fields_and_blocks(shown: Shown, bot: Bot) -> None:
    body = shown.body(bot.say("with attachments", attachments=kit.attachments()))
    bars = body.locator(".attachment")
    await expect(bars).to_have_count(3)
    colour = await bars.first.evaluate("(el) => getComputedStyle(el).borderLeftColor")
    assert colour == "rgb(54, 166, 79)"
    await expect(bars.first).to_contain_text("Title")
    await expect(bars.first.locator(".block-fields > div")).to_have_text(["Short1", "Longa line"])
    await expect(bars.nth(1).locator("strong")).to_have_text("block")
    await expect(bars.last).to_have_text("only words")


async def test_q03_tasks_and_blocks_of_a_stream_stand_with_its_text(shown: Shown, bot: Bot) -> None:
    asked = shown.slack.say("look it up")
    live = bot.begin(asked, "Looking")
    chunks = [
        {"type": "plan_update", "title": "Two steps"},
        {"type": "task_update", "id": "1", "title": "Search", "status": "in_progress"},
    ]
    shown.slack.call("chat.appendStream", channel=SEED_CHANNEL, ts=live, chunks=chunks)
    await shown.message(asked).locator(".reply-bar").click()
    answer = shown.page.locator(f'#thread-scroll article[data-ts="{live}"] .msg-body')
    await expect(answer.locator(".plan-title")).to_have_text("Two steps")
    await expect(answer.locator(".task-in_progress")).to_contain_text("Search")
    done = [{"type": "task_update", "id": "1", "title": "Search", "status": "complete", "output": "3 hits"}]
    opinion = [one for one in kit.elements() if one["type"] == "context_actions"]
    shown.slack.call("chat.stopStream", channel=SEED_CHANNEL, ts=live, chunks=done, blocks=opinion)
    await expect(answer.locator(".task-complete")).to_contain_text("3 hits")
    await expect(answer).to_contain_text("Looking")
    await expect(answer.get_by_role("button", name="Good")).to_be_visible()


def poisoned(value: Any, name: str = "") -> Any:
    """The same blocks with every word replaced by an attack."""
    if isinstance(value, dict):
        return {key: poisoned(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [poisoned(one, name) for one in value]
    return EVIL if isinstance(value, str) and name not in KEPT else value


async def test_q02_no_block_and_no_element_makes_markup_of_its_words(shown: Shown, bot: Bot) -> None:
    for made in (kit.texts(), kit.elements(), [kit.cards()], kit.attachments()):
        part = "blocks" if "type" in made[0] else "attachments"
        body = shown.body(bot.say(EVIL, **{part: poisoned(made)}))
        await expect(body).to_contain_text("onerror")
        assert await body.locator("img, script, [onerror]").count() == 0
        for button in await body.locator("button.select").all():
            await button.click()
            await shown.page.keyboard.press("Escape")
    assert await shown.page.evaluate("() => window.__hit") is None


async def test_q02_no_address_of_a_block_runs_anything(shown: Shown, bot: Bot) -> None:
    for scheme in ("javascript:window.__hit=1", "data:text/html,<script>1</script>", "vbscript:x"):
        blocks = [
            {"type": "actions", "elements": [kit.button("Go", "go", url=scheme)]},
            {"type": "image", "image_url": scheme, "alt_text": "x"},
            {"type": "video", "title": kit.plain("v"), "title_url": scheme, "video_url": scheme, "alt_text": "x"},
            kit.rich({"type": "rich_text_section", "elements": [{"type": "link", "url": scheme, "text": "l"}]}),
            kit.task("t", "complete", sources=[{"type": "url", "url": scheme, "text": "s"}]),
        ]
        body = shown.body(bot.say("x", blocks=blocks, attachments=[{"title": "t", "title_link": scheme, "text": "x"}]))
        await expect(body.locator(".attachment")).to_have_count(1)
        assert await body.locator("a").count() == 0


# What each choice sends: the element's action id, what is done to it, the part of the action that must come.
CHOICES: list[tuple[str, str, Json]] = [
    ("static", "Pear", {"selected_option": kit.FRUIT[1]}),
    ("user", "Grace Hopper", {"selected_user": SEED_OTHER_USER}),
    ("conversation", "general", {"selected_conversation": SEED_CHANNEL}),
    ("channel", "general", {"selected_channel": SEED_CHANNEL}),
    ("external", "Bern", {"selected_option": kit.option("Bern")}),
]


async def test_q03_every_element_of_a_message_sends_what_slack_sends(shown: Shown) -> None:
    async with page_app(shown.slack) as app:
        app.answers["block_suggestion"] = {"options": [kit.option("Bern"), kit.option("Rome")]}
        body = shown.body(Bot(shown.slack).say("x", blocks=kit.elements()))

        async def sent(action_id: str) -> Json:
            def came() -> list[Json]:
                actions = [one["actions"][0] for one in app.of("block_actions")]
                return [one for one in actions if one["action_id"] == action_id]

            return (await eventually(came))[-1]

        await body.get_by_role("button", name="Approve").click()
        assert (await sent("approve"))["value"] == "42"
        await body.get_by_role("button", name="More options").click()
        await shown.page.get_by_role("option", name="Remove").click()
        assert (await sent("more"))["selected_option"]["value"] == "remove"
        for label, (action_id, choice, part) in zip(
            ["A fruit", "A person", "A conversation", "A channel", "A city"], CHOICES, strict=True
        ):
            await body.get_by_role("button", name=label).click()
            await shown.page.keyboard.type(choice[:3])
            await expect(shown.page.locator(".chooser").get_by_role("option", name=choice)).to_be_visible()
            await shown.page.keyboard.press("Enter")
            action = await sent(action_id)
            assert json.dumps(part)[1:-1] in json.dumps(action)
        await body.get_by_role("button", name="People").click()
        for name in ("Ada", "Grace"):
            await shown.page.locator(".chooser").get_by_role("option", name=name).click()
        await shown.page.get_by_role("button", name="Done").click()
        assert (await sent("users"))["selected_users"] == [SEED_USER, SEED_OTHER_USER]
        await body.get_by_role("checkbox", name="Pear").check()
        assert [one["value"] for one in (await sent("boxes"))["selected_options"]] == ["apple", "pear"]
        await body.get_by_role("radio", name="Apple").check()
        assert (await sent("radio"))["selected_option"]["value"] == "apple"
        await body.get_by_label("A day").fill("2027-01-02")
        assert (await sent("date"))["selected_date"] == "2027-01-02"
        await body.get_by_label("A time").fill("10:45")
        assert (await sent("time"))["selected_time"] == "10:45"
        await body.get_by_label("Date and time").fill("2027-01-02T10:45")
        assert (await sent("moment"))["selected_date_time"] == 1_798_886_700
        await body.get_by_role("button", name="Good").click()
        assert (await sent("feedback"))["value"] == "up"
        await body.get_by_role("button", name="Remove").click()
        assert (await sent("drop"))["value"] == "x"
        state = (await app.heard("block_actions"))["state"]["values"]
        assert state["dates"]["date"]["selected_date"] == "2027-01-02"
    await shown.page.set_viewport_size({"width": 1280, "height": 900})
    await shown.shoot("1280-light-elements")


async def test_q03_a_confirm_dialog_stands_before_the_action(shown: Shown) -> None:
    async with page_app(shown.slack) as app:
        body = shown.body(Bot(shown.slack).say("x", blocks=kit.elements()))
        await body.get_by_role("button", name="Restart").click()
        dialog = shown.page.get_by_role("dialog", name="Really?")
        await expect(dialog.locator("strong")).to_have_text("restarts")
        await dialog.get_by_role("button", name="Stop").click()
        await expect(dialog).to_have_count(0)
        assert app.of("block_actions") == []
        await body.get_by_role("button", name="Restart").click()
        await dialog.get_by_role("button", name="Do it").click()
        assert (await app.heard("block_actions"))["actions"][0]["action_id"] == "restart"
