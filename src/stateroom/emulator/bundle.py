"""The page's scripts as one: every module in a scope of its own, after those it needs, without comments and space.

Rules of this file: pure text in, text out. It knows the little of JavaScript's modules that the page uses: named
imports from neighbours, exports where things are declared; anything else, and modules that import each other in a ring,
is WrongUse. A template inside a template is WrongUse as well, since rjsmin takes the space out of it. Functions and
classes keep their names, and a source map (https://tc39.es/ecma426/) leads from the one script back to file and
function, so an error in a browser says where it came from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from stateroom.model.errors import WrongUse

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async function|function|class|const|let) (\w+))", re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)
_NESTED = re.compile(r"`[^`\n]*\$\{[^}`\n]*`")
# What a line of the map leads to: a declaration, or a method of a class.
_NAMED = re.compile(r"\b(?:(?:function|class|const|let) (\w+)|(?:async |get |static )?(\w+)\([^()]*\)\{)")
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_WORDS = frozenset({"if", "for", "while", "switch", "catch", "function"})


def minified(source: str) -> str:
    """A script without comments and needless space; as it is where rjsmin is not installed."""
    try:
        from rjsmin import jsmin  # type: ignore[import-untyped]  # it ships no types
    except ImportError:
        return source
    small: str = jsmin(source)
    return small


def ordered(sources: Mapping[str, str]) -> list[str]:
    """The modules' names, each after those it imports. Raises WrongUse for a ring and for a name that is not there."""
    done: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise WrongUse(f"the page's modules import each other in a ring: {' > '.join((*path, name))}")
        if name not in sources:
            raise WrongUse(f"{path[-1]}.js imports {name}.js, which is not there")
        if name in done:
            return
        for _, needed in _IMPORT.findall(sources[name]):
            visit(needed, (*path, name))
        done.append(name)

    for name in sorted(sources):
        visit(name, ())
    return done


def scoped(name: str, source: str) -> str:
    """One module as `const $name = (() => {...})()`."""
    exported = [found[1] for found in _EXPORT.findall(source)]

    def take(match: re.Match[str]) -> str:
        wanted = match[1].replace(" as ", ": ")
        return f"const {{{wanted}}} = ${match[2]};\n"

    body = _EXPORT.sub(r"\1", _IMPORT.sub(take, source))
    odd, nested = _LEFT.search(body), _NESTED.search(body)
    if odd is not None:
        raise WrongUse(f"{name}.js: only named imports and exported declarations can be bundled, not {odd[0][:60]!r}")
    if nested is not None:
        raise WrongUse(f"{name}.js: put the inner template into a name of its own: {nested[0][:60]!r}")
    return f"const ${name} = (() => {{\n{body}\nreturn {{{', '.join(exported)}}};\n}})();\n"


def bundle(sources: Mapping[str, str]) -> tuple[str, str]:
    """The one script, and its source map; `sources` is each module's text by its name without `.js`."""
    names = ordered(sources)
    parts = [minified(scoped(name, sources[name])).strip("\n") for name in names]
    script = "\n".join(parts)
    lines: list[str] = []
    before = (0, 0)
    for place, (name, part) in enumerate(zip(names, parts, strict=True)):
        marks = list(_marks(part, sources[name]))
        for number in range(part.count("\n") + 1):
            found = [(column, line) for at, column, line in marks if at == number] or [(0, 0)]
            encoded, before = _line(found, place, before)
            lines.append(encoded)
    mapped = {"version": 3, "sources": [f"{name}.js" for name in names], "names": [], "mappings": ";".join(lines)}
    return script, json.dumps(mapped)


def _marks(part: str, source: str) -> Iterator[tuple[int, int, int]]:
    """`(line, column)` in a minified module and the line in its source, at each declaration, in order."""
    origin: dict[str, int] = {}
    for number, text in enumerate(source.split("\n")):
        for found in re.finditer(r"\b(\w+)\b(?=\(.*\) \{$| =|\b.*\{$)", text):
            origin.setdefault(found[1], number)
    for number, text in enumerate(part.split("\n")):
        for match in _NAMED.finditer(text):
            named = match[1] or match[2]
            if named in origin and named not in _WORDS:
                yield number, match.start(), origin[named]


def _line(marks: list[tuple[int, int]], place: int, before: tuple[int, int]) -> tuple[str, tuple[int, int]]:
    """One line of mappings: each field is the difference to the one before it."""
    segments, last_column, (last_place, last_line) = [], 0, before
    for column, line in marks:
        fields = (column - last_column, place - last_place, line - last_line, 0)
        segments.append("".join(_vlq(one) for one in fields))
        last_column, last_place, last_line = column, place, line
    return ",".join(segments), (last_place, last_line)


def _vlq(value: int) -> str:
    """A number in the map's base 64: the sign in the lowest bit, five bits a digit."""
    rest = (-value << 1) | 1 if value < 0 else value << 1
    digits = ""
    while True:
        digit, rest = rest & 31, rest >> 5
        digits += _DIGITS[digit | (32 if rest else 0)]
        if not rest:
            return digits
