"""Logging: stdlib loggers everywhere, structlog's processors at the end, one handler on stderr.

Rules of this file: no token and no words of people leave through a log, whatever a library or a careless line hands
in (invariant 8). So fields with telling names are dropped, anything that looks like a Slack token is masked, a
traceback shows where and which error but not its message (only our own errors promise a clean one), and libraries are
heard from `warning` on, because at debug some of them write whole requests.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from stateroom.model.errors import StateroomError

if TYPE_CHECKING:
    from structlog.typing import Processor

Fields = MutableMapping[str, Any]

DROPPED: Final = frozenset(
    {
        *("text", "markdown_text", "token", "bot_token", "access_token", "refresh_token"),
        *("app_token", "authorization", "secret", "signing_secret", "client_secret", "password"),
        *("body", "payload", "blocks", "attachments", "message", "messages"),
        *("prompt", "answer", "content", "cookie", "headers"),
    }
)
# Slack's tokens: https://docs.slack.dev/authentication/tokens
_TOKEN: Final = re.compile(r"\b(?:xox[a-z](?:\.xox[a-z])?|xapp|xwfp)-[\w.-]+")
_FRAMES: Final = 12


def set_up(level: str, form: str) -> None:
    """Send all logs to stderr, ours from `level` on; `form`: json, text, or empty for text on a terminal, else json."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Later(form or ("text" if sys.stderr.isatty() else "json")))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, _number(level)))
    logging.getLogger("stateroom").setLevel(_number(level))
    logging.captureWarnings(True)
    sys.excepthook = _last_words


def _last_words(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A defect ends the process; Python's own traceback would show its message, which may hold anything."""
    logging.getLogger("stateroom.cli").critical("ended by a defect; please report it", exc_info=(kind, error, trace))


def watch_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Log what no task waited for. asyncio's own handler prints the repr of the error, which may hold anything."""

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        logging.getLogger("stateroom.cli").error("left in the event loop", exc_info=context.get("exception"))

    loop.set_exception_handler(handle)


def warm_up() -> None:
    """Load what the first line will need, so that it is not loaded while somebody waits."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, _Later):
            handler.formatter.load()


class _Later(logging.Formatter):
    """structlog's formatter, loaded with the first line: it is a sixth of the time until `serve` is ready."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self._form = form
        self._real: logging.Formatter | None = None

    def load(self) -> logging.Formatter:
        if self._real is None:
            self._real = _formatter(self._form)
        return self._real

    def format(self, record: logging.LogRecord) -> str:
        return self.load().format(record)


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _formatter(form: str) -> logging.Formatter:
    structlog = _structlog()
    last: Processor
    if form == "json":
        last = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        last = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_no_traceback)
    return structlog.stdlib.ProcessorFormatter(  # type: ignore[no-any-return]
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            name_error,
            drop_words,
            mask_tokens,
            last,
        ],
    )


def _structlog() -> Any:
    """structlog without rich, which it takes when it finds it and which costs more than all the rest of our start."""
    had = "rich" in sys.modules
    if not had:
        sys.modules["rich"] = None  # type: ignore[assignment]  # what makes `import rich` an ImportError
    try:
        import structlog
    finally:
        if not had:
            del sys.modules["rich"]
    return structlog


def _no_traceback(sio: Any, exc_info: Any) -> None:
    """`name_error` has said it already."""


def drop_words(_: Any, __: str, fields: Fields) -> Fields:
    """Without the fields that hold secrets or people's words by their name."""
    for name in [name for name in fields if name.lower() in DROPPED]:
        del fields[name]
    return fields


def mask_tokens(_: Any, __: str, fields: Fields) -> Fields:
    """With anything that looks like a Slack token masked."""
    for name, value in fields.items():
        if isinstance(value, str):
            fields[name] = _TOKEN.sub("[token]", value)
        elif not isinstance(value, (int, float, bool, type(None))):
            fields[name] = _TOKEN.sub("[token]", str(value))
    return fields


def name_error(_: Any, __: str, fields: Fields) -> Fields:
    """With the error as `error` and `where` instead of a traceback with its message."""
    fields.pop("stack_info", None)
    info = fields.pop("exc_info", None)
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        fields["error"] = " < ".join(_said(e) for e in _chain(error))
        fields["where"] = " > ".join(_frames(error))
    return fields


def _said(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, StateroomError):
        return f"{name}: {error}"
    return f"{name}: {error.strerror}" if isinstance(error, OSError) and error.strerror else name


def _chain(error: BaseException) -> list[BaseException]:
    """The error, what it came from, and so on."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return found


def _frames(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
