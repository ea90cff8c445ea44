"""The tokens that apps were given: issued, renewed, exchanged, dead; and the codes that become tokens.

Rules of this file: no clock and no randomness; the moment and new ids are handed in. Facts: docs.slack.dev/
authentication/using-token-rotation (12 h, a refresh token works once, at most two live tokens of a kind). A dead token
is remembered for a while, because it answers with another error than one that never was. Slack does not publish what
it answers for a token that a third one pushed out; `token_revoked` is ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from stateroom.emulator.records import Record, Token

LIFETIME_SECONDS = 43_200.0
CODE_SECONDS = 600.0
LIVE_AT_ONCE = 2
REMEMBERED_DEAD = 20

NewId = Callable[[str], str]
# Scopes go into headers; Slack's own are `chat:write`, `identity.basic`, `hermes` and the like.
_SCOPE = re.compile(r"[A-Za-z0-9_.:-]{1,100}", re.ASCII)


def are_scopes(names: Iterable[str]) -> bool:
    """Whether each can be the name of a scope; which ones there are is Slack's to say, and changes."""
    return all(_SCOPE.fullmatch(name) for name in names)


@dataclass(slots=True)
class Code:
    """What a person allowed, until an app fetches it: once, within 10 minutes. `place` is a team or an enterprise."""

    code: str
    app: str
    place: str
    user: str
    scopes: list[str]
    user_scopes: list[str]
    redirect_uri: str | None
    at: float
    used: bool = False


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose tokens: of an app, of one kind, in one place, for one user."""

    app: str
    kind: str
    place: str
    user: str


def holder_of(token: Token) -> Holder:
    return Holder(token.app, token.kind, token.place, token.user)


class Grants:
    """All tokens and codes. `keep` and `forget` note what is to be journaled; codes live in memory only."""

    def __init__(self, keep: Callable[[Record], None], forget: Callable[[str], None]) -> None:
        self._keep = keep
        self._forget = forget
        self._tokens: dict[str, Token] = {}
        self._refreshable: dict[str, str] = {}
        self.codes: dict[str, Code] = {}

    def load(self, token: Token) -> None:
        self._tokens[token.token] = token
        if token.refresh is not None:
            self._refreshable[token.refresh] = token.token

    def add_code(self, code: Code) -> None:
        """Take in a code; those that nobody can use any more go."""
        for text, old in list(self.codes.items()):
            if code.at - old.at > 2 * CODE_SECONDS:
                del self.codes[text]
        self.codes[code.code] = code

    def find(self, text: str) -> Token | None:
        return self._tokens.get(text)

    def live(self, app: str, place: str, now: float) -> list[Token]:
        """An app's tokens in one place that still work or can still be renewed, oldest first."""
        return [
            token
            for token in self._tokens.values()
            if (token.app, token.place) == (app, place)
            and token.gone is None
            and (token.refresh is not None or not expired(token, now))
        ]

    def add(self, token: Token) -> Token:
        self.load(token)
        self._keep(token)
        return token

    def issue(
        self, holder: Holder, scopes: list[str] | None, now: float, lifetime: float | None, new_id: NewId
    ) -> Token:
        """A new token: one that expires after `lifetime` s with what renews it, or one that never does."""
        letter = "b" if holder.kind == "bot" else "p"
        secret = f"{new_id('')}{new_id('')}"
        token = Token(
            token=f"xoxe.xox{letter}-1-{secret}" if lifetime is not None else f"xox{letter}-local-{secret}",
            app=holder.app,
            kind=holder.kind,
            place=holder.place,
            user=holder.user,
            scopes=scopes,
            issued=now,
            expires=None if lifetime is None else now + lifetime,
            refresh=None if lifetime is None else f"xoxe-1-{new_id('')}{new_id('')}",
        )
        self._make_room(holder, now)
        return self.add(token)

    def renewable(self, refresh: str) -> Token | None:
        """The token that a refresh token renews."""
        text = self._refreshable.get(refresh)
        return None if text is None else self._tokens[text]

    def spend(self, token: Token) -> None:
        """A refresh token works once."""
        if token.refresh is not None:
            del self._refreshable[token.refresh]
        token.refresh = None
        self._keep(token)

    def kill(self, token: Token, answer: str) -> None:
        """From now on the token answers with an error."""
        if token.refresh is not None:
            self._refreshable.pop(token.refresh, None)
        token.refresh, token.gone = None, answer
        self._keep(token)

    def revive(self, text: str) -> None:
        """Forget that a token died: somebody registered it again."""
        if self._tokens.pop(text, None) is not None:
            self._forget(f"token/{text}")

    def expire(self, app: str, place: str | None, at: float) -> int:
        """Let an app's expiring tokens end at `at`. Returns how many."""
        chosen = [
            token
            for token in self._tokens.values()
            if token.app == app
            and place in (None, token.place)
            and token.gone is None
            and token.expires is not None
            and token.expires > at
        ]
        for token in chosen:
            token.expires = at
            self._keep(token)
        return len(chosen)

    def _make_room(self, holder: Holder, now: float) -> None:
        same = [token for token in self._tokens.values() if holder_of(token) == holder]
        living = [one for one in same if one.gone is None and one.expires is not None and not expired(one, now)]
        for token in living[: max(0, len(living) - LIVE_AT_ONCE + 1)]:
            self.kill(token, "token_revoked")
        dead = [token for token in same if token.gone is not None or (expired(token, now) and token.refresh is None)]
        for token in dead[: max(0, len(dead) - REMEMBERED_DEAD)]:
            self.revive(token.token)


def expired(token: Token, now: float) -> bool:
    return token.expires is not None and now >= token.expires


def problem(token: Token, now: float) -> str | None:
    """The error that a token answers with; None: it works."""
    if token.gone is not None:
        return token.gone
    return "token_expired" if expired(token, now) else None


def adopted(token: str, app: str, place: str, user: str, scopes: list[str] | None) -> Token:
    """The record of a token that was there before anybody asked for one: a seed, or one named at registration."""
    return Token(token=token, app=app, kind="bot", place=place, user=user, scopes=scopes, issued=0.0)
