// Channels, direct messages, and who you are acting as.
import { avatar } from "./avatar.js";
import { on, emit } from "./bus.js";
import { h, fill, icon, iconButton, setText } from "./dom.js";
import { remember } from "./prefs.js";
import { unreadIn } from "./reading.js";
import { appLine, appOfBot, isMember, otherSide, people, state, titleOf } from "./store.js";

export class Sidebar {
  constructor(el, { open, search, workspaces, people, apps }) {
    Object.assign(this, { el, open, search, people });
    this.team = h("span", { class: "team-name" });
    const teamButton = h(
      "button",
      { type: "button", class: "team-button", "aria-haspopup": "listbox", on: { click: (event) => workspaces(event.currentTarget) } },
      this.team,
      icon("fold", 15),
    );
    const appsButton = h("button", { type: "button", class: "side-entry", on: { click: apps } }, icon("plug", 16), h("span", { class: "side-name", text: "Apps" }));
    this.lists = h("div", { class: "side-lists" });
    this.who = h("div", { class: "side-who" });
    const jump = h(
      "button",
      { type: "button", class: "side-search", on: { click: search } },
      icon("search", 16),
      h("span", { text: "Jump to…" }),
      h("kbd", { text: "Ctrl K" }),
    );
    this.appsButton = appsButton;
    el.append(teamButton, jump, this.lists, this.who);
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
    setText(this.team, state.teams.find((one) => one.id === state.team)?.name || "Local workspace");
    fill(
      this.lists,
      this.section("Channels", rooms),
      this.section(
        "Direct messages",
        dms,
        `${state.users.get(state.me)?.real_name || "This person"} has none.`,
        iconButton("plus", "Write to somebody", (event) => this.people(event.currentTarget)),
      ),
      h("div", { class: "side-apps" }, this.appsButton),
    );
    this.drawWho();
    if (inside && focused)
      this.lists.querySelector(`[data-channel="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  section(title, list, none = "None yet.", tool = null) {
    const id = `side-${title[0].toLowerCase()}`;
    return h(
      "section",
      { "aria-labelledby": id },
      h("div", { class: "side-head" }, h("h2", { id, class: "side-title", text: title }), tool),
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
    const label = title + (count ? `, ${count} unread` : "");
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
    const line = appLine(appOfBot(id));
    if (typeof line.online !== "boolean") return null;
    return h("span", { class: `presence ${line.online ? "is-on" : "is-off"}` });
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
