// One message as it is drawn. A row is made once and then brought up to date part by part, each part only when what it
// shows has changed: a growing stream never loses the focus, the selection or the place of anything around it.
import { h, fill, icon } from "./dom.js";
import { avatar } from "./avatar.js";
import { blockContext } from "./acting.js";
import { attachment } from "./attachments.js";
import { chunkNodes, renderBlocks } from "./blocks.js";
import { emojiNode } from "./emoji.js";
import { fileCard } from "./files.js";
import { renderText } from "./markup.js";
import { msgPlace, problemNode, problemsAt } from "./problems.js";
import { handleOf, logOf, names, state, theBot, userName } from "./store.js";
import { ago, dayKey, dayLabel, fullTimeOf, timeOf, tsMillis } from "./time.js";

const GROUP_MILLIS = 5 * 60_000;

export class Row {
  /** `context`: {channel, inThread, openThread(ts), react(ts, name), press(ts, block, element)}. */
  constructor(message, context) {
    this.ts = message.ts;
    this.context = context;
    this.seen = {};
    this.editing = false;
    this.day = null;
    this.fresh = null;
    this.gutter = h("div", { class: "msg-gutter" });
    this.head = h("div", { class: "msg-head" });
    this.body = h("div", { class: "msg-body prose" });
    this.marks = h("div", { class: "msg-marks" });
    this.article = h(
      "article",
      { class: "msg", tabIndex: -1, data: { ts: message.ts } },
      this.gutter,
      h("div", { class: "msg-main" }, this.head, this.body, this.marks),
    );
    this.el = h("div", { class: "row" }, this.article);
    this.update(message);
  }

  once(part, key, draw) {
    if (this.seen[part] === key) return;
    this.seen[part] = key;
    draw();
  }

  update(message) {
    this.message = message;
    const { article } = this;
    article.classList.toggle("is-streaming", Boolean(message.streaming));
    article.classList.toggle("is-deleted", Boolean(message.deleted));
    article.classList.toggle("is-notice", Boolean(message.is_notice));
    article.classList.toggle("is-ephemeral", Boolean(message.ephemeral_to));
    this.el.hidden = Boolean(message.ephemeral_to) && message.ephemeral_to !== state.me;
    article.setAttribute("aria-busy", String(Boolean(message.streaming)));
    this.once(
      "head",
      `${message.user}|${userName(message.user)}|${message.username || ""}|${message.ephemeral_to || ""}`,
      () => this.drawHead(),
    );
    if (!this.editing) this.once("body", bodyKey(message), () => this.drawBody());
    this.once("marks", this.marksKey(), () => this.drawMarks());
  }

  drawHead() {
    const { user, username, ts, ephemeral_to: only } = this.message;
    const bot = state.users.get(user)?.is_bot || Boolean(this.message.bot_id);
    const name = username || userName(user) || handleOf(user) || user;
    const time = h("time", {
      class: "msg-time",
      title: fullTimeOf(ts),
      datetime: new Date(tsMillis(ts)).toISOString(),
      text: timeOf(ts),
    });
    fill(
      this.head,
      h("span", { class: "msg-author", text: name }),
      bot && h("span", { class: "app-tag", text: "APP" }),
      time,
      only && h("span", { class: "msg-only", text: "Only visible to you" }),
    );
    fill(this.gutter, avatar(user), time.cloneNode(true));
    this.article.setAttribute("aria-label", `${name}, ${timeOf(ts)}`);
  }

  drawBody() {
    const { message } = this;
    fill(this.body, bodyNodes(message, this.context));
    if (message.streaming)
      (this.body.querySelector(".md:last-child > :last-child") || this.body).append(
        h("span", { class: "caret", "aria-hidden": "true" }),
      );
    if (message.edited && !message.deleted && !state.users.get(message.user)?.is_bot)
      endOf(this.body).append(h("span", { class: "msg-edited", text: " (edited)" }));
  }

  marksKey() {
    const { message, context } = this;
    const status = context.inThread ? "" : statusOf(context.channel, message.ts);
    const replies = context.inThread ? [] : logOf(context.channel).replies(message.ts);
    const latest = replies.length ? logOf(context.channel).byTs.get(replies.at(-1)) : null;
    const stalled = message.streaming && theBot()?.online === false;
    const problems = problemsAt(msgPlace(context.channel, message.ts)).map((one) => one.key + one.text);
    return JSON.stringify([
      message.reactions,
      message.reply_count,
      replies.length,
      replies.at(-1),
      latest?.streaming,
      status,
      stalled,
      problems,
      state.me,
    ]);
  }

  drawMarks() {
    const { message, context } = this;
    const place = msgPlace(context.channel, message.ts);
    fill(
      this.marks,
      message.streaming &&
        theBot()?.online === false &&
        h(
          "p",
          { class: "msg-stalled" },
          icon("clock", 14),
          "The bot stopped in the middle of this answer. It completes it after its restart.",
        ),
      message.reactions?.length ? this.reactions(message.reactions) : null,
      !context.inThread && this.replyBar(),
      !context.inThread && statusNode(context.channel, message.ts),
      problemsAt(place).map((problem) => problemNode(place, problem)),
    );
    this.settleTabs();
  }

  reactions(list) {
    const pill = ({ name, users = [], count }) => {
      const mine = users.includes(state.me);
      const who = users.map((id) => userName(id) || id).join(", ");
      return h(
        "button",
        {
          type: "button",
          class: "reaction",
          "aria-pressed": String(mine),
          title: `${who} reacted with :${name}:`,
          "aria-label": `${name}, ${count ?? users.length}`,
          on: { click: () => this.context.react(this.ts, name, mine) },
        },
        emojiNode(name),
        h("span", { class: "reaction-count", text: count ?? users.length }),
      );
    };
    return h("div", { class: "reactions" }, list.filter((one) => one.users?.length || one.count).map(pill));
  }

  replyBar() {
    const log = logOf(this.context.channel);
    const replies = log.replies(this.ts);
    const count = Math.max(this.message.reply_count || 0, replies.length);
    if (!count) return null;
    const latest = log.byTs.get(replies.at(-1));
    const faces = [...new Set(replies.map((ts) => log.byTs.get(ts)?.user).filter(Boolean))].slice(0, 4);
    const last = latest?.streaming
      ? h("span", { class: "reply-live", text: "answering now" })
      : latest && h("span", { class: "reply-last", text: `Last reply ${ago(latest.ts)}` });
    return h(
      "button",
      { type: "button", class: "reply-bar", on: { click: () => this.context.openThread(this.ts) } },
      h(
        "span",
        { class: "reply-faces" },
        faces.map((id) => avatar(id, "s")),
      ),
      h("span", { class: "reply-count", text: count === 1 ? "1 reply" : `${count} replies` }),
      last,
      icon("chevron", 14),
    );
  }

  /** What depends on the row before it: the grouped look, the day line, the "new" line. */
  decorate(before, newAfter) {
    const day = !before || dayKey(before.ts) !== dayKey(this.ts);
    const fresh = Boolean(newAfter) && this.ts > newAfter && (!before || before.ts <= newAfter);
    const grouped = !day && !fresh && continues(before, this.message);
    this.article.classList.toggle("is-grouped", grouped);
    const label = day ? dayLabel(this.ts) : "";
    if (label !== (this.day?.textContent || "")) {
      this.day?.remove();
      this.day = label
        ? h("div", { class: "day-line", role: "separator", "aria-label": label }, h("span", { text: label }))
        : null;
      if (this.day) this.el.prepend(this.day);
    }
    if (fresh !== Boolean(this.fresh)) {
      this.fresh?.remove();
      this.fresh = fresh
        ? h("div", { class: "new-line", role: "separator", "aria-label": "New messages" }, h("span", { text: "New" }))
        : null;
      if (this.fresh) this.article.before(this.fresh);
    }
  }

  /** One row at a time has its links and buttons in the Tab order, else a long channel would be a long way. */
  settleTabs(current = this.article.classList.contains("is-current")) {
    this.article.classList.toggle("is-current", current);
    this.article.tabIndex = current ? 0 : -1;
    for (const one of this.article.querySelectorAll("a, button, summary, input, select, textarea, pre, [tabindex]")) one.tabIndex = current ? 0 : -1;
  }

  edit(editor) {
    this.editing = true;
    fill(this.body, editor);
    this.article.classList.add("is-editing");
  }

  endEdit() {
    this.editing = false;
    this.seen.body = null;
    this.article.classList.remove("is-editing");
    this.update(this.message);
    this.settleTabs();
  }
}

const bodyKey = (message) =>
  JSON.stringify([
    message.text,
    message.blocks,
    message.attachments,
    message.files,
    message.chunks,
    message.streaming,
    message.edited,
    message.deleted,
    state.me,
  ]);

function bodyNodes(message, context) {
  if (message.deleted) return h("p", { class: "msg-gone", text: "This message was deleted." });
  const { channel } = context;
  const drawing = {
    ...blockContext({ channel, ts: message.ts }, msgPlace(channel, message.ts), names),
    files: message.files,
  };
  // Blocks replace the text, except where an answer was streamed: there they end it.
  const blocks = message.blocks?.length > 0;
  const parts = !blocks || message.streamed ? [h("div", { class: "md" }, renderText(message.text || "", names))] : [];
  if (message.chunks?.length) parts.unshift(...chunkNodes(message.chunks, drawing));
  if (blocks) parts.push(...renderBlocks(message.blocks, drawing));
  for (const one of message.attachments || []) parts.push(attachment(one, drawing));
  for (const file of message.files || []) parts.push(fileCard(file));
  return parts;
}

function endOf(body) {
  const last = body.querySelector(".md")?.lastElementChild;
  return last?.tagName === "P" ? last : body;
}

function continues(before, message) {
  if (!before || before.user !== message.user || before.deleted || message.deleted) return false;
  if (Boolean(before.ephemeral_to) !== Boolean(message.ephemeral_to) || before.username !== message.username)
    return false;
  return tsMillis(message.ts) - tsMillis(before.ts) < GROUP_MILLIS;
}

export const statusOf = (channel, thread) => state.statuses.get(`${channel}/${thread}`)?.status || "";

/** "Stateroom is thinking…": the server's words after the bot's name, and nothing the server did not say. */
export function statusNode(channel, thread) {
  const status = statusOf(channel, thread);
  if (!status) return null;
  const name = theBot()?.name || "The app";
  return h(
    "p",
    { class: "status-line", role: "status" },
    h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
    h("span", {}, h("strong", { text: name }), ` ${status}`),
  );
}
