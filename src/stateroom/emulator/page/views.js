// The two places where one talks: the channel in the middle and the thread beside it.
import { agentOf, openThreads, sessionOf } from "./agent.js";
import { avatar } from "./avatar.js";
import { on } from "./bus.js";
import { Conversation } from "./conversation.js";
import { byId, fill, h, icon, iconButton, setText } from "./dom.js";
import { lastRead, markRead, unreadIn } from "./reading.js";
import { isMember, logOf, messageOf, otherSide, state, theBot, titleOf, userName } from "./store.js";

export class ChannelView {
  constructor({ openThread, inspect, join }) {
    this.suggest = h("div", { class: "suggest", hidden: true });
    this.talk = new Conversation(byId("channel-scroll"), byId("composer-slot"), {
      label: "Messages",
      inThread: false,
      onThread: openThread,
      inspect,
      join,
      intro: () => this.intro(),
      onBottom: () => this.seen(),
    });
    this.threads = iconButton("thread", "Conversations with this agent", (event) =>
      openThreads(event.currentTarget, state.here, openThread),
    );
    byId("channel-tools").prepend(this.threads);
    byId("composer-slot").prepend(this.suggest);
    this.talk.composer.onChange = () => this.drawSuggest();
  }

  open(id) {
    const { count } = unreadIn(id);
    state.here = id;
    this.threads.hidden = !agentOf(id);
    const channel = state.channels.get(id);
    const title = titleOf(id);
    fill(
      byId("channel-title"),
      channel.is_im ? avatar(otherSide(channel), "s") : icon("hash", 20),
      h("span", { text: title }),
    );
    setText(
      byId("channel-topic"),
      channel.topic || (channel.is_im ? "Direct message" : `${channel.members?.length || 0} members`),
    );
    this.talk.aim(id, "", `Message ${channel.is_im ? "" : "#"}${title}`);
    this.talk.timeline.open(
      () => logOf(id).main,
      (ts) => messageOf(id, ts),
      count ? lastRead(id) || "0" : "",
    );
    this.drawSuggest();
    this.seen();
  }

  changed(set) {
    const { timeline } = this.talk;
    this.threads.hidden = !agentOf(state.here);
    if (!document.hasFocus() && !timeline.newAfter && unreadIn(state.here).count)
      timeline.newAfter = lastRead(state.here) || "0";
    timeline.sync(set);
    this.drawSuggest();
    this.seen();
  }

  seen() {
    if (state.here && this.talk.timeline.pinned && document.hasFocus()) markRead(state.here);
  }

  intro() {
    const channel = state.channels.get(state.here);
    if (!channel) return [];
    const title = titleOf(channel.id);
    const bot = theBot();
    const withBot = channel.is_im && otherSide(channel) === bot?.bot_user_id;
    const botHandle = bot ? `@${state.users.get(bot.bot_user_id)?.name}` : "the bot";
    const words = channel.is_im
      ? withBot
        ? `Only you and ${title} are here, so no mention is needed: everything you write is for the bot.`
        : `A conversation between you and ${title}.`
      : `The conversation starts here. Mention ${botHandle} and it answers in a thread.`;
    const face = channel.is_im ? avatar(otherSide(channel), "l") : h("span", { class: "intro-tile" }, icon("hash", 30));
    return h(
      "div",
      { class: "intro" },
      face,
      h("p", { class: "intro-title", text: channel.is_im ? title : `Welcome to #${title}` }),
      h("p", { class: "intro-words", text: words }),
    );
  }

  /** The seeded prompt, as long as nobody has talked to the bot here: one press writes it into the box. */
  drawSuggest() {
    const { channel, prompt } = state.hints;
    const bot = theBot()?.bot_user_id;
    const asked = logOf(state.here).main.some((ts) => messageOf(state.here, ts)?.text?.includes(`<@${bot}>`));
    const show =
      prompt &&
      channel === state.here &&
      !asked &&
      !this.talk.composer?.area.value &&
      isMember(state.channels.get(channel) || {});
    this.suggest.hidden = !show;
    if (!show || this.suggest.dataset.prompt === prompt) return;
    this.suggest.dataset.prompt = prompt;
    const use = () => {
      this.talk.composer.set(prompt);
      this.talk.composer.focus();
    };
    fill(
      this.suggest,
      h("span", { class: "suggest-label", text: "Say hello to the bot" }),
      h(
        "button",
        { type: "button", class: "suggest-chip", "aria-label": `Write ${prompt}`, on: { click: use } },
        h("span", { text: prompt }),
        icon("chevron", 14),
      ),
    );
  }
}

export class ThreadView {
  constructor({ drawer, inspect }) {
    this.drawer = drawer;
    on("sessions", () => this.drawTitle());
    this.root = "";
    this.channel = "";
    this.talk = new Conversation(byId("thread-scroll"), byId("thread-composer"), {
      label: "Thread",
      inThread: true,
      onThread: () => {},
      inspect,
      intro: () => [],
      onEscape: () => this.drawer.close(),
    });
  }

  get isOpen() {
    return Boolean(this.root) && this.drawer.isOpen;
  }

  /** Open because a person wants it to be. */
  get isTaken() {
    const { area } = this.talk.composer;
    return this.isOpen && !(this.byItself && !area.value && !byId("thread").contains(document.activeElement));
  }

  /** Shows the thread that starts at `ts`; with `focus` the reply box gets the focus. */
  /** A session has a name of its own once its agent gave it one. */
  drawTitle() {
    setText(byId("thread-title"), sessionOf(this.channel, this.root)?.title || "Thread");
  }

  open(channel, ts, focus = true) {
    const same = this.channel === channel && this.root === ts && this.drawer.isOpen;
    Object.assign(this, { channel, root: ts, byItself: false });
    this.drawTitle();
    const title = titleOf(channel);
    setText(byId("thread-topic"), state.channels.get(channel)?.is_im ? `with ${title}` : `#${title}`);
    if (!same) {
      const whose = userName(messageOf(channel, ts)?.user);
      this.talk.aim(channel, ts, whose ? `Reply to ${whose}'s thread` : "Reply in thread");
      this.talk.composer.area.placeholder = "Reply…";
      this.talk.timeline.open(
        () => this.order(),
        (one) => messageOf(channel, one),
      );
    }
    this.drawer.open(focus ? this.talk.composer.area : null);
    if (this.talk.timeline.pinned) this.talk.timeline.stick();
  }

  order() {
    const log = logOf(this.channel);
    const replies = log.replies(this.root);
    return log.byTs.has(this.root) ? [this.root, ...replies] : replies;
  }

  changed(channel, set) {
    if (channel === this.channel && this.isOpen) this.talk.timeline.sync(set);
  }

  close() {
    this.drawer.close();
  }

  forget() {
    this.root = "";
  }
}
