"""The page at the sizes and in the themes that people use; the pictures are kept for looking at."""

from collections import deque

import pytest
from playwright.async_api import Browser, expect

from stateroom.emulator.config import SEED_APP, SEED_DM, SEED_OTHER_USER, SEED_USER
from support import kit_samples as kit
from support.browsing import Bot, Shown, Turns, showing, turn, turns_of
from support.local_slack import UNHURRIED, EventApp, LocalSlack, local_slack
from support.page_app import PageApp, modal, page_app

pytestmark = pytest.mark.service

ANSWER = """**Nothing is lost.** The event is durable *before* Slack hears `200`:

1. the inbox row is written
2. Slack gets its answer
3. a worker claims the turn

```python
async with store.team("T00000001") as team:
    await team.inbox.accept(event)
```

> A redelivery is the same row.

See [the design](https://example.com/design) :ship:"""

SIZES = {"360": (360, 740), "390": (390, 844), "1280": (1280, 800), "1920": (1920, 1080)}


async def furnish(slack: LocalSlack, queue: Turns) -> str:
    """A channel in the middle of a working day; returns the thread that is being answered."""
    bot = Bot(slack)
    slack.say("Morning! Did the bot survive the deploy last night?", user=SEED_OTHER_USER)
    slack.say("It did. I killed it twice while it was answering.")
    slack.say("Both answers came back *complete*, see `stateroom turns list`")
    noted = slack.say("<@UB0000001> what happens to a message when you crash?", user=SEED_OTHER_USER)
    slack.act("react", noted, user="U00000001", name="eyes")
    done = bot.begin(noted)
    bot.end(done, ANSWER)
    asked = slack.say("<@UB0000001> and when Slack delivers it twice?")
    for number, state in enumerate(["received", "claimed", "answering", "posted", "done"]):
        queue.append(turn(noted, state, float(noted) + number * 0.3))
    for number, state in enumerate(["received", "claimed", "answering"]):
        queue.append(turn(asked, state, float(asked) + number * 0.2, attempts=2))
    live = bot.begin(asked, "Then the second delivery finds the same inbox row. ")
    bot.grow(live, "It is acknowledged and **nothing else** happens, because dedup here is a lease that")
    slack.fault("throttle", method="chat.appendStream", retry_after=2, count=3)
    return asked


@pytest.mark.parametrize(
    ("size", "theme"),
    [("360", "light"), ("390", "light"), ("390", "dark"), ("1280", "light"), ("1280", "dark"), ("1920", "dark")],
)
async def test_q10_the_page_fits_and_is_kept_as_a_picture(browser: Browser, size: str, theme: str) -> None:
    width, height = SIZES[size]
    queue: Turns = deque()
    options = {"viewport": {"width": width, "height": height}, "color_scheme": theme}
    with local_slack(watch=turns_of(queue)) as slack:
        async with EventApp() as app, showing(browser, slack, **options) as shown:
            await shown.shoot(f"{size}-{theme}-empty")
            slack.register(app.url)
            asked = await furnish(slack, queue)
            await expect(shown.page.locator(".turn")).to_have_count(2)
            await look(shown, f"{size}-{theme}", asked)


async def look(shown: Shown, name: str, asked: str) -> None:
    await expect(shown.message(asked)).to_be_visible()
    await shown.shoot(f"{name}-channel")
    await fits(shown)
    await shown.message(asked).locator(".reply-bar").click()
    await expect(shown.page.locator("#thread-scroll .caret")).to_be_visible()
    await settled(shown, "#thread")
    await shown.shoot(f"{name}-thread")
    await fits(shown)
    if await shown.page.locator("#thread.is-drawer").count():
        await shown.page.keyboard.press("Escape")
    if await shown.page.locator("#panel.is-drawer").count():
        await shown.page.get_by_role("button", name="Durability panel").click()
        await settled(shown, "#panel")
    await shown.page.locator("#panel summary", has_text="Faults").click()
    await shown.shoot(f"{name}-panel")
    await fits(shown)
    await shown.page.get_by_role("button", name="Open the inspector").click()
    await settled(shown, "#dock")
    await shown.page.locator(".dock-row").first.click()
    await shown.shoot(f"{name}-inspector")
    await fits(shown)


async def settled(shown: Shown, selector: str) -> None:
    """A drawer has come to rest."""
    await shown.page.locator(selector).evaluate("(el) => Promise.all(el.getAnimations().map((one) => one.finished))")


async def fits(shown: Shown) -> None:
    wide = await shown.page.evaluate(
        """() => [...document.querySelectorAll(
            "html, body, .topbar, .scroller, .panel-body, .side-lists, .dock-list, .home")]
            .filter((el) => el.offsetParent !== null || el === document.documentElement)
            .filter((el) => el.scrollWidth > el.clientWidth + 1)
            .map((el) => `${el.tagName}.${el.className} ${el.scrollWidth} > ${el.clientWidth}`)"""
    )
    assert wide == []


async def test_the_seeded_app_is_named(shown: Shown) -> None:
    assert SEED_APP in [one["app_id"] for one in shown.slack.state()["apps"]]
    await expect(shown.page).to_have_title("Stateroom · local workspace")


# Every visible text against the ground it stands on: WCAG 2.2, 1.4.3 (https://www.w3.org/TR/WCAG22/#contrast-minimum).
_CONTRAST = """() => {
  const parse = (text) => {
    const found = text.match(/[\\d.]+/g).map(Number);
    if (text.startsWith("color(srgb")) return [found[0] * 255, found[1] * 255, found[2] * 255, found[3] ?? 1];
    return [found[0], found[1], found[2], found[3] ?? 1];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const ground = (el) => {
    const layers = [];
    for (let one = el; one; one = one.parentElement) layers.push(parse(getComputedStyle(one).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const light = ([r, g, b]) => {
    const part = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const bad = [];
  let seen = 0;
  const hidden = (el) => !el.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const check = (el, style, words) => {
    seen += 1;
    const below = ground(el);
    const [a, b] = [light(over(parse(style.color), below)), light(below)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.push(`${ratio.toFixed(2)} ${el.tagName}.${el.className} "${words.slice(0, 30)}"`);
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const el = walk.currentNode.parentElement;
    const words = walk.currentNode.textContent.trim();
    if (!words || hidden(el)) continue;
    if (el.closest(".visually-hidden, option, noscript, script") || el.disabled) continue;
    check(el, getComputedStyle(el), words);
  }
  for (const el of document.querySelectorAll("input, textarea, select")) {
    if (hidden(el) || el.closest(".visually-hidden") || el.disabled) continue;
    const empty = !el.value && el.placeholder;
    if (empty || el.value) check(el, getComputedStyle(el, empty ? "::placeholder" : null), empty || el.value);
  }
  return [seen, bad];
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_q07_every_text_stands_out_from_its_ground(browser: Browser, theme: str) -> None:
    queue: Turns = deque()
    with local_slack(watch=turns_of(queue)) as slack:
        async with EventApp() as app, showing(browser, slack, color_scheme=theme) as shown:
            shown.excused.append("Failed to load resource")
            assert (await shown.page.evaluate(_CONTRAST))[1] == []
            slack.register(app.url)
            asked = await furnish(slack, queue)
            queue.append(turn(asked, "failed", float(asked) + 2, attempts=3))
            await expect(shown.page.locator(".turn-failed")).to_have_count(1)
            Bot(slack).say("unknown", blocks=[{"type": "video", "title": "x"}])
            slack.call("chat.postMessage", channel="C404", text="x")
            slack.say("and a `code` *bold* &lt;tag&gt; :rocket: <!here> <@U00000001>", user=SEED_OTHER_USER)
            Bot(slack).status(asked, "is thinking…")
            await shown.page.route("**/_sim/messages", lambda route: route.fulfill(status=500, json={"error": "no"}))
            await shown.write("this will fail")
            await expect(shown.page.locator(".is-failed")).to_be_visible()
            await shown.message(asked).locator(".reply-bar").click()
            await shown.page.locator("#panel summary", has_text="Faults").click()
            await shown.page.get_by_role("button", name="Open the inspector").click()
            await shown.page.get_by_role("button", name="Deliver twice").click()
            await shown.page.get_by_role("button", name="Crash the bot (kill -9)").click(force=True)
            await expect(shown.page.locator(".panel-problems .problem")).to_have_count(2)
            await shown.message(asked).hover()
            seen, bad = await shown.page.evaluate(_CONTRAST)
            assert seen > 60
            assert bad == []
            await shown.page.keyboard.press("Control+k")
            assert (await shown.page.evaluate(_CONTRAST))[1] == []


VIEWS = [(size, theme) for size in ("390", "1280") for theme in ("light", "dark")]


@pytest.mark.parametrize(("size", "theme"), VIEWS)
async def test_q07_modals_and_home_stand_out_from_their_ground_and_fit(browser: Browser, size: str, theme: str) -> None:
    width, height = SIZES[size]
    options = {"viewport": {"width": width, "height": height}, "color_scheme": theme}
    with local_slack(**UNHURRIED) as slack:
        async with page_app(slack) as app, showing(browser, slack, **options) as shown:
            await modal_looks(shown, app, f"{size}-{theme}")
            await home_looks(shown, app, f"{size}-{theme}")


async def stands_out(shown: Shown, least: int) -> None:
    seen, bad = await shown.page.evaluate(_CONTRAST)
    assert bad == []
    assert seen >= least


async def modal_looks(shown: Shown, app: PageApp, name: str) -> None:
    """A form as it opens, with what is wrong under its fields, with a list open, and asking whether it is meant."""
    button = [{"type": "actions", "elements": [kit.button("Open", "open")]}]
    await shown.body(Bot(shown.slack).say("x", blocks=button)).get_by_role("button", name="Open").click()
    await app.heard("block_actions")
    app.open_modal(modal([*kit.elements()[:1], *kit.inputs(), *kit.texts()[:4]]), "block_actions")
    form = shown.page.get_by_role("dialog", name="A form")
    await expect(form).to_be_visible()
    await shown.shoot(f"{name}-modal")
    await stands_out(shown, 60)
    wide = await form.evaluate(
        "(el) => [el, ...el.querySelectorAll('*')].filter((one) => "
        "one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.className)"
    )
    assert wide == []
    await form.get_by_label("Plain text input 0").fill("x")
    await form.get_by_role("button", name="Send").click()
    await expect(form.locator(".has-error .input-error")).to_be_visible()
    await shown.shoot(f"{name}-modal-errors")
    await form.get_by_role("button", name="Static select 6").click()
    await expect(shown.page.locator(".chooser").get_by_role("option", name="Pear")).to_be_visible()
    await stands_out(shown, 60)
    await shown.shoot(f"{name}-modal-choice")
    await shown.page.keyboard.press("Escape")
    await form.get_by_role("button", name="Restart").click()
    await expect(shown.page.get_by_role("dialog", name="Really?")).to_be_visible()
    await stands_out(shown, 60)
    await shown.shoot(f"{name}-modal-confirm")
    await shown.page.keyboard.press("Escape")
    await form.get_by_role("button", name="Cancel").click()
    await expect(form).to_have_count(0)


async def home_looks(shown: Shown, app: PageApp, name: str) -> None:
    """What an app published, with every block and element; and where it failed to hear of a visit."""
    view = {"type": "home", "blocks": [*kit.texts(), *kit.elements(), kit.cards()]}
    assert shown.slack.call("views.publish", user_id=SEED_USER, view=view)["ok"]
    app.answers["app_home_opened"] = 500
    if await shown.page.get_by_role("button", name="Channels").is_visible():
        await shown.page.get_by_role("button", name="Channels").click()
    await shown.page.locator(f'[data-channel="{SEED_DM}"]').click()
    await shown.page.get_by_role("tab", name="Home").click()
    home = shown.page.get_by_role("tabpanel", name="Home")
    await expect(home.get_by_role("alert")).to_be_visible()
    await stands_out(shown, 80)
    assert await home.locator("td").first.evaluate("(el) => getComputedStyle(el).borderTopWidth") == "1px"
    nested = home.locator(".rich-list", has_text="nested").last
    assert await nested.evaluate("(el) => getComputedStyle(el).marginLeft") == "22px"
    await fits(shown)
    await shown.shoot(f"{name}-home")


async def test_q07_the_page_has_landmarks_headings_and_a_live_log(shown: Shown) -> None:
    shown.slack.say("hello")
    page = shown.page
    await expect(page.get_by_role("banner")).to_have_count(1)
    await expect(page.get_by_role("navigation", name="Channels and direct messages")).to_have_count(1)
    await expect(page.get_by_role("main", name="general")).to_have_count(1)
    await expect(page.get_by_role("complementary", name="Durability")).to_have_count(1)
    await expect(page.get_by_role("log", name="Message #general")).to_have_count(1)
    await expect(page.get_by_role("heading", level=1)).to_have_text("general")
    levels = await page.locator("h1, h2, h3").evaluate_all(
        "(list) => list.filter((el) => el.checkVisibility()).map((el) => el.tagName)"
    )
    assert levels.count("H1") == 1
    assert {"H2", "H3"} <= set(levels)
    nameless = await page.locator("button, a, input, select, textarea").evaluate_all(
        "(list) => list.filter((el) => el.checkVisibility() && !(el.getAttribute('aria-label') || el.innerText || "
        "(el.labels && el.labels.length))).map((el) => el.outerHTML)"
    )
    assert nameless == []
