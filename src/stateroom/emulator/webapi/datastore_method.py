"""How the datastore methods are declared: scope, tokens, app and place are the same for all nine.

Rules of this file: declarations only. A method reads or writes; the scope follows from that.
"""

from __future__ import annotations

from stateroom.emulator.tiers import Tier
from stateroom.emulator.webapi.method import BOT, USER, Arg, Handler, Method

PLACE = (Arg("datastore", required=True), Arg("app_id", null=True))


def reading(name: str, handler: Handler, tier: Tier, *args: Arg) -> Method:
    """`apps.datastore.<name>` for who may read."""
    return _method(name, handler, tier, args, "datastore:read")


def writing(name: str, handler: Handler, tier: Tier, *args: Arg) -> Method:
    """`apps.datastore.<name>` for who may write."""
    return _method(name, handler, tier, args, "datastore:write")


def _method(name: str, handler: Handler, tier: Tier, args: tuple[Arg, ...], scope: str) -> Method:
    return Method(
        f"apps.datastore.{name}", handler, (*PLACE, *args), (scope,), tier, (BOT, USER), of_app=True, exact=True
    )
