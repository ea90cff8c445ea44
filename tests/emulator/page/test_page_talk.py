"""Talking on the page: writing, names, threads, streams, edits, reactions, acting as somebody else."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import expect

from stateroom.emulator.config import SEED_BOT_USER, SEED_CHANNEL, SEED_DM, SEED_OTHER_USER, SEED_USER
from support.browsing import Bot, Shown

pytestmark = pytest.mark.service


def wire_of(shown: Shown, channel: str = SEED_CHANNEL) -> list[str]:
    return [one["text"] for one in shown.slack.messages(channel)]


async def test_the_seeded_prompt_is_one_press_and_one_enter_away(shown: Shown) -> None:
    await shown.page.get_by_role("button", name="Write @stateroom hello").click()
    await expect(shown.composer).to_have_value("@stateroom hello")
    await expect(shown.composer).to_be_focused()
    await shown.composer.press("Enter")
    await expect(shown.messages.locator(".mention")).to_have_text("@stateroom")
    assert wire_of(shown) == [f"<@{SEED_BOT_USER}> hello"]
    await expect(shown.page.locator(".suggest")).to_be_hidden()


async def test_what_is_typed_is_what_is_shown_and_travels_as_slack_sends_it(shown: Shown) -> None:
    await shown.write('if a < b && b > "c" in #general, ask @grace. See https://example.com/?a=1&b=2.')
    body = shown.messages.locator(".msg-body")
    await expect(body).to_have_text(
        'if a < b && b > "c" in #general, ask @Grace Hopper. See https://example.com/?a=1&b=2.'
    )
    assert wire_of(shown) == [
        f'if a &lt; b &amp;&amp; b &gt; "c" in <#{SEED_CHANNEL}>, ask <@{SEED_OTHER_USER}>. '
        "See <https://example.com/?a=1&amp;b=2>."
    ]


async def test_shift_enter_breaks_the_line_and_enter_sends(shown: Shown) -> None:
    await shown.composer.press_sequentially("one")
    await shown.composer.press("Shift+Enter")
    await shown.composer.press_sequentially("two")
    await shown.composer.press("Enter")
    await expect(shown.messages).to_have_count(1)
    assert wire_of(shown) == ["one\ntwo"]
    await expect(shown.composer).to_have_value("")


async def test_names_channels_and_emoji_complete_from_the_keyboard(shown: Shown) -> None:
    await shown.composer.press_sequentially("hi @gr")
    await expect(shown.page.locator(".complete-label")).to_have_text(["Grace Hopper"])
    await shown.composer.press("Tab")
    await shown.composer.press_sequentially("in #gen")
    await shown.composer.press("Enter")
    await shown.composer.press_sequentially(":rocke")
    await shown.composer.press("Enter")
    await expect(shown.composer).to_have_value("hi @grace in #general :rocket: ")
    await shown.composer.press_sequentially("@st")
    await shown.composer.press("Escape")
    await expect(shown.page.locator("#composer-slot .complete")).to_be_hidden()
    await shown.composer.press("Enter")
    await expect(shown.messages).to_have_count(1)
    assert wire_of(shown) == [f"hi <@{SEED_OTHER_USER}> in <#{SEED_CHANNEL}> :rocket: @st"]


async def test_markdown_and_mrkdwn_are_drawn(shown: Shown, bot: Bot) -> None:
    ts = bot.say(
        "*bold* **strong** _it_ ~gone~ `x*y` snake_case_name 2 * 3 * 4\n&gt; quoted\n• one\n• two\n"
        "```python\nprint('*')\n```\n<https://example.com|label> [md](https://example.org) :nosuchemoji: <!here>"
    )
    body = shown.body(ts)
    await expect(body.locator("strong")).to_have_text(["bold", "strong"])
    await expect(body.locator("em")).to_have_text(["it"])
    await expect(body.locator("s")).to_have_text(["gone"])
    await expect(body.locator("p > code")).to_have_text(["x*y"])
    await expect(body.locator("blockquote")).to_have_text("quoted")
    await expect(body.locator("li")).to_have_text(["one", "two"])
    await expect(body.locator("pre")).to_have_text("print('*')")
    await expect(body.locator("a")).to_have_text(["label", "md"])
    await expect(body).to_contain_text("snake_case_name 2 * 3 * 4")
    await expect(body).to_contain_text(":nosuchemoji: @here")


async def test_an_open_code_fence_of_a_growing_stream_is_code_already(shown: Shown, bot: Bot) -> None:
    asked = shown.slack.say(f"<@{SEED_BOT_USER}> code please")
    bot.begin(asked, "Here:\n```\nx = 1")
    await shown.message(asked).locator(".reply-bar").click()
    await expect(shown.replies.locator("pre")).to_have_text("x = 1")


async def test_a_stream_grows_with_a_caret_and_loses_it_at_the_end(shown: Shown, bot: Bot) -> None:
    await shown.write("@stateroom hello")
    await expect(shown.messages).to_have_count(1)
    asked = shown.slack.messages()[0]["ts"]
    bot.status(asked, "is thinking…")
    line = shown.message(asked).locator(".status-line")
    await expect(line).to_have_text("stateroom is thinking…")
    live = bot.begin(asked, "One ")
    await expect(line).to_have_count(0)
    # The first answer to what was said here opens its thread beside the channel, and leaves the focus alone.
    answer = shown.page.locator(f'#thread-scroll article[data-ts="{live}"]')
    await expect(answer.locator(".msg-body")).to_have_text("One")
    await expect(shown.composer).to_be_focused()
    await expect(answer.locator(".caret")).to_have_count(1)
    await expect(shown.message(asked).locator(".reply-bar")).to_contain_text("answering now")
    bot.grow(live, "two ")
    await expect(answer.locator(".msg-body")).to_have_text("One two")
    bot.end(live, "three")
    await expect(answer.locator(".msg-body")).to_have_text("One two three")
    await expect(answer.locator(".caret")).to_have_count(0)
    await expect(answer).to_have_attribute("aria-busy", "false")


async def test_a_thread_that_somebody_opened_is_not_taken_away_by_another_answer(shown: Shown, bot: Bot) -> None:
    async def ask(text: str, threads: int) -> str:
        await shown.write(text)
        await expect(shown.messages).to_have_count(threads)
        return str([one["ts"] for one in shown.slack.messages() if "thread_ts" not in one][-1])

    first = await ask("@stateroom one", 1)
    bot.say("answer one", thread_ts=first)
    await expect(shown.replies.last).to_contain_text("answer one")
    second = await ask("@stateroom two", 2)
    bot.say("answer two", thread_ts=second)
    await expect(shown.replies.last).to_contain_text("answer two")
    await shown.message(first).locator(".reply-bar").click()
    await shown.composer.focus()
    third = await ask("@stateroom three", 3)
    bot.say("answer three", thread_ts=third)
    await expect(shown.message(third).locator(".reply-count")).to_have_text("1 reply")
    await expect(shown.replies.last).to_contain_text("answer one")


async def test_a_reply_goes_into_the_thread_and_the_count_follows(shown: Shown, bot: Bot) -> None:
    ts = shown.slack.say("root")
    await shown.message(ts).hover()
    await shown.page.get_by_role("button", name="Reply in thread").click()
    await expect(shown.reply_box).to_be_focused()
    await shown.write("a reply", shown.reply_box)
    await expect(shown.replies).to_have_count(2)
    bot.say("another", thread_ts=ts)
    await expect(shown.message(ts).locator(".reply-count")).to_have_text("2 replies")
    await expect(shown.messages).to_have_count(1)
    assert [one.get("thread_ts") for one in shown.slack.messages()] == [None, ts, ts]


async def test_up_in_an_empty_box_edits_the_last_own_message(shown: Shown) -> None:
    own = shown.slack.say(f"ask <@{SEED_BOT_USER}> &lt;now&gt;")
    shown.slack.say("not mine", user=SEED_OTHER_USER)
    await expect(shown.messages).to_have_count(2)
    await shown.composer.press("ArrowUp")
    editor = shown.message(own).locator("textarea")
    await expect(editor).to_be_focused()
    await expect(editor).to_have_value("ask @stateroom <now>")
    await editor.press("Escape")
    await expect(shown.composer).to_be_focused()
    assert "edited" not in shown.slack.messages()[0]
    await shown.composer.press("ArrowUp")
    await editor.fill("ask @stateroom later")
    await editor.press("Enter")
    await expect(shown.body(own)).to_have_text("ask @stateroom later (edited)")
    assert shown.slack.messages()[0]["text"] == f"ask <@{SEED_BOT_USER}> later"


async def test_only_own_messages_can_be_edited_or_deleted(shown: Shown) -> None:
    ts = shown.slack.say("not mine", user=SEED_OTHER_USER)
    await shown.message(ts).hover()
    await expect(shown.page.get_by_role("button", name="Add a reaction")).to_be_visible()
    await expect(shown.page.get_by_role("button", name="Edit message")).to_have_count(0)
    await expect(shown.page.get_by_role("button", name="Delete message")).to_have_count(0)


async def test_deleting_asks_first_and_a_thread_keeps_a_tombstone(shown: Shown, bot: Bot) -> None:
    root = shown.slack.say("root")
    bot.say("answer", thread_ts=root)
    alone = shown.slack.say("alone")
    await expect(shown.message(root).locator(".reply-bar")).to_be_visible()
    for ts in (alone, root):
        await shown.message(ts).hover()
        await shown.page.get_by_role("button", name="Delete message").click()
        dialog = shown.page.get_by_role("dialog", name="Delete this message?")
        await dialog.get_by_role("button", name="Cancel").click()
        await expect(dialog).to_have_count(0)
        await shown.message(ts).hover()
        await shown.page.get_by_role("button", name="Delete message").click()
        await dialog.get_by_role("button", name="Delete").click()
        await expect(dialog).to_have_count(0)
    await expect(shown.message(alone)).to_have_count(0)
    await expect(shown.body(root)).to_have_text("This message was deleted.")
    await expect(shown.message(root).locator(".reply-count")).to_have_text("1 reply")


async def test_a_reaction_is_given_and_taken_back(shown: Shown) -> None:
    ts = shown.slack.say("nice", user=SEED_OTHER_USER)
    await shown.message(ts).hover()
    await shown.page.get_by_role("button", name="Add a reaction").click()
    await shown.page.get_by_role("searchbox", name="Find an emoji").fill("rocket")
    await shown.page.keyboard.press("Enter")
    pill = shown.message(ts).locator(".reaction")
    await expect(pill).to_have_attribute("aria-pressed", "true")
    await expect(pill).to_contain_text("1")
    assert shown.slack.messages()[0]["reactions"][0]["name"] == "rocket"
    await pill.click()
    await expect(pill).to_have_count(0)


async def test_acting_as_somebody_else_speaks_sees_and_may_do_as_they(shown: Shown) -> None:
    await expect(shown.page.locator(f'[data-channel="{SEED_DM}"]')).to_have_count(1)
    await shown.page.get_by_label("Acting as").select_option(SEED_OTHER_USER)
    await shown.write("I am Grace")
    await expect(shown.messages.locator(".msg-author")).to_have_text("Grace Hopper")
    assert shown.slack.messages()[0]["user"] == SEED_OTHER_USER
    # The seeded direct message is Ada's: Grace has none, and is told so.
    await expect(shown.page.locator(f'[data-channel="{SEED_DM}"]')).to_have_count(0)
    await expect(shown.page.locator(".side-none")).to_have_text("Grace Hopper has none.")


async def test_a_direct_message_is_named_after_the_other_side(shown: Shown) -> None:
    await shown.page.locator(f'[data-channel="{SEED_DM}"]').click()
    await expect(shown.page.get_by_role("heading", level=1)).to_have_text("stateroom")
    await shown.write("psst")
    await expect(shown.messages).to_have_count(1)
    assert wire_of(shown, SEED_DM) == ["psst"]
    assert wire_of(shown) == []


async def test_q08_people_are_round_and_bots_are_not(shown: Shown, bot: Bot) -> None:
    shown.slack.say("hello")
    shown.slack.say("hello", user=SEED_OTHER_USER)
    bot.say("hello")
    faces = shown.messages.locator(".avatar")
    await expect(faces).to_have_count(3)
    looks = await faces.evaluate_all(
        "(list) => list.map((el) => [getComputedStyle(el).borderRadius, getComputedStyle(el).backgroundColor])"
    )
    assert [radius for radius, _ in looks[:2]] == ["50%", "50%"]
    assert looks[2][0] != "50%"
    assert len({colour for _, colour in looks}) == 3


async def test_q09_messages_of_one_person_are_grouped_and_days_are_divided(shown: Shown) -> None:
    old = (datetime.now(UTC) - timedelta(days=3)).timestamp()
    shown.slack.say("three days ago", ts=f"{int(old)}.000100")
    shown.slack.say("one")
    shown.slack.say("two")
    shown.slack.say("three", user=SEED_OTHER_USER)
    await expect(shown.messages).to_have_count(4)
    grouped = await shown.messages.evaluate_all("(list) => list.map((el) => el.classList.contains('is-grouped'))")
    assert grouped == [False, False, True, False]
    await expect(shown.page.locator(".day-line")).to_have_count(2)
    await expect(shown.page.locator(".day-line").last).to_have_text("Today")


async def test_unread_messages_are_marked_and_a_line_shows_where_they_begin(shown: Shown, bot: Bot) -> None:
    dm = Bot(shown.slack, SEED_DM)
    dm.say("read already")
    entry = shown.page.locator(f'[data-channel="{SEED_DM}"]')
    await expect(entry.locator(".badge")).to_have_text("1")
    await entry.click()
    await expect(entry.locator(".badge")).to_have_count(0)
    await shown.page.locator(f'[data-channel="{SEED_CHANNEL}"]').click()
    dm.say("first new")
    dm.say("second new")
    await expect(entry).to_have_class(re.compile("is-unread"))
    await expect(entry.locator(".badge")).to_have_text("2")
    await expect(shown.page).to_have_title("(2) Stateroom · local workspace")
    await entry.click()
    marked = shown.page.locator(".row:has(.new-line) .msg-body")
    await expect(marked).to_have_text("first new")


async def test_q09_a_reader_is_not_pulled_down_by_new_messages(shown: Shown) -> None:
    for number in range(60):
        shown.slack.say(f"line {number}", user=SEED_OTHER_USER)
    await expect(shown.messages.last).to_contain_text("line 59")
    scroller = shown.page.locator("#channel-scroll")
    assert await scroller.evaluate("(el) => el.scrollHeight - el.scrollTop - el.clientHeight") < 2
    await scroller.evaluate("(el) => { el.scrollTop = 200; }")
    pill = shown.page.locator(".main .new-pill")
    await expect(pill).to_be_hidden()
    for number in range(3):
        shown.slack.say(f"late {number}", user=SEED_OTHER_USER)
    await expect(pill).to_have_text("3 new")
    assert await scroller.evaluate("(el) => el.scrollTop") == 200
    await pill.click()
    await expect(pill).to_be_hidden()
    await expect(shown.messages.last).to_be_in_viewport()
    assert shown.slack.messages()[-1]["user"] != SEED_USER
