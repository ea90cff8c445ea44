"""An app with a datastore in a local Slack, and short ways to call its methods.

Rules of this file: everything goes over HTTP; `ok` and `refused` assert what they are named after.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from stateroom.emulator.config import SEED_APP, SEED_TOKEN
from support.local_slack import LocalSlack

Json = dict[str, Any]
PERSON = "xoxp-T00000001-U00000001"

METHODS = ("get", "bulkGet", "put", "bulkPut", "update", "delete", "bulkDelete", "query", "count")
ARGS: dict[str, Json] = {
    "get": {"id": "T-1"},
    "bulkGet": {"ids": ["T-1"]},
    "put": {"item": {"key": "T-1"}},
    "bulkPut": {"items": [{"key": "T-1"}]},
    "update": {"item": {"key": "T-1"}},
    "delete": {"id": "T-1"},
    "bulkDelete": {"ids": ["T-1"]},
    "query": {},
    "count": {},
}
READS = ("get", "bulkGet", "query", "count")

_STRING = {"type": "string"}
_MANIFEST: Json = {
    "_metadata": {"major_version": 2},
    "display_information": {"name": "Ticketer"},
    "oauth_config": {"scopes": {"bot": ["datastore:read", "datastore:write"]}},
    "settings": {"function_runtime": "slack"},
    "datastores": {
        "tickets": {
            "primary_key": "key",
            "time_to_live_attribute": "expires",
            "attributes": {
                "key": _STRING,
                "state": _STRING,
                "points": {"type": "number"},
                "count": {"type": "integer"},
                "urgent": {"type": "boolean"},
                "tags": {"type": "array", "items": _STRING},
                "owner": {"type": "object"},
                "expires": {"type": "slack#/types/timestamp"},
            },
        }
    },
}


def manifest(**changed: Any) -> Json:
    """The manifest of an app with the datastore `tickets`; `changed` replaces top-level parts."""
    return copy.deepcopy(_MANIFEST) | changed


@dataclass(frozen=True)
class AppStore:
    """The datastore `tickets` (or another) of one app, with one token."""

    slack: LocalSlack
    token: str = SEED_TOKEN
    app_id: str = SEED_APP
    name: str = "tickets"

    def call(self, method: str, **args: Any) -> Json:
        args = {"datastore": self.name, **args}
        return self.slack.call(f"apps.datastore.{method}", token=self.token, **args)

    def form(self, method: str, args: Json) -> Json:
        """A call as Slack's Deno client makes it: strings as they are, everything else as JSON text."""
        fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in args.items()}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Bearer {self.token}"}
        body = urlencode({"datastore": self.name, **fields}).encode()
        return self.slack.request("POST", f"/api/apps.datastore.{method}", body, headers)[1]

    def ok(self, method: str, **args: Any) -> Json:
        """The answer without `ok`."""
        answer = self.call(method, **args)
        assert answer.pop("ok") is True, answer
        return answer

    def refused(self, method: str, **args: Any) -> Json:
        answer = self.call(method, **args)
        assert answer.pop("ok") is False, answer
        return answer

    def inner(self, method: str, **args: Any) -> Json:
        """The one entry of a `datastore_error`, without its message."""
        answer = self.refused(method, **args)
        assert answer["error"] == "datastore_error", answer
        (entry,) = answer["errors"]
        assert isinstance(entry.pop("message"), str)
        return dict(entry)

    def get(self, item_id: str | int) -> Json:
        return dict(self.ok("get", id=item_id)["item"])

    def fill(self, items: list[Json]) -> None:
        for start in range(0, len(items), 25):
            self.ok("bulkPut", items=items[start : start + 25])


def register(slack: LocalSlack, app_id: str = SEED_APP, *, said: Json | None = None) -> AppStore:
    """Register an app with a manifest."""
    answer = slack.sim("POST", "apps", {"app_id": app_id, "manifest": manifest() if said is None else said})
    return AppStore(slack, answer["bot_token"], app_id)


def ids(answer: Json) -> list[str]:
    """The keys of a page, in its order."""
    return [item["key"] for item in answer["items"]]
