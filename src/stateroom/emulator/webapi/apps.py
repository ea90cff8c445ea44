"""`apps.status` and `apps.manifest.*`: what the Slack CLI asks about apps, and how it changes them.

Rules of this file: a person's token, never a bot's. An app that is made here is installed in that person's team at
once. A change that loses data is refused until the caller consents to it, and `validate` warns of it.
"""

from __future__ import annotations

from stateroom.emulator import seed
from stateroom.emulator.config import SEED_SECRET
from stateroom.emulator.manifests import breaking_changes, is_hosted, problems, undocumented
from stateroom.emulator.records import App, Json
from stateroom.emulator.tiers import TIER_1, TIER_3
from stateroom.emulator.webapi.method import USER, Arg, Call, Method, Refused


def status(call: Call) -> Json:
    """Apps that nobody knows are left out."""
    if call.text("team_id") not in (None, call.team):
        raise Refused("team_not_found")
    known = [call.world.apps[app_id] for app_id in call.args["app_ids"] if app_id in call.world.apps]
    return {"apps": [_status(app, call.team) for app in known]}


def _status(app: App, team: str) -> Json:
    return {"app_id": app.app_id, "is_installed": team in app.installs, "is_hosted": is_hosted(app.manifest)}


def export(call: Call) -> Json:
    app = _app(call, call.args["app_id"])
    return {"manifest": app.manifest if app.manifest is not None else _manifest_of(app)}


def validate(call: Call) -> Json:
    app = _app(call, call.args["app_id"]) if "app_id" in call.args else None
    manifest = _checked(call)
    warnings = [*([] if app is None else breaking_changes(app.manifest, manifest)), *undocumented(manifest)]
    return {"errors": [], **({"warnings": warnings} if warnings else {})}


def create(call: Call) -> Json:
    spec = seed.spec_from_manifest(seed.next_id("A", call.world.apps), _checked(call))
    app = seed.register(call.world, spec, call.team, call.now)
    call.world.tell("reset")
    return _made(call, app)


def update(call: Call) -> Json:
    app, manifest = _app(call, call.args["app_id"]), _checked(call)
    breaking = breaking_changes(app.manifest, manifest)
    if breaking and not call.args.get("consent_breaking_changes") and not call.args.get("force_update"):
        raise Refused("schema_compatibility_error", errors=breaking)
    before = app.scopes
    seed.register(call.world, seed.spec_from_manifest(app.app_id, manifest), call.team, call.now)
    call.world.tell("reset")
    return {**_made(call, app), "permissions_updated": before != app.scopes}


def _app(call: Call, app_id: str) -> App:
    app = call.world.apps.get(app_id)
    if app is None or call.team not in app.installs:
        raise Refused("invalid_app_id")
    return app


def _checked(call: Call) -> Json:
    manifest: Json = call.args["manifest"]
    wrong = problems(manifest)
    if wrong:
        raise Refused("invalid_manifest", errors=wrong)
    return manifest


def _manifest_of(app: App) -> Json:
    """The manifest of an app that was registered without one."""
    scopes = {} if app.scopes is None else {"oauth_config": {"scopes": {"bot": app.scopes}}}
    return {"display_information": {"name": app.name}, **scopes}


def _made(call: Call, app: App) -> Json:
    """An app's credentials; here all apps share the known secret unless they were registered with one."""
    secret = app.signing_secret or SEED_SECRET
    credentials = {"client_id": f"1.{app.app_id}", "client_secret": "local-client-secret", "signing_secret": secret}
    return {
        "app_id": app.app_id,
        "team_id": call.team,
        "credentials": {**credentials, "verification_token": "local-verification-token"},
        "oauth_authorize_url": f"{call.base_url}/oauth/v2/authorize?client_id=1.{app.app_id}",
    }


_MANIFEST = Arg("manifest", "item", required=True)
_APP = Arg("app_id", required=True)
_CONSENT = (Arg("consent_breaking_changes", "flag"), Arg("force_update", "flag"))

METHODS = (
    Method("apps.status", status, (Arg("app_ids", "keys", required=True), Arg("team_id")), (), TIER_3, (USER,)),
    Method("apps.manifest.export", export, (_APP,), (), TIER_3, (USER,)),
    Method("apps.manifest.validate", validate, (_MANIFEST, Arg("app_id")), (), TIER_3, (USER,)),
    Method("apps.manifest.create", create, (_MANIFEST,), (), TIER_1, (USER,)),
    Method("apps.manifest.update", update, (_APP, _MANIFEST, *_CONSENT), (), TIER_1, (USER,)),
)
