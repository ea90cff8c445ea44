"""What a listener says through Slack, once: one flow for sync and async apps.

Rules of this file: a flow is a generator that asks for store work and for Slack calls and is given their results, so
that both faces share it. A message is on record before it is sent. A rerun finds it by the key it carries, in Slack if
the record does not say; it then brings it to what this run says instead of posting again (invariant 2).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import Any, Final, NamedTuple

from slack_sdk.errors import SlackApiError

from stateroom.layers.jobs import Job, digest
from stateroom.model.errors import StateroomError
from stateroom.slack.codes import error_of_answer


class FromStore(NamedTuple):
    """To be awaited on the store's loop."""

    work: Coroutine[Any, Any, Any]


class FromSlack(NamedTuple):
    """To be called with `client.api_call(method, **form)`; `respond`, which is no method, with what it was given."""

    method: str
    form: Mapping[str, Any]


Flow = Generator[FromStore | FromSlack, Any, Any]  # returns Slack's response, or the data of one

METADATA_EVENT: Final = "stateroom_call"
RESPOND: Final = "respond"
_KEY: Final = "stateroom"  # in a message's metadata
_SKEW: Final = 300.0  # seconds that our clock may be ahead of Slack's
_POST: Final = "chat.postMessage"
_SHOWN: Final = frozenset(
    {"message_not_found", "edit_window_closed", "cant_update_message"}
)  # nothing to bring up to date
_KEPT: Final = ("text", "blocks", "attachments", "markdown_text", "metadata", "link_names", "parse", "reply_broadcast")
log = logging.getLogger("stateroom.bolt")


def posting(job: Job, method: str, form: Mapping[str, Any], clock: Callable[[], float], seconds: float) -> Flow:
    """`chat.postMessage`: it appears once, however often this run is begun again."""
    place, args = _arguments(form)
    key = job.next_call()
    mark = digest(args)
    args = _marked(args, key)
    before = yield FromStore(job.call(key))
    found = None if before is None else (yield from _found(key, args, before, clock))
    if found is not None:
        shown = before is not None and before.get("digest") == mark
        return (yield from _brought(job, key, {} if shown else args, mark, found))
    yield FromStore(job.intend(key, method, mark, seconds=seconds))
    try:
        response = yield FromSlack(method, {**form, place: args})
    except SlackApiError as failed:
        if not meaning(method, failed).maybe_applied:
            yield FromStore(job.refused(key))
        raise
    job.sent(key, mark, channel=response["channel"], ts=response["ts"])
    yield from _written(job)
    return response


def recording(job: Job, method: str, form: Mapping[str, Any], clock: Callable[[], float], seconds: float) -> Flow:
    """What Slack does not show to us again: not repeated once it is on record that it was done."""
    key = job.next_call()
    before = yield FromStore(job.call(key))
    if before is not None and before["state"] == "done":
        return {"ok": True, **({"view": {"id": before["view"]}} if "view" in before else {})}
    yield FromStore(job.intend(key, method, "", seconds=seconds))
    response = yield FromSlack(method, form)
    data = response if isinstance(response, Mapping) else getattr(response, "data", {})
    view = data.get("view") if isinstance(data, Mapping) else None
    job.sent(key, "", view=str(view["id"]) if view else "")
    yield FromStore(job.flush())  # at once: Slack would not tell a rerun that it was done
    return response


METHODS: Final[Mapping[str, Callable[..., Flow]]] = {
    _POST: posting,
    "chat.postEphemeral": recording,
    "views.open": recording,
    "views.push": recording,
    RESPOND: recording,
}
"""Calls that are not simply passed on."""


def meaning(method: str, failed: SlackApiError) -> StateroomError:
    """What a failed call means for a second try."""
    response = failed.response
    status = getattr(response, "status_code", 200)
    data = response if isinstance(response, Mapping) else getattr(response, "data", {})
    return error_of_answer(method, status, getattr(response, "headers", None) or {}, data)


def _written(job: Job) -> Flow:
    """After a job's end there is no later write that could take what was sent along."""
    if job.over:
        yield FromStore(job.flush())


def _arguments(form: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Where a call has its arguments, and the arguments."""
    for place in ("json", "data", "params"):
        if isinstance(form.get(place), Mapping):
            return place, dict(form[place])
    return "json", {}


def _marked(args: dict[str, Any], key: str) -> dict[str, Any]:
    """The message carries the key of its call, beside the app's own metadata."""
    own = args.get("metadata")
    if isinstance(own, str):
        try:
            own = json.loads(own)
        except ValueError:
            return args  # Slack will refuse it in its own words
    if own and not isinstance(own, Mapping):
        return args
    payload = {**((own or {}).get("event_payload") or {}), _KEY: key}
    event = (own or {}).get("event_type") or METADATA_EVENT
    return {**args, "metadata": {**(own or {}), "event_type": event, "event_payload": payload}}


def _found(
    key: str, args: Mapping[str, Any], before: Mapping[str, Any], clock: Callable[[], float]
) -> Generator[FromStore | FromSlack, Any, tuple[str, str] | None]:
    """Where the message of an earlier run is: channel and ts; None when it was never posted."""
    if before["state"] == "done":
        return str(before["channel"]), str(before["ts"])
    if before["state"] == "refused":
        return None
    left = float(before["deadline"]) - clock()
    if left > 0:
        yield FromStore(asyncio.sleep(left))  # until then Slack may still be at the earlier call
    try:
        return (yield from _looked_up(key, args, float(before["began_at"])))
    except SlackApiError as failed:
        told = meaning("conversations.history", failed)
        if told.retryable:
            raise
        log.warning("a message may appear twice: Slack does not let us look for it: %s", told)
        return None


def _looked_up(
    key: str, args: Mapping[str, Any], began: float
) -> Generator[FromStore | FromSlack, Any, tuple[str, str] | None]:
    channel = str(args.get("channel", ""))
    if channel[:1] in ("U", "W"):
        opened = yield FromSlack("conversations.open", {"json": {"users": channel}})
        channel = str(opened["channel"]["id"])
    asked: dict[str, Any] = {"channel": channel, "oldest": f"{began - _SKEW:.6f}", "include_all_metadata": True}
    method = "conversations.history"
    if args.get("thread_ts"):
        method, asked["ts"] = "conversations.replies", args["thread_ts"]
    while True:
        page = yield FromSlack(method, {"http_verb": "GET", "params": asked})
        for message in page["messages"]:
            payload = (message.get("metadata") or {}).get("event_payload") or {}
            if payload.get(_KEY) == key:
                return channel, str(message["ts"])
        cursor = (page.get("response_metadata") or {}).get("next_cursor")
        if not cursor:
            return None
        asked = {**asked, "cursor": cursor}


def _brought(job: Job, key: str, args: Mapping[str, Any], mark: str, found: tuple[str, str]) -> Flow:
    """The message is there; make it show what this run says: `args`, empty when it does."""
    channel, ts = found
    if args:
        changed = {name: args[name] for name in _KEPT if name in args}
        try:
            yield FromSlack("chat.update", {"json": {**changed, "channel": channel, "ts": ts}})
        except SlackApiError as failed:
            if getattr(meaning("chat.update", failed), "code", "") not in _SHOWN:
                raise
    job.sent(key, mark, channel=channel, ts=ts)
    yield from _written(job)
    return {"ok": True, "channel": channel, "ts": ts, "message": {"ts": ts}}
