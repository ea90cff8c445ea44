"""`GET /oauth/v2/authorize`: the page on which a person lets an app in, and where the browser goes from there.

Rules of this file: plain HTML without scripts; every value that came from outside is escaped. The browser is only ever
sent to an address that the app registered (`oauth_config.redirect_urls`); an app that registered none may name a
loopback address. What cannot go back to the app is said on a page. A form is posted with an `Origin`, which the guard
checks, so no other site can press Allow.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from stateroom.emulator.bodies import read_limited
from stateroom.emulator.control import workspace_of
from stateroom.emulator.grants import Code, are_scopes
from stateroom.emulator.guard import is_loopback
from stateroom.emulator.manifests import part, redirect_urls
from stateroom.emulator.records import App
from stateroom.emulator.world import World
from stateroom.model.errors import StateroomError

FORM_LIMIT = 64 << 10
_FIELDS = ("client_id", "scope", "user_scope", "redirect_uri", "state", "team")


class Stopped(StateroomError):
    """The page cannot be shown. `.code` is what Slack calls it, `.detail` the next step."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Ask:
    """What an app asks for. `target` is where the person goes back to, `said` the `redirect_uri` as it was given."""

    app: App
    scopes: list[str]
    user_scopes: list[str]
    target: str
    said: str | None
    state: str | None
    team: str | None


def read(world: World, given: dict[str, str]) -> Ask:
    """The request behind a query. Raises Stopped."""
    app = world.by_client_id(given.get("client_id", ""))
    if app is None:
        raise Stopped("invalid_client_id", "no app here has that client_id; GET /_sim/state lists the apps")
    target = _target(app, given.get("redirect_uri") or None)
    scopes, user_scopes = _scopes(given.get("scope", "")), _scopes(given.get("user_scope", ""))
    if not (scopes or user_scopes) or not are_scopes([*scopes, *user_scopes]):
        raise Stopped("invalid_scope", "name bot scopes in scope, or a person's in user_scope")
    team = given.get("team") or None
    if team is not None and team not in world.teams:
        raise Stopped("invalid_team", "no such team here")
    said, state = given.get("redirect_uri") or None, given.get("state")
    return Ask(app, scopes, user_scopes, target, said, state, team)


def _scopes(text: str) -> list[str]:
    return [one for one in text.replace(",", " ").split() if one]


def _target(app: App, given: str | None) -> str:
    registered = redirect_urls(app.manifest)
    if given is None and registered:
        return registered[0]
    if given is None:
        raise Stopped("bad_redirect_uri", "name a redirect_uri; the app's manifest registers none")
    fits, parts = False, _split(given)
    if parts is not None:
        fits = any(_below(given, one) for one in registered) if registered else is_loopback(parts.netloc)
    if parts is None or not fits or parts.scheme not in ("http", "https") or parts.fragment or "@" in parts.netloc:
        raise Stopped("bad_redirect_uri", "it is none of the app's oauth_config.redirect_urls")
    return given


def _split(address: str) -> SplitResult | None:
    """The parts of an address; None when it is none, or would not fit into a header."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return parts if parts.netloc.isascii() and parts.netloc.isprintable() else None


def _below(given: str, registered: str) -> bool:
    """Slack takes a registered URL, or a path below it on the same host."""
    one, other = urlsplit(given), urlsplit(registered)
    if (one.scheme, one.netloc.lower()) != (other.scheme, other.netloc.lower()) or ".." in one.path:
        return False
    return one.path == other.path or one.path.startswith(other.path.rstrip("/") + "/")


def back(ask: Ask, **said: str) -> str:
    """The address to go back to, with what is said there; the state last, as it came."""
    more = urlencode({**said, **({} if ask.state is None else {"state": ask.state})})
    return f"{ask.target}{'&' if '?' in ask.target else '?'}{more}"


# ---- the page


def _choices(world: World, ask: Ask) -> str:
    groups = []
    for team in world.teams.values():
        if ask.team in (None, team.id):
            people = "".join(
                f'<option value="{escape(team.id)} {escape(user.id)}">{escape(user.real_name or user.name)}'
                f" ({escape(user.id)})</option>"
                for user in world.people(team.id)
            )
            groups.append(f'<optgroup label="{escape(team.name)} ({escape(team.id)})">{people}</optgroup>')
    return "".join(groups)


def _organisations(world: World, ask: Ask) -> str:
    """An app that its manifest declares fit for organisations may be let into a whole one."""
    if part(ask.app.manifest or {}, ("settings", "org_deploy_enabled")) is not True:
        return ""
    options = "".join(
        f'<option value="{escape(one.id)}">all teams of {escape(one.name)} ({escape(one.id)})</option>'
        for one in world.enterprises.values()
    )
    return (
        f'<label>Where<select name="org"><option value="">only that workspace</option>{options}</select></label>'
        if options
        else ""
    )


def _listed(title: str, scopes: list[str]) -> str:
    rows = "".join(f"<li><code>{escape(one)}</code></li>" for one in scopes)
    return f"<h2>{title}</h2><ul>{rows}</ul>" if scopes else ""


def page(world: World, ask: Ask, given: dict[str, str]) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(given[name])}">' for name in _FIELDS if name in given
    )
    name = escape(ask.app.name)
    return _document(
        f"Install {name}",
        f"<h1>{name} wants to enter a workspace</h1>"
        f"{_listed('Its bot may', ask.scopes)}{_listed('For you it may', ask.user_scopes)}"
        f'<form method="post" action="/oauth/v2/authorize">{hidden}'
        f'<label>You are<select name="who">{_choices(world, ask)}</select></label>{_organisations(world, ask)}'
        '<div class="actions"><button name="decision" value="deny">Cancel</button>'
        '<button name="decision" value="allow" class="primary">Allow</button></div></form>',
    )


def _document(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="stylesheet" href="/page/authorize.css"></head><body><main>{body}</main></body></html>'
    )


def _headers(target: str | None) -> dict[str, str]:
    """Chromium holds a form's redirects to form-action too, so the app's own origin stands there."""
    parts = urlsplit(target or "")
    leads = f" {parts.scheme}://{parts.netloc}" if target else ""
    return {
        "Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
        f"form-action 'self'{leads}",
        # With no referrer at all a form is posted with `Origin: null`, which the guard refuses.
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def _stopped(stopped: Stopped) -> Response:
    text = f"<h1>This cannot be installed</h1><p><code>{stopped.code}</code>: {escape(stopped.detail)}</p>"
    return Response(_document(stopped.code, text), 400, _headers(None), "text/html; charset=utf-8")


# ---- what the browser does


async def show(request: Request) -> Response:
    world, given = workspace_of(request).world, dict(request.query_params)
    try:
        ask = read(world, given)
    except Stopped as stopped:
        return _stopped(stopped)
    return Response(page(world, ask, given), 200, _headers(ask.target), "text/html; charset=utf-8")


async def decide(request: Request) -> Response:
    """The person pressed a button. Only what the page itself could have sent is taken."""
    workspace = workspace_of(request)
    body = (await read_limited(request, FORM_LIMIT)).decode("utf-8", "replace")
    given = {name: values[-1] for name, values in parse_qs(body, keep_blank_values=True).items()}
    try:
        ask = read(workspace.world, given)
        if given.get("decision") != "allow":
            return RedirectResponse(back(ask, error="access_denied"), 303, _headers(ask.target))
        code = _allowed(workspace.world, ask, given, workspace.clock(), workspace.new_id("c") + workspace.new_id("c"))
    except Stopped as stopped:
        return _stopped(stopped)
    workspace.world.grants.add_code(code)
    return RedirectResponse(back(ask, code=code.code), 303, _headers(ask.target))


def _allowed(world: World, ask: Ask, given: dict[str, str], now: float, text: str) -> Code:
    team, _, user = given.get("who", "").partition(" ")
    person = world.users.get((team, user))
    if person is None or person.is_bot or ask.team not in (None, team):
        raise Stopped("invalid_user", "pick a person on the page")
    place = given.get("org") or team
    if place != team and (place not in world.enterprises or world.teams[team].enterprise != place):
        raise Stopped("invalid_team", "that person's workspace is not in that organisation")
    return Code(text, ask.app.app_id, place, user, ask.scopes, ask.user_scopes, ask.said, now)


ROUTES = [
    Route("/oauth/v2/authorize", show, methods=["GET"]),
    Route("/oauth/v2/authorize", decide, methods=["POST"]),
]
