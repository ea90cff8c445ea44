"""The batch jobs of a generated project: the walk that resumes, the sweep and the backfill.

Rules of this file: the texts are the same in every project; what they work on comes from the project's plan.ts. What
is as long again has a file of its own: typescript_export.py, typescript_rebuild.py.
"""

from __future__ import annotations

from typing import Final

JOBS: Final = r"""// Jobs that take longer than a function may. Made by `stateroom design build`.
//
// A run reads pages until its time is over and keeps its place (Slack's cursor) in a datastore item after each page.
// The next run, the next step of the same workflow or the next hour, goes on there. Whatever a page does may be done
// twice: a run that is killed in the middle of one does it again. Two runs at once do the same work twice, no harm.

import { STATE } from "./plan.ts";
import { Budget, call, CallFailed, getOne, type Item, OutOfTime, type Slack } from "./retry.ts";

/** Of a tier; the rest is for people. */
export const SHARE = 0.5;
/** A finished job is not begun again before this: the trigger comes each hour, the job is one of each day. */
export const REST_SECONDS = 20 * 3600;
const SAVE_MS = 10_000;

export interface Walk {
  job: string;
  datastore: string;
  expression?: string;
  names?: Record<string, string>;
  /** Values for a walk that began at this second: the same for each page, whenever it is read. */
  values?: (startedAt: number) => Record<string, unknown>;
  restSeconds?: number;
  limit?: number;
}

export interface Progress {
  startedAt: number;
  finishedAt: number;
  cursor: string;
  pages: number;
  touched: number;
}

/** done false: time was over, the next run goes on. touched: by all runs of this walk. */
export interface Report {
  job: string;
  done: boolean;
  touched: number;
  failed?: string;
}

const NOT_BEGUN: Report = { job: "", done: false, touched: 0 };

/** Every page of a datastore, from where the last run stopped. `onPage` counts in `touched` what it has done. */
export async function walk(
  slack: Slack,
  one: Walk,
  budget: Budget,
  onPage: (items: Item[], progress: Progress) => Promise<void>,
): Promise<Report> {
  const progress = await load(slack, one.job, budget);
  const now = Math.floor(budget.clock.now() / 1_000);
  if (progress.finishedAt > 0) {
    if (now - progress.finishedAt < (one.restSeconds ?? REST_SECONDS)) {
      return { job: one.job, done: true, touched: 0 };
    }
    Object.assign(progress, { startedAt: now, finishedAt: 0, cursor: "", pages: 0, touched: 0 });
  }
  try {
    for (;;) {
      const page = await read(slack, one, progress, budget);
      await onPage(page.items, progress);
      progress.cursor = page.next;
      progress.pages += 1;
      if (page.next === "") progress.finishedAt = Math.floor(budget.clock.now() / 1_000);
      await save(slack, one.job, progress, budget);
      if (page.next === "") return { job: one.job, done: true, touched: progress.touched };
      if (budget.left() <= 0) throw new OutOfTime(0);
    }
  } catch (error) {
    if (!(error instanceof OutOfTime)) throw error;
    await save(slack, one.job, progress, budget);
    return { job: one.job, done: false, touched: progress.touched };
  }
}

async function read(slack: Slack, one: Walk, progress: Progress, budget: Budget) {
  const args: Record<string, unknown> = { datastore: one.datastore, limit: one.limit ?? 1_000 };
  if (one.expression !== undefined) {
    args.expression = one.expression;
    args.expression_attributes = one.names;
    const values = one.values?.(progress.startedAt) ?? {};
    if (Object.keys(values).length > 0) args.expression_values = values;
  }
  try {
    const cursor = progress.cursor === "" ? undefined : progress.cursor;
    const answer = await call(slack, "apps.datastore.query", { ...args, cursor }, budget);
    return { items: (answer.items ?? []) as Item[], next: String(answer.response_metadata?.next_cursor ?? "") };
  } catch (error) {
    // A cursor that Slack does not take any more: from the start again. What is done already is not matched again.
    if (!(error instanceof CallFailed) || error.code !== "invalid_arguments" || progress.cursor === "") throw error;
    progress.cursor = "";
    return read(slack, one, progress, budget);
  }
}

async function load(slack: Slack, job: string, budget: Budget): Promise<Progress> {
  const kept = await getOne(slack, STATE, job, budget);
  return {
    startedAt: Number(kept?.started_at ?? Math.floor(budget.clock.now() / 1_000)),
    finishedAt: Number(kept?.finished_at ?? 0),
    cursor: String(kept?.cursor ?? ""),
    pages: Number(kept?.pages ?? 0),
    touched: Number(kept?.touched ?? 0),
  };
}

/** With time of its own: the run's may be over. */
async function save(slack: Slack, job: string, progress: Progress, budget: Budget): Promise<void> {
  const item: Item = { job, started_at: progress.startedAt, pages: progress.pages, touched: progress.touched };
  if (progress.cursor !== "") item.cursor = progress.cursor;
  if (progress.finishedAt > 0) item.finished_at = progress.finishedAt;
  await call(slack, "apps.datastore.put", { datastore: STATE, item }, new Budget(SAVE_MS, 1, budget.clock));
}

/** Jobs one after the other, until time is over. One that fails does not keep the others from their turn. */
export async function inTurn(budget: Budget, jobs: (() => Promise<Report>)[]): Promise<Report[]> {
  const reports: Report[] = [];
  for (const job of jobs) {
    if (budget.left() <= 0) return [...reports, NOT_BEGUN];
    try {
      reports.push(await job());
    } catch (error) {
      if (error instanceof OutOfTime) return [...reports, NOT_BEGUN];
      if (!(error instanceof CallFailed)) throw error;
      reports.push({ ...NOT_BEGUN, failed: error.message });
    }
  }
  return reports;
}

/** What a function answers: failed when a job failed, so that it is seen in the app's activity. */
export function answerOf(reports: Report[]) {
  const failed = reports.flatMap((one) => one.failed ?? []);
  if (failed.length > 0) return { error: failed.join("; ") };
  const touched = reports.reduce((sum, one) => sum + one.touched, 0);
  return { outputs: { done: reports.every((one) => one.done), touched } };
}
"""

SWEEP: Final = r"""// Removes what is kept long enough. Made by `stateroom design build`.
//
// What stays open: an item that is changed so that it is no longer due, in the moment between the page and the delete,
// is deleted all the same; there is no conditional delete.
//
// Where the design asks for audit, each item gets its row before it goes, so that a crash leaves a row without a
// removal, never a removal without a row. Entries go with their owner, whose row stands for them.

import { inTurn, type Report, walk } from "./jobs.ts";
import { keyOf } from "./keys.ts";
import { AUDIT, ORPHANS, SWEEPS } from "./plan.ts";
import { type Budget, BULK, call, deleteAll, getAll, getOne, type Item, putAll, type Slack } from "./retry.ts";

export type Unit = "seconds" | "date" | "message_ts";

/** `deleted`: the attribute that a soft deletion sets; null: items go for good. `before`: values that are computed. */
export interface Sweep {
  job: string;
  datastore: string;
  key: string;
  after: string | null;
  unit: Unit;
  days: number;
  deleted: string | null;
  expression: string | null;
  names: Record<string, string>;
  values: Record<string, string | number | boolean>;
  before: string[];
}

/** Entries whose owner is gone. */
export interface Orphan {
  job: string;
  datastore: string;
  key: string;
  owner: string;
  owners: string;
  ownersKey: string;
}

/** Every sweep of the design, as far as time allows. */
export function sweepAll(slack: Slack, budget: Budget): Promise<Report[]> {
  return inTurn(budget, [
    ...SWEEPS.map((one) => () => sweep(slack, one, budget)),
    ...ORPHANS.map((one) => () => sweepOrphans(slack, one, budget)),
  ]);
}

export function sweep(slack: Slack, one: Sweep, budget: Budget, restSeconds?: number): Promise<Report> {
  const filter = one.expression === null ? {} : {
    expression: one.expression,
    names: one.names,
    values: (startedAt: number) => ({
      ...one.values,
      ...Object.fromEntries(one.before.map((name) => [name, cutoff(one, startedAt)])),
    }),
  };
  const of = { job: one.job, datastore: one.datastore, restSeconds, ...filter };
  return walk(slack, of, budget, async (items, progress) => {
    const due = items.filter((item) => isDue(one, item, progress.startedAt)).map((item) => String(item[one.key]));
    for (let from = 0; from < due.length; from += BULK) {
      const batch = due.slice(from, from + BULK);
      if (one.deleted === null) {
        await audit(slack, one, batch, progress.startedAt, budget);
        await deleteAll(slack, one.datastore, batch, budget);
        progress.touched += batch.length;
      } else {
        progress.touched += await mark(slack, one, one.deleted, batch, progress.startedAt, budget);
      }
    }
  });
}

/** The moment before which items are due, as the attribute has it. */
export function cutoff(one: Sweep, startedAt: number): string | number {
  const seconds = Math.floor(startedAt - one.days * 86_400);
  if (one.unit === "seconds") return seconds;
  if (one.unit === "date") return new Date(seconds * 1_000).toISOString().slice(0, 10);
  return `${seconds}.000000`;
}

function isDue(one: Sweep, item: Item, startedAt: number): boolean {
  if (one.deleted !== null && item[one.deleted] !== undefined) return false;
  if (one.after === null) return true;
  const at = item[one.after], before = cutoff(one, startedAt);
  if (typeof at === "number" && typeof before === "number") return at < before;
  return typeof at === "string" && typeof before === "string" && at < before;
}

/** Softly: each item is read again right before it is put, so that what people changed since the page is kept. */
async function mark(slack: Slack, one: Sweep, deleted: string, ids: string[], startedAt: number, budget: Budget) {
  const fresh = await getAll(slack, one.datastore, ids, budget);
  const due = fresh.filter((item) => isDue(one, item, startedAt));
  const at = Math.floor(budget.clock.now() / 1_000);
  await audit(slack, one, due.map((item) => String(item[one.key])), startedAt, budget);
  await putAll(slack, one.datastore, due.map((item) => ({ ...item, [deleted]: at })), budget);
  return due.length;
}

/** A row for each item that goes now; a walk that does a page again writes the same rows again. */
async function audit(slack: Slack, one: Sweep, ids: string[], startedAt: number, budget: Budget): Promise<void> {
  if (AUDIT === null) return;
  const at = Math.floor(budget.clock.now() / 1_000), after = one.deleted === null ? "deleted" : "marked";
  const rows = ids.map((item) => {
    const audit_id = keyOf([one.job, startedAt, item]);
    return { audit_id, datastore: one.datastore, item, action: "sweep", at, before: "kept", after };
  });
  await putAll(slack, AUDIT, rows, budget);
}

/**
 * Takes a soft deletion back: the attribute goes, because conditions ask for its absence; a zero in it would keep the
 * item hidden. False: there is no such item, or it was not deleted.
 */
export async function undelete(slack: Slack, one: Sweep, id: string, budget: Budget): Promise<boolean> {
  const item = await getOne(slack, one.datastore, id, budget);
  if (item === null || one.deleted === null || item[one.deleted] === undefined) return false;
  const { [one.deleted]: _gone, ...rest } = item;
  await call(slack, "apps.datastore.put", { datastore: one.datastore, item: rest }, budget);
  return true;
}

export function sweepOrphans(slack: Slack, one: Orphan, budget: Budget, restSeconds?: number): Promise<Report> {
  return walk(slack, { job: one.job, datastore: one.datastore, restSeconds }, budget, async (items, progress) => {
    const wanted = [...new Set(items.map((item) => String(item[one.owner])))];
    const owners = await getAll(slack, one.owners, wanted, budget);
    const there = new Set(owners.map((item) => String(item[one.ownersKey])));
    const gone = items.filter((item) => !there.has(String(item[one.owner]))).map((item) => String(item[one.key]));
    await deleteAll(slack, one.datastore, gone, budget);
    progress.touched += gone.length;
  });
}
"""

BACKFILL: Final = r"""// Gives items what is new. Made by `stateroom design build`; what is new stands in changes.ts.
//
// The gate asks for items that lack the attribute AND for those below the version: a comparison alone never matches an
// item that has no such attribute, which are the very ones to be filled.
//
// Each item gets an update of its own: a bulkPut would replace what people change meanwhile. What stays open: an item
// that is deleted between its read and its update comes back with its key and the new attributes alone.

import { CHANGES } from "./changes.ts";
import { inTurn, type Report, walk } from "./jobs.ts";
import { type Budget, BULK, call, getAll, type Item, type Slack } from "./retry.ts";

/**
 * `fill` gives the attributes to set, `attribute` among them. `version`: a whole number that `fill` sets it to. `only`:
 * the texts that it may be now; then items that have another one are filled, and those that lack it are not.
 */
export interface Change {
  job: string;
  datastore: string;
  key: string;
  attribute: string;
  version: number | null;
  only?: string[];
  fill: (item: Item) => Item;
}

export function backfillAll(slack: Slack, budget: Budget): Promise<Report[]> {
  return inTurn(budget, CHANGES.map((one) => () => backfill(slack, one, budget)));
}

export function backfill(slack: Slack, one: Change, budget: Budget, restSeconds = 900): Promise<Report> {
  const of = { job: one.job, datastore: one.datastore, restSeconds, ...gate(one) };
  return walk(slack, of, budget, async (items, progress) => {
    const ids = items.map((item) => String(item[one.key]));
    for (let from = 0; from < ids.length; from += BULK) {
      for (const item of await getAll(slack, one.datastore, ids.slice(from, from + BULK), budget)) {
        if (isFilled(one, item)) continue;
        const changed = { ...one.fill(item), [one.key]: item[one.key] };
        await call(slack, "apps.datastore.update", { datastore: one.datastore, item: changed }, budget);
        progress.touched += 1;
      }
    }
  });
}

/** How many items are still without it: go on with the cut-over only at 0. */
export async function left(slack: Slack, one: Change, budget: Budget): Promise<number> {
  const { expression, names, values } = gate(one);
  const asked = { datastore: one.datastore, expression, expression_attributes: names };
  const given = Object.keys(values()).length === 0 ? {} : { expression_values: values() };
  const answer = await call(slack, "apps.datastore.count", { ...asked, ...given }, budget);
  return Number(answer.count);
}

function gate(one: Change) {
  const names = { "#a": one.attribute };
  if (one.only !== undefined) return { ...others(one.only), names };
  if (one.version === null) return { expression: "attribute_not_exists(#a)", names, values: () => ({}) };
  return { expression: "attribute_not_exists(#a) OR #a < :v", names, values: () => ({ ":v": one.version }) };
}

/** Texts before, between and behind those: no operator that Slack documents says "not equal". */
function others(only: string[]) {
  // As DynamoDB orders texts: by their bytes in UTF-8.
  const bytes = (text: string) => [...new TextEncoder().encode(text)].map((one) => String.fromCharCode(one)).join("");
  const kept = [...only].sort((a, b) => (bytes(a) < bytes(b) ? -1 : 1));
  const last = kept.length - 1;
  const gaps = kept.slice(1).map((_, n) => `(#a > :v${n} AND #a < :v${n + 1})`);
  const expression = ["#a < :v0", ...gaps, `#a > :v${last}`].join(" OR ");
  return { expression, values: () => Object.fromEntries(kept.map((value, n) => [`:v${n}`, value])) };
}

function isFilled(one: Change, item: Item): boolean {
  const there = item[one.attribute];
  if (one.only !== undefined) return there === undefined || one.only.includes(String(there));
  return there !== undefined && (one.version === null || Number(there) >= one.version);
}
"""
