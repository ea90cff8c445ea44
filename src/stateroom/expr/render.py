"""From tree to text: what Slack, DynamoDB and a person can read.

Rules of this file: every name and every value becomes a placeholder, so nothing of either is ever part of the text.
Parentheses stand exactly where the grammar needs them, decided by one table of precedence; `parse(*render(tree))` is
the tree again.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

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
    TypeIs,
)

_PRECEDENCE: Final = {Or: 1, And: 2, Not: 3}
_LEAF: Final = 4


class Rendered(NamedTuple):
    """A text with what its placeholders mean; None where there are none, as `parse` and Slack want it."""

    text: str
    names: dict[str, str] | None
    values: dict[str, Any] | None


def render(condition: Condition) -> Rendered:
    """The condition as text. Equal names share a placeholder, each value has its own."""
    writer = _Writer()
    text = writer.condition(condition)
    names = {placeholder: name for name, placeholder in writer.names.items()}
    return Rendered(text, names or None, writer.values or None)


class _Writer:
    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def condition(self, node: Condition) -> str:
        if isinstance(node, (And, Or)):
            joint = " AND " if isinstance(node, And) else " OR "
            return joint.join(self.inside(part, node) for part in node.parts)
        if isinstance(node, Not):
            return f"NOT {self.inside(node.part, node)}"
        return self.leaf(node)

    def inside(self, part: Condition, node: Condition) -> str:
        """A part of `node`; an AND within an AND keeps its parentheses, since the tree keeps them apart, too."""
        text = self.condition(part)
        return text if _PRECEDENCE.get(type(part), _LEAF) > _PRECEDENCE[type(node)] else f"({text})"

    def leaf(self, node: Condition) -> str:
        if isinstance(node, Compare):
            return f"{self.operand(node.left)} {node.op} {self.operand(node.right)}"
        if isinstance(node, Between):
            return f"{self.operand(node.operand)} BETWEEN {self.operand(node.low)} AND {self.operand(node.high)}"
        if isinstance(node, In):
            return f"{self.operand(node.operand)} IN ({', '.join(map(self.operand, node.options))})"
        if isinstance(node, Exists):
            return f"attribute_{'not_' * node.absent}exists({self.operand(node.path)})"
        if isinstance(node, TypeIs):
            return f"attribute_type({self.operand(node.path)}, {self.operand(Literal(node.type))})"
        if isinstance(node, BeginsWith):
            return f"begins_with({self.operand(node.operand)}, {self.operand(node.prefix)})"
        assert isinstance(node, Contains)
        return f"contains({self.operand(node.container)}, {self.operand(node.operand)})"

    def operand(self, operand: Operand) -> str:
        if isinstance(operand, Size):
            return f"size({self.operand(operand.path)})"
        if isinstance(operand, Path):
            first, *rest = (self.segment(part) for part in operand.parts)
            return first[1:] + "".join(rest)
        placeholder = f":v{len(self.values)}"
        self.values[placeholder] = operand.value
        return placeholder

    def segment(self, part: str | int) -> str:
        if isinstance(part, int):
            return f"[{part}]"
        return "." + self.names.setdefault(part, f"#n{len(self.names)}")
