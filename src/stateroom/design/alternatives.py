"""The external store for what Slack's datastores cannot do: which, why, and the SQL that does it.

Rules of this file: pure text, made from the design. Names are quoted, values are named parameters (`:name`) or quoted
literals of the file. The SQL is what PostgreSQL and SQLite share (tests run it); full text is PostgreSQL's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from stateroom.design.entities import key_attribute
from stateroom.design.facts import Facts
from stateroom.design.parts import External
from stateroom.design.structs import Attr, Design, Entity, Pattern
from stateroom.expr.tree import (
    And,
    BeginsWith,
    Between,
    Compare,
    Condition,
    Contains,
    Exists,
    In,
    Literal,
    Not,
    Operand,
    Or,
    Path,
    Size,
)
from stateroom.model.attributes import SLACK

_COLUMNS: Final[Mapping[str, str]] = {
    "integer": "bigint",
    "number": "numeric",
    "boolean": "boolean",
    f"{SLACK}timestamp": "bigint",
}
TEXT_SEARCH: Final = "postgresql"
ANY_SQL: Final = "postgresql or sqlite"


def alternative(design: Design, pattern: Pattern, reasons: tuple[str, ...], facts: Facts) -> External:
    """The store that serves a pattern, with statements that work: tables and indexes first, the pattern's own last."""
    entity = design.by_name[pattern.entity]
    tables = [_table(design, one) for one in (entity, *(design.by_name[name] for name in pattern.join))]
    index = index_of(pattern)
    unique = pattern.kind == "unique"
    why = "; ".join(reasons) or "it is kept where the app runs"
    engine = TEXT_SEARCH if pattern.kind == "search" else ANY_SQL
    made = () if not index else (_index(entity, pattern, index, unique=unique),)
    return External(engine, why, (*tables, *made, _statement(design, entity, pattern)), index, unique)


def index_of(pattern: Pattern) -> tuple[str, ...]:
    """The attributes of the index that makes it one look: what must be equal, then the order."""
    if pattern.kind == "search":
        return ()
    found = list(pattern.attributes if pattern.kind == "unique" else ())
    if pattern.where is not None:
        found += [one for one in pattern.where.equal if one not in found]
    for one in (pattern.group_by, pattern.order):
        if one is not None and one not in found:
            found.append(one)
    return tuple(found)


def columns_of(design: Design, entity: Entity) -> Mapping[str, Attr]:
    """The columns of an entity's table: its attributes, and the key made of several where another entity names it."""
    named = any(one.references == entity.name for other in design.entities for one in other.attributes.values())
    if len(entity.key) == 1 or not named:
        return entity.attributes
    key = key_attribute(entity)
    return {key: Attr(key, "string"), **entity.attributes}


def _table(design: Design, entity: Entity) -> str:
    """The table of an entity; a key of several attributes is one of several columns."""
    held = columns_of(design, entity)
    columns = [_column(one, required=one.name in entity.key) for one in held.values()]
    keys = ", ".join(_name(one) for one in entity.key)
    more = "" if held == entity.attributes else f", UNIQUE ({_name(key_attribute(entity))})"
    return f"CREATE TABLE IF NOT EXISTS {_name(entity.name)} ({', '.join(columns)}, PRIMARY KEY ({keys}){more})"


def _column(one: Attr, *, required: bool) -> str:
    return f"{_name(one.name)} {_COLUMNS.get(one.type, 'text')}{' NOT NULL' if required else ''}"


def _index(entity: Entity, pattern: Pattern, index: tuple[str, ...], *, unique: bool) -> str:
    name = _name(f"{entity.name}_{'_'.join(index)}_idx"[:63])
    kind = "UNIQUE INDEX" if unique else "INDEX"
    return f"CREATE {kind} IF NOT EXISTS {name} ON {_name(entity.name)} ({', '.join(map(_name, index))})"


def _name(name: str) -> str:
    return f'"{name}"'


def _statement(design: Design, entity: Entity, pattern: Pattern) -> str:
    if pattern.kind == "search":
        return _search(entity, pattern)
    if pattern.kind in ("transition", "update", "increment", "append", "delete", "put", "unique", "bulk", "sweep"):
        return _write(design, entity, pattern)
    what = "*"
    if pattern.kind == "count":
        what = "count(*)"
    elif pattern.kind == "aggregate":
        what = _aggregate(pattern)
    joined = " ".join(_joins(design, entity, pattern))
    lone = pattern.kind == "get" and pattern.where is None
    parts = [f"SELECT {what} FROM {_name(entity.name)}", joined, _here(entity) if lone else _where(entity, pattern)]
    if pattern.group_by is not None:
        parts.append(f"GROUP BY {_name(pattern.group_by)}")
    if pattern.order is not None:
        parts.append(f"ORDER BY {_of(entity, pattern.order)} {'DESC' if pattern.descending else 'ASC'}")
    if pattern.kind in ("list", "top", "join") and pattern.expected_items is not None:
        parts.append(f"LIMIT {pattern.expected_items}")
    return " ".join(part for part in parts if part)


def _aggregate(pattern: Pattern) -> str:
    of = "*" if pattern.function == "count" or not pattern.attributes else _name(pattern.attributes[0])
    computed = f"{pattern.function}({of})"
    return computed if pattern.group_by is None else f"{_name(pattern.group_by)}, {computed}"


def _of(entity: Entity, attribute: str) -> str:
    return f"{_name(entity.name)}.{_name(attribute)}"


def _joins(design: Design, entity: Entity, pattern: Pattern) -> Iterable[str]:
    before = [entity]
    for name in pattern.join:
        other = design.by_name[name]
        on = _of(before[0], pattern.on) if pattern.on is not None else _referring(before, name)
        yield f"JOIN {_name(name)} ON {on} = {_of(other, key_attribute(other))}"
        before.append(other)


def _referring(before: list[Entity], name: str) -> str:
    for one in before:
        for attribute in one.attributes.values():
            if attribute.references == name:
                return _of(one, attribute.name)
    raise KeyError(name)  # document.py refuses a join without one


def _search(entity: Entity, pattern: Pattern) -> str:
    texts = [one.name for one in entity.attributes.values() if one.type == "string" and one.name not in entity.key]
    asked = (
        [one for one in texts if pattern.where is None or one in pattern.where.attributes] or texts or list(entity.key)
    )
    words = " || ' ' || ".join(f"coalesce({_name(one)}, '')" for one in asked)
    found = f"to_tsvector('simple', {words}) @@ plainto_tsquery('simple', :words)"
    rank = f"ts_rank(to_tsvector('simple', {words}), plainto_tsquery('simple', :words))"
    limit = pattern.expected_items or 50
    return f"SELECT * FROM {_name(entity.name)} WHERE {found} ORDER BY {rank} DESC LIMIT {limit}"


def _here(entity: Entity) -> str:
    return "WHERE " + " AND ".join(f"{_name(one)} = :{one}" for one in entity.key)


def _write(design: Design, entity: Entity, pattern: Pattern) -> str:
    name = _name(entity.name)
    here = _here(entity)
    if pattern.kind == "transition" and entity.lifecycle is not None:
        state = _name(entity.lifecycle.attribute)
        among = ", ".join(_text(one) for one in pattern.from_)
        return f"UPDATE {name} SET {state} = {_text(pattern.to or '')} {here} AND {state} IN ({among})"
    if pattern.kind == "increment":
        changes = ", ".join(f"{_name(one)} = coalesce({_name(one)}, 0) + :by" for one in pattern.attributes)
        return f"UPDATE {name} SET {changes} {here}"
    if pattern.kind in ("update", "append"):
        changed = pattern.attributes or tuple(one for one in entity.attributes if one not in entity.key)
        changes = ", ".join(f"{_name(one)} = :{one}" for one in changed)
        same = " AND ".join(f"{_name(one)} IS NOT DISTINCT FROM :was_{one}" for one in changed)
        return f"UPDATE {name} SET {changes} {here} AND {same}"
    if pattern.kind == "delete" or (pattern.kind == "bulk" and pattern.operation == "delete"):
        return f"DELETE FROM {name} {here}"
    if pattern.kind == "bulk" and pattern.operation == "get":
        return f"SELECT * FROM {name} {here}"
    if pattern.kind == "sweep":
        after = entity.retention.after if entity.retention is not None else entity.key[0]
        filtered = _where(entity, pattern) if pattern.where is not None else f"WHERE {_name(after)} < :before"
        return f"DELETE FROM {name} {filtered}"
    columns = ", ".join(map(_name, columns_of(design, entity)))
    values = ", ".join(f":{one}" for one in columns_of(design, entity))
    clash = ", ".join(map(_name, pattern.attributes if pattern.kind == "unique" else entity.key))
    return f"INSERT INTO {name} ({columns}) VALUES ({values}) ON CONFLICT ({clash}) DO NOTHING"


# Conditions


def _where(entity: Entity, pattern: Pattern) -> str:
    if pattern.where is None:
        return ""
    parameters = iter(_parameters(pattern))
    return f"WHERE {_Sql(entity, pattern, parameters).condition(pattern.where.condition)}"


def _parameters(pattern: Pattern) -> Iterable[str]:
    """The placeholders in the order of the text: parameters by their names, literals as SQL."""
    from stateroom.expr.tokens import sign_of, tokens

    assert pattern.where is not None
    for token in tokens(pattern.where.expression):
        if sign_of(token) == ":":
            value = pattern.where.values.get(token)
            yield token if token not in pattern.where.values else _literal(value)


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return _text(value) if isinstance(value, str) else str(value)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


class _Sql:
    """Writes one condition. Values come from `given`, in the order of the text."""

    def __init__(self, entity: Entity, pattern: Pattern, given: Iterable[str]) -> None:
        self.entity, self.given = entity, iter(given)

    def condition(self, node: Condition) -> str:
        if isinstance(node, (And, Or)):
            joint = " AND " if isinstance(node, And) else " OR "
            return joint.join(f"({self.condition(part)})" for part in node.parts)
        if isinstance(node, Not):
            return f"NOT coalesce({self.condition(node.part)}, FALSE)"
        if isinstance(node, Compare):
            left, right = self.operand(node.left), self.operand(node.right)
            return f"({left} IS NULL OR {left} <> {right})" if node.op == "<>" else f"{left} {node.op} {right}"
        if isinstance(node, Between):
            parts = [self.operand(one) for one in (node.operand, node.low, node.high)]
            return f"{parts[0]} BETWEEN {parts[1]} AND {parts[2]}"
        if isinstance(node, In):
            first, *options = (self.operand(one) for one in (node.operand, *node.options))
            return f"{first} IN ({', '.join(options)})"
        if isinstance(node, Exists):
            return f"{self.operand(node.path)} IS {'' if node.absent else 'NOT '}NULL"
        if isinstance(node, BeginsWith):
            text, prefix = self.operand(node.operand), self.operand(node.prefix)
            return f"substr({text}, 1, length({prefix})) = {prefix}"
        if isinstance(node, Contains):
            text, part = self.operand(node.container), self.operand(node.operand)
            if self.listed(node.container):
                part = f"'\"' || {part} || '\"'"
            return f"length(replace({text}, {part}, '')) < length({text})"
        return f"{self.operand(node.path)} IS NOT NULL"  # attribute_type: a column has one type

    def listed(self, operand: Operand) -> bool:
        """Whether it is an array, whose column is a JSON text: an entry stands there in quotes."""
        return isinstance(operand, Path) and self.entity.attributes[str(operand.parts[0])].type == "array"

    def operand(self, operand: Operand) -> str:
        if isinstance(operand, Literal):
            return next(self.given)
        if isinstance(operand, Size):
            return f"length({self.operand(operand.path)})"
        assert isinstance(operand, Path)
        return _of(self.entity, str(operand.parts[0]))
