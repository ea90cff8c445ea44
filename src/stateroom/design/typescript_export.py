"""The export of a generated project into files in a channel, and the way back from them.

Rules of this file: those of typescript_jobs.py, whose walk carries it.
"""

from __future__ import annotations

from typing import Final

EXPORT: Final = r"""// Writes every item into files in a channel. Made by `stateroom design build`.
// Slack's datastores have no way back to yesterday; scripts/restore.ts reads the files.
//
// One file a page, one item a line (JSON). Not a snapshot: what people change while it runs is in it or not. The files
// hold what the items hold, personal data as well: use a private channel, and delete old ones, as erasure asks.

import { inTurn, type Progress, type Report, walk } from "./jobs.ts";
import { EXPORTED } from "./plan.ts";
import { type Budget, call, CallFailed, type Item, type Slack } from "./retry.ts";

export interface Exported {
  job: string;
  datastore: string;
  key: string;
}

export function exportAll(slack: Slack, channel: string, budget: Budget): Promise<Report[]> {
  return inTurn(budget, EXPORTED.map((one) => () => exportItems(slack, one, channel, budget)));
}

export function exportItems(slack: Slack, one: Exported, channel: string, budget: Budget, restSeconds?: number) {
  return walk(slack, { job: one.job, datastore: one.datastore, restSeconds }, budget, async (items, progress) => {
    if (items.length > 0) await upload(slack, nameOf(one, progress), items, channel, budget);
    progress.touched += items.length;
  });
}

function nameOf(one: Exported, progress: Progress): string {
  return `${encodeURIComponent(one.datastore)}.${progress.startedAt}.${progress.pages + 1}.jsonl`;
}

async function upload(slack: Slack, filename: string, items: Item[], channel: string, budget: Budget): Promise<void> {
  const bytes = new TextEncoder().encode(items.map((item) => JSON.stringify(item) + "\n").join(""));
  const place = await call(slack, "files.getUploadURLExternal", { filename, length: bytes.length }, budget);
  const sent = await fetch(place.upload_url, { method: "POST", body: bytes });
  if (!sent.ok) throw new CallFailed("upload", `http_${sent.status}`, sent.status >= 500);
  const files = [{ id: place.file_id, title: filename }];
  await call(slack, "files.completeUploadExternal", { files, channel_id: channel }, budget);
}
"""

RESTORE: Final = r"""// Puts exported items back. Made by `stateroom design build`; scripts/restore.ts runs it.

import { type Budget, BULK, getAll, type Item, putAll, type Slack } from "./retry.ts";

/** Lines of an export that is broken: nothing was put. */
export class BadExport extends Error {
  constructor(readonly line: number, problem: string) {
    super(`line ${line}: ${problem}`);
    this.name = "BadExport";
  }
}

/**
 * Items that are there are kept as they are, unless `overwrite`: they may be newer than the export. All lines are
 * looked at before the first is put. It may be run again, and goes on where it stopped.
 */
export async function restore(
  slack: Slack,
  datastore: string,
  key: string,
  text: string,
  overwrite: boolean,
  budget: Budget,
): Promise<{ put: number; kept: number }> {
  const items = itemsOf(text, key);
  let put = 0;
  for (let from = 0; from < items.length; from += BULK) {
    let ahead = items.slice(from, from + BULK);
    if (!overwrite) {
      const there = await getAll(slack, datastore, ahead.map((item) => String(item[key])), budget);
      const known = new Set(there.map((item) => item[key]));
      ahead = ahead.filter((item) => !known.has(item[key]));
    }
    await putAll(slack, datastore, ahead, budget);
    put += ahead.length;
  }
  return { put, kept: items.length - put };
}

/** Each item once: a page that was exported twice is in two files. */
function itemsOf(text: string, key: string): Item[] {
  const found = new Map<string, Item>();
  text.split("\n").forEach((line, number) => {
    if (line.trim() === "") return;
    let item: unknown;
    try {
      item = JSON.parse(line);
    } catch {
      throw new BadExport(number + 1, "is no JSON");
    }
    const id = (item as Item | null)?.[key];
    if (typeof id !== "string" || id === "") throw new BadExport(number + 1, `has no text in ${JSON.stringify(key)}`);
    found.set(id, item as Item);
  });
  return [...found.values()];
}
"""

RESTORE_SCRIPT: Final = r"""// Puts an export back. Made by `stateroom design build`.
// deno run --allow-read --allow-net --allow-env scripts/restore.ts [--overwrite] DATASTORE FILE...
//
// SLACK_TOKEN: as `slack auth token` prints it. SLACK_APP_ID: the app's id. SLACK_API_URL: only for a local Slack.

import { readFile } from "node:fs/promises";
import process from "node:process";
import { SlackAPI } from "deno-slack-sdk/mod.ts";
import { EXPORTED } from "../plan.ts";
import { restore } from "../restore.ts";
import { Budget, type Slack } from "../retry.ts";

const overwrite = process.argv.includes("--overwrite");
const [datastore, ...files] = process.argv.slice(2).filter((one) => one !== "--overwrite");
const known = EXPORTED.find((one) => one.datastore === datastore);
const { SLACK_TOKEN, SLACK_APP_ID, SLACK_API_URL } = process.env;
if (known === undefined || files.length === 0 || !SLACK_TOKEN) {
  console.error("usage: SLACK_TOKEN=... SLACK_APP_ID=... scripts/restore.ts [--overwrite] DATASTORE FILE...");
  console.error(`datastores: ${EXPORTED.map((one) => one.datastore).join(", ")}`);
  process.exit(2);
}
const client = SlackAPI(SLACK_TOKEN, { slackApiUrl: SLACK_API_URL });
const slack: Slack = {
  apiCall: (method, data) => client.apiCall(method, SLACK_APP_ID ? { ...data, app_id: SLACK_APP_ID } : data),
};
// The whole tier: people wait for their items. Where it is too fast, Retry-After is waited for.
const DAY_MS = 24 * 3600 * 1000;
for (const file of files) {
  const text = await readFile(file, "utf8");
  const { put, kept } = await restore(slack, known.datastore, known.key, text, overwrite, new Budget(DAY_MS));
  console.log(`${file}: ${put} put, ${kept} kept as they are`);
}
"""
