"""Text on its way in and out: our own mention removed, pings broken.

Rules of this file: pure, linear in the text's length whatever it holds; what is not a mention stays as it is; a
broken mention is broken for good (neutralising again changes nothing). Splitting long text is `slack/split.py`,
offered here too.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from typing import Final

from stateroom.slack.split import LOOKAHEAD, split

__all__ = ["LOOKAHEAD", "MAX_TOKEN", "Neutraliser", "neutralise", "split", "stable_prefix", "strip_mention"]

MAX_TOKEN: Final = 300
"""Longest inside of a `<…>` that is read as one token; a stream waits no longer than this for its end."""

# Zero-width space: invisible, and Slack reads no mention across it.
_BREAK: Final = "\u200b"
_BROADCAST: Final = r"(?:channel|here|everyone)"
_BLANKS: Final = " \t\u00a0"

# Either the opener of a token, with its inside where it ends on the same line, or a bare @here. `+` after `}` keeps
# the engine from trying shorter insides, so the search stays linear. Letters before `@` make it an e-mail address.
_PING: Final = re.compile(
    rf"<(?P<sigil>[!@])(?:(?P<inside>[^<>\n]{{0,{MAX_TOKEN}}}+)>)?"
    rf"|(?<![A-Za-z0-9_])@(?={_BROADCAST}(?![A-Za-z0-9_]))",
    re.IGNORECASE | re.ASCII,
)
_BARE: Final = re.compile(rf"(?<![A-Za-z0-9_])@(?={_BROADCAST}(?![A-Za-z0-9_]))", re.IGNORECASE | re.ASCII)
_NAMED: Final = {
    "@": re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\|(?P<label>.*))?", re.DOTALL),
    "!": re.compile(
        rf"(?P<name>{_BROADCAST}|group|subteam\^[A-Za-z0-9]+)(?:\|(?P<label>.*))?", re.IGNORECASE | re.DOTALL
    ),
}
# What a growing text may end with while its meaning is still open.
_OPEN_TOKEN: Final = re.compile(rf"<(?:[!@][^<>\n]{{0,{MAX_TOKEN}}})?\Z")
_LONGEST_WORD: Final = len("@everyone")
_OPEN_WORDS: Final = tuple(f"@{word}" for word in ("channel", "here", "everyone"))


def strip_mention(text: str, own_user: str | None) -> str:
    """Return the text without our own mention and the blanks around it; other mentions stay."""
    if own_user is None or f"<@{own_user}" not in text:
        return text
    pieces = re.split(rf"<@{re.escape(own_user)}(?:\|[^<>]*)?>", text)
    if len(pieces) == 1:
        return text
    kept = [piece for piece in (piece.strip(_BLANKS) for piece in pieces) if piece]
    joined: list[str] = []
    for piece in kept:
        if joined and not joined[-1].endswith("\n") and not piece.startswith("\n"):
            joined.append(" ")
        joined.append(piece)
    return "".join(joined)


def neutralise(text: str, allowed_users: Container[str]) -> str:
    """Return the text so that it pings nobody but `allowed_users` (ids); dates, links and channels stay.

    A mention becomes `@` + a zero-width space + its name; what only looks like one keeps its characters with that
    space after `<`.
    """
    return _PING.sub(lambda found: _broken(found, allowed_users), text)


def stable_prefix(text: str) -> int:
    """Return how many characters of a growing text can be sent: no token or word is open before that point.

    `neutralise(text[:n], a)` is then a prefix of `neutralise(text + anything, a)`.
    """
    start = text.rfind("<", max(0, len(text) - MAX_TOKEN - 2))
    if start >= 0 and _OPEN_TOKEN.match(text, start):
        return start
    start = text.rfind("@", max(0, len(text) - _LONGEST_WORD))
    if start >= 0:
        tail = text[start:].lower()
        if any(word.startswith(tail) for word in _OPEN_WORDS):
            return start
    return len(text)


class Neutraliser:
    """`neutralise` for a text that arrives in chunks; all that is returned joins to `neutralise(whole)`."""

    __slots__ = ("_allowed", "_before", "_held")

    def __init__(self, allowed_users: Container[str]) -> None:
        self._allowed = allowed_users
        self._before = ""
        self._held = ""

    def feed(self, chunk: str) -> str:
        """Take the next characters and return those that can be sent now (perhaps none)."""
        self._held += chunk
        return self._release(stable_prefix(self._held))

    def finish(self) -> str:
        """Return what was held back; the text ends here."""
        return self._release(len(self._held))

    def _release(self, end: int) -> str:
        if end == 0:
            return ""
        # The character before tells an address from a mention, and `<` before a token; it was sent already.
        known = self._before + self._held[:end]
        out: list[str] = []
        at = len(self._before)
        for found in _PING.finditer(known, at):
            out += (known[at : found.start()], _broken(found, self._allowed))
            at = found.end()
        out.append(known[at:])
        self._before = known[-1]
        self._held = self._held[end:]
        return "".join(out)


def neutralised(chunks: Iterable[str], allowed_users: Container[str]) -> Iterable[str]:
    """Yield what can be sent after each chunk, and the rest at the end; empty pieces are left out."""
    neutraliser = Neutraliser(allowed_users)
    for chunk in chunks:
        if piece := neutraliser.feed(chunk):
            yield piece
    if piece := neutraliser.finish():
        yield piece


def _broken(found: re.Match[str], allowed_users: Container[str]) -> str:
    sigil, inside = found["sigil"], found["inside"]
    if sigil is None:
        return "@" + _BREAK
    if inside is None:
        return _opener(sigil)
    if _may_stay(sigil, inside, allowed_users):
        return found[0]
    named = _NAMED[sigil].fullmatch(inside)
    # After another `<` the readable form would make a new token: `<<!here>…`.
    if named is None or found.string[found.start() - 1 : found.start()] == "<":
        return f"{_opener(sigil)}{_BARE.sub('@' + _BREAK, inside)}>"
    name = named["label"] or named["name"].rpartition("^")[2]
    return "@" + _BREAK + name.lstrip("@" + _BREAK).replace("@", "@" + _BREAK)


def _opener(sigil: str) -> str:
    return f"<{_BREAK}!" if sigil == "!" else f"<{_BREAK}@{_BREAK}"


def _may_stay(sigil: str, inside: str, allowed_users: Container[str]) -> bool:
    if _BARE.search(inside):
        return False
    if sigil == "!":
        return inside.startswith("date^")
    return inside.partition("|")[0] in allowed_users
