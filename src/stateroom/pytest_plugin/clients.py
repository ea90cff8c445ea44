"""Clients of slack_sdk in the test's own process, pointed at the local Slack.

Rules of this file: slack_sdk has one place where its address stands, the default of `base_url`; only that is changed,
and only while a test runs. A client that names its own address is left alone.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

_CLASSES = (
    ("slack_sdk.web.base_client", "BaseClient"),
    ("slack_sdk.web.async_base_client", "AsyncBaseClient"),
    ("slack_sdk.web.legacy_base_client", "LegacyBaseClient"),
)


def point_at(api_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a client without `base_url` talks to `api_url`, until the test ends."""
    if find_spec("slack_sdk") is None:
        return
    for module, name in _CLASSES:
        try:
            start = vars(getattr(import_module(module), name))["__init__"]
        except ImportError:  # the asynchronous client needs aiohttp
            continue
        monkeypatch.setattr(start, "__defaults__", _with(start, api_url))


def _with(start: Any, api_url: str) -> tuple[Any, ...]:
    """The defaults of a constructor, with another `base_url`."""
    parameters = [p for p in inspect.signature(start).parameters.values() if p.default is not p.empty]
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return tuple(api_url if p.name == "base_url" else p.default for p in positional)
