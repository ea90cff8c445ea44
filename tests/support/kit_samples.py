"""One of every block and element of Block Kit, as an app sends them.

Rules of this file: values only, made by functions, so a test may change what it gets. The list follows
docs.slack.dev/reference/block-kit (blocks, block elements).
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text, "emoji": True}


def mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text}


def option(name: str, value: str | None = None, **more: Any) -> Json:
    return {"text": plain(name), "value": value or name.lower(), **more}


def button(name: str, action_id: str, **more: Any) -> Json:
    return {"type": "button", "text": plain(name), "action_id": action_id, **more}


def rich(*parts: Json) -> Json:
    return {"type": "rich_text", "elements": list(parts)}


def line(text: str, **style: bool) -> Json:
    leaf: Json = {"type": "text", "text": text}
    return {"type": "rich_text_section", "elements": [{**leaf, "style": style} if style else leaf]}


def texts() -> list[Json]:
    """What is read: no element that acts."""
    return [
        {"type": "header", "text": plain("Deploy :rocket:")},
        {
            "type": "section",
            "text": mrkdwn("*web* went out with `a1b2c3`"),
            "fields": [mrkdwn("*By*\nAda"), plain("43 s")],
        },
        {"type": "divider"},
        {"type": "markdown", "text": "**bold** and *italic*\n\n- one\n- two"},
        {"type": "context", "elements": [mrkdwn("by _release-bot_"), plain("just now")]},
        rich_text(),
        {
            "type": "table",
            "rows": [
                [raw("Region"), raw("ms")],
                [raw("eu-west"), number(43)],
                [rich(line("us", bold=True)), raw("61")],
            ],
        },
        {
            "type": "data_table",
            "caption": "Latest runs",
            "page_size": 2,
            "rows": [[raw("Run"), raw("Took")], [raw("c"), number(30)], [raw("a"), number(4)], [raw("b"), number(200)]],
        },
        {
            "type": "data_visualization",
            "title": "Answers",
            "chart": {"type": "pie", "segments": [{"label": "kept", "value": 3}, {"label": "lost", "value": 1}]},
        },
        {
            "type": "data_visualization",
            "title": "Load",
            "chart": {
                "type": "bar",
                "series": [{"name": "web", "data": [{"label": "Mon", "value": 3}, {"label": "Tue", "value": 5}]}],
                "axis_config": {"categories": ["Mon", "Tue"], "x_label": "Day"},
            },
        },
        {"type": "alert", "level": "warning", "text": mrkdwn("Two hosts are *slow*")},
        {
            "type": "video",
            "title": plain("How it recovers"),
            "title_url": "https://example.com/watch",
            "video_url": "https://example.com/embed",
            "thumbnail_url": "https://example.com/thumb.png",
            "alt_text": "A kill and a restart",
            "provider_name": "Example",
        },
        {"type": "image", "image_url": "https://example.com/cat.png", "alt_text": "a cat", "title": plain("Cat")},
        {
            "type": "plan",
            "title": "Look it up",
            "tasks": [
                task("Read the log", "complete", output=rich(line("12 lines"))),
                task(
                    "Ask the database",
                    "in_progress",
                    sources=[{"type": "url", "url": "https://example.com/q", "text": "Query"}],
                ),
                task("Write it down", "pending"),
            ],
        },
        task("Alone", "error", details=rich(line("refused"))),
        {
            "type": "container",
            "title": plain("Two records"),
            "subtitle": plain("to be closed"),
            "is_collapsible": True,
            "child_blocks": [{"type": "section", "text": mrkdwn("*DCW-1024*")}],
        },
        {"type": "file", "external_id": "ABCD1", "source": "remote"},
    ]


def raw(text: str) -> Json:
    return {"type": "raw_text", "text": text}


def number(value: float) -> Json:
    return {"type": "raw_number", "value": value, "text": str(value)}


def task(title: str, status: str, **more: Any) -> Json:
    return {"type": "task_card", "task_id": title.lower(), "title": title, "status": status, **more}


def rich_text() -> Json:
    styled: list[Json] = [
        {"type": "text", "text": "bold", "style": {"bold": True}},
        {"type": "text", "text": " struck", "style": {"strike": True, "italic": True}},
        {"type": "text", "text": " code", "style": {"code": True}},
        {"type": "user", "user_id": "U00000001"},
        {"type": "channel", "channel_id": "C00000001"},
        {"type": "broadcast", "range": "here"},
        {"type": "usergroup", "usergroup_id": "S00000001"},
        {"type": "team", "team_id": "T00000001"},
        {"type": "emoji", "name": "tada", "unicode": "1f389"},
        {"type": "color", "value": "#F405B3"},
        {"type": "date", "timestamp": 1_720_710_212, "format": "{date_num}", "fallback": "a day"},
        {"type": "link", "url": "https://example.com/", "text": "a link"},
    ]
    return rich(
        {"type": "rich_text_section", "elements": styled},
        {"type": "rich_text_list", "style": "bullet", "indent": 0, "elements": [line("first")]},
        {"type": "rich_text_list", "style": "bullet", "indent": 1, "elements": [line("nested")]},
        {"type": "rich_text_list", "style": "ordered", "indent": 0, "offset": 2, "elements": [line("third")]},
        {"type": "rich_text_quote", "elements": [{"type": "text", "text": "quoted"}]},
        {
            "type": "rich_text_preformatted",
            "elements": [{"type": "text", "text": "x = 1\ny = 2"}],
            "language": "python",
        },
    )


def cards() -> Json:
    return {
        "type": "carousel",
        "elements": [
            {
                "type": "card",
                "slack_icon": {"type": "icon", "name": "trash"},
                "title": mrkdwn(f"*{name}*"),
                "subtitle": mrkdwn("a card"),
                "body": mrkdwn("Blue badge required."),
                "actions": [button("Open", f"open_{name.lower()}")],
            }
            for name in ("MDR", "O&D", "Wellness")
        ],
    }


FRUIT = [option("Apple"), option("Pear", description=plain("in season")), option("Plum")]
CONFIRM = {
    "title": plain("Really?"),
    "text": mrkdwn("It *restarts* the host."),
    "confirm": plain("Do it"),
    "deny": plain("Stop"),
    "style": "danger",
}


def elements() -> list[Json]:
    """Every element that acts, in blocks of a message."""
    choices = [
        {"type": "static_select", "action_id": "static", "placeholder": plain("A fruit"), "options": FRUIT},
        {"type": "users_select", "action_id": "user", "placeholder": plain("A person")},
        {"type": "conversations_select", "action_id": "conversation", "placeholder": plain("A conversation")},
        {"type": "channels_select", "action_id": "channel", "placeholder": plain("A channel")},
        {"type": "external_select", "action_id": "external", "placeholder": plain("A city"), "min_query_length": 1},
    ]
    many = [
        {"type": "multi_static_select", "action_id": "statics", "placeholder": plain("Fruits"), "options": FRUIT},
        {"type": "multi_users_select", "action_id": "users", "placeholder": plain("People")},
        {"type": "multi_conversations_select", "action_id": "conversations", "placeholder": plain("Conversations")},
        {"type": "multi_channels_select", "action_id": "channels", "placeholder": plain("Channels")},
        {
            "type": "multi_external_select",
            "action_id": "externals",
            "placeholder": plain("Cities"),
            "min_query_length": 1,
        },
    ]
    return [
        {
            "type": "actions",
            "block_id": "buttons",
            "elements": [
                button("Approve", "approve", style="primary", value="42"),
                button("Restart", "restart", style="danger", confirm=CONFIRM),
                button("Later", "later"),
                {"type": "overflow", "action_id": "more", "options": [option("Edit"), option("Remove")]},
                {
                    "type": "workflow_button",
                    "action_id": "flow",
                    "text": plain("Run"),
                    "workflow": {"trigger": {"url": "x"}},
                },
            ],
        },
        {"type": "actions", "block_id": "one", "elements": choices},
        {"type": "actions", "block_id": "many", "elements": many},
        {
            "type": "actions",
            "block_id": "ticks",
            "elements": [
                {"type": "checkboxes", "action_id": "boxes", "options": FRUIT[:2], "initial_options": FRUIT[:1]},
                {"type": "radio_buttons", "action_id": "radio", "options": FRUIT[:2]},
            ],
        },
        {
            "type": "actions",
            "block_id": "dates",
            "elements": [
                {
                    "type": "datepicker",
                    "action_id": "date",
                    "initial_date": "2026-11-21",
                    "placeholder": plain("A day"),
                },
                {"type": "timepicker", "action_id": "time", "placeholder": plain("A time")},
                {"type": "datetimepicker", "action_id": "moment"},
            ],
        },
        {
            "type": "section",
            "block_id": "side",
            "text": mrkdwn("With an accessory"),
            "accessory": button("Beside", "beside"),
        },
        {
            "type": "context_actions",
            "block_id": "opinion",
            "elements": [
                {
                    "type": "feedback_buttons",
                    "action_id": "feedback",
                    "positive_button": {"text": plain("Good"), "value": "up"},
                    "negative_button": {"text": plain("Bad"), "value": "down"},
                },
                {"type": "icon_button", "action_id": "drop", "icon": "trash", "text": plain("Remove"), "value": "x"},
            ],
        },
    ]


def inputs() -> list[Json]:
    """Every element of an input block, each with a label."""
    kinds: list[Json] = [
        {"type": "plain_text_input", "placeholder": plain("Short"), "min_length": 2},
        {"type": "plain_text_input", "multiline": True, "initial_value": "two\nlines"},
        {"type": "email_text_input"},
        {"type": "url_text_input"},
        {"type": "number_input", "is_decimal_allowed": False, "min_value": "1", "max_value": "9"},
        {"type": "rich_text_input"},
        {"type": "static_select", "options": FRUIT, "initial_option": FRUIT[1]},
        {"type": "multi_users_select", "initial_users": ["U00000002"]},
        {"type": "checkboxes", "options": FRUIT[:2]},
        {"type": "radio_buttons", "options": FRUIT[:2], "initial_option": FRUIT[0]},
        {"type": "datepicker"},
        {"type": "timepicker", "initial_time": "09:30"},
        {"type": "file_input", "filetypes": ["txt", "png"], "max_files": 2},
    ]
    return [
        {
            "type": "input",
            "block_id": f"in{number}",
            "label": plain(f"{kind['type'].replace('_', ' ').capitalize()} {number}"),
            "element": {**kind, "action_id": f"a{number}"},
            "optional": number > 0,
            **({"hint": plain("At least two letters")} if number == 0 else {}),
        }
        for number, kind in enumerate(kinds)
    ]


def attachments() -> list[Json]:
    return [
        {
            "color": "#36a64f",
            "pretext": "Before",
            "author_name": "Ada",
            "title": "Title",
            "title_link": "https://example.com/",
            "text": "With *marks*",
            "fields": [
                {"title": "Short", "value": "1", "short": True},
                {"title": "Long", "value": "a line", "short": False},
            ],
            "footer": "the footer",
            "ts": 1_720_710_212,
        },
        {"color": "danger", "blocks": [{"type": "section", "text": mrkdwn("*block* inside")}]},
        {"fallback": "only words"},
    ]
