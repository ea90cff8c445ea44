"""Text is text: what is written never becomes markup, script or a request to elsewhere."""

import http.client
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Request, expect

import stateroom.emulator
from support.browsing import Bot, Shown, showing
from support.local_slack import LocalSlack, local_slack_process

pytestmark = pytest.mark.service

PAGE = Path(stateroom.emulator.__file__).with_name("page")

ATTACKS = [
    "<script>window.__hit = 1</script>",
    "<img src=x onerror='window.__hit = 1'>",
    '"><svg onload="window.__hit = 1">',
    '<https://example.com/"onmouseover="window.__hit=1|hover me>',
    "<javascript:window.__hit=1|click me>",
    "[click me](javascript:window.__hit=1)",
    "[click me](JaVaScRiPt:window.__hit=1)",
    "<data:text/html,<script>window.__hit=1</script>|data>",
    "<https://example.com|<img src=x onerror=window.__hit=1>>",
    "```<img src=x onerror=window.__hit=1>```",
    "`<b onmouseover=window.__hit=1>`",
    "<@U00000001|<img src=x onerror=window.__hit=1>>",
    "&lt;img src=x onerror=window.__hit=1&gt;",
    "**<b onclick=window.__hit=1>**",
]


@pytest.mark.parametrize("via", ["person", "bot", "block"])
async def test_q02_hostile_text_stays_text(shown: Shown, bot: Bot, via: str) -> None:
    stamps = []
    for attack in ATTACKS:
        if via == "person":
            stamps.append(shown.slack.say(attack))
        elif via == "bot":
            stamps.append(bot.say(attack))
        else:
            section = {"type": "section", "text": {"type": "mrkdwn", "text": attack}}
            stamps.append(bot.say("fallback", blocks=[section, {"type": "markdown", "text": attack}]))
    await expect(shown.messages).to_have_count(len(ATTACKS))
    bodies = shown.page.locator("#channel-scroll .msg-body")
    assert await bodies.locator("img, script, iframe, object, b, [onmouseover], [onclick], [onerror]").count() == 0
    for href in await bodies.locator("a").evaluate_all("(list) => list.map((el) => el.href)"):
        assert urlsplit(href).scheme in ("http", "https"), href
    for ts in stamps:
        await shown.message(ts).hover(force=True)
    for link in await bodies.locator("a").all():
        await link.evaluate("(el) => el.dispatchEvent(new MouseEvent('mouseover', {bubbles: true}))")
    assert await shown.page.evaluate("() => window.__hit") is None


async def test_what_a_person_types_cannot_become_markup_either(shown: Shown) -> None:
    typed = "<script>x</script> & <@U00000002> <https://example.com|x> <!channel>"
    await shown.write(typed)
    await expect(shown.messages.locator(".msg-body")).to_have_text(typed)
    assert await shown.messages.locator(".mention").count() == 0


async def test_a_link_opens_elsewhere_without_handing_over_this_page(shown: Shown, bot: Bot) -> None:
    ts = bot.say('<https://example.com/?q="x"|quoted>')
    link = shown.body(ts).locator("a")
    await expect(link).to_have_attribute("rel", "noopener noreferrer")
    await expect(link).to_have_attribute("target", "_blank")
    await expect(link).to_have_attribute("href", "https://example.com/?q=%22x%22")


async def test_names_and_topics_and_ids_are_text_too(shown: Shown) -> None:
    hostile = "<img src=x onerror=window.__hit=1>"
    shown.slack.sim("POST", "apps", {"app_id": "A00000001", "name": hostile})
    await shown.page.reload()
    await expect(shown.page.locator(".bot-card strong")).to_have_text(hostile)
    assert await shown.page.locator("img").count() == 0
    assert await shown.page.evaluate("() => window.__hit") is None


async def test_q03_an_unknown_block_is_a_named_card_with_its_json(shown: Shown, bot: Bot) -> None:
    state = {"type": "header", "text": {"type": "plain_text", "text": "Deploy :rocket:"}}
    fields = [{"type": "mrkdwn", "text": "*a*"}, {"type": "plain_text", "text": "*b*"}]
    button = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}
    picker = {"type": "hologram", "action_id": "when"}
    ts = bot.say(
        "fallback",
        blocks=[
            state,
            {"type": "section", "fields": fields},
            {"type": "divider"},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "by _us_"}]},
            {"type": "actions", "elements": [button, picker]},
            {"type": "carousel_of_tomorrow", "cards": ["<b>"]},
        ],
    )
    body = shown.body(ts)
    await expect(body.locator(".block-header")).to_contain_text("Deploy")
    await expect(body.locator("strong")).to_have_text(["a"])
    await expect(body.locator("hr")).to_have_count(1)
    await expect(body.locator("em")).to_have_text(["us"])
    await expect(body.locator(".unknown-name")).to_have_text(["element: hologram", "block: carousel_of_tomorrow"])
    card = body.locator(".unknown-card").last
    await card.locator("summary").click()
    await expect(card.locator("pre")).to_contain_text('"cards": [\n    "<b>"\n  ]')


async def test_q15_the_page_asks_nobody_but_its_own_server(shown: Shown, bot: Bot) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    shown.page.on("request", note)
    await shown.page.reload()
    picture = {"type": "image", "image_url": "https://example.com/x.png", "alt_text": "a cat"}
    ts = bot.say("https://example.com/unfurl-me", blocks=[picture])
    await expect(shown.body(ts)).to_contain_text("Image: a cat")
    assert asked
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(shown.slack.url).netloc}


def test_q02_the_page_is_served_under_a_strict_policy(slack: LocalSlack) -> None:
    status, _, headers = slack.request("GET", "/")
    policy = headers["content-security-policy"]
    assert status == 200
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for path in ("/page/app.js", "/page/style.css"):
        assert slack.request("GET", path)[0] == 200
    assert slack.request("GET", "/page/..%2fserver.py")[0] == 404


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/_sim/messages"), ("POST", "/_sim/crash"), ("GET", "/_sim/stream")]
)
def test_q01_another_origin_is_refused(slack: LocalSlack, method: str, path: str) -> None:
    body = {"channel": "C00000001", "user": "U00000001", "text": "x"}
    status, answer, _ = slack.request(
        method, path, body if method == "POST" else None, {"Origin": "http://evil.example"}
    )
    assert (status, answer["error"]) == (403, "forbidden_origin")
    assert slack.messages() == []


def test_no_module_makes_markup_from_strings() -> None:
    for module in PAGE.glob("*.js"):
        code = module.read_text()
        for forbidden in ("innerHTML =", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert forbidden not in code, f"{module.name}: {forbidden}"


def test_q15_the_scripts_are_one_and_stay_small(slack: LocalSlack) -> None:
    """Counted as they are sent: one file, compressed."""
    start = slack.request("GET", "/")[1]["text"]
    named = re.findall(r'<script[^>]* src="([^"]+)"', start)
    assert named == ["/page/page.js"]
    status, size, headers = ask(slack, "/page/page.js", {"Accept-Encoding": "gzip"})
    assert (status, headers["content-encoding"]) == (200, "gzip")
    print(f"scripts: {size} bytes compressed")
    assert size <= 60_000
    again, rest, _ = ask(slack, "/page/page.js", {"If-None-Match": headers["etag"]})
    assert (again, rest) == (304, 0)


def ask(slack: LocalSlack, path: str, headers: dict[str, str]) -> tuple[int, int, dict[str, str]]:
    """Status, bytes of the body as they came, headers."""
    parts = urlsplit(slack.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, len(body), {name.lower(): value for name, value in answer.getheaders()}


async def test_the_page_works_from_its_sources_too(shown: Shown) -> None:
    await shown.open("/?source")
    await shown.write("from the sources")
    await expect(shown.messages).to_have_count(1)
    asked = await shown.page.evaluate("() => performance.getEntriesByType('resource').map((one) => one.name)")
    assert any(name.endswith("/page/store.js") for name in asked)


async def test_q15_the_server_keeps_within_its_memory_with_the_page_served(browser: Browser) -> None:
    with local_slack_process() as running:
        async with showing(browser, running.slack) as shown:
            await shown.write("hello")
            await expect(shown.messages).to_have_count(1)
            status = Path(f"/proc/{running.process.pid}/status").read_text()
            kilobytes = int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0])
            print(f"the server holds {kilobytes / 1000:.0f} MB")
            assert kilobytes < 60_000
