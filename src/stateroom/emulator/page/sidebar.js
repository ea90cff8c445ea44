// Channels, direct messages, and who you are acting as.
import { avatar } from "./avatar.js";
import { on, emit } from "./bus.js";
import { h, fill, icon } from "./dom.js";
import { remember } from "./prefs.js";
import { unreadIn } from "./reading.js";
import { isMember, otherSide, people, state, theBot, titleOf } from "./store.js";

export class Sidebar {
  constructor(el, { open, search }) {
    Object.assign(this, { el, open, search });
    this.lists = h("div", { class: "side-lists" });
    this.who = h("div", { class: "side-who" });
    const jump = h(
      "button",
      { type: "button", class: "side-search", on: { click: search } },
      icon("search", 16),
      h("span", { text: "Jump to…" }),
      h("kbd", { text: "Ctrl K" }),
    );
    el.append(jump, this.lists, this.who);
    for (const topic of ["loaded", "read", "messages", "bot", "me"]) on(topic, () => this.draw());
    el.addEventListener("keydown", (event) => this.onKey(event));
  }

  visible() {
    const all = [...state.channels.values()];
    const byTitle = (a, b) => titleOf(a.id).localeCompare(titleOf(b.id));
    return {
      rooms: all.filter((one) => !one.is_im).sort(byTitle),
      dms: all.filter((one) => one.is_im && isMember(one)).sort(byTitle),
    };
  }

  draw() {
    const focused = document.activeElement?.closest?.("[data-channel]")?.dataset.channel;
    const inside = this.el.contains(document.activeElement);
    const { rooms, dms } = this.visible();
    fill(
      this.lists,
      this.section("Channels", rooms),
      this.section("Direct messages", dms, `${state.users.get(state.me)?.real_name || "This person"} has none.`),
    );
    this.drawWho();
    if (inside && focused)
      this.lists.querySelector(`[data-channel="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  section(title, list, none = "None yet.") {
    const id = `side-${title[0].toLowerCase()}`;
    return h(
      "section",
      { "aria-labelledby": id },
      h("h2", { id, class: "side-title", text: title }),
      list.length
        ? h(
            "ul",
            { class: "side-list" },
            list.map((one) => h("li", {}, this.entry(one))),
          )
        : h("p", { class: "side-none", text: none }),
    );
  }

  entry(channel) {
    const { count, mentions } = unreadIn(channel.id);
    const here = channel.id === state.here;
    const title = titleOf(channel.id);
    const badge = channel.is_im ? count : mentions;
    const label = `${title}${count ? `, ${count} unread` : ""}`;
    return h(
      "button",
      {
        type: "button",
        class: `side-entry${count ? " is-unread" : ""}`,
        "aria-current": here ? "page" : null,
        "aria-label": label,
        data: { channel: channel.id },
        on: { click: () => this.open(channel.id) },
      },
      channel.is_im
        ? h("span", { class: "side-face" }, avatar(otherSide(channel), "s"), this.presence(otherSide(channel)))
        : icon("hash", 16),
      h("span", { class: "side-name", text: title }),
      badge > 0 && h("span", { class: "badge", text: badge }),
    );
  }

  // Presence only where something is known: whether the bot's address takes connections.
  presence(id) {
    const bot = theBot();
    if (!bot || bot.bot_user_id !== id || typeof bot.online !== "boolean") return null;
    return h("span", { class: `presence ${bot.online ? "is-on" : "is-off"}` });
  }

  drawWho() {
    const list = people();
    const choose = h(
      "select",
      { id: "act-as", on: { change: (event) => this.become(event.target.value) } },
      list.map((user) => h("option", { value: user.id, text: user.real_name || user.name })),
    );
    choose.value = state.me;
    if (this.who.contains(document.activeElement)) requestAnimationFrame(() => choose.focus());
    fill(
      this.who,
      avatar(state.me, "m"),
      h("div", { class: "who-text" }, h("label", { htmlFor: "act-as", text: "Acting as" }), choose),
    );
  }

  become(id) {
    state.me = id;
    remember("me", id);
    emit("me");
  }

  onKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const entries = [...this.lists.querySelectorAll("button")];
    const at = entries.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    entries[Math.max(0, Math.min(entries.length - 1, at + step))].focus();
  }
}
