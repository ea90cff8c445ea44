"""Everything that a design can be told, once: a stable id, a title, how bad it is, why it matters, and the cure.

Rules of this file: data, and two functions over it. An id is never given a second meaning; one that is no longer found
stays reserved. docs/findings/ has a page for each, made from here (`page`), and a test provokes each.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stateroom.design.parts import Finding, Severity
from stateroom.design.structs import Design
from stateroom.model.errors import WrongUse

ORDER: Final[Mapping[Severity, int]] = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Kind:
    """One kind of finding. `why`: what happens if nothing is done. `cure`: what to do, where no better one is known."""

    title: str
    severity: Severity
    why: str
    cure: str


FINDINGS: Final[Mapping[str, Kind]] = {
    # 1xx: entities
    "SR-101": Kind(
        "More datastores than Slack takes",
        "error",
        "Slack's manifest schema takes 10 datastores an app; the deploy is refused. The datastores that the compiler "
        "adds (lookups, entries, claims, audit) count as well.",
        "drop a pattern that needs a lookup, join entities that are always read by key, or use target: mixed",
    ),
    "SR-102": Kind(
        "More attributes than Slack takes",
        "error",
        "Slack's manifest schema takes 100 attributes a datastore; the deploy is refused.",
        "put what is never looked at by a condition into one attribute of type object",
    ),
    "SR-103": Kind(
        "An entity that no pattern uses",
        "info",
        "Nothing can be said of how it should be stored, and it takes one of ten datastores.",
        "write its access patterns, or remove it",
    ),
    "SR-104": Kind(
        "Isolation by workspace without the workspace in the key",
        "warning",
        "A datastore belongs to the app. Whether Slack separates its items by workspace on an org-wide install is not "
        "documented, so two workspaces may make the same key and read or replace each other's item.",
        "key: [team_id, …] with team_id a string (SR-107), and ask every condition for it",
    ),
    "SR-105": Kind(
        "A copy that nothing keeps right",
        "warning",
        "An attribute is declared as a copy, and no pattern changes its source, or no attribute says of which item it "
        "is the copy (references), so nothing would bring a change over.",
        "write the pattern that changes the source, or read the source instead",
    ),
    "SR-106": Kind(
        "A key that may be too long",
        "error",
        "DynamoDB takes sort keys of at most 1,024 bytes, and Slack's datastores most likely keep the id as one.",
        "use ids in the key, not words of people",
    ),
    "SR-107": Kind(
        "A type that Slack does not document for datastores",
        "warning",
        "Slack's SDK lets it through and the guide does not list it: it may be refused or kept differently.",
        "use string",
    ),
    # 2xx: access
    "SR-201": Kind(
        "A pattern that Slack's datastores cannot serve",
        "warning",
        "Every query reads every page of the datastore, because there is no index. In a year this takes more than the "
        "pattern's time or the tier's calls, and no lookup can serve its condition.",
        "serve it from the external store that the plan names; fill it from the same workflow that writes the item",
    ),
    "SR-202": Kind(
        "Sorting in the function",
        "info",
        "Slack has no order: all pages are read and what matches is sorted in memory, also when few are shown.",
        "keep expected_items small; where it grows, use the external store's index",
    ),
    "SR-203": Kind(
        "A join",
        "warning",
        "Slack cannot join: the second entity is read by key in calls of 25, at a later moment, so both halves may be "
        "of different times, and each page of results costs calls of tier 3.",
        "copy what is shown (copy_of), or join in the external store",
    ),
    "SR-204": Kind(
        "Full text search",
        "warning",
        "contains() finds a part of a text in exactly that case. There are no words, no stems, no rank, and every "
        "item is read.",
        "search in the external store, whose statement is in the plan",
    ),
    "SR-205": Kind(
        "An aggregate or a top list",
        "warning",
        "Slack computes nothing but a count: every item is read and the function adds up.",
        "let the external store compute it, or keep the number when the item is written",
    ),
    "SR-206": Kind(
        "Something that must be unique",
        "warning",
        "Slack keeps nothing unique but the key, and a put replaces without asking. Two may find the value free at the "
        "same time and both take it; reading back narrows the moment and does not close it.",
        "make the value the key, so that at least one item is left, or use the external store's unique index",
    ),
    "SR-207": Kind(
        "A second datastore instead of an index",
        "info",
        "A lookup makes a query a get. Every write of the entity costs calls more, and between the two writes the "
        "lookup is behind, which the reader checks.",
        "run the daily rebuild; it reads all items, not only open ones",
    ),
    "SR-208": Kind(
        "A list without a bound",
        "warning",
        "Nothing says how many items it finds, so neither memory, nor the time to show them, nor a lookup's size can "
        "be computed.",
        "give expected_items",
    ),
    "SR-209": Kind(
        "A sweep that never ends an item",
        "warning",
        "An item that lacks the attribute matches no comparison: `#a < :t` skips it on every sweep, for ever.",
        "require the attribute, or ask attribute_not_exists(#a) OR #a < :t",
    ),
    "SR-210": Kind(
        "An entity that is kept outside of Slack",
        "info",
        "A pattern or an obligation asks for what Slack's datastores do not have, so the whole entity moves: one home, "
        "no copy to keep right, and every write may carry its condition.",
        "run the store that the plan names; definitions.py has its datastores with their indexes",
    ),
    # 3xx: consistency
    "SR-301": Kind(
        "An update that can be lost",
        "warning",
        "Slack has no conditional write. Two runs read the same item and the later write drops the earlier one. The "
        "claim narrows this to the time between the put of a claim and its reading back; it does not close it.",
        "use target: mixed or self-hosted, where the write carries its condition",
    ),
    "SR-302": Kind(
        "One item for each entry",
        "info",
        "Adding to a number or an array inside an item is a read and a write. One put for each entry reads nothing, so "
        "nothing is lost; the sum is a query over the entries.",
        "read the total from the entries, never from the item",
    ),
    "SR-303": Kind(
        "A state that nothing reaches",
        "warning",
        "No transition leads to it from where items begin: either a transition is missing, or the state is not needed.",
        "add the transition or the initial state, or remove the state",
    ),
    "SR-304": Kind(
        "A state without a way out",
        "warning",
        "Items that come here can never come to an end.",
        "add a transition, or let it be an end by removing the ones that lead in circles",
    ),
    "SR-305": Kind(
        "A transition without code",
        "warning",
        "The lifecycle allows it and no access pattern does it, so no workflow step will be generated for it.",
        "write the pattern (kind: transition), or remove the transition",
    ),
    "SR-306": Kind(
        "A put that may replace another's",
        "warning",
        "put replaces the whole item. Two that make the same key leave one item, and attributes that the later one "
        "does not give are gone.",
        "key by the event or message that causes the item, so that a repeat is the same item",
    ),
    "SR-307": Kind(
        "A lookup that is kept by reading and writing",
        "warning",
        "Its list of keys is read, changed and put back. Two at once lose one entry until the daily rebuild.",
        "accept a list that is a day behind in the worst case, or use the external store's index",
    ),
    "SR-308": Kind(
        "A pattern that looks at what is kept in entries",
        "warning",
        "What several add to at once is kept as one item for each entry, so the attribute of the item itself stays as "
        "it was put: a condition, an order or a sum over it does not see what was added.",
        "add up the entries instead, or write their sum into the item by a job; a store that adds in the item (target: "
        "self-hosted) needs neither",
    ),
    "SR-309": Kind(
        "A bulk write that lookups and copies learn of later",
        "warning",
        "A call of 25 items keeps no lookup and no copy right: who reads by the lookup misses what is new, a value "
        "that went stays taken, and copies are as they were, until the daily jobs have been there.",
        "right after the bulk write call what the project has for it: listNow(client, datastore, items, budget) of "
        "rebuild.ts for lookups, copiesAll(client, budget, 0) of copies.ts for copies; the daily jobs mend the rest",
    ),
    # 4xx: capacity
    "SR-401": Kind(
        "An item that may be too large",
        "error",
        "Slack refuses an item of 400 KB. The largest values that the file allows come to more.",
        "lower max_bytes or max_items, keep the text in a file of Slack's and its file_id here, or split the item",
    ),
    "SR-402": Kind(
        "An attribute that grows without end",
        "warning",
        "Nothing bounds the array, so the item reaches 400 KB on the day that is named, and then every write to it "
        "fails for good.",
        "give max_items, or keep one item for each entry",
    ),
    "SR-403": Kind(
        "More calls a minute than the tier allows, today",
        "error",
        "The sum over all patterns in the busiest minute is above the tier; Slack answers 429, and who waits makes the "
        "next minute worse.",
        "lower the rates, bundle writes, or move the patterns that are named to an external store",
    ),
    "SR-404": Kind(
        "More calls a minute than the tier allows, within a year",
        "warning",
        "Every page is a call, and the datastore grows: the sum over all patterns passes the tier on the day named.",
        "add retention, a lookup for the pattern with the most calls, or an external store before that day",
    ),
    "SR-405": Kind(
        "Close to the tier",
        "info",
        "More than 80 % of the tier's calls are used in the busiest minute, so a retry or a sweep reaches it.",
        "leave half of the tier to jobs that are not in the file",
    ),
    "SR-406": Kind(
        "Slower than asked in the busiest minute",
        "warning",
        "Beside all other patterns, a run has to wait for the tier, and takes longer than its max_ms.",
        "lower the calls of the method that is named, or raise max_ms",
    ),
    "SR-407": Kind(
        "A job of several runs",
        "info",
        "A deployed function has 60 s. The job takes longer under its tier, so it keeps its cursor and goes on in the "
        "next run.",
        "use the generated function, which resumes",
    ),
    "SR-408": Kind(
        "Growth without an end",
        "info",
        "Items are added every day and nothing removes them: every query gets slower for ever.",
        "give the entity a retention",
    ),
    "SR-409": Kind(
        "Nothing is known of volumes",
        "info",
        "Without volumes there is no capacity, no growth and no duration: only sizes and types were checked.",
        "write a design file: stateroom design init",
    ),
    # 5xx: retention
    "SR-501": Kind(
        "Removed up to 48 hours late",
        "info",
        "Slack removes an expired item in the background, and says not to rely on it before 48 hours have passed. "
        "Until then it is read, found and counted.",
        "filter by expires_at wherever it matters",
    ),
    "SR-502": Kind(
        "Deleted softly, and kept for ever",
        "warning",
        "Items are marked and stay: every query goes on reading them, and personal data is still there.",
        "mode: hard, with an export before, if nothing obliges you to keep them",
    ),
    "SR-503": Kind(
        "A legal hold and the wish to be forgotten",
        "error",
        "While the hold lasts nothing may be removed, so the erasure that the file asks for is not met: it waits, "
        "and the person has to be told.",
        "have the hold's end decided; erase then, in the order of the plan",
    ),
    "SR-504": Kind(
        "A sweep that does not keep up",
        "error",
        "A daily sweep under its share of the tier takes longer than a day.",
        "use a ttl (mode: hard), or an external store",
    ),
    "SR-505": Kind(
        "A time to live that ends too soon for Slack's",
        "info",
        "Kept for no longer than the 48 hours that Slack's removal may be late, so a sweep removes it instead.",
        "nothing, unless 48 hours more are fine: then give more days",
    ),
    "SR-506": Kind(
        "Personal data without an end",
        "warning",
        "The file asks for erasure, and an entity with personal attributes has no retention: each erasure reads all "
        "that was ever written.",
        "give the entity a retention",
    ),
    "SR-507": Kind(
        "A pattern that removes what is held",
        "error",
        "A legal hold is on, so nothing may be removed for now, and the pattern removes items all the same.",
        "mark the items instead (mode: soft), or remove the pattern until the hold ends",
    ),
    # 6xx: evolution
    "SR-601": Kind(
        "A backfill of several runs",
        "info",
        "To give every item a new attribute takes longer than the 60 s of a function, under the tier's share.",
        "use the generated backfill, which resumes; deploy code that copes with absence first",
    ),
    "SR-602": Kind(
        "A change that Slack refuses or that loses data",
        "error",
        "Slack's deploy fails with schema_compatibility_error, or goes on with --force and the data is gone.",
        "add instead of changing: a new attribute or datastore beside the old one, then the steps of migration.md",
    ),
    "SR-603": Kind(
        "Values or states that rows may still hold",
        "error",
        "The new design does not know a value that the old one allowed. No manifest has values, so Slack keeps rows as "
        "they are, and the code that comes now meets what it does not expect; an item in a state that is gone never "
        "leaves it. An external store refuses to write such a row.",
        "give those items another value first: default says which, and migration.md has the steps with the backfill",
    ),
    "SR-604": Kind(
        "A transition that is no longer allowed",
        "warning",
        "Who began before, or presses a button in an older message, asks for it all the same and is refused; where it "
        "was the only way out of a state, its items stay there.",
        "deploy the code that offers it no more first; move what waits there while the old lifecycle is still deployed",
    ),
    # 7xx: failure
    "SR-701": Kind(
        "A run that may stop between two writes",
        "info",
        "The run writes several items, and Slack has no transaction: a crash in between leaves the first without the "
        "rest.",
        "run it again with the same event id, which writes the same items; the daily rebuild and copies mend the rest",
    ),
    "SR-702": Kind(
        "No export to recover from",
        "warning",
        "Slack's hosted datastores have no point-in-time restore: what a bad release overwrites is gone.",
        "add a pattern of kind: export; recovery.md restores from what it writes",
    ),
    # 8xx: compliance
    "SR-801": Kind(
        "Residency: no-go on Slack's datastores",
        "error",
        "Nothing in Slack's datastore documents says in which region items are kept or how to choose one.",
        "target: mixed or self-hosted with a store in the region, or Slack's written word",
    ),
    "SR-802": Kind(
        "Encryption: Slack's datastores do not seal an attribute",
        "error",
        "Whoever may read the datastore reads the value: Slack encrypts its disks, not your attribute with your key.",
        "target: mixed or self-hosted, where the attribute is sealed before it reaches the store",
    ),
    "SR-803": Kind(
        "An audit trail that its writers can change",
        "warning",
        "Any function with datastore:write can replace or delete an audit row; nothing shows that it happened.",
        "export it daily to where the app cannot write, or keep it in an external store whose role may only insert",
    ),
    "SR-804": Kind(
        "An encrypted attribute that the store has to read",
        "error",
        "Sealed text equals nothing and has no order: a condition on it matches no item, and nothing can be sorted, "
        "grouped, added up, kept unique or ended by it.",
        "ask for another attribute, or keep a keyed hash of the value beside it",
    ),
    "SR-805": Kind(
        "Erasure without personal attributes",
        "error",
        "The file asks for erasure and no attribute says that it holds a person's id or words, so nothing is erased.",
        "mark them: personal: true; or leave erasure out where nothing is kept of people",
    ),
    "SR-806": Kind(
        "Items that go without an audit row",
        "warning",
        "The file asks for audit, and Slack's time to live removes items by itself: no code runs, so nobody writes a "
        "row. (A sweep writes one for each item, before it goes.) The trail has the change that made an item, and from "
        "its time and the retention follows when it ended, up to 48 hours late.",
        "let the end follow from the retention; or mode: soft, which a sweep marks with a row; or target: mixed, whose "
        "store has each end in its log of changes",
    ),
}


def finding(id: str, design: Design, place: str, reason: str, cure: str | None = None) -> Finding:
    """A finding of a kind at a place of the file. KeyError for an id that the table does not have."""
    kind = FINDINGS[id]
    return Finding(id, kind.severity, place, reason, kind.cure if cure is None else cure, design.line(place))


def sorted_findings(found: list[Finding]) -> tuple[Finding, ...]:
    """The worst first, then by id and place; each once."""
    return tuple(sorted(dict.fromkeys(found), key=lambda one: (ORDER[one.severity], one.id, one.place, one.reason)))


def identified(text: str) -> str:
    """The id that somebody means, in any case, with or without `SR-`. WrongUse, with the nearest, for none."""
    asked = text.strip().upper()
    id = asked if asked.startswith("SR-") else f"SR-{asked.removeprefix('SR')}"
    if id in FINDINGS:
        return id
    near = difflib.get_close_matches(id, FINDINGS, n=3, cutoff=0.7)
    listed = f"did you mean {' or '.join(near)}?" if near else f"ids are SR- and three digits, such as {min(FINDINGS)}."
    raise WrongUse(f"there is no finding {text[:40]}; {listed} docs/findings/README.md lists all")


def page(id: str) -> str:
    """The page of docs/findings/ for one kind."""
    kind = FINDINGS[id]
    cure = f"{kind.cure[0].upper()}{kind.cure[1:]}."
    end = "The finding itself names the place, with the line of the design file, and the numbers that it rests on;\n"
    end += "`stateroom design check FILE` prints it.\n"
    return f"# {id}: {kind.title}\n\nSeverity: {kind.severity}.\n\n## Why\n\n{kind.why}\n\n## Cure\n\n{cure}\n\n{end}"
