"""`retry.ts` of a generated project: one call of Slack's Web API, and what is waited for.

Rules of this file: the text is the same in every project; nothing of a design is spliced into it.
"""

from __future__ import annotations

from typing import Final

RETRY: Final = r"""// Calls of Slack's Web API that cope with what Slack answers. Made by `stateroom design build`.
//
// Slack's Deno client throws an error with `status` 429 when there were too many calls: the answer's body, where other
// clients find `ratelimited`, never reaches the caller, and the client does not wait. So the thrown error is what is
// looked at here, `Retry-After` in its headers says how long, and the body's code is only the second way.

export type Item = Record<string, unknown>;
// deno-lint-ignore no-explicit-any
export type Answer = { ok: boolean; error?: string; [name: string]: any };

/** What is needed of Slack's client. */
export interface Slack {
  apiCall(method: string, data?: Record<string, unknown>): Promise<Answer>;
}

/** Milliseconds; handed in, so that tests need not wait. */
export interface Clock {
  now(): number;
  sleep(ms: number): Promise<void>;
  random(): number;
}

export const CLOCK: Clock = {
  now: () => Date.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  random: () => Math.random(),
};

export const ATTEMPTS = 5;
export const BULK = 25;
/** Of the 60 s that a deployed function has: the rest is for keeping the place and for the answer. */
export const RUN_MS = 45_000;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 20_000;
/** Calls a minute, for each method and workspace (Slack's rate tiers 3 and 4). */
const TIERS: Record<string, number> = {
  "apps.datastore.bulkGet": 50,
  "apps.datastore.bulkPut": 50,
  "apps.datastore.bulkDelete": 50,
  "apps.datastore.count": 50,
};
const OTHER_TIER = 100;
const UNPACED_CALLS = 10;
/** Codes of answers that may be different a moment later. */
const PASSING = new Set([
  "ratelimited",
  "rate_limited",
  "internal_error",
  "fatal_error",
  "service_unavailable",
  "request_timeout",
]);

/** Slack refused, or did not answer. `code` is Slack's; nothing of what was sent is in here. */
export class CallFailed extends Error {
  constructor(readonly method: string, readonly code: string, readonly retryable: boolean) {
    super(`${method} failed: ${code}`);
    this.name = "CallFailed";
  }
}

/** The wait that is needed would take longer than this run may. Nothing is wrong: the next run goes on. */
export class OutOfTime extends Error {
  constructor(readonly neededMs: number) {
    super(`a wait of ${neededMs} ms does not fit into this run`);
    this.name = "OutOfTime";
  }
}

/** How long a run may take, and which share of a tier it uses: a job leaves the rest to people. */
export class Budget {
  readonly endsAt: number;
  private readonly calls = new Map<string, number>();

  constructor(ms: number, readonly share = 1, readonly clock: Clock = CLOCK) {
    this.endsAt = clock.now() + ms;
  }

  left(): number {
    return this.endsAt - this.clock.now();
  }

  async wait(ms: number): Promise<void> {
    if (ms >= this.left()) throw new OutOfTime(ms);
    await this.clock.sleep(ms);
  }

  /** Before each call. The first few of a run go at once. */
  async pace(method: string): Promise<void> {
    const made = this.calls.get(method) ?? 0;
    this.calls.set(method, made + 1);
    if (this.share < 1 && made >= UNPACED_CALLS) {
      await this.wait(60_000 / ((TIERS[method] ?? OTHER_TIER) * this.share));
    }
  }
}

type Met = { answer: Answer } | { code: string; again: boolean; afterMs: number | null };

/**
 * One call, tried again where that can help; CallFailed, OutOfTime. Every method that is used here may be made twice
 * with the same arguments: a put and an update write the same values again. `partial_failure` is an answer.
 */
export async function call(
  slack: Slack,
  method: string,
  args: Record<string, unknown>,
  budget: Budget,
): Promise<Answer> {
  for (let attempt = 1;; attempt++) {
    await budget.pace(method);
    const met = await once(slack, method, args);
    if ("answer" in met) return met.answer;
    if (!met.again || attempt >= ATTEMPTS) throw new CallFailed(method, met.code, met.again);
    // Up to a second more than Slack asks for, so that not all who wait come back at once.
    const jitter = Math.floor(budget.clock.random() * 1_000);
    await budget.wait(met.afterMs === null ? backoffMs(attempt, budget.clock) : met.afterMs + jitter);
  }
}

async function once(slack: Slack, method: string, args: Record<string, unknown>): Promise<Met> {
  let answer: Answer;
  try {
    answer = await slack.apiCall(method, args);
  } catch (error) {
    return thrown(error);
  }
  if (answer.ok || answer.error === "partial_failure") return { answer };
  const code = answer.error ?? "unknown_error";
  return { code, again: PASSING.has(code), afterMs: null };
}

function thrown(error: unknown): Met {
  const { status, headers } = (error ?? {}) as { status?: unknown; headers?: unknown };
  if (status === 429) return { code: "ratelimited", again: true, afterMs: retryAfterMs(headers) };
  if (typeof status === "number") return { code: `http_${status}`, again: status >= 500, afterMs: null };
  // `fetch` throws a TypeError when the connection fails.
  if (error instanceof TypeError) return { code: "connection_failed", again: true, afterMs: null };
  throw error;
}

/** Slack's `Retry-After`, which is in seconds; null when there is none to be read. */
function retryAfterMs(headers: unknown): number | null {
  const given = new Headers((headers ?? {}) as HeadersInit).get("retry-after");
  const seconds = given === null ? NaN : Number(given);
  if (!Number.isFinite(seconds) || seconds < 0) return null;
  return Math.ceil(seconds * 1_000);
}

function backoffMs(attempt: number, clock: Clock): number {
  const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1));
  return Math.floor(longest * (0.5 + clock.random() / 2));
}

/** bulkPut or bulkDelete of any number, 25 at a time. Only what failed is sent again, after a wait. */
async function bulkWrite(
  slack: Slack,
  method: string,
  datastore: string,
  field: "items" | "ids",
  entries: unknown[],
  budget: Budget,
): Promise<void> {
  for (let from = 0; from < entries.length; from += BULK) {
    let ahead = entries.slice(from, from + BULK);
    for (let attempt = 1; ahead.length > 0; attempt++) {
      const answer = await call(slack, method, { datastore, [field]: ahead }, budget);
      ahead = failedOf(answer);
      if (ahead.length === 0) break;
      if (attempt >= ATTEMPTS) throw new CallFailed(method, "partial_failure", true);
      await budget.wait(backoffMs(attempt, budget.clock));
    }
  }
}

function failedOf(answer: Answer): unknown[] {
  const failed = Array.isArray(answer.failed_items) ? answer.failed_items : [];
  if (!answer.ok && failed.length === 0) throw new CallFailed("bulk", answer.error ?? "unknown_error", false);
  return failed;
}

export function putAll(slack: Slack, datastore: string, items: Item[], budget: Budget): Promise<void> {
  return bulkWrite(slack, "apps.datastore.bulkPut", datastore, "items", items, budget);
}

export function deleteAll(slack: Slack, datastore: string, ids: string[], budget: Budget): Promise<void> {
  return bulkWrite(slack, "apps.datastore.bulkDelete", datastore, "ids", ids, budget);
}

/** The items of these ids, in no order; those that are not there are left out. */
export async function getAll(slack: Slack, datastore: string, ids: string[], budget: Budget): Promise<Item[]> {
  const found: Item[] = [];
  for (let from = 0; from < ids.length; from += BULK) {
    let ahead: unknown[] = ids.slice(from, from + BULK);
    for (let attempt = 1; ahead.length > 0; attempt++) {
      const answer = await call(slack, "apps.datastore.bulkGet", { datastore, ids: ahead }, budget);
      found.push(...(answer.items ?? []) as Item[]);
      ahead = failedOf(answer);
      if (ahead.length === 0) break;
      if (attempt >= ATTEMPTS) throw new CallFailed("apps.datastore.bulkGet", "partial_failure", true);
      await budget.wait(backoffMs(attempt, budget.clock));
    }
  }
  return found;
}

/** The item, or null: for an id that is not there Slack answers an empty item, which is no error. */
export async function getOne(slack: Slack, datastore: string, id: string, budget: Budget): Promise<Item | null> {
  const { item } = await call(slack, "apps.datastore.get", { datastore, id }, budget);
  return item && Object.keys(item).length > 0 ? item as Item : null;
}
"""
