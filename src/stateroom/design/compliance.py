"""Compliance: residency, encryption, audit and erasure, each with a verdict: go or no-go, and what meets it.

Rules of this file: what Slack does not document is no-go, never silence. A no-go is a finding that is an error, and an
error about an obligation is a no-go (a test holds both). Regions are AWS's names, for a DynamoDB store
and for the model (an inference profile of the same geography).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from stateroom.design.findings import finding
from stateroom.design.parts import Finding, Store, Verdict
from stateroom.design.retention import personal
from stateroom.design.structs import Design, Entity, Pattern

REGIONS: Mapping[str, tuple[str, str]] = {
    "eu": ("eu-central-1", "bedrock:eu."),
    "us": ("us-east-1", "bedrock:us."),
    "apac": ("ap-northeast-1", "bedrock:apac."),
}
"""A geography: a region of it for a store, and how the ids of models begin that stay in it."""

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]+")  # as AWS names them
_SILENT = "Slack's datastore guides and method reference name no region (reference of this project, section 11)"
_SEALED = "docs/keys.md: sealed with AES-256-GCM before it reaches the engine"


def verdicts(design: Design, stores: Iterable[Store]) -> tuple[Verdict, ...]:
    """A verdict for each obligation of the file."""
    listed = list(stores)
    jobs = (_residency, _encryption, _audit, _erasure)
    return tuple(verdict for job in jobs for verdict in job(design, listed))


def _residency(design: Design, stores: list[Store]) -> Iterator[Verdict]:
    wanted = design.compliance.residency
    if wanted is None:
        return
    region, model = REGIONS.get(wanted, (wanted, ""))
    model = f"STATEROOM_MODEL={model}…" if model else f"a model served in {region}"
    table = re.sub(r"[^A-Za-z0-9_.-]+", "-", design.app.name).strip("-") or "app"
    store = f"dynamodb://{region}/{table}" if _REGION.fullmatch(region) else f"a DynamoDB in a region of {region}"
    store += f" or a PostgreSQL in {region}"
    hosted = [one.name for one in stores if one.home == "slack"]
    meets = f"{store}; {model}"
    if hosted:
        reason = f"{', '.join(hosted)} would be in Slack's datastores, of which no region is known"
        yield Verdict("residency", "app", False, meets, reason, _SILENT)
    else:
        yield Verdict(
            "residency", "app", True, meets, "every datastore is in the store that you choose", "docs/library.md"
        )


def _encryption(design: Design, stores: list[Store]) -> Iterator[Verdict]:
    homes = {one.name: one.home for one in stores}
    for place in dict.fromkeys((*design.compliance.encryption, *_declared(design))):
        entity = place.partition(".")[0]
        asking = [words for _, sealed, words in _unreadable(design) if place in sealed]
        if homes[entity] == "slack":
            reason = "Slack's datastores seal no attribute, and a function that seals it itself has to hold the key"
            yield Verdict("encryption", place, False, "target: mixed or self-hosted, STATEROOM_KEYS", reason, _SILENT)
        elif asking:
            yield Verdict("encryption", place, False, "asking for something else", "; ".join(asking), _SEALED)
        else:
            yield Verdict("encryption", place, True, "STATEROOM_KEYS", "the attribute is sealed for its place", _SEALED)


def _declared(design: Design) -> Iterator[str]:
    for entity in design.entities:
        yield from (f"{entity.name}.{one.name}" for one in entity.attributes.values() if one.encrypted)


def _audit(design: Design, stores: list[Store]) -> Iterator[Verdict]:
    if not design.compliance.audit:
        return
    trail = next((one for one in stores if one.role == "audit"), None)
    silent = "".join(f"; {words}" for _, words in _silent(design, stores))
    if trail is None:
        yield Verdict("audit", "app", True, "nothing is written", f"no pattern changes anything{silent}", "the file")
    elif trail.home == "slack":
        reason = f"a row is written before each change; any function of the app may change it later{silent}"
        yield Verdict("audit", "app", True, "audit_trail, exported daily", reason, "Slack's scopes: datastore:write")
    else:
        meets = "audit_trail, and the log of changes of each datastore (changes, in definitions.py)"
        reason = f"a row goes into the transaction of its change, and what ends by its time is in the log{silent}"
        yield Verdict("audit", "app", True, meets, reason, "docs/library.md: Following changes")


def _silent(design: Design, stores: list[Store]) -> Iterator[tuple[str, str]]:
    """The entities of which items go without an audit row, and why nobody writes one."""
    away = any(one.role == "audit" and one.home == "external" for one in stores)
    for one in stores:
        if one.role != "entity" or one.home != "slack":
            continue  # an external store has what ends in its log of changes
        kept = design.by_name[one.name].retention
        if one.ttl is not None:
            yield one.name, f"{one.name} ends by its ttl: Slack removes it by itself and runs no code that writes a row"
        elif away and kept is not None and not kept.legal_hold:
            yield one.name, f"{one.name} is swept on Slack, whose functions do not reach the trail outside of it"


def _erasure(design: Design, stores: list[Store]) -> Iterator[Verdict]:
    if not design.compliance.erasure:
        return
    if not any(personal(one) for one in stores if one.role == "entity"):
        reason = "no attribute is marked personal: true, so nothing is erased"
        yield Verdict("erasure", "app", False, "marking what holds a person's id or words", reason, "the file")
    for one in stores:
        if one.role == "entity" and personal(one):
            held = design.by_name[one.name].retention
            go = held is None or not held.legal_hold
            reason = "each attribute that is marked personal is walked" if go else "a legal hold is on"
            yield Verdict("erasure", one.name, go, "the erasure steps of the plan", reason, "the file")


def findings(design: Design, found: Iterable[Verdict], stores: Iterable[Store]) -> Iterator[Finding]:
    """What is told of obligations."""
    listed = list(stores)
    hosted = {one.name for one in listed if one.home == "slack"}
    for one in found:
        if not one.go and one.obligation == "residency":
            yield finding("SR-801", design, "compliance.residency", one.reason, f"use {one.meets}")
        if not one.go and one.obligation == "encryption" and one.place.partition(".")[0] in hosted:
            yield finding("SR-802", design, "compliance.encryption", f"{one.place}: {one.reason}")
        if one.obligation == "audit" and any(s.role == "audit" and s.home == "slack" for s in listed):
            yield finding("SR-803", design, "compliance.audit", one.reason.partition("; ")[2].partition("; ")[0])
        if one.obligation == "audit":
            for entity, words in _silent(design, listed):
                place = f"entities.{entity}.retention" if design.by_name[entity].retention else f"entities.{entity}"
                yield finding("SR-806", design, place, words)
        if one.obligation == "erasure" and one.place == "app" and not one.go:
            yield finding("SR-805", design, "compliance.erasure", one.reason)
    for place, _, words in _unreadable(design):
        yield finding("SR-804", design, place, words)


def _unreadable(design: Design) -> Iterator[tuple[str, frozenset[str], str]]:
    """What the store would have to read and cannot: the place, each `entity.attribute`, and the words."""
    for number, pattern in enumerate(design.patterns):
        sealed = {one.name for one in design.by_name[pattern.entity].attributes.values() if one.encrypted}
        for field, names, verb in _needed(pattern):
            if found := sorted(sealed & names):
                words = f"{pattern.name} {verb} {', '.join(found)}, which is encrypted"
                yield f"access_patterns[{number}].{field}", frozenset(f"{pattern.entity}.{one}" for one in found), words
    for entity in design.entities:
        for field, name, verb in _times_and_states(entity):
            if entity.attributes[name].encrypted:
                words = f"{entity.name} {verb} {name}, which is encrypted"
                yield f"entities.{entity.name}.{field}", frozenset({f"{entity.name}.{name}"}), words


def _needed(pattern: Pattern) -> Iterator[tuple[str, frozenset[str], str]]:
    """What the store has to read to serve a pattern: the field that says so, the attributes, and the verb."""
    if pattern.where is not None:
        yield "where", pattern.where.attributes, "asks for"
    for field, name, verb in (
        ("order", pattern.order, "is ordered by"),
        ("group_by", pattern.group_by, "is grouped by"),
        ("on", pattern.on, "joins by"),
    ):
        if name is not None:
            yield field, frozenset({name}), verb
    counted = pattern.kind == "aggregate" and pattern.function == "count"
    if pattern.kind in _COMPUTED and not counted:
        yield "attributes", frozenset(pattern.attributes), _COMPUTED[pattern.kind]


_COMPUTED: Mapping[str, str] = {
    "aggregate": "computes of",
    "unique": "must find once alone",
    "increment": "adds to",
}


def _times_and_states(entity: Entity) -> Iterator[tuple[str, str, str]]:
    if entity.lifecycle is not None:
        yield "lifecycle", entity.lifecycle.attribute, "has its state in"
    if entity.retention is not None:
        yield "retention", entity.retention.after, "ends by"
