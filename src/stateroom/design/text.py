"""The text of a design file, YAML or JSON, to nodes that know their line and column.

Rules of this file: no value is made here. A scalar keeps its source text, because YAML reads `on`, `no` and
`2026-01-01` as something else than the state or name that a person meant; whoever reads a node decides. JSON is read
without PyYAML. Aliases are refused: they are how a small file becomes a large one, or one without an end.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from json import JSONDecodeError, JSONDecoder
from typing import Any, Final, Literal, NamedTuple

DEPTH: Final = 32  # deeper than any design is
SIZE: Final = 2 * 1024 * 1024  # characters; 10 entities with 100 patterns have about 30,000

Tag = Literal["str", "int", "float", "bool", "null", "map", "list"]


class Mark(NamedTuple):
    """Where something begins, from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Node:
    """A scalar with its `text`, a list with `items`, or a map with `entries` in their order."""

    tag: Tag
    mark: Mark
    text: str = ""
    items: tuple[Node, ...] = ()
    entries: tuple[tuple[Node, Node], ...] = ()


class Unreadable(Exception):
    """The text is neither YAML nor JSON, or uses what designs do not take. Caught by document.py alone."""

    def __init__(self, mark: Mark, problem: str, step: str) -> None:
        super().__init__(problem)
        self.mark, self.problem, self.step = mark, problem, step


def read(text: str) -> Node:
    """The root node. Unreadable. What begins with `{` or `[` is JSON, or YAML where it is not."""
    if len(text) > SIZE:
        raise Unreadable(Mark(1, 1), f"the file has more than {SIZE} characters", "split the app into several designs")
    if text.lstrip()[:1] in ("{", "["):
        try:
            return _Json(text).whole()
        except Unreadable as error:
            if '"' in text.lstrip()[:40]:  # flow-style YAML begins with a bare word
                raise error
    return _yaml(text)


# YAML

_TAGS: Final[dict[str, Tag]] = {
    "str": "str",
    "int": "int",
    "float": "float",
    "bool": "bool",
    "null": "null",
    "timestamp": "str",
    "value": "str",
    "merge": "str",
    "map": "map",
    "seq": "list",
}
_OF_YAML: Final = "tag:yaml.org,2002:"


def _yaml(text: str) -> Node:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same nodes, in a tenth of the time
    try:
        root = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        mark = Mark(1, 1) if at is None else Mark(at.line + 1, at.column + 1)
        raise Unreadable(mark, f"the file is no YAML: {error.problem}", "mend the text at this place") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise Unreadable(Mark(1, 1), f"the file is no YAML ({type(error).__name__})", "mend the text") from None
    if root is None:
        raise Unreadable(Mark(1, 1), "the file is empty", "begin with `stateroom design init`")
    return _from_yaml(root, 0, set())


def _from_yaml(node: Any, depth: int, seen: set[int]) -> Node:
    mark = Mark(node.start_mark.line + 1, node.start_mark.column + 1)
    if id(node) in seen:
        raise Unreadable(mark, "an alias stands for what is written elsewhere", "write it out")
    if depth > DEPTH:
        raise Unreadable(mark, f"the file is nested deeper than {DEPTH} levels", "flatten it")
    tag = _TAGS.get(node.tag.removeprefix(_OF_YAML))
    if tag is None:
        raise Unreadable(mark, f"the tag {node.tag} is not taken", "leave the tag out")
    seen.add(id(node))
    if node.id == "mapping":
        entries = [(_from_yaml(k, depth + 1, seen), _from_yaml(v, depth + 1, seen)) for k, v in node.value]
        return _map(mark, entries)
    if node.id == "sequence":
        return Node("list", mark, items=tuple(_from_yaml(one, depth + 1, seen) for one in node.value))
    return Node(tag, mark, node.value)


def _map(mark: Mark, entries: list[tuple[Node, Node]]) -> Node:
    seen: set[str] = set()
    for name, _ in entries:
        if name.tag in ("map", "list"):
            raise Unreadable(name.mark, "a name is a list or a map", "write a text")
        if name.text in seen:
            raise Unreadable(name.mark, f"{name.text!r} stands twice in the same map", "rename or remove one")
        seen.add(name.text)
    return Node("map", mark, entries=tuple(entries))


# JSON

_DECODER: Final = JSONDecoder()
_BLANK: Final = re.compile(r"[ \t\r\n]*")
_WORD: Final = re.compile(r"true|false|null")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class _Json:
    """One text of JSON, read with places."""

    def __init__(self, text: str) -> None:
        self.text, self.next = text, 0
        self.lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def whole(self) -> Node:
        found = self.value(0)
        if self.ahead():
            raise self.fault("more text follows the JSON value", "remove it")
        return found

    def ahead(self) -> str:
        """The next character that is no blank, or nothing at the end."""
        match = _BLANK.match(self.text, self.next)
        self.next = self.next if match is None else match.end()
        return self.text[self.next : self.next + 1]

    def mark(self) -> Mark:
        line = bisect_right(self.lines, self.next)
        return Mark(line, self.next - self.lines[line - 1] + 1)

    def fault(self, problem: str, step: str) -> Unreadable:
        return Unreadable(self.mark(), problem, step)

    def value(self, depth: int) -> Node:
        first, mark = self.ahead(), self.mark()
        if depth > DEPTH:
            raise self.fault(f"the file is nested deeper than {DEPTH} levels", "flatten it")
        if first == "{":
            return _map(mark, [self.entry(depth) for _ in self.parts("}")])
        if first == "[":
            return Node("list", mark, items=tuple([self.value(depth + 1) for _ in self.parts("]")]))
        return self.string() if first == '"' else self.plain(mark)

    def parts(self, end: str) -> Any:
        """Steps over brackets and commas; yields once for each part, which the caller reads."""
        self.next += 1
        if self.ahead() == end:
            self.next += 1
            return
        while True:
            yield
            sign = self.ahead()
            self.next += 1
            if sign == end:
                return
            if sign != ",":
                self.next -= 1
                raise self.fault(f"a comma or {end} is missing here", "mend the JSON")

    def entry(self, depth: int) -> tuple[Node, Node]:
        if self.ahead() != '"':
            raise self.fault("a name in double quotes is missing here", "mend the JSON")
        name = self.string()
        if self.ahead() != ":":
            raise self.fault("a colon is missing here", "mend the JSON")
        self.next += 1
        return name, self.value(depth + 1)

    def string(self) -> Node:
        mark = self.mark()
        try:
            text, self.next = _DECODER.raw_decode(self.text, self.next)
        except JSONDecodeError as error:
            raise self.fault(f"a text is not as JSON has it: {error.msg}", "mend the JSON") from None
        return Node("str", mark, text)

    def plain(self, mark: Mark) -> Node:
        if match := _WORD.match(self.text, self.next):
            self.next = match.end()
            return Node("null" if match[0] == "null" else "bool", mark, match[0])
        if match := _NUMBER.match(self.text, self.next):
            self.next = match.end()
            return Node("float" if match[1] or match[2] else "int", mark, match[0])
        raise self.fault("a value is missing here", "mend the JSON")
