"""`/slack/install` and `/slack/oauth_redirect`: a person adds the app to a workspace.

Rules of this file: who comes back from Slack must be the browser that left: its state is stored, works once and for ten
minutes, and is bound to a cookie that only this browser has (RFC 6749, 10.12). Nothing is asked of Slack before the
state was consumed. Pages run no script, are never framed and never kept; a code and a token are in none of them. People
get a small page, programs the one JSON shape of errors.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import msgspec

from stateroom.bot.config import BotConfig
from stateroom.layers.installations import Installations
from stateroom.model.errors import InvalidValue, KeyMissing, SlackError, StateroomError, Throttled
from stateroom.slack.oauth import authorize_url, installation_of

if TYPE_CHECKING:
    from stateroom.slack.client import SlackClient

Header = tuple[bytes, bytes]
Reply = tuple[int, bytes, bytes, list[Header]]  # as bot/ingress.py has it, with more headers
Handler = Callable[..., Awaitable[Reply]]

INSTALL: Final = "/slack/install"
REDIRECT: Final = "/slack/oauth_redirect"
_CALL: Final = 15.0  # seconds that Slack gets to answer
_COOKIE: Final = "stateroom-install"
_LIVES: Final = 600  # seconds of the cookie, as of the state
_LONGEST: Final = 4096  # bytes of a query that is read
_MOST: Final = 20  # fields in it; Slack sends two
_BINDING: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_LOOPBACK: Final = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:32rem;padding:0 1rem;color:#1d1c1d}"
    "a{display:inline-block;padding:.6rem 1.2rem;border-radius:.4rem;background:#4a154b;color:#fff}"
    "code{overflow-wrap:anywhere}@media(prefers-color-scheme:dark){body{background:#1a1d21;color:#e8e8e8}}"
)
_STYLE_HASH: Final = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS: Final[list[Header]] = [
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'".encode(),
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
log = logging.getLogger("stateroom.installations")


class Refused(StateroomError):
    """The request ends here. `.status`, `.code` and `.detail` are what the browser is told."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail


class InstallPages:
    """The two pages. `make(token)` gives a Slack client; `installed(team)` hears of each install."""

    def __init__(
        self,
        config: BotConfig,
        installations: Installations,
        clock: Callable[[], float],
        make: Callable[[str | None], SlackClient],
        *,
        installed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._config = config
        self._installations = installations
        self._clock = clock
        self._make = make
        self._installed = installed
        self._https = config.public_url.startswith("https://")
        self._cookie = f"__Host-{_COOKIE}" if self._https else _COOKIE  # the prefix: no other host can set it

    @property
    def routes(self) -> Mapping[str, tuple[str, Handler]]:
        """Path to method and handler."""
        return {INSTALL: ("GET", self._told(self._install)), REDIRECT: ("GET", self._told(self._redirect))}

    def _told(self, handler: Callable[[Mapping[str, Any]], Awaitable[Reply]]) -> Handler:
        """A handler whose errors are answers."""

        async def answer(scope: Mapping[str, Any], _receive: object) -> Reply:
            try:
                self._check()
                return await handler(scope)
            except Refused as refused:
                return _refusal(scope, refused)
            except KeyMissing as missing:
                return _refusal(scope, Refused(503, "keys_missing", str(missing)))
            except StateroomError as failed:
                log.error("not installed: %s", failed)
                return _refusal(scope, Refused(503, "unavailable", "the store cannot be used now; try again"))

        return answer

    def _check(self) -> None:
        """Refused where nobody can install, and why."""
        config = self._config
        if not config.client_id or not config.client_secret:
            words = "set SLACK_CLIENT_ID and SLACK_CLIENT_SECRET: your app's page, Basic Information"
            raise Refused(503, "not_configured", words)
        if config.keys is None:
            raise Refused(503, "keys_missing", "set STATEROOM_KEYS: without keys no token is stored (docs/keys.md)")

    async def _install(self, scope: Mapping[str, Any]) -> Reply:
        binding = self._binding(scope) or secrets.token_urlsafe(32)  # a second tab leaves the first one its way back
        address = authorize_url(
            self._config.slack_api_url,
            client_id=self._config.client_id,
            scopes=self._config.scopes,
            user_scopes=self._config.user_scopes,
            state=await self._installations.issue_state(binding, seconds=_LIVES),
            redirect_uri=self._redirect_uri(scope),
        )
        words = "<p>Slack will show what the app may do, and ask you to allow it.</p>"
        link = f'<p><a href="{escape(address)}">Add to Slack</a></p>'
        return _page(200, "Add to Slack", words + link, self._set_cookie(binding, _LIVES))

    async def _redirect(self, scope: Mapping[str, Any]) -> Reply:
        asked = _asked(scope)
        binding = self._binding(scope)
        if binding is None or not await self._installations.consume_state(asked.get("state", ""), binding):
            log.warning("install refused: the state is not this browser's, was used, or is over")
            raise Refused(400, "invalid_state", f"this link is not yours, was used, or is too old; begin at {INSTALL}")
        if "error" in asked or not asked.get("code"):
            raise Refused(403, "access_denied", f"nothing was installed; begin again at {INSTALL}")
        installation = await self._exchanged(asked["code"], self._redirect_uri(scope))
        try:
            await self._installations.save(installation)
        except InvalidValue as refused:
            log.error("Slack's answer is no installation: %s", refused)
            raise Refused(502, "bad_response", "Slack's answer could not be understood; nothing was kept") from None
        place = str(installation["team_id"] or installation["enterprise_id"])
        self._installed(place)
        log.info("app installed", extra={"team": place})
        name = escape(str(installation["team_name"] or installation["enterprise_name"] or place))
        words = f"<p>The app is in {name} now. You can close this page and write to it in Slack.</p>"
        return _page(200, "Installed", words, self._set_cookie("", 0))

    async def _exchanged(self, code: str, redirect_uri: str | None) -> dict[str, Any]:
        """The installation behind the code. Refused."""
        config, deadline = self._config, self._clock() + _CALL
        try:
            async with self._make(None) as slack:
                answer = await slack.oauth_access(
                    client_id=config.client_id,
                    client_secret=config.client_secret,
                    code=code,
                    redirect_uri=redirect_uri,
                    deadline=deadline,
                )
            return installation_of(answer, await self._bot(answer, deadline))
        except (SlackError, Throttled) as failed:
            log.error("code not exchanged: %s", failed)
            words = f"Slack did not give a token ({getattr(failed, 'code', 'throttled')}); begin again at {INSTALL}"
            raise Refused(503 if failed.retryable else 400, "oauth_failed", words) from None

    async def _bot(self, answer: Mapping[str, Any], deadline: float) -> Mapping[str, Any]:
        """The bot's id is in no answer of OAuth. Comfort: it is used to tell our own messages, as the user id is."""
        token = answer.get("access_token")
        if not isinstance(token, str) or answer.get("token_type") != "bot":
            return {}
        try:
            async with self._make(token) as slack:
                return await slack.auth_test(deadline=deadline)
        except StateroomError as failed:
            log.warning("the bot's id is not known: %s", failed)
            return {}

    # --- the browser

    def _redirect_uri(self, scope: Mapping[str, Any]) -> str | None:
        """Where Slack sends the browser. Behind a proxy only the setting knows; a Host header is believed on this
        machine alone. None: the first address of the app's page."""
        if self._config.public_url:
            return f"{self._config.public_url.rstrip('/')}{REDIRECT}"
        host = _header(scope, b"host")
        return f"http://{host}{REDIRECT}" if _LOOPBACK.fullmatch(host) else None

    def _binding(self, scope: Mapping[str, Any]) -> str | None:
        for part in _header(scope, b"cookie").split(";"):
            name, _, value = part.strip().partition("=")
            if name == self._cookie and _BINDING.fullmatch(value):
                return value
        return None

    def _set_cookie(self, value: str, seconds: int) -> Header:
        text = f"{self._cookie}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax"
        return b"set-cookie", f"{text}{'; Secure' if self._https else ''}".encode()


def _header(scope: Mapping[str, Any], wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")


def _asked(scope: Mapping[str, Any]) -> dict[str, str]:
    """The query's fields, of several with one name the last. Refused."""
    query = scope.get("query_string", b"")[:_LONGEST].decode("ascii", "replace")
    try:
        given = parse_qs(query, keep_blank_values=True, max_num_fields=_MOST)
    except ValueError:
        raise Refused(400, "bad_request", f"this is no way back from Slack; begin at {INSTALL}") from None
    return {name: values[-1] for name, values in given.items()}


def _page(status: int, title: str, words: str, *more: Header) -> Reply:
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1>{words}</main></body></html>"
    )
    return status, b"text/html; charset=utf-8", text.encode(), [*HEADERS, *more]


def _refusal(scope: Mapping[str, Any], refused: Refused) -> Reply:
    if "text/html" in _header(scope, b"accept"):
        code, detail = escape(refused.code), escape(refused.detail)
        return _page(refused.status, "Not installed", f"<p>{detail}</p><p><code>{code}</code></p>")
    body = msgspec.json.encode({"error": refused.code, "detail": refused.detail})
    return refused.status, b"application/json", body, HEADERS
