"""Slack's own TypeScript client (deno-slack-api, as the npm package bundles it) on Node, driven from Python.

Rules of this file: one Node process makes a list of calls in order; each answer is Slack's JSON, or `{"thrown": …}`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from support.local_slack import LocalSlack
from support.node import Workspace

Json = dict[str, Any]

_SCRIPT = """
import "./node_modules/@slack/deno-slack-sdk/esm/_dnt.polyfills.js";
import { SlackAPI } from "./node_modules/@slack/deno-slack-sdk/esm/deps/deno.land/x/deno_slack_api@2.8.0/mod.js";
import { readFileSync } from "node:fs";

const { url, token, calls } = JSON.parse(readFileSync(0, "utf8"));
const client = SlackAPI(token, { slackApiUrl: url });
const answers = [];
for (const [method, args] of calls) {
  let call = client;
  for (const part of method.split(".")) call = call[part];
  try {
    const { toFetchResponse, ...answer } = await call(args);
    answers.push(answer);
  } catch (error) {
    const retryAfter = error.headers ? new Headers(error.headers).get("retry-after") : null;
    answers.push({ thrown: { name: error.name, status: error.status ?? null, message: error.message, retryAfter } });
  }
}
console.log(JSON.stringify(answers));
"""


def deno_calls(
    node: Workspace, slack: LocalSlack, calls: Sequence[tuple[str, Json]], token: str = "xoxb-local-1"
) -> list[Json]:
    """The answers to `(method, arguments)`, made one after the other."""
    script = node.write("calls.mjs", _SCRIPT)
    given = json.dumps({"url": slack.api_url, "token": token, "calls": calls})
    done = node.node(script, stdin=given)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))
