"""How close the local Slack is to Slack, method by method and event by event; docs/emulator.md is made from it.

Rules of this file: data only. A row names what is there, what differs (nothing: faithful; something: partial) and the
test that drives it with a real client. Every method and event that is served has a row, and all that Slack documents
and we do not serve is in ABSENT_METHODS or ABSENT_EVENTS; tests/emulator/test_parity.py compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Row:
    """`names` are separated by spaces; `does` is worth knowing, `differs` is not as on Slack; Markdown."""

    names: str
    test: str
    does: str = ""
    differs: str = ""

    @property
    def level(self) -> str:
        """`faithful` or `partial`."""
        return "partial" if self.differs else "faithful"


def _names(text: str) -> list[str]:
    return text.split()


METHODS: Final[tuple[Row, ...]] = (
    Row(
        "api.test",
        "tests/emulator/test_emulator_web_api.py",
    ),
    Row(
        "auth.test",
        "tests/emulator/test_emulator_web_api.py",
        does="for the tokens of bots, of persons through an app, and of organisations; `url` is this server",
    ),
    Row(
        "oauth.v2.access",
        "tests/emulator/test_oauth.py",
        does=(
            "id and secret in the header or the body, `authorization_code` and `refresh_token`, the whole answer,"
            " `invalid_client_id`, `bad_client_secret`, `invalid_code`, `code_already_used`, `bad_redirect_uri`, "
            "`invalid_grant_type`, `invalid_refresh_token`"
        ),
        differs="`code_verifier` is not looked at; nothing listens at the address of `incoming_webhook`",
    ),
    Row(
        "oauth.v2.exchange",
        "tests/emulator/test_rotation.py",
        does=(
            "`token_rotation_not_enabled`, `invalid_token`, `token_already_exchanged`, `authorization_not_found`;"
            " the old token is `token_revoked` at once (when it goes is not published)"
        ),
    ),
    Row(
        "auth.revoke",
        "tests/emulator/test_rotation.py",
        does=(
            "with `test`; the bot leaves its channels, and `tokens_revoked` and with the last token "
            "`app_uninstalled` follow"
        ),
    ),
    Row(
        "apps.uninstall",
        "tests/emulator/test_oauth.py",
        does="`client_id_token_mismatch`, `invalid_client_id`, `bad_client_secret`",
    ),
    Row(
        "auth.teams.list",
        "tests/emulator/test_orgs.py",
        differs="on one page",
    ),
    Row(
        "chat.postMessage",
        "tests/emulator/test_emulator_web_api.py",
        does=(
            "text over 40,000 characters cut with `message_truncated`, `markdown_text` up to 12,000, 50 blocks, "
            "100 attachments, metadata"
        ),
        differs=(
            "blocks are checked for their shape, not against each block's schema; metadata over 8 kB is "
            "`metadata_too_large` (Slack's number is not published); a thread that never was is accepted; no "
            "`chat:write.public`, no `msg_blocks_too_long` (near 13,200 characters of blocks; not published either)"
        ),
    ),
    Row(
        "chat.update",
        "tests/pytest_plugin/test_parity_clients.py",
        does="text over 4,000 is `msg_too_long`, `streaming_state_conflict` while streaming",
        differs="no edit window",
    ),
    Row(
        "chat.delete",
        "tests/pytest_plugin/test_parity_clients.py",
        does="for the app's own messages",
    ),
    Row(
        "chat.postEphemeral",
        "tests/emulator/test_emulator_web_api.py",
        does="shown to one person on the page; gone from every read method",
    ),
    Row(
        "chat.startStream chat.appendStream chat.stopStream",
        "tests/pytest_plugin/test_parity_clients.py",
        does=(
            "no metadata at the start, `missing_recipient_user_id` and `missing_recipient_team_id` in channels, "
            "`message_not_in_streaming_state`, `message_not_owned_by_app`, `stopped_by_user` after the stop button, "
            "chunks, `session_status`"
        ),
        differs="no limit on the whole text of a stream; a stopped stream still takes its stop (Slack does not say)",
    ),
    Row(
        "agents.sessions.setStatus agents.sessions.rename",
        "tests/emulator/test_agents.py",
        does=(
            "`title` and `initiator_user_id` count for a session that begins; the warning "
            "`missing_agent_session_stopped_event_subscription`"
        ),
        differs=(
            "sessions are threads only (no session channels); error codes are not published: `not_an_agent` and "
            "`session_not_found` are ours"
        ),
    ),
    Row(
        "conversations.info conversations.list conversations.members",
        "tests/emulator/test_emulator_web_api.py",
        does="public channels and direct messages",
        differs="no private channels, group messages, archives",
    ),
    Row(
        "conversations.open",
        "tests/emulator/test_emulator_web_api.py",
        differs="one person at a time",
    ),
    Row(
        "conversations.history conversations.replies",
        "tests/emulator/test_emulator_web_api.py",
        does="cursors, `oldest`, `latest`, `inclusive`, `limit`, `include_all_metadata`",
        differs=(
            "the thread's first message heads only the first page; an app registered with `rationed: true` gets 1 call "
            "a minute and 15 messages while tiers are on"
        ),
    ),
    Row(
        (
            "conversations.create conversations.join conversations.invite conversations.kick conversations.leave "
            "conversations.setTopic conversations.setPurpose"
        ),
        "tests/emulator/test_channels_and_people.py",
        does="Slack's limits and errors for public channels",
        differs="no private channels, no line in the channel about who came or went",
    ),
    Row(
        "conversations.mark users.getPresence emoji.list usergroups.list",
        "tests/emulator/test_channels_and_people.py",
        differs="nothing is kept, everybody is active, there are no custom emoji and no groups",
    ),
    Row(
        "bots.info users.conversations users.profile.get users.lookupByEmail reactions.get",
        "tests/emulator/test_channels_and_people.py",
        differs="the fields that bots use; addresses are `<name>@<domain>.example`",
    ),
    Row(
        "chat.getPermalink",
        "tests/emulator/test_channels_and_people.py",
        differs="an address of this server (`GET /archives/{channel}/{mark}`) that opens the message on the page",
    ),
    Row(
        "chat.scheduleMessage chat.deleteScheduledMessage chat.scheduledMessages.list",
        "tests/emulator/test_channels_and_people.py",
        does="`time_in_past`, `time_too_far`, `restricted_too_many`; times are not scaled",
        differs="one page, with metadata it is posted here",
    ),
    Row(
        "users.info users.list team.info",
        "tests/emulator/test_emulator_web_api.py",
        differs="the fields that bots use",
    ),
    Row(
        "reactions.add reactions.remove",
        "tests/pytest_plugin/test_parity_clients.py",
        does="messages",
        differs="any well-formed name is an emoji",
    ),
    Row(
        "assistant.threads.setStatus",
        "tests/pytest_plugin/test_parity_clients.py",
        does="shown on the page; goes with the app's next message in the thread and after 2 min",
    ),
    Row(
        "assistant.threads.setTitle assistant.threads.setSuggestedPrompts",
        "tests/emulator/test_emulator_web_api.py",
        does="kept with the thread's session and told to the page",
    ),
    Row(
        "files.getUploadURLExternal files.completeUploadExternal",
        "tests/emulator/test_files.py",
        does="several files, `channel_id`, `channels`, `thread_ts`, `initial_comment`, bytes as they are or as a form",
        differs=(
            "the message stands when the call answers (on Slack a moment later); a length that is not the one "
            "announced is 400"
        ),
    ),
    Row(
        "files.info files.list files.delete",
        "tests/emulator/test_files.py",
        does="own files and those of channels that the caller is in",
        differs="`types` is not looked at, no comments",
    ),
    Row(
        "apps.datastore.get apps.datastore.put apps.datastore.update apps.datastore.delete",
        "tests/pytest_plugin/test_parity_clients.py",
        does="as documented; what is not documented is in [slack-parity.md](slack-parity.md)",
    ),
    Row(
        "apps.datastore.bulkGet apps.datastore.bulkPut apps.datastore.bulkDelete",
        "tests/pytest_plugin/test_parity_clients.py",
        does="the same; `partial_failure` on request (a fault)",
    ),
    Row(
        "apps.datastore.query apps.datastore.count",
        "tests/pytest_plugin/test_parity_clients.py",
        does="the same; `limit` and 1 MB count what is looked at, so a page may be empty and go on",
    ),
    Row(
        "apps.status apps.manifest.export apps.manifest.validate",
        "tests/pytest_plugin/test_parity_clients.py",
        does="what the Slack CLI asks, with a person's token",
        differs=(
            "of a manifest the name and the datastores are checked; `breaking_change` warnings are about datastores"
        ),
    ),
    Row(
        "apps.manifest.create apps.manifest.update",
        "tests/pytest_plugin/test_parity_clients.py",
        does="with a person's token",
        differs=(
            "the app is installed in that person's team at once; credentials are those of the local Slack; a "
            "change that loses data is `schema_compatibility_error` without `consent_breaking_changes` or "
            "`force_update`"
        ),
    ),
    Row(
        "apps.connections.open",
        "tests/pytest_plugin/test_parity_clients.py",
        does=(
            "an app-level token alone, in the header (`missing_args` elsewhere), by POST (`insecure_request`); the "
            "address is good for one socket within 30 s"
        ),
    ),
    Row(
        "views.open views.push views.update views.publish",
        "tests/pytest_plugin/test_parity_clients.py",
        does=(
            "triggers, stacks of three, hashes, external ids, limits of `docs.slack.dev/reference/views`; "
            "`state.values` from initial values, kept over updates"
        ),
        differs=(
            "blocks are checked for repeated ids, labels and inputs, not against each block's schema; "
            "`views.open` replaces what the person has open"
        ),
    ),
)

EVENTS: Final[tuple[Row, ...]] = (
    Row(
        "app_mention",
        "tests/pytest_plugin/test_parity_clients.py",
        does=(
            "for a message that mentions the bot's user, in channels only; carries no `files`; comes beside the "
            "`message` event, with an id of its own"
        ),
    ),
    Row(
        "message",
        "tests/pytest_plugin/test_parity_clients.py",
        does="for people's and bots' messages, `file_share`, `thread_broadcast`",
        differs="no rich-text `blocks` for what people type",
    ),
    Row(
        "message_changed",
        "tests/pytest_plugin/test_parity_clients.py",
        does=(
            "for edits, `chat.update`, and once at the end of a stream (what Slack sends during a stream is not "
            "published)"
        ),
    ),
    Row(
        "message_deleted",
        "tests/pytest_plugin/test_parity_clients.py",
        does="always, also for a message with replies, which stays as a tombstone",
    ),
    Row(
        "reaction_added reaction_removed",
        "tests/pytest_plugin/test_parity_clients.py",
    ),
    Row(
        "file_created file_shared file_deleted",
        "tests/pytest_plugin/test_parity_clients.py",
        does="for each channel that the app is in; `file_created` with the first share",
        differs="no `file_change`, `file_public`, `file_unshared`",
    ),
    Row(
        "app_uninstalled tokens_revoked",
        "tests/pytest_plugin/test_parity_clients.py",
        does="in either order (the second 0.2 s after the first); not sent for a token that a newer one replaced",
    ),
    Row(
        "app_home_opened",
        "tests/pytest_plugin/test_parity_clients.py",
        does="for both tabs, with the Home view when one is published",
    ),
    Row(
        "channel_created member_joined_channel member_left_channel",
        "tests/pytest_plugin/test_parity_clients.py",
        does="for what apps do by `conversations.*`",
    ),
    Row(
        "agent_session_stopped",
        "tests/emulator/test_agents.py",
        does="the streams of the thread end and are named; the status stays the app's to change",
    ),
    Row(
        "app_context_changed",
        "tests/emulator/test_agents.py",
        does="for channels",
        differs="no canvases, lists and messages",
    ),
    Row(
        "assistant_thread_started assistant_thread_context_changed",
        "tests/emulator/test_agents.py",
        does="with the pane's own thread",
        differs="a new title sends no `message_changed`",
    ),
)

# Families, and single names; what of a family is served has a row above.
ABSENT_METHODS: Final = _names(
    "admin.* agents.conversations.* apps.event.* apps.user.* apps.manifest.delete blocks.validate bookmarks.* "
    "calls.* canvases.* channels.* chat.meMessage chat.unfurl conversations.acceptSharedInvite "
    "conversations.approveSharedInvite conversations.archive conversations.canvases.* conversations.close "
    "conversations.declineSharedInvite conversations.externalInvitePermissions.* conversations.inviteShared "
    "conversations.listConnectInvites conversations.rename conversations.requestSharedInvite.* "
    "conversations.unarchive dialog.open dnd.* entity.* files.comments.* files.remote.* files.revokePublicURL "
    "files.sharedPublicURL files.upload functions.* groups.* im.* migration.* mpim.* oauth.access oauth.token "
    "openid.* pins.* reactions.list reminders.* rtm.* search.* slackLists.* slackbot.* stars.* team.accessLogs "
    "team.billableInfo team.billing.* team.externalTeams.* team.integrationLogs team.preferences.* "
    "team.profile.* tooling.* usergroups.create usergroups.disable usergroups.enable usergroups.update "
    "usergroups.users.* users.deletePhoto users.discoverableContacts.* users.identity users.profile.set "
    "users.setActive users.setPhoto users.setPresence workflows.* assistant.search.*"
)
ABSENT_EVENTS: Final = _names(
    "app_deleted app_installed app_rate_limited app_requested app_uninstalled_team call_rejected "
    "channel_archive channel_deleted channel_history_changed channel_id_changed channel_left channel_rename "
    "channel_shared channel_unarchive channel_unshared dnd_* email_domain_changed emoji_changed "
    "entity_details_requested file_change file_comment_* file_public file_unshared function_executed "
    "grid_migration_* group_* im_* invite_requested link_shared message.groups message.mpim message_metadata_* "
    "pin_* scope_* shared_channel_invite_* star_* subteam_* team_* url_verification user_* workflow_*"
)


def served(rows: tuple[Row, ...]) -> Iterator[str]:
    """Every name that has a row."""
    for row in rows:
        yield from row.names.split()


def table(heading: str, rows: tuple[Row, ...], absent: list[str]) -> str:
    """The rows and what is absent, as Markdown."""
    lines = [f"| {heading} | how close | | driven in |", "| --- | --- | --- | --- |"]
    for row in rows:
        names = ", ".join(f"`{name}`" for name in row.names.split())
        words = ". ".join(filter(None, [row.does, f"Differs: {row.differs}" if row.differs else ""]))
        test = row.test.removeprefix("tests/").removesuffix(".py")
        lines.append(f"| {names} | {row.level} | {words} | {test} |")
    names = ", ".join(f"`{name}`" for name in absent)
    lines.append(f"| {names} (what of them has no row above) | absent | | |")
    return "\n".join(lines) + "\n"
