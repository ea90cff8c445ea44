// The inspector, docked below the conversation: events, calls and interactions with what was asked, what came back, its
// status and how long it took. Filter, search, copy, from here to the message and from a message to here.
import { api } from "./api.js";
import { on } from "./bus.js";
import { byId, fill, h, icon, iconButton } from "./dom.js";
import { entriesOf, matching, WAYS } from "./entries.js";
import { state, userName } from "./store.js";
import { exactTime, span } from "./time.js";

const SHOWN = 200;
const FILTERS = { all: "All", event: "Events", call: "API calls", interaction: "Interactions", failed: "Failed" };

export class Inspector {
  /** `reveal(channel, ts)` goes to a message; `onClose()`. */
  constructor(el, { reveal, onClose }) {
    Object.assign(this, { el, reveal, filter: "all", query: "", place: null, chosen: "", rows: new Map(), events: new Map() });
    this.filters = h("div", { class: "dock-filters", role: "group", "aria-label": "Show" });
    this.search = h("input", { type: "search", placeholder: "Search names, ids, payloads", "aria-label": "Search the traffic", on: { input: () => this.look() } });
    this.only = h("div", { class: "dock-only", hidden: true });
    this.list = h("ul", { class: "dock-list", role: "listbox", "aria-label": "Traffic, newest first", tabIndex: 0, on: { keydown: (event) => this.onKey(event) } });
    this.detail = h("section", { class: "dock-detail", "aria-label": "Details", tabIndex: 0 });
    fill(
      el,
      h(
        "header",
        { class: "dock-head" },
        h("h2", { id: "dock-title", text: "Inspector" }),
        this.filters,
        this.search,
        iconButton("close", "Close the inspector", onClose),
      ),
      this.only,
      h("div", { class: "dock-body" }, this.list, this.detail),
    );
    this.list.addEventListener("click", (event) => this.choose(event.target.closest("[role=option]")?.dataset.key));
    for (const topic of ["loaded", "traffic", "reset"]) on(topic, () => this.draw());
    this.drawFilters();
  }

  get isOpen() {
    return this.el.classList.contains("is-open");
  }

  /** Shows what one message caused, and was caused by. */
  showFor(place) {
    this.place = place;
    this.filter = "all";
    this.drawFilters();
    this.draw();
    this.choose(this.shown[0]?.key);
  }

  look() {
    this.query = this.search.value.trim();
    this.draw();
  }

  drawFilters() {
    fill(
      this.filters,
      Object.entries(FILTERS).map(([name, label]) =>
        h("button", {
          type: "button",
          class: "dock-filter",
          "aria-pressed": String(this.filter === name),
          text: label,
          on: { click: () => this.pick(name) },
        }),
      ),
    );
    this.only.hidden = !this.place;
    fill(
      this.only,
      "Only what belongs to one message. ",
      h("button", { type: "button", class: "link-button", text: "Show all", on: { click: () => this.showAll() } }),
    );
  }

  pick(name) {
    this.filter = name;
    const at = [...this.filters.children].indexOf(document.activeElement);
    this.drawFilters();
    this.filters.children[at]?.focus();
    this.draw();
  }

  showAll() {
    this.place = null;
    this.drawFilters();
    this.draw();
    this.list.focus();
  }

  draw() {
    if (!this.isOpen) return;
    this.shown = matching(entriesOf(state), this).slice(0, SHOWN);
    const none = this.query || this.place || this.filter !== "all" ? "Nothing of that kind so far." : "Nothing yet. Each event to an app, each call it makes and each press appears here.";
    fill(this.list, this.shown.length ? this.shown.map((one) => this.row(one)) : h("li", { class: "dock-none", text: none }));
    const chosen = this.shown.find((one) => one.key === this.chosen);
    const mark = chosen && JSON.stringify([chosen.key, chosen.result, chosen.attempts?.length]);
    if (mark !== this.drawn || !chosen) this.drawDetail(chosen);
    this.drawn = mark;
  }

  row(one) {
    const way = WAYS[one.kind];
    const picked = one.key === this.chosen;
    return h(
      "li",
      { role: "option", id: picked ? "dock-picked" : null, "aria-selected": String(picked), data: { key: one.key }, class: "dock-row" },
      h("span", { class: way.tone, title: way.word }, icon(way.icon, 14), h("span", { class: "visually-hidden", text: `${way.word}: ` })),
      h("span", { class: "dock-name", text: one.name }),
      one.note && h("span", { class: "dock-note", text: one.note }),
      h("span", { class: `chip ${one.good ? "is-good" : "is-bad"}`, text: one.result }),
      h("span", { class: "dock-ms", text: one.ms === undefined || one.ms === null ? "" : span(one.ms) }),
      h("time", { class: "dock-at", text: exactTime(one.at) }),
    );
  }

  choose(key) {
    if (!key) return;
    this.chosen = key;
    this.draw();
    this.list.setAttribute("aria-activedescendant", "dock-picked");
    byId("dock-picked")?.scrollIntoView({ block: "nearest" });
  }

  onKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter") this.jump();
    if (!step || !this.shown.length) return;
    event.preventDefault();
    const at = this.shown.findIndex((one) => one.key === this.chosen);
    this.choose(this.shown[Math.max(0, Math.min(this.shown.length - 1, at + step))].key);
  }

  jump() {
    const one = this.shown.find((item) => item.key === this.chosen);
    if (one?.place) this.reveal(one.place.channel, one.place.ts);
  }

  drawDetail(one) {
    if (!one) {
      fill(this.detail, h("p", { class: "empty-note", text: "Choose a line to see what was asked and what came back." }));
      return;
    }
    const facts = [
      WAYS[one.kind].word,
      state.apps.get(one.app)?.name || one.app,
      one.user && `by ${userName(one.user) || one.user}`,
      one.transport === "socket" && "over a socket",
      exactTime(one.at),
    ].filter(Boolean);
    const known = one.place && state.channels.has(one.place.channel);
    fill(
      this.detail,
      h(
        "div",
        { class: "dock-facts" },
        h("h3", { text: one.name }),
        h("p", { class: "pane-topic", text: facts.join(" · ") }),
        known && h("button", { type: "button", class: "button button-small", on: { click: () => this.jump() } }, icon("thread", 14), "Go to the message"),
      ),
      one.attempts ? attempts(one) : null,
      one.kind === "event" ? this.envelope(one) : json(one.kind === "call" ? "Arguments" : "Payload", one.request),
      one.kind !== "event" && json(one.kind === "call" ? "Answer" : "What the app answered", one.answer ?? (one.good ? "Acknowledged without a body." : one.result)),
    );
  }

  // The server keeps the bodies of the last events; each is asked for when somebody looks.
  envelope(one) {
    const place = h("div");
    const held = this.events.get(one.event_id);
    if (held) fill(place, json("Event", held));
    else
      api
        .event(one.event_id)
        .then((found) => {
          this.events.set(one.event_id, found.envelope);
          fill(place, json("Event", found.envelope));
        })
        .catch((error) => fill(place, h("p", { class: "empty-note", text: error.message })));
    return place;
  }
}

function attempts(one) {
  const row = (item) =>
    h(
      "tr",
      {},
      h("td", { text: `#${item.attempt}` }),
      h("td", {}, h("span", { class: `chip ${item.reason ? "is-bad" : "is-good"}`, text: outcome(item) })),
      h("td", { class: "dock-ms", text: span(item.ms ?? 0) }),
    );
  return h("table", { class: "dock-attempts" }, h("caption", { class: "dock-label", text: "Attempts and their acknowledgement" }), h("tbody", {}, one.attempts.map(row)));
}

function json(label, value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const copy = h("button", { type: "button", class: "link-button", "aria-label": `Copy: ${label}` }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(copy.parentElement.nextElementSibling);
      copy.textContent = "Selected: press Ctrl+C";
    }
  });
  return [h("p", { class: "dock-label" }, label, " ", copy), h("pre", { tabIndex: 0 }, h("code", { text }))];
}

function outcome({ reason, status }) {
  if (!reason) return `acknowledged, ${status ?? 200}`;
  return reason.replaceAll("_", " ") + (status ? ` (${status})` : "");
}
