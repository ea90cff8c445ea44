"""What a message may contain: Slack's limits on text, blocks, attachments, chunks and metadata.

Rules of this file: checks and nothing else; each raises Slack's own error code. Facts: docs.slack.dev/reference/methods
(chat.postMessage, chat.update, chat.startStream) and docs.slack.dev/messaging/message-metadata.
"""

from __future__ import annotations

from typing import Any

import msgspec

from stateroom.emulator import speech
from stateroom.emulator.elements import with_ids
from stateroom.emulator.records import Json, Message
from stateroom.emulator.webapi.method import Arg, Call, Refused
from stateroom.emulator.world import Room

TEXT_LIMIT = 40_000
UPDATE_TEXT_LIMIT = 4_000
MARKDOWN_LIMIT = 12_000
BLOCK_LIMIT = 50
ATTACHMENT_LIMIT = 100
# Slack publishes no number for metadata; 8 kB is ours.
METADATA_LIMIT = 8_192
CHUNK_KINDS = frozenset({"markdown_text", "task_update", "plan_update", "blocks"})
TASK_STATES = frozenset({"pending", "in_progress", "complete", "error"})

CONTENT_ARGS = (
    Arg("text"),
    Arg("markdown_text"),
    Arg("blocks", "list"),
    Arg("attachments", "list"),
    Arg("metadata", "object"),
)


def checked_markdown(call: Call) -> str | None:
    markdown = call.text("markdown_text")
    if markdown is not None and len(markdown) > MARKDOWN_LIMIT:
        raise Refused("msg_too_long")
    return markdown


def checked_blocks(blocks: list[Any]) -> list[Any]:
    if len(blocks) > BLOCK_LIMIT:
        raise Refused("msg_blocks_too_many")
    if not all(isinstance(block, dict) and isinstance(block.get("type"), str) for block in blocks):
        raise Refused("invalid_blocks")
    return with_ids(blocks)


def checked_attachments(attachments: list[Any]) -> list[Any]:
    if len(attachments) > ATTACHMENT_LIMIT:
        raise Refused("too_many_attachments")
    if not all(isinstance(attachment, dict) for attachment in attachments):
        raise Refused("invalid_attachments")
    return [_with_ids(attachment) for attachment in attachments]


def _with_ids(attachment: Json) -> Json:
    blocks = attachment.get("blocks")
    return {**attachment, "blocks": with_ids(blocks)} if isinstance(blocks, list) else attachment


def checked_metadata(call: Call) -> Json | None:
    metadata: Json | None = call.args.get("metadata")
    if metadata is None:
        return None
    if not isinstance(metadata.get("event_type"), str) or not isinstance(metadata.get("event_payload"), dict):
        raise Refused("invalid_metadata_schema")
    if len(msgspec.json.encode(metadata)) > METADATA_LIMIT:
        raise Refused("metadata_too_large")
    return metadata


def checked_chunks(call: Call) -> list[Json]:
    chunks = call.items("chunks")
    for chunk in chunks:
        if not isinstance(chunk, dict) or chunk.get("type") not in CHUNK_KINDS or not _whole(chunk):
            raise Refused("invalid_chunks")
        if chunk["type"] == "markdown_text" and len(chunk["text"]) > MARKDOWN_LIMIT:
            raise Refused("msg_too_long")
    return chunks


def _whole(chunk: Json) -> bool:
    if chunk["type"] == "markdown_text":
        return isinstance(chunk.get("text"), str)
    if chunk["type"] == "task_update":
        return isinstance(chunk.get("id"), str) and chunk.get("status") in TASK_STATES
    if chunk["type"] == "plan_update":
        return isinstance(chunk.get("title"), str)
    return isinstance(chunk.get("blocks"), list)


def checked_text(call: Call, limit: int | None = None) -> str:
    """The text of a message, from `text` or `markdown_text`. Over 40,000 characters it is cut, with a warning."""
    markdown = checked_markdown(call)
    text = call.text("text")
    if markdown is not None:
        if text is not None or call.items("blocks"):
            raise Refused("markdown_text_conflict")
        return markdown
    if text is None:
        return ""
    if limit is not None and len(text) > limit:
        raise Refused("msg_too_long")
    if len(text) > TEXT_LIMIT:
        call.warnings.append("message_truncated")
        return text[:TEXT_LIMIT]
    return text


def compose(call: Call, room: Room) -> Message:
    """The message that a call describes, by its bot, not yet posted. Raises Refused."""
    text, blocks = checked_text(call), checked_blocks(call.items("blocks"))
    attachments = checked_attachments(call.items("attachments"))
    if not text and not blocks and not attachments:
        raise Refused("no_text")
    thread_ts = call.timestamp("thread_ts", "invalid_thread_ts")
    return Message(
        team=call.team,
        channel=room.channel.id,
        ts=room.next_ts(call.now),
        thread_ts=speech.thread_root(room, thread_ts),
        user=call.install.bot_user_id,
        bot_id=call.install.bot_id,
        app_id=call.app.app_id,
        username=call.text("username"),
        text=text,
        blocks=blocks,
        attachments=attachments,
        metadata=checked_metadata(call),
    )
