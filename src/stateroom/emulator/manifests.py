"""From an app's manifest to its datastores, and what is wrong with a manifest or breaks data that is there.

Rules of this file: pure. Reading a manifest is `model/schema`'s; here its words become Slack's answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stateroom.emulator.grants import are_scopes
from stateroom.emulator.records import Json
from stateroom.model.definition import Definition
from stateroom.model.errors import InvalidDefinition, WrongUse
from stateroom.model.profiles import check_profile
from stateroom.model.schema.compat import compare
from stateroom.model.schema.manifest import datastores_of

BREAKING = "breaking_change"

# The parts that become an app's own; one of another kind would be kept, and then break every later call.
_TEXT, _TEXTS, _SCOPES = "a string", "an array of strings", "an array of scopes"
_PARTS: Mapping[tuple[str, ...], str] = {
    ("display_information", "name"): _TEXT,
    ("features", "bot_user", "display_name"): _TEXT,
    ("settings", "event_subscriptions", "request_url"): _TEXT,
    ("settings", "event_subscriptions", "bot_events"): _TEXTS,
    ("settings", "interactivity", "request_url"): _TEXT,
    ("oauth_config", "scopes", "bot"): _SCOPES,
    ("oauth_config", "scopes", "user"): _SCOPES,
    ("oauth_config", "redirect_urls"): _TEXTS,
}


def definitions_of(manifest: Mapping[str, Any] | None) -> list[Definition]:
    """The datastores of a manifest, within Slack's limits. Raises WrongUse naming the datastore and the attribute."""
    for pointer, kind in _misshapen(manifest or {}):
        raise WrongUse(f"manifest: {pointer} must be {kind}")
    try:
        return _read(manifest or {})
    except InvalidDefinition as error:
        raise WrongUse(f"manifest: {error}") from None


def runtime_of(manifest: Mapping[str, Any] | None) -> str | None:
    """Where a manifest says that the app runs; `slack` is hosted."""
    settings = (manifest or {}).get("settings")
    runtime = settings.get("function_runtime") if isinstance(settings, dict) else None
    return runtime if isinstance(runtime, str) else None


def is_hosted(manifest: Mapping[str, Any] | None) -> bool:
    """Whether the app runs on Slack: its manifest says so, or says nothing about it and has datastores."""
    runtime = runtime_of(manifest)
    return runtime == "slack" or (runtime is None and bool((manifest or {}).get("datastores")))


def rotates(manifest: Mapping[str, Any] | None) -> bool:
    """Whether an app's tokens expire and are renewed."""
    return part(manifest or {}, ("settings", "token_rotation_enabled")) is True


def redirect_urls(manifest: Mapping[str, Any] | None) -> list[str]:
    """Where an app lets people be sent back to."""
    listed = part(manifest or {}, ("oauth_config", "redirect_urls"))
    return listed if isinstance(listed, list) else []


def problems(manifest: Mapping[str, Any]) -> list[Json]:
    """What makes Slack refuse a manifest, as its `errors[]`; empty when nothing does."""
    display = manifest.get("display_information")
    if not isinstance(display, dict) or not isinstance(display.get("name"), str) or not display["name"]:
        return [{"code": "required_field", "message": "A name is required", "pointer": "/display_information/name"}]
    wrong = [
        {"code": "invalid_type", "message": f"Must be {kind}", "pointer": pointer}
        for pointer, kind in _misshapen(manifest)
    ]
    if wrong:
        return wrong
    try:
        _read(manifest)
    except InvalidDefinition as error:
        return [
            {"code": "invalid_datastore", "message": str(error), "pointer": _place(error.datastore, error.attribute)}
        ]
    return []


def breaking_changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[Json]:
    """What a new manifest would take from stored data, as the `warnings[]` that the Slack CLI asks about."""
    changes = compare(_read(before or {}), _read(after))
    return [
        {"code": BREAKING, "message": f"{one.place}: {one.detail}", "pointer": _place(one.datastore, one.attribute)}
        for one in changes
        if one.breaking
    ]


def undocumented(manifest: Mapping[str, Any]) -> list[Json]:
    """What Slack takes though it documents it for no datastore, as `warnings[]`."""
    return [
        {"code": "undocumented", "message": words, "pointer": "/datastores"}
        for words in check_profile(datastores_of(manifest), "slack")
    ]


def part(tree: Any, path: Sequence[str]) -> Any:
    """What stands at a path of a manifest, or None."""
    for step in path:
        tree = tree.get(step) if isinstance(tree, Mapping) else None
    return tree


def _misshapen(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a known part is of another kind than Slack's schema says, and which it should be."""
    for path, kind in _PARTS.items():
        value = part(manifest, path)
        texts = [value] if kind == _TEXT else value if isinstance(value, list) else [None]
        fits = all(isinstance(one, str) and (kind != _SCOPES or are_scopes([one])) for one in texts)
        if value is not None and not fits:
            yield "/" + "/".join(path), kind


def _read(manifest: Mapping[str, Any]) -> list[Definition]:
    made = datastores_of(manifest)
    check_profile(made, "slack")
    return made


def _place(datastore: str, attribute: str | None) -> str:
    place = [] if datastore in ("datastores", "types") else [datastore]
    place += [] if attribute is None else ["attributes", attribute]
    return "/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in ["datastores", *place])
