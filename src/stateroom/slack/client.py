"""The Web API calls that the bot makes, over slack_sdk's AsyncWebClient.

Rules of this file: every call ends by its `deadline` and raises nothing but `Throttled` and `SlackError`; one call is
one request (a retry is the caller's decision, who knows what was recorded); neither token nor text is ever logged, in
an error or in a repr. slack_sdk and aiohttp are loaded by the first client, not by importing this file.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

from stateroom.model.errors import StateroomError, WrongUse
from stateroom.slack.codes import BAD_RESPONSE, CONNECTION, TIMEOUT, error_of, error_of_answer
from stateroom.slack.prompts import Prompt, as_json

if TYPE_CHECKING:
    import aiohttp
    from slack_sdk.errors import SlackApiError
    from slack_sdk.web.async_client import AsyncWebClient
    from slack_sdk.web.async_slack_response import AsyncSlackResponse

Blocks = Sequence[Mapping[str, Any]]
_PAGE: Final = 200
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


class Standing(NamedTuple):
    """What `auth.test` tells about a token. `scopes` and `date` (Unix seconds) are None where Slack does not say."""

    team: str
    user: str
    scopes: tuple[str, ...] | None
    date: float | None


class _Progress:
    """Whether a call's request has begun to leave; until then Slack cannot have done anything."""

    __slots__ = ("sent",)

    def __init__(self) -> None:
        self.sent = False


# aiohttp's tracing hooks run in the task of the call, so the call finds its own mark.
_progress: ContextVar[_Progress] = ContextVar("stateroom_slack_progress")


class SlackClient:
    """One bot token's calls. `clock` gives seconds on the scale of every `deadline`. Close it, or use `async with`."""

    def __init__(self, token: str | None, base_url: str, *, clock: Callable[[], float]) -> None:
        """Raise WrongUse for a token or an address that cannot be one (the message shows neither).

        Without a token (None) only the calls of OAuth can be made, which are the app's own.
        """
        if token is not None and not _TOKEN.fullmatch(token):
            raise WrongUse("the Slack token is empty or holds blanks or control characters; copy it again")
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise WrongUse("the Slack API address must be a http or https URL that ends in /api/")
        from slack_sdk.web.async_client import AsyncWebClient

        # retry_handlers: slack_sdk would post again after a cut connection, and so answer twice.
        self._web = AsyncWebClient(token=token, base_url=base_url, logger=_silent_logger(), retry_handlers=[])
        if is_loopback(parts.hostname):
            self._web.proxy = None  # a proxy of the environment cannot reach this machine's own Slack
        self._host = parts.hostname
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"SlackClient(host={self._host!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; calls under way fail. A later call opens them again."""
        session, self._session, self._web.session = self._session, None, None
        if session is not None:
            await session.close()

    # --- who we are, where we are

    async def auth_test(self, *, deadline: float) -> dict[str, Any]:
        """Return Slack's answer; `team_id` and `user_id` are there and are strings."""
        said = await self._call("auth.test", deadline, lambda web: web.auth_test())
        _string("auth.test", said, "team_id")
        _string("auth.test", said, "user_id")
        return said

    async def standing(self, *, deadline: float) -> Standing:
        """Return who the token is, what it may do, and what time Slack has."""
        answer = await self._answer("auth.test", deadline, lambda web: web.auth_test())
        said: Any = answer.data
        headers = {name.lower(): value for name, value in answer.headers.items()}
        granted: str | None = headers.get("x-oauth-scopes")
        return Standing(
            _string("auth.test", said, "team_id"),
            _string("auth.test", said, "user_id"),
            None if granted is None else tuple(filter(None, (one.strip() for one in granted.split(",")))),
            _moment(headers.get("date")),
        )

    async def conversations_info(self, *, channel: str, deadline: float) -> dict[str, Any]:
        """Return the channel's object."""
        said = await self._call("conversations.info", deadline, lambda web: web.conversations_info(channel=channel))
        return _inner("conversations.info", said, "channel")

    async def users_info(self, *, user: str, deadline: float) -> dict[str, Any]:
        """Return the user's object."""
        said = await self._call("users.info", deadline, lambda web: web.users_info(user=user))
        return _inner("users.info", said, "user")

    # --- tokens

    async def oauth_access(
        self,
        *,
        client_id: str,
        client_secret: str,
        deadline: float,
        code: str | None = None,
        redirect_uri: str | None = None,
        refresh_token: str | None = None,
    ) -> dict[str, Any]:
        """Exchange a browser's code, or a refresh token; each works once. Return Slack's answer."""
        return await self._call(
            "oauth.v2.access",
            deadline,
            lambda web: web.oauth_v2_access(
                client_id=client_id,
                client_secret=client_secret,
                code=code,
                redirect_uri=redirect_uri,
                grant_type=None if refresh_token is None else "refresh_token",
                refresh_token=refresh_token,
            ),
        )

    async def auth_revoke(self, *, deadline: float) -> None:
        """Make the token worthless."""
        await self._call("auth.revoke", deadline, lambda web: web.auth_revoke())

    # --- messages

    async def post_message(
        self,
        *,
        channel: str,
        thread_ts: str | None,
        markdown: str,
        deadline: float,
        metadata: Any = None,
        below: Blocks = (),
    ) -> str:
        """Post Markdown text, with blocks below it, without unfurling its links; return the message's ts."""
        said = await self._call(
            "chat.postMessage",
            deadline,
            lambda web: web.chat_postMessage(
                channel=channel,
                thread_ts=thread_ts,
                metadata=metadata,
                **_content(markdown, below),
                unfurl_links=False,
                unfurl_media=False,
            ),
        )
        return _string("chat.postMessage", said, "ts")

    async def update(
        self, *, channel: str, ts: str, markdown: str, deadline: float, metadata: Any = None, below: Blocks = ()
    ) -> None:
        """Replace the text of one of our messages, and what is below it."""
        await self._call(
            "chat.update",
            deadline,
            lambda web: web.chat_update(channel=channel, ts=ts, metadata=metadata, **_content(markdown, below)),
        )

    async def delete(self, *, channel: str, ts: str, deadline: float) -> None:
        """Remove one of our messages."""
        await self._call("chat.delete", deadline, lambda web: web.chat_delete(channel=channel, ts=ts))

    async def replies(
        self, *, channel: str, thread_ts: str, deadline: float, oldest: str | None = None, limit: int = _PAGE
    ) -> list[dict[str, Any]]:
        """Return all messages of a thread with their metadata, oldest first, each once; `limit` is a page's size."""
        found: dict[str, dict[str, Any]] = {}
        seen: set[str] = set()
        cursor: str | None = None
        while cursor not in seen:
            if cursor is not None:
                seen.add(cursor)
            said = await self._call(
                "conversations.replies", deadline, _replies(channel, thread_ts, cursor, oldest, limit)
            )
            # The thread's first message comes with every page.
            for message in _objects("conversations.replies", said, "messages"):
                found.setdefault(_string("conversations.replies", message, "ts"), message)
            cursor = _next_cursor(said)
            if cursor is None:
                return [found[ts] for ts in sorted(found)]
        # The same cursor twice would page for ever.
        raise error_of("conversations.replies", BAD_RESPONSE)

    # --- streaming

    async def start_stream(
        self, *, channel: str, thread_ts: str, markdown: str, team: str, user: str, deadline: float
    ) -> str:
        """Begin a streaming reply to that user; return the message's ts."""
        said = await self._call(
            "chat.startStream",
            deadline,
            lambda web: web.chat_startStream(
                channel=channel,
                thread_ts=thread_ts,
                markdown_text=markdown or None,
                recipient_team_id=team,
                recipient_user_id=user,
            ),
        )
        return _string("chat.startStream", said, "ts")

    async def append_stream(self, *, channel: str, ts: str, markdown: str, deadline: float) -> None:
        """Add text to a streaming message."""
        await self._call(
            "chat.appendStream",
            deadline,
            lambda web: web.chat_appendStream(channel=channel, ts=ts, markdown_text=markdown),
        )

    async def stop_stream(
        self,
        *,
        channel: str,
        ts: str,
        deadline: float,
        markdown: str = "",
        metadata: Any = None,
        below: Blocks = (),
    ) -> None:
        """End a streaming message, with its last text, blocks below it, and metadata, which startStream cannot take."""
        await self._call(
            "chat.stopStream",
            deadline,
            lambda web: web.chat_stopStream(
                channel=channel,
                ts=ts,
                markdown_text=markdown or None,
                metadata=metadata,
                blocks=[dict(one) for one in below] or None,
            ),
        )

    async def set_status(self, *, channel: str, thread_ts: str, status: str, deadline: float) -> None:
        """Show a line under the thread; an empty one clears it."""
        await self._call(
            "assistant.threads.setStatus",
            deadline,
            lambda web: web.assistant_threads_setStatus(channel_id=channel, thread_ts=thread_ts, status=status),
        )

    async def set_session(
        self, *, channel: str, thread_ts: str, status: str, deadline: float, title: str = "", user: str = ""
    ) -> None:
        """Set the status of an agent's session; `title` and `user` count for one that begins."""
        await self._call(
            "agents.sessions.setStatus",
            deadline,
            lambda web: web.api_call(
                "agents.sessions.setStatus",
                json={
                    "channel_id": channel,
                    "thread_ts": thread_ts,
                    "status": status,
                    **({"title": title} if title else {}),
                    **({"initiator_user_id": user} if user else {}),
                },
            ),
        )

    async def set_title(self, *, channel: str, thread_ts: str, title: str, deadline: float) -> None:
        """Name a conversation of the assistant pane."""
        await self._call(
            "assistant.threads.setTitle",
            deadline,
            lambda web: web.assistant_threads_setTitle(channel_id=channel, thread_ts=thread_ts, title=title),
        )

    async def set_prompts(
        self, *, channel: str, thread_ts: str | None, prompts: Sequence[Prompt], deadline: float
    ) -> None:
        """Suggest prompts; `thread_ts` only in the assistant pane (an agent's call with it fails without a word)."""
        await self._call(
            "assistant.threads.setSuggestedPrompts",
            deadline,
            lambda web: web.assistant_threads_setSuggestedPrompts(
                channel_id=channel, thread_ts=thread_ts, prompts=as_json(prompts)
            ),
        )

    # --- one call

    async def _call(
        self, method: str, deadline: float, send: Callable[[AsyncWebClient], Awaitable[Any]]
    ) -> dict[str, Any]:
        """Send one request and return the answer's JSON object."""
        said: Any = (await self._answer(method, deadline, send)).data
        return said  # type: ignore[no-any-return]  # `_answer` looked

    async def _answer(
        self, method: str, deadline: float, send: Callable[[AsyncWebClient], Awaitable[Any]]
    ) -> AsyncSlackResponse:
        """Send one request and return the answer, whose `data` is a JSON object.

        The error is raised after its `except` is left: slack_sdk's own holds the answer, and no error of ours may
        carry that along as its context.
        """
        import aiohttp
        from slack_sdk.errors import SlackApiError

        left = deadline - self._clock()
        if left <= 0:
            raise error_of(method, TIMEOUT, sent=False)
        progress = _Progress()
        _progress.set(progress)
        self._open()
        failed: StateroomError
        try:
            async with asyncio.timeout(left):
                answer = await send(self._web)
        except TimeoutError:
            failed = error_of(method, TIMEOUT, sent=progress.sent)
        except (aiohttp.ClientError, OSError):
            failed = error_of(method, CONNECTION, sent=progress.sent)
        except SlackApiError as refused:
            failed = _refusal(method, refused)
        except (AttributeError, ValueError, RecursionError):
            # slack_sdk takes every JSON answer for an object and every body for valid text.
            failed = error_of(method, BAD_RESPONSE)
        else:
            if isinstance(answer.data, dict):
                return answer  # type: ignore[no-any-return]
            failed = error_of(method, BAD_RESPONSE)
        raise failed

    def _open(self) -> None:
        if self._session is not None:
            return
        import aiohttp

        traces = aiohttp.TraceConfig()
        traces.on_request_headers_sent.append(_mark_sent)
        # No time limit of aiohttp's: the deadline is the only one.
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None), trace_configs=[traces]
        )
        self._web.session = self._session


async def _mark_sent(_session: object, _context: object, _params: object) -> None:
    _progress.get().sent = True


def _silent_logger() -> logging.Logger:
    """Return a logger in no hierarchy: slack_sdk logs request bodies as soon as its logger's level is DEBUG."""
    logger = logging.Logger("stateroom.slack.silent", level=logging.CRITICAL + 1)
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    return logger


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _refusal(method: str, refused: SlackApiError) -> StateroomError:
    """Read slack_sdk's error, whose response is its own, or aiohttp's where the body was not JSON."""
    response: Any = refused.response
    status: int = response.status_code if hasattr(response, "status_code") else response.status
    return error_of_answer(method, status, response.headers, getattr(response, "data", None))


def _content(markdown: str, below: Blocks) -> dict[str, Any]:
    """A message's content; `markdown_text` goes with no blocks, so with them the text is a block of its own."""
    if not below:
        return {"markdown_text": markdown}
    return {"text": markdown, "blocks": [{"type": "markdown", "text": markdown}, *below]}


def _replies(
    channel: str, thread_ts: str, cursor: str | None, oldest: str | None, limit: int
) -> Callable[[AsyncWebClient], Awaitable[Any]]:
    return lambda web: web.conversations_replies(
        channel=channel, ts=thread_ts, cursor=cursor, oldest=oldest, limit=limit, include_all_metadata=True
    )


def _moment(header: str | None) -> float | None:
    """The time of a Date header, which RFC 9110 gives to the second."""
    try:
        return None if header is None else parsedate_to_datetime(header).timestamp()
    except ValueError:
        return None


def _next_cursor(said: dict[str, Any]) -> str | None:
    more = said.get("response_metadata")
    cursor = more.get("next_cursor") if isinstance(more, dict) else None
    return cursor if isinstance(cursor, str) and cursor else None


def _string(method: str, said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value:
        raise error_of(method, BAD_RESPONSE)
    return value


def _inner(method: str, said: dict[str, Any], name: str) -> dict[str, Any]:
    value = said.get(name)
    if not isinstance(value, dict):
        raise error_of(method, BAD_RESPONSE)
    return value


def _objects(method: str, said: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = said.get(name)
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise error_of(method, BAD_RESPONSE)
    return value
