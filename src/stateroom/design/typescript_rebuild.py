"""The rebuild of lookups of a generated project from the items that they are about.

Rules of this file: those of typescript_jobs.py, whose walk carries it.
"""

from __future__ import annotations

from typing import Final

REBUILD: Final = r"""// Makes lookups right again. Made by `stateroom design build`.
// From all items, not only from those that are listed, so that a lost entry comes back.
//
// First what is wrong goes, then what is missing comes. What stays open: a lookup is read and put here, so what a
// person's run writes between the two is lost until the next rebuild; whoever reads by a lookup checks each item.

import { inTurn, type Report, walk } from "./jobs.ts";
import { keyOf } from "./keys.ts";
import { LOOKUPS } from "./plan.ts";
import { type Budget, deleteAll, getAll, type Item, putAll, type Slack } from "./retry.ts";

/** `many`: the lookup lists ids, else it has one. */
export interface Lookup {
  job: string;
  datastore: string;
  key: string;
  of: string[];
  many: boolean;
  items: string;
  itemsKey: string;
}

export function rebuildAll(slack: Slack, budget: Budget): Promise<Report[]> {
  return inTurn(budget, LOOKUPS.flatMap((one) => [() => prune(slack, one, budget), () => fill(slack, one, budget)]));
}

/** The lookup's key for an item; null when an attribute is absent, or is no part of a key. */
export function lookupKey(one: Lookup, item: Item): string | null {
  const parts = one.of.map((name) => item[name]);
  if (!parts.every((part) => ["string", "number", "boolean"].includes(typeof part))) return null;
  try {
    return keyOf(parts as (string | number | boolean)[]) || null;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function listed(one: Lookup, entry: Item): string[] {
  const held = one.many ? entry.ids : [entry.target];
  return Array.isArray(held) ? held.filter((id): id is string => typeof id === "string") : [];
}

function entryOf(one: Lookup, key: string, ids: string[], budget: Budget): Item {
  const updated_at = Math.floor(budget.clock.now() / 1_000);
  return { [one.key]: key, ...(one.many ? { ids } : { target: ids[0] }), updated_at };
}

/** Entries without the ids of items that are gone or have moved on. */
export function prune(slack: Slack, one: Lookup, budget: Budget, restSeconds?: number): Promise<Report> {
  const of = { job: `${one.job} 1`, datastore: one.datastore, restSeconds };
  return walk(slack, of, budget, async (entries, progress) => {
    const wanted = [...new Set(entries.flatMap((entry) => listed(one, entry)))];
    const keys = new Map<string, string | null>();
    for (const item of await getAll(slack, one.items, wanted, budget)) {
      keys.set(String(item[one.itemsKey]), lookupKey(one, item));
    }
    const changed: Item[] = [], empty: string[] = [];
    for (const entry of entries) {
      const key = String(entry[one.key]), ids = listed(one, entry);
      const right = ids.filter((id) => keys.get(id) === key);
      if (right.length === 0) empty.push(key);
      else if (right.length < ids.length) changed.push(entryOf(one, key, right, budget));
    }
    await putAll(slack, one.datastore, changed, budget);
    await deleteAll(slack, one.datastore, empty, budget);
    progress.touched += changed.length + empty.length;
  });
}

/** Entries with the ids of all items. */
export function fill(slack: Slack, one: Lookup, budget: Budget, restSeconds?: number): Promise<Report> {
  return walk(slack, { job: `${one.job} 2`, datastore: one.items, restSeconds }, budget, async (items, progress) => {
    progress.touched += await add(slack, one, items, budget);
  });
}

/**
 * Right after a bulk write of yours: the lookups of a datastore name these items at once, not from the next rebuild on.
 * Answers how many entries were changed. Ids that moved on stay listed until then; who reads by a lookup drops them.
 */
export async function listNow(slack: Slack, datastore: string, items: Item[], budget: Budget): Promise<number> {
  let changed = 0;
  for (const one of LOOKUPS.filter((lookup) => lookup.items === datastore)) {
    changed += await add(slack, one, items, budget);
  }
  return changed;
}

async function add(slack: Slack, one: Lookup, items: Item[], budget: Budget): Promise<number> {
  const wanted = new Map<string, string[]>();
  for (const item of items) {
    const key = lookupKey(one, item);
    if (key !== null) wanted.set(key, [...(wanted.get(key) ?? []), String(item[one.itemsKey])]);
  }
  const there = new Map<string, string[]>();
  for (const entry of await getAll(slack, one.datastore, [...wanted.keys()], budget)) {
    there.set(String(entry[one.key]), listed(one, entry));
  }
  const changed: Item[] = [];
  for (const [key, ids] of wanted) {
    const known = there.get(key) ?? [];
    const missing = ids.filter((id) => !known.includes(id));
    if (missing.length > 0 && (one.many || known.length === 0)) {
      changed.push(entryOf(one, key, [...known, ...missing], budget));
    }
  }
  await putAll(slack, one.datastore, changed, budget);
  return changed.length;
}
"""
