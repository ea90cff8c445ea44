"""The writes of the port that the verbs of a handle become.

Rules of this file: pure. Everything is checked before an engine sees it; the guards of handle_guards.py go along.
Conditions are trees or Slack's text; with the profile `slack` they may not name the key, as Slack has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from stateroom.engines.handle_form import Form
from stateroom.engines.handle_guards import Guards
from stateroom.engines.port import Delete, Put, Puts, Update
from stateroom.expr.check import check, check_sealed
from stateroom.expr.parser import parse
from stateroom.expr.tree import Condition
from stateroom.model.errors import InvalidCondition, InvalidValue
from stateroom.model.ids import are_keys, check_key

Names = Mapping[str, str] | None
Values = Mapping[str, Any] | None
Asked = Condition | str | None
_NOTHING: Final[Mapping[str, Any]] = {}


class Writes:
    """Builds the writes of one datastore of one team."""

    def __init__(self, form: Form[Any], guards: Guards, team: str, *, guarded: bool = True) -> None:
        self._form = form
        self._guards = guards
        self._team = team
        self._guarded = guarded  # the engine decides conditions; where it does not, nothing can be guarded
        self._checked: Condition | None = None  # the last tree that was found sound: most callers give one again
        self._no_key = form.key if form.definition.profile == "slack" else None

    def condition(self, asked: Asked, names: Names, values: Values) -> Condition | None:
        """The condition as a tree; InvalidCondition."""
        if asked is None:
            if names or values:
                raise InvalidCondition("names and values were given without a condition that uses them")
            return None
        if isinstance(asked, str):
            found = parse(asked, names, values)
            if self._no_key is not None:
                check(found, key=self._no_key)
            if self._form.encrypted:
                check_sealed(found, self._form.encrypted)
            return found
        if names or values:
            raise InvalidCondition("names and values belong to a condition written as text")
        if asked is not self._checked:
            check(asked, key=self._no_key)
            if self._form.encrypted:
                check_sealed(asked, self._form.encrypted)
            self._checked = asked
        return asked

    def put(
        self, item: Any, *, if_absent: bool = False, condition: Condition | None = None, if_version: int | None = None
    ) -> Put:
        """Replace the whole item."""
        if if_absent and if_version not in (None, 0):
            raise InvalidValue("if_version", "contradicts if_absent")
        form = self._form
        body, data = form.definition.written(item)
        return Put(
            form.name,
            self._team,
            check_key(body.get(form.key), form.key),
            body,
            expires_at=None if form.definition.ttl is None else form.expiry(body),
            condition=condition,
            if_version=0 if if_absent else if_version,
            guard=self._guards.of_put(body, looks=condition is not None) if self._guarded else None,
            json=data,
        )

    def puts(self, items: Sequence[Any]) -> Puts | None:
        """`put` of many; None where they are not alike enough. InvalidValue or ItemTooLarge for some one of them."""
        guard = self._guards.of_any_put if self._guarded else None
        if guard is None:
            return None
        form = self._form
        bodies, texts = form.definition.written_all(items)
        ids = [body.get(form.key) for body in bodies]
        if not are_keys(ids) or len(set(ids)) < len(ids):
            return None
        ends = None if form.definition.ttl is None else [form.expiry(body) for body in bodies]
        return Puts(form.name, self._team, ids, bodies, texts, ends, guard)

    def update(
        self,
        id: str,
        set: Mapping[str, Any] | None,
        *,
        add: Mapping[str, Any] | None = None,
        remove: Sequence[str] = (),
        append: Mapping[str, Any] | None = None,
        condition: Condition | None = None,
        if_version: int | None = None,
    ) -> Update:
        """Change attributes. Where `set`, `add`, `append` and `remove` meet, they apply in the port's order."""
        form, guards = self._form, self._guards
        changes = form.changes(set) if set else {}
        amounts = form.amounts(add) if add else _NOTHING
        entries = form.entries(append) if append else _NOTHING
        gone = form.removals(remove) if remove else ()
        if guards.state_attribute in gone:
            raise InvalidValue(f"{form.name}.{guards.state_attribute}", "has a lifecycle and cannot be removed")
        base = form.beginning(check_key(id))
        if guards.state_attribute is not None and guards.state_attribute not in changes:
            base = guards.beginning | base
        guard = None
        if self._guarded:
            lacks = form.lacking(base, changes, amounts, entries) is not None
            guard = guards.of_update(changes, must_exist=lacks)
        expires = form.new_expiry(changes, gone)
        return Update(
            form.name,
            self._team,
            id,
            set=changes | form.mark,
            add=amounts,
            append=entries,
            remove=gone,
            base=base,
            expires_at=expires,
            condition=condition,
            if_version=if_version,
            guard=guard,
        )

    def delete(self, id: str, *, condition: Condition | None = None, if_version: int | None = None) -> Delete:
        """Remove the item."""
        if condition is not None and self._guarded:
            condition = self._guards.of_delete(condition)
        return Delete(self._form.name, self._team, check_key(id), condition=condition, if_version=if_version)
