// The turns as they happen: received, claimed, answering, posted, done; or where one failed or was refused, and when.
import { on } from "./bus.js";
import { h, fill, sentence } from "./dom.js";
import { renderText } from "./markup.js";
import { messageOf, names, state, userName } from "./store.js";
import { clockOf, exactTime, later, span } from "./time.js";

const STEPS = ["received", "claimed", "answering", "posted", "done"];
const SHOWN = 12;

export class Turns {
  /** `reveal(channel, ts)` goes to the message that a turn answers. */
  constructor(reveal) {
    this.reveal = reveal;
    this.list = h("ol", { class: "turn-list" });
    this.none = h("p", { class: "empty-note" });
    this.el = h(
      "section",
      { class: "panel-section", "aria-labelledby": "turns-title" },
      h("h3", { id: "turns-title", text: "Turns" }),
      this.none,
      this.list,
    );
    this.items = new Map();
    for (const topic of ["loaded", "turns", "reset"]) on(topic, () => this.draw());
  }

  draw() {
    const newest = [...state.turns.values()].sort((a, b) => (a.ts < b.ts ? 1 : -1)).slice(0, SHOWN);
    this.none.hidden = newest.length > 0;
    fill(
      this.none,
      sentence(
        state.caps.turns
          ? "No turn yet. Write to the bot, and each step of its answer appears here."
          : "Turn states come from the bot's own store: start everything with `stateroom dev` to see them.",
      ),
    );
    const keep = new Set(newest.map((turn) => turn.id));
    for (const [id, item] of this.items) if (!keep.has(id)) this.drop(id, item);
    newest.forEach((turn, i) => {
      const item = this.items.get(turn.id) || this.make(turn.id);
      const key = JSON.stringify([turn.state, turn.attempts, turn.steps.length]);
      if (item.dataset.key !== key) this.fill(item, turn, key);
      if (this.list.children[i] !== item) this.list.insertBefore(item, this.list.children[i] || null);
    });
  }

  make(id) {
    const item = h("li", { class: "turn" });
    this.items.set(id, item);
    return item;
  }

  drop(id, item) {
    item.remove();
    this.items.delete(id);
  }

  fill(item, turn, key) {
    item.dataset.key = key;
    item.className = `turn turn-${turn.state}`;
    const message = messageOf(turn.channel, turn.ts);
    const words = message ? plainWords(message.text) : turn.ts;
    const times = turn.steps.map((step) => `${step.state} ${exactTime(step.at)}`).join("\n");
    const first = turn.steps[0]?.at ?? later(turn.at);
    const took = turn.steps.length > 1 ? span(turn.steps.at(-1).at - first) : clockOf(first);
    fill(
      item,
      h(
        "button",
        {
          type: "button",
          class: "turn-head",
          title: times,
          on: { click: () => this.reveal(turn.channel, turn.thread_ts || turn.ts, turn.ts) },
        },
        h("span", { class: "turn-words", text: words }),
        h("span", { class: "turn-took", text: took }),
      ),
      h(
        "div",
        {
          class: "track",
          role: "img",
          "aria-label": turn.state + (turn.attempts > 1 ? `, attempt ${turn.attempts}` : ""),
        },
        STEPS.map((step) => h("span", { class: `track-step ${reached(turn, step)}`, title: timeOfStep(turn, step) })),
      ),
      h(
        "p",
        { class: "turn-state" },
        h("span", { class: "turn-word", text: turn.state }),
        turn.attempts > 1 && h("span", { class: "turn-attempts", text: `attempt ${turn.attempts}` }),
        message && h("span", { class: "turn-who", text: userName(message.user) }),
      ),
    );
  }
}

function reached(turn, step) {
  const ended = turn.state === "failed" || turn.state === "refused";
  const furthest = Math.max(...turn.steps.map((one) => STEPS.indexOf(one.state)), STEPS.indexOf(turn.state), 0);
  const place = STEPS.indexOf(step);
  if (ended && place === STEPS.length - 1) return "is-bad";
  if (place < furthest || turn.state === "done") return "is-past";
  return place === furthest && !ended ? "is-now" : ended && place <= furthest ? "is-past" : "";
}

function timeOfStep(turn, step) {
  const found = turn.steps.findLast((one) => one.state === step);
  return found ? `${step} ${exactTime(found.at)}` : step;
}

function plainWords(text) {
  return (
    h("div", {}, renderText(text || "", names))
      .textContent.trim()
      .slice(0, 80) || "(no text)"
  );
}
