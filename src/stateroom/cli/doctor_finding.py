"""What `stateroom doctor` finds: one line each, with what to do about it.

Rules of this file: data and its words; no token, no key and no address with credentials ever stands in a finding.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

Status = Literal["ok", "unknown", "warning", "wrong"]


class Finding(NamedTuple):
    """`check` names the part, `found` says how it is, `advice` what to do; empty when nothing is to be done."""

    check: str
    status: Status
    found: str
    advice: str = ""


def is_wrong(findings: Iterable[Finding]) -> bool:
    """Whether something keeps the bot from working."""
    return any(one.status == "wrong" for one in findings)
