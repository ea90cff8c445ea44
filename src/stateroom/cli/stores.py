"""How commands reach a store: opened, used, closed, in one event loop.

Rules of this file: a command that only reads never makes a store; a path that is wrong is said, not created.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

from stateroom.cli.settings import Settings
from stateroom.model.errors import StoreUnavailable, WrongUse
from stateroom.store import Store

R = TypeVar("R")
_SQLITE: Final = "sqlite:///"
_FILES: Final = "file:"


def use(found: Settings, job: Callable[[Store], Awaitable[R]], *, makes: bool = False, migrating: bool = False) -> R:
    """`job(store)`, run to its end. `makes`: the store may be new; else StoreUnavailable when it is not there.

    `migrating`: a server's store may lack tables.
    """
    if not makes:
        check_there(found.store)

    async def whole() -> R:
        async with Store(
            found.store,
            content=found.content,
            keys=found.keys,
            kms=found.kms or None,
            encrypt_content=found.encrypt_content,
            migrating=migrating,
            threads=found.threads or None,
            slack_token=found.slack_service_token or found.slack_bot_token or None,
        ) as store:
            return await job(store)

    return asyncio.run(whole())


def check_there(url: str) -> None:
    """StoreUnavailable when the URL names a file or folder that does not exist."""
    if not is_there(url):
        what = "database" if url.startswith(_SQLITE) else "folder"
        detail = f"there is no such {what}; give --store, or set STATEROOM_STORE"
        raise StoreUnavailable(_path(url).name, "missing", detail, retryable=False)


def check_kept(url: str) -> None:
    """WrongUse for a store that is each process's own, and gone with it."""
    if urlsplit(url).scheme == "memory":
        raise WrongUse(
            "memory:// is empty in each new process, so nothing can be copied from or to it; "
            "name a store that stays, such as sqlite:///state.db"
        )


def is_there(url: str) -> bool:
    """False when the URL names a file or folder that does not exist."""
    path = _path(url)
    return not url.startswith((_SQLITE, _FILES)) or not path.name or path.exists()


def _path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path)) if url.startswith(_FILES) else Path(url.removeprefix(_SQLITE))
