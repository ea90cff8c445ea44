"""What brings copied attributes over in a generated project, where the run that changed the source did not get to it.

Rules of this file: the text is the same in every project; what it works on comes from the project's plan.ts.
"""

from __future__ import annotations

from typing import Final

COPIES: Final = r"""// Brings copied attributes over again. Made by `stateroom design build`.
// A run that changes what others copy updates each copy; what one that is stopped midway leaves is mended here.
//
// Each item gets an update of its own: a bulkPut would replace what people change meanwhile. What stays open: an item
// that is deleted between its page and its update comes back with its key and the copies alone.

import { inTurn, type Report, walk } from "./jobs.ts";
import { COPIES } from "./plan.ts";
import { type Budget, call, getAll, type Item, type Slack } from "./retry.ts";

/** `link`: the attribute that names an item of `source`. `of`: each copy, and the attribute that it copies. */
export interface Copied {
  job: string;
  datastore: string;
  key: string;
  link: string;
  source: string;
  sourceKey: string;
  of: [string, string][];
}

/** `restSeconds` 0: also where the last walk has just ended, as right after a bulk write of yours. */
export function copiesAll(slack: Slack, budget: Budget, restSeconds?: number): Promise<Report[]> {
  return inTurn(budget, COPIES.map((one) => () => bringOver(slack, one, budget, restSeconds)));
}

export function bringOver(slack: Slack, one: Copied, budget: Budget, restSeconds?: number): Promise<Report> {
  return walk(slack, { job: one.job, datastore: one.datastore, restSeconds }, budget, async (items, progress) => {
    const wanted = new Set(items.map((item) => item[one.link]).filter((id): id is string => typeof id === "string"));
    const sources = new Map<string, Item>();
    for (const source of await getAll(slack, one.source, [...wanted], budget)) {
      sources.set(String(source[one.sourceKey]), source);
    }
    for (const item of items) {
      const changed = differing(one, item, sources.get(String(item[one.link])));
      if (Object.keys(changed).length === 0) continue;
      const whole = { ...changed, [one.key]: item[one.key] };
      await call(slack, "apps.datastore.update", { datastore: one.datastore, item: whole }, budget);
      progress.touched += 1;
    }
  });
}

/** What the source has and the copy lacks or has otherwise; nothing where the source is gone. */
function differing(one: Copied, item: Item, source: Item | undefined): Item {
  const wrong = one.of.filter(([copy, attribute]) =>
    source?.[attribute] !== undefined && JSON.stringify(source[attribute]) !== JSON.stringify(item[copy])
  );
  return Object.fromEntries(wrong.map(([copy, attribute]) => [copy, source?.[attribute]]));
}
"""
