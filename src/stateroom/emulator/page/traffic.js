// A compact list of what goes over the wire: events to the bot with what came back, and the bot's Web API calls.
import { on } from "./bus.js";
import { h, fill, icon } from "./dom.js";
import { state } from "./store.js";
import { exactTime, later, span } from "./time.js";

const SHOWN = 60;

export class Traffic {
  constructor() {
    this.summary = h("span", { class: "fold-note" });
    this.body = h("tbody");
    this.none = h("p", {
      class: "empty-note",
      text: "Nothing yet. Each event to the bot and each call it makes appears here.",
    });
    const head = h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col", text: "What" }),
        h("th", { scope: "col", text: "Result" }),
        h("th", { scope: "col", text: "Took" }),
      ),
    );
    this.table = h(
      "table",
      { class: "traffic" },
      h("caption", { class: "visually-hidden", text: "Newest first" }),
      head,
      this.body,
    );
    this.el = h(
      "details",
      { class: "panel-section fold", on: { toggle: () => this.draw() } },
      h("summary", {}, h("h3", { text: "Traffic" }), this.summary, icon("chevron", 14)),
      this.none,
      h("div", { class: "traffic-wrap" }, this.table),
    );
    for (const topic of ["loaded", "traffic", "reset"]) on(topic, () => this.draw());
  }

  draw() {
    const total = state.deliveries.length + state.calls.length;
    this.summary.textContent = total ? `${total} so far` : "quiet";
    if (!this.el.open) return;
    const rows = [...state.deliveries.map(delivery), ...state.calls.map(call)]
      .sort((a, b) => b.at - a.at)
      .slice(0, SHOWN);
    this.none.hidden = rows.length > 0;
    this.table.hidden = !rows.length;
    fill(this.body, rows.map(rowNode));
  }
}

const delivery = (one) => ({
  at: later(one.at),
  out: true,
  name: one.subtype ? `${one.type} · ${one.subtype}` : one.type,
  note: `${one.event_id} attempt ${one.attempt}`,
  again: one.attempt > 1 ? `#${one.attempt}` : "",
  good: !one.reason,
  result: one.reason ? one.reason.replace("http_", "").replaceAll("_", " ") : String(one.status),
  ms: one.ms,
});

const call = (one) => ({
  at: later(one.at),
  out: false,
  name: one.method,
  note: one.app || "",
  again: "",
  good: one.ok !== false,
  result: one.ok === false ? String(one.error || "error").replaceAll("_", " ") : "ok",
  ms: one.ms,
});

function rowNode(row) {
  const direction = row.out ? "Event to the bot" : "Call from the bot";
  return h(
    "tr",
    { title: `${direction}, ${exactTime(row.at)}${row.note ? `, ${row.note}` : ""}` },
    h(
      "td",
      {},
      h(
        "div",
        { class: "traffic-what" },
        h("span", { class: row.out ? "to-bot" : "from-bot" }, icon(row.out ? "out" : "back", 13)),
        h("span", { class: "visually-hidden", text: `${direction}: ` }),
        h("span", { class: "traffic-name" }, breakable(row.name)),
        row.again && h("span", { class: "traffic-again", text: row.again }),
      ),
    ),
    h("td", {}, h("span", { class: `chip ${row.good ? "is-good" : "is-bad"}`, text: row.result })),
    h("td", { class: "traffic-ms", text: row.ms === undefined ? "" : span(row.ms) }),
  );
}

// A method's name may break after its dots, and nowhere else.
const breakable = (name) => name.split(/(?<=\.)/).flatMap((part, i) => (i ? [h("wbr"), part] : [part]));
