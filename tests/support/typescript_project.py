"""A generated project, type-checked and compiled once, and a local Slack that has its manifest.

Rules of this file: the only thing that is changed for Node is where the SDK is imported from. Scripts import the
compiled modules from `out/`; their `slack` is Slack's own client on the local Slack.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from support.local_slack import LocalSlack
from support.node import Workspace

Json = dict[str, Any]
TYPES = "node_modules/@slack/deno-slack-sdk/esm/deps/deno.land/x/deno_slack_api@2.8.0/types.js"
STRICT = (
    *("--strict", "--noUnusedLocals", "--noUnusedParameters", "--noImplicitReturns", "--module", "nodenext"),
    *("--target", "es2022", "--skipLibCheck", "--rewriteRelativeImportExtensions", "--rootDir", ".", "--outDir", "out"),
)
# What Deno knows of itself, and Node's types would say.
NODE = """
declare module "node:fs/promises" { export function readFile(path: string, encoding: "utf8"): Promise<string>; }
declare module "node:process" {
  const process: { argv: string[]; env: Record<string, string | undefined>; exit(code: number): never };
  export default process;
}
"""
PRELUDE = """
import { SlackAPI } from "@slack/deno-slack-sdk";
import { readFileSync } from "node:fs";
import * as retry from "./out/retry.js";
const given = JSON.parse(readFileSync(0, "utf8"));
const made = [];
const client = SlackAPI(given.token, { slackApiUrl: given.url });
// What is called is written down; `before` and `after` may meddle.
const watched = (before = () => {}, after = () => {}) => ({
  apiCall: async (method, data) => {
    made.push([method, data]);
    await before(method, data);
    const answer = await client.apiCall(method, data);
    await after(method, data, answer);
    return answer;
  },
});
const slack = watched();
// Waits take no time here, and are written down; they alone move the clock, however busy this machine is.
const waits = [];
let ahead = 0;
const started = Date.now();
const quick = {
  now: () => started + ahead,
  sleep: async (ms) => { waits.push(ms); ahead += ms; },
  random: () => 0.5,
};
const budget = () => new retry.Budget(retry.RUN_MS, 0.5, quick);
const say = (value) => console.log(JSON.stringify(value));
"""


@dataclass(frozen=True)
class Project:
    """The compiled project on a local Slack."""

    node: Workspace
    slack: LocalSlack
    token: str
    manifest: Json

    def run(self, script: str, code: int = 0, **given: Any) -> Any:
        """What a script says last, as JSON; None when it says nothing."""
        stdin = json.dumps({"url": self.slack.api_url, "token": self.token, **given})
        done = self.node.node(self.node.write("script.mjs", PRELUDE + script), stdin=stdin)
        assert done.returncode == code, done.stderr
        lines = done.stdout.strip().split("\n")
        return json.loads(lines[-1]) if lines[-1] else None

    def call(self, method: str, datastore: str, **args: Any) -> Json:
        answer = self.slack.call(f"apps.datastore.{method}", token=self.token, datastore=datastore, **args)
        assert answer["ok"], answer
        return answer

    def fill(self, datastore: str, items: list[Json]) -> None:
        for start in range(0, len(items), 25):
            self.call("bulkPut", datastore, items=items[start : start + 25])

    def items(self, datastore: str) -> list[Json]:
        found, cursor = [], ""
        while True:
            page = self.call("query", datastore, limit=1000, cursor=cursor)
            found += page["items"]
            cursor = page.get("response_metadata", {}).get("next_cursor", "")
            if not cursor:
                return found

    def clear(self) -> None:
        """Every datastore empty, no fault left."""
        self.slack.clear_faults()
        for name, shape in self.manifest["datastores"].items():
            ids = [item[shape["primary_key"]] for item in self.items(name)]
            for start in range(0, len(ids), 25):
                self.call("bulkDelete", name, ids=ids[start : start + 25])


def for_node(path: str, text: str) -> str:
    """The same file, with Slack's libraries where npm has them."""
    up = "../" * path.count("/") or "./"
    text = text.replace('"deno-slack-sdk/mod.ts"', '"@slack/deno-slack-sdk"')
    return re.sub(r'"deno-slack-api/types\.ts"', f'"{up}{TYPES}"', text)


def compiled(node: Workspace, files: Mapping[str, str]) -> Json:
    """The files type-checked and compiled into out/; the manifest that the SDK exports."""
    node.write("node.d.ts", NODE)
    for path, text in files.items():
        node.write(path, for_node(path, text))
    sources = [path for path in files if path.endswith(".ts")]
    checked = node.tsc(*STRICT, "node.d.ts", *sources)
    assert checked.returncode == 0, checked.stdout
    show = 'import manifest from "./out/manifest.js"; console.log(JSON.stringify(manifest));'
    ran = node.node(node.write("manifest.mjs", show))
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    return dict(json.loads(ran.stdout))


def installed(node: Workspace, slack: LocalSlack, manifest: Json) -> Project:
    """The app in the local Slack, with what the tests need to read exports."""
    scopes = manifest["oauth_config"]["scopes"]["bot"]
    wider = {**manifest, "oauth_config": {"scopes": {"bot": [*scopes, "files:read"]}}}
    answer = slack.sim("POST", "apps", {"app_id": "A00000001", "manifest": wider})
    return Project(node, slack, answer["bot_token"], manifest)


def environment(project: Project) -> Mapping[str, str]:
    """What the restore script is run with."""
    return {**os.environ, "SLACK_TOKEN": project.token, "SLACK_API_URL": project.slack.api_url}
