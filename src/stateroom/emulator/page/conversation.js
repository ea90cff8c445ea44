// A timeline with what one does to its messages: the toolbar, editing in place, reactions, deleting, the pending tail, the
// composer. The channel and the thread pane are two of these.
import { api } from "./api.js";
import { Composer } from "./composer.js";
import { perform } from "./acting.js";
import { drawAgent } from "./agent.js";
import { openShortcuts, readCommand, hasShortcuts } from "./commands.js";
import { confirmDialog } from "./dialog.js";
import { on } from "./bus.js";
import { fill, h, iconButton, icon } from "./dom.js";
import { avatar } from "./avatar.js";
import { emojiNode, QUICK } from "./emoji.js";
import { fileCard } from "./files.js";
import { discard, outgoingOf, retry, say } from "./outgoing.js";
import { renderText } from "./markup.js";
import { pickEmoji } from "./picker.js";
import { clear, msgPlace, problemNode, problemsAt, raise } from "./problems.js";
import { statusNode } from "./row.js";
import { channelName, handleOf, isMember, messageOf, names, state, teamOf, wireOf } from "./store.js";
import { Timeline } from "./timeline.js";
import { clockOf } from "./time.js";
import { fromWire } from "./wire.js";

export class Conversation {
  /** `inThread`: rows are one thread. `onThread(ts)` opens one; `intro()` draws what stands above the first message. */
  constructor(scroller, composerSlot, { label, inThread, onThread, intro, onBottom, onEscape, inspect, join }) {
    Object.assign(this, { inThread, onThread, intro, channel: "", thread: "", onEscape, inspect, join });
    this.context = {
      channel: "",
      inThread,
      openThread: (ts) => this.onThread(ts),
      react: (ts, name) => this.react(ts, name),
    };
    this.timeline = new Timeline(scroller, {
      context: this.context,
      label,
      intro: () => this.intro(),
      tail: () => this.tail(),
      onBottom,
      author: (message) => message && message.user !== state.me,
    });
    this.composer = new Composer({
      label: "Message",
      onSend: (text, files) => this.send(text, files),
      onUp: () => this.editLast(),
      onCancel: onEscape,
      place: () => ({ channel: this.channel }),
      early: !inThread,
      onShortcuts: inThread ? null : (anchor) => openShortcuts("global", anchor, this.place, { channel: this.channel }),
    });
    if (inThread) this.composer.block("Loading…"); // it is not shown before it is known whose thread it is
    this.composer.catchDrops(scroller.parentElement.parentElement);
    this.problems = h("div", { class: "composer-problems" });
    this.agent = h("div", { class: "agent-bar", hidden: true });
    composerSlot.append(this.problems, this.agent, this.composer.el);
    on("problems", (place) => place === this.place && this.drawProblems());
    for (const topic of ["sessions", "messages", "loaded"]) on(topic, () => this.drawAgent());
    this.toolbar = h("div", { class: "toolbar", role: "toolbar", "aria-label": "Message actions" });
    this.listen(scroller);
  }

  listen(scroller) {
    scroller.addEventListener("pointerover", (event) => this.showTools(event.target.closest("article.msg")));
    scroller.addEventListener(
      "pointerleave",
      () => this.toolbar.contains(document.activeElement) || this.toolbar.remove(),
    );
    scroller.addEventListener("focusin", (event) => {
      const article = event.target.closest("article.msg");
      if (!article) return;
      this.timeline.setCurrent(article.dataset.ts);
      this.showTools(article);
    });
    scroller.addEventListener("keydown", (event) => this.onKey(event));
  }

  /** Where what went wrong while writing here is told. */
  get place() {
    return `box:${this.channel}/${this.thread}`;
  }

  drawAgent() {
    drawAgent(this.agent, this, (text) => this.send(text));
  }

  drawProblems() {
    fill(
      this.problems,
      problemsAt(this.place).map((one) => problemNode(this.place, one)),
    );
  }

  aim(channel, thread, label) {
    Object.assign(this, { channel, thread });
    this.drawProblems();
    this.drawAgent();
    this.context.channel = channel;
    this.timeline.list.setAttribute("aria-label", label);
    this.composer.aim(thread ? `${channel}.${thread}` : channel, label);
    this.toolbar.remove();
    this.allow();
  }

  allow() {
    const channel = state.channels.get(this.channel);
    const name = state.users.get(state.me)?.name;
    const blocked =
      channel && !isMember(channel)
        ? `${name} is not in this conversation. Act as one of its members to write here.`
        : "";
    this.composer.block(blocked);
    if (blocked && !this.inThread && !channel.is_im)
      raise(this.place, "join", {
        tone: "info",
        sticky: true,
        text: `${names.user(state.me)} is not in #${channel.name}.`,
        actions: [{ label: "Join it", run: () => this.join(this.channel) }],
      });
    else clear(this.place, "join");
    if (!blocked) this.composer.area.placeholder = this.composer.area.getAttribute("aria-label");
  }

  // ---- writing

  send(text, files = []) {
    clear(this.place, "command");
    const command = !files.length && readCommand(text);
    if (command) return this.command(command, text);
    this.timeline.pinned = true;
    say({ channel: this.channel, thread: this.thread, user: state.me, text: wireOf(text), files });
    this.timeline.toEnd();
    return true;
  }

  /** Runs a slash command. One that failed comes back into the box, if nothing else was written meanwhile. */
  async command(command, text) {
    const { channel, thread } = this;
    this.composer.waiting(`Sending ${command.command}…`);
    const asked = { kind: "command", channel, ...command, ...(thread && { thread_ts: thread }) };
    const done = await perform(this.place, "command", asked, { what: `${command.command}:`, again: () => this.command(command, text) });
    this.composer.waiting("");
    const cameBack = this.cameBack === text;
    this.cameBack = "";
    if (!done && this.channel === channel && [text, ""].includes(this.composer.area.value.trim())) {
      this.cameBack = text;
      this.composer.set(text);
    } else if (done && cameBack && this.composer.area.value.trim() === text) this.composer.set("");
  }

  tail() {
    const pending = outgoingOf(this.channel, this.thread).map((one) => this.pendingNode(one));
    return [...pending, this.inThread ? statusNode(this.channel, this.thread) : null];
  }

  pendingNode(one) {
    const failed = one.state === "failed";
    const buttons = failed && [
      h("button", { type: "button", class: "link-button", on: { click: () => retry(one.id) }, text: "Retry" }),
      h("button", { type: "button", class: "link-button", on: { click: () => this.takeBack(one) }, text: "Edit" }),
      h("button", { type: "button", class: "link-button", on: { click: () => discard(one.id) }, text: "Discard" }),
    ];
    const line = failed
      ? h(
          "div",
          { class: "send-state", role: "alert" },
          icon("alert", 14),
          h(
            "div",
            {},
            h("strong", { text: "Not sent. " }),
            `${one.error} `,
            h("span", { class: "send-choices" }, buttons),
          ),
        )
      : h("div", { class: "send-state" }, icon("clock", 14), "Sending…");
    const head = h(
      "div",
      { class: "msg-head" },
      h("span", { class: "msg-author", text: names.user(one.user) || one.user }),
      h("span", { class: "msg-time", text: clockOf(one.at) }),
    );
    const main = h(
      "div",
      { class: "msg-main" },
      head,
      h("div", { class: "msg-body prose" }, h("div", { class: "md" }, renderText(one.text, names)), (one.files || []).map(fileCard)),
      line,
    );
    return h(
      "div",
      { class: `msg msg-outgoing is-${one.state}`, data: { outgoing: one.id } },
      h("div", { class: "msg-gutter" }, avatar(one.user)),
      main,
    );
  }

  takeBack(one) {
    discard(one.id);
    this.composer.set(fromWire(one.text, handleOf, channelName));
    this.composer.focus();
  }

  // ---- the tools of a message

  showTools(article) {
    if (!article || article.classList.contains("is-editing") || this.toolbar.parentElement === article) return;
    if (this.toolbar.contains(document.activeElement)) return;
    const message = messageOf(this.channel, article.dataset.ts);
    if (!message || message.deleted) return;
    this.toolbar.replaceChildren(...this.tools(message).filter(Boolean));
    article.append(this.toolbar);
  }

  tools(message) {
    const { ts } = message;
    const own = message.user === state.me && !message.ephemeral_to;
    const person = !message.bot_id && !state.users.get(message.user)?.is_bot;
    const quick = QUICK.slice(0, 3).map((name) =>
      h(
        "button",
        {
          type: "button",
          class: "icon-button quick",
          "aria-label": `React with ${name.replace(/_/g, " ")}`,
          title: `:${name}:`,
          on: { click: () => this.react(ts, name) },
        },
        emojiNode(name),
      ),
    );
    return [
      ...quick,
      iconButton("smile", "Add a reaction", (event) => pickEmoji(event.currentTarget, (name) => this.react(ts, name))),
      !this.inThread && iconButton("thread", "Reply in thread", () => this.onThread(message.thread_ts || ts)),
      !message.ephemeral_to && iconButton("list", "Show its traffic", () => this.inspect({ channel: this.channel, ts })),
      !message.ephemeral_to &&
        hasShortcuts("message") &&
        iconButton("more", "Message shortcuts", (event) => this.shortcuts(event.currentTarget, ts)),
      person && iconButton("twice", "Deliver this message again", () => this.again(ts)),
      own && iconButton("edit", "Edit message", () => this.edit(ts)),
      own && iconButton("trash", "Delete message", () => this.remove(ts)),
    ];
  }

  shortcuts(anchor, ts) {
    openShortcuts("message", anchor, msgPlace(this.channel, ts), { channel: this.channel, ts });
  }

  onKey(event) {
    const article = event.target.closest("article.msg");
    if (!article || event.target.closest("textarea, input") || event.ctrlKey || event.metaKey || event.altKey) return;
    const { ts } = article.dataset;
    const own = messageOf(this.channel, ts)?.user === state.me;
    const onArticle = event.target === article;
    const keys = {
      ArrowUp: () => this.timeline.step(ts, -1),
      ArrowDown: () => this.timeline.step(ts, 1) || this.composer.focus() || true,
      End: () => this.timeline.toEnd(true) || true,
      Escape: () => (onArticle ? this.composer.focus() : article.focus()) || true,
      ...(onArticle && { Enter: () => this.openFrom(ts), t: () => this.openFrom(ts) }),
      ...(own && { e: () => this.edit(ts), Delete: () => this.remove(ts) }),
    };
    if (keys[event.key]?.()) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  openFrom(ts) {
    if (this.inThread) return false;
    this.onThread(messageOf(this.channel, ts)?.thread_ts || ts);
    return true;
  }

  // Everything a person does can be refused; the refusal stands under the message it was done to.
  async act(ts, kind, facts, what) {
    const place = msgPlace(this.channel, ts);
    try {
      await api.act({ kind, team: teamOf(this.channel), channel: this.channel, ts, user: state.me, ...facts });
      clear(place, kind);
      return true;
    } catch (error) {
      raise(place, kind, {
        tone: "error",
        text: `${what} did not work: ${error.message}`,
        actions: error.retryable ? [{ label: "Try again", run: () => this.act(ts, kind, facts, what) }] : [],
      });
      return false;
    }
  }

  react(ts, name) {
    return this.act(ts, "react", { name }, "The reaction");
  }

  async again(ts) {
    const place = msgPlace(this.channel, ts);
    try {
      const { deliveries } = await api.duplicate({ channel: this.channel, ts });
      raise(place, "again", {
        tone: "info",
        text: `Delivered again, with the same event id${deliveries > 1 ? "s" : ""}.`,
        next: "One message has one answer: watch the counts.",
      });
    } catch (error) {
      raise(place, "again", { tone: "error", text: `Not delivered again: ${error.message}` });
    }
  }

  // ---- editing and deleting

  editLast() {
    const { order } = this.timeline;
    for (let i = order.length - 1; i >= Math.max(0, order.length - 100); i--) {
      const message = messageOf(this.channel, order[i]);
      if (message?.user === state.me && !message.deleted) {
        this.timeline.reveal(order[i]);
        return this.edit(order[i]);
      }
    }
    return false;
  }

  edit(ts) {
    const row = this.timeline.byTs.get(ts);
    if (!row || row.editing) return false;
    const before = messageOf(this.channel, ts).text;
    const done = () => {
      row.endEdit();
      this.composer.focus();
    };
    const save = (text) => {
      const wire = wireOf(text);
      done();
      if (wire !== before) this.act(ts, "edit", { text: wire }, "The edit");
    };
    const editor = new Composer({ label: "Edit message", onSend: save, onCancel: done, submit: "Save", cancel: true });
    this.toolbar.remove();
    row.edit(editor.el);
    editor.set(fromWire(before, handleOf, channelName));
    editor.focus();
    return true;
  }

  remove(ts) {
    const message = messageOf(this.channel, ts);
    const article = this.timeline.byTs.get(ts)?.article;
    if (!message || !article) return false;
    confirmDialog({
      title: "Delete this message?",
      text: "The bot is told, as Slack tells it: an answer that has not begun is dropped.",
      action: "Delete",
    }).then(async (yes) => {
      if (yes) await this.act(ts, "delete", {}, "Deleting");
      if (yes || !article.isConnected) this.composer.focus();
      else article.focus();
    });
    return true;
  }
}
