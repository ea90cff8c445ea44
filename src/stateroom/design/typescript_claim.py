"""`claim.ts` of a generated project: what must happen once, and status transitions, on a store without conditions.

Rules of this file: the text is the same in every project; the names come from the project's plan.ts.
"""

from __future__ import annotations

from typing import Final

CLAIM: Final = r"""// What must happen once, and status transitions. Made by `stateroom design build`.
//
// Slack's hosted datastores have no conditional write, so nobody can ask "put this only if nobody else did". What is
// done instead: look, put a claim under a key that all who try share, wait longer than any rival may take between its
// own look and its put, and read the claim back. Whoever was slower than that between look and put does not trust what
// it reads. As long as reads see writes at once, two runs then never both win; it may happen that none does, and one
// of them tries again after the lease.
//
// What stays open, and no order of calls closes:
// - Slack documents no read consistency. A read that does not see a put that was answered lets two runs win.
// - A put whose answer was lost may be carried out later than anybody waited for.
// - A winner that works longer than its lease meets the next winner. Keep the work far below it.
// - Whoever writes the item without asking for a claim is not held back by one.
// Where that is too much (money, seats), keep the item in a store with conditional writes: see design.md.

import { AUDIT, CLAIMS, LIFECYCLES } from "./plan.ts";
import { type Budget, call, getOne, type Slack } from "./retry.ts";
import { keyOf } from "./keys.ts";

/** A rival's time from its look to its put: who took longer does not trust its claim. */
export const SETTLE_MS = 1_000;
export const LEASE_SECONDS = 120;
/** How long it is remembered that something was done. */
export const REMEMBER_SECONDS = 7 * 24 * 3600;

/**
 * won: go on. done: it was done before. held: another run has it now. unsure: this run was too slow to know, and has
 * not won; try again after the lease.
 */
export type Claimed = "won" | "done" | "held" | "unsure";

/** `owner`: an id of this run that no other run has, as its `function_execution_id`. */
export async function claim(slack: Slack, id: string, owner: string, budget: Budget): Promise<Claimed> {
  const looked = budget.clock.now();
  const there = await getOne(slack, CLAIMS, id, budget);
  if (there !== null && there.owner !== owner && Number(there.expires_at) * 1_000 > looked) {
    return there.state === "done" ? "done" : "held";
  }
  if (there !== null && there.owner === owner && there.state === "done") return "done";
  await write(slack, id, owner, "taken", LEASE_SECONDS, budget);
  if (budget.clock.now() - looked > SETTLE_MS) return "unsure";
  await budget.wait(SETTLE_MS + budget.clock.random() * 100);
  return await isOwner(slack, id, owner, budget) ? "won" : "held";
}

/** The work is done, and is not to be done again. False: the lease had ended, and another run has it. */
export async function finish(slack: Slack, id: string, owner: string, budget: Budget): Promise<boolean> {
  if (!await isOwner(slack, id, owner, budget)) return false;
  await write(slack, id, owner, "done", REMEMBER_SECONDS, budget);
  return true;
}

/** Give it back: nothing was done, or it may be done again. */
export async function release(slack: Slack, id: string, owner: string, budget: Budget): Promise<void> {
  if (await isOwner(slack, id, owner, budget)) {
    await call(slack, "apps.datastore.delete", { datastore: CLAIMS, id }, budget);
  }
}

async function isOwner(slack: Slack, id: string, owner: string, budget: Budget): Promise<boolean> {
  return (await getOne(slack, CLAIMS, id, budget))?.owner === owner;
}

async function write(slack: Slack, id: string, owner: string, state: string, seconds: number, budget: Budget) {
  const expires_at = Math.floor(budget.clock.now() / 1_000) + seconds;
  const item = { claim_id: id, owner, state, expires_at };
  await call(slack, "apps.datastore.put", { datastore: CLAIMS, item }, budget);
}

export type Once<T> = { ran: true; result: T; recorded: boolean } | { ran: false; why: Exclude<Claimed, "won"> };

/**
 * `work` once for each `key` (an event's id, a message's ts). When `work` throws, the claim stays until its lease ends:
 * nobody knows how far it came. `recorded` false: it ran, but longer than its lease, so another run may have run too.
 */
export async function once<T>(
  slack: Slack,
  key: string,
  owner: string,
  budget: Budget,
  work: () => Promise<T>,
): Promise<Once<T>> {
  const id = keyOf(["once", key]);
  const claimed = await claim(slack, id, owner, budget);
  if (claimed !== "won") return { ran: false, why: claimed };
  const result = await work();
  return { ran: true, result, recorded: await finish(slack, id, owner, budget) };
}

export type Moved =
  | { moved: true; confirmed: boolean }
  | { moved: false; why: "held" | "unsure" | "missing" | "not allowed" }
  | { moved: false; why: "state"; state: unknown };

/**
 * An item from one state to another, if it is in `from` now. `confirmed` false: written, but read back it was another
 * state, so somebody wrote the item without a claim, or after its lease. `actor` and `event` go into the audit row,
 * which is put before the change: a crash leaves a row without a change, never a change without a row.
 */
export async function transition(
  slack: Slack,
  entity: string,
  id: string,
  from: string,
  to: string,
  owner: string,
  budget: Budget,
  by: { actor: string; event: string } = { actor: "", event: owner },
): Promise<Moved> {
  const cycle = LIFECYCLES.find((one) => one.datastore === entity);
  if (cycle === undefined || !allows(cycle.transitions, from, to)) return { moved: false, why: "not allowed" };
  // One claim for all that lead out of a state: approve and reject exclude each other.
  const claimId = keyOf([entity, id, from]);
  const claimed = await claim(slack, claimId, owner, budget);
  if (claimed !== "won") return { moved: false, why: claimed === "unsure" ? "unsure" : "held" };
  const item = await getOne(slack, entity, id, budget);
  const refused = item === null
    ? { moved: false as const, why: "missing" as const }
    : item[cycle.attribute] !== from
    ? { moved: false as const, why: "state" as const, state: item[cycle.attribute] }
    : null;
  if (refused !== null) {
    await release(slack, claimId, owner, budget);
    return refused;
  }
  await audit(slack, entity, id, from, to, by, budget);
  const change = { [cycle.key]: id, [cycle.attribute]: to };
  await call(slack, "apps.datastore.update", { datastore: entity, item: change }, budget);
  const after = await getOne(slack, entity, id, budget);
  await release(slack, claimId, owner, budget); // whoever looks from now on finds the new state
  return { moved: true, confirmed: after?.[cycle.attribute] === to };
}

function allows(transitions: Record<string, string[]>, from: string, to: string): boolean {
  return Object.hasOwn(transitions, from) && transitions[from].includes(to);
}

async function audit(
  slack: Slack,
  datastore: string,
  item: string,
  before: string,
  after: string,
  by: { actor: string; event: string },
  budget: Budget,
) {
  if (AUDIT === null) return;
  const at = Math.floor(budget.clock.now() / 1_000);
  const row: Record<string, unknown> = { audit_id: keyOf([by.event, `${before}>${after}`]), datastore, item };
  Object.assign(row, { action: "transition", at, before, after }, by.actor === "" ? {} : { actor: by.actor });
  await call(slack, "apps.datastore.put", { datastore: AUDIT, item: row }, budget);
}
"""

KEYS: Final = r"""// Keys made of several parts. Made by `stateroom design build`.

const DIGITS = 12;

/**
 * One text that no other list of parts has: `%` and `#` of a part are escaped, whole numbers have 12 digits, so that
 * the order of keys is theirs. A single text stays as it is. RangeError for a number that is not whole or is negative.
 */
export function keyOf(parts: (string | number | boolean)[]): string {
  if (parts.length === 1 && typeof parts[0] === "string") return parts[0];
  return parts.map(part).join("#");
}

function part(one: string | number | boolean): string {
  if (typeof one === "string") return one.replaceAll("%", "%25").replaceAll("#", "%23");
  const whole = Number(one);
  if (!Number.isSafeInteger(whole) || whole < 0) throw new RangeError("a number in a key is whole and not negative");
  return String(whole).padStart(DIGITS, "0");
}
"""
