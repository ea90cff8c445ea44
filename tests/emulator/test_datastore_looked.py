"""What a datastore call cost is written down: items and bytes that were looked at, and pages that Slack cuts."""

from typing import Any

import pytest

from support.local_slack import local_slack

pytestmark = pytest.mark.service

MANIFEST: dict[str, Any] = {
    "display_information": {"name": "x"},
    "datastores": {
        "note": {"primary_key": "id", "attributes": {"id": {"type": "string"}, "body": {"type": "string"}}},
    },
}


def test_calls_tell_items_bytes_and_pages_that_were_looked_at() -> None:
    with local_slack() as slack:
        spec = {"app_id": "A00000009", "manifest": MANIFEST, "signing_secret": "s", "bot_token": "xoxb-looked"}
        slack.sim("POST", "apps", spec)

        def call(method: str, **args: Any) -> dict[str, int] | None:
            answer = slack.call(f"apps.datastore.{method}", token="xoxb-looked", datastore="note", **args)
            assert answer["ok"], answer
            found: dict[str, int] | None = slack.calls(f"apps.datastore.{method}")[-1].get("looked")
            return found

        each = len("id") + 4 + len("body") + 10_000
        for start in range(0, 250, 25):
            items = [{"id": f"N{n:03d}", "body": "x" * 10_000} for n in range(start, start + 25)]
            assert call("bulkPut", items=items) == {"items": 0, "bytes": 25 * each, "pages": 0}
        page = 1024 * 1024 // each
        assert call("query", limit=1000) == {"items": page, "bytes": page * each, "pages": 1}
        filtered = {"expression": "#b = :b", "expression_attributes": {"#b": "body"}, "expression_values": {":b": "y"}}
        assert call("query", limit=7, **filtered) == {"items": 7, "bytes": 7 * each, "pages": 1}
        assert call("count") == {"items": 250, "bytes": 250 * each, "pages": 3}
        assert call("get", id="N001") == {"items": 1, "bytes": each, "pages": 0}
        assert call("get", id="nobody") is None
        assert call("bulkGet", ids=["N001", "N002", "nobody"]) == {"items": 2, "bytes": 2 * each, "pages": 0}
        assert call("delete", id="N001") is None
