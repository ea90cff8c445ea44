// The fault drawer: make Slack misbehave on purpose, see which faults are set, clear them.
import { api } from "./api.js";
import { on } from "./bus.js";
import { h, fill, icon } from "./dom.js";
import { clear, problemNode, problemsAt, raise } from "./problems.js";
import { state } from "./store.js";

const METHODS = [
  "chat.startStream",
  "chat.appendStream",
  "chat.stopStream",
  "chat.postMessage",
  "chat.update",
  "assistant.threads.setStatus",
  "conversations.replies",
  "auth.test",
  "chat.*",
  "*",
];
const EVENTS = ["message", "app_mention", "*"];

// What each kind does, to what, and the one number or word it needs (`field`, its label, its first value).
const KINDS = {
  throttle: { on: "method", says: "429 with Retry-After", field: ["retry_after", "Retry after, s", 2] },
  error: { on: "method", says: "ok: false with an error code", field: ["code", "Error code", "internal_error"] },
  timeout: { on: "method", says: "no answer until the caller gives up", field: ["seconds", "Hang for, s", 10] },
  delay: { on: "both", says: "late by some seconds", field: ["seconds", "Late by, s", 3] },
  drop_ack: { on: "event", says: "the bot's answer is lost, Slack sends again" },
  duplicate: { on: "event", says: "the same event arrives twice" },
};

export class Faults {
  constructor() {
    this.summary = h("span", { class: "fold-note" });
    this.list = h("ul", { class: "fault-list" });
    this.extra = h("div", { class: "field" });
    this.problems = h("div");
    this.kind = h(
      "select",
      { id: "fault-kind", on: { change: () => this.shape() } },
      Object.entries(KINDS).map(([name]) => h("option", { value: name, text: name.replace("_", " ") })),
    );
    this.target = h("select", { id: "fault-target" });
    this.count = h("input", { id: "fault-count", type: "number", min: 1, max: 999, value: "1", inputmode: "numeric" });
    this.says = h("p", { class: "fault-says", id: "fault-says" });
    const form = h(
      "form",
      { class: "fault-form", "aria-describedby": "fault-says", on: { submit: (event) => this.submit(event) } },
      field("fault-kind", "Fault", this.kind),
      field("fault-count", "Times", this.count),
      field("fault-target", "Of", this.target),
      this.extra,
      this.says,
      h("button", { type: "submit", class: "button button-primary" }, "Set the fault"),
    );
    this.clearAll = h("button", {
      type: "button",
      class: "link-button",
      text: "Clear all",
      on: { click: () => this.attempt(() => api.clearFaults()) },
    });
    this.el = h(
      "details",
      { class: "panel-section fold" },
      h("summary", {}, h("h3", { text: "Faults" }), this.summary, icon("chevron", 14)),
      form,
      this.problems,
      this.list,
      this.clearAll,
    );
    this.shape();
    for (const topic of ["loaded", "faults"]) on(topic, () => this.draw());
    on(
      "problems",
      (place) =>
        place === "faults" &&
        fill(
          this.problems,
          problemsAt("faults").map((one) => problemNode("faults", one)),
        ),
    );
  }

  shape() {
    const kind = KINDS[this.kind.value];
    const events =
      kind.on !== "method"
        ? [
            h(
              "optgroup",
              { label: "Events to the bot" },
              EVENTS.map((name) => h("option", { value: `event:${name}`, text: name === "*" ? "every event" : name })),
            ),
          ]
        : [];
    const methods =
      kind.on !== "event"
        ? [
            h(
              "optgroup",
              { label: "Web API methods" },
              METHODS.map((name) =>
                h("option", { value: `method:${name}`, text: name === "*" ? "every method" : name }),
              ),
            ),
          ]
        : [];
    fill(this.target, methods, events);
    this.says.textContent = kind.says[0].toUpperCase() + kind.says.slice(1) + ".";
    this.extra.hidden = !kind.field;
    fill(this.extra);
    if (!kind.field) return;
    const [name, label, value] = kind.field;
    this.value = h("input", {
      id: "fault-value",
      name,
      type: typeof value === "number" ? "number" : "text",
      value: String(value),
      min: 0,
      step: "any",
    });
    fill(this.extra, h("label", { htmlFor: "fault-value", text: label }), this.value);
  }

  submit(event) {
    event.preventDefault();
    const kind = KINDS[this.kind.value];
    const cut = this.target.value.indexOf(":");
    const fault = {
      kind: this.kind.value,
      [this.target.value.slice(0, cut)]: this.target.value.slice(cut + 1),
      count: Math.max(1, parseInt(this.count.value, 10) || 1),
    };
    if (kind.field)
      fault[kind.field[0]] =
        typeof kind.field[2] === "number" ? Math.max(0, Number(this.value.value) || 0) : this.value.value.trim();
    if (fault.retry_after !== undefined) fault.retry_after = Math.round(fault.retry_after);
    this.attempt(() => api.addFault(fault));
  }

  async attempt(call) {
    try {
      await call();
      clear("faults", "set");
    } catch (error) {
      raise("faults", "set", { tone: "error", text: `The fault was not changed: ${error.message}` });
    }
  }

  draw() {
    const { faults } = state;
    this.summary.textContent = faults.length ? `${faults.length} set` : "none";
    this.summary.classList.toggle("is-hot", faults.length > 0);
    this.clearAll.hidden = faults.length < 2;
    fill(
      this.list,
      faults.map((fault) => this.row(fault)),
    );
  }

  row(fault) {
    const what = fault.method ?? fault.event;
    const left = fault.left ?? fault.count;
    const label = `${fault.kind.replace("_", " ")} ${what === "*" ? (fault.method ? "every method" : "every event") : what}`;
    return h(
      "li",
      {},
      h("span", { class: "fault-what", text: label }),
      h("span", { class: "fault-left", text: left ? `${left} left` : "until cleared" }),
      h("button", {
        type: "button",
        class: "link-button",
        "aria-label": `Clear ${label}`,
        on: { click: () => this.attempt(() => api.clearFault(fault.id)) },
        text: "Clear",
      }),
    );
  }
}

const field = (id, label, control) => h("div", { class: "field" }, h("label", { htmlFor: id, text: label }), control);
