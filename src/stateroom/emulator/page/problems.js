// What went wrong, kept where it happened until it is over: a message, the composer, the panel. Never a silent failure,
// never a box that flies away. A problem: {tone: "error"|"warn"|"info", text, next, actions: [{label, run}]}.
import { h, icon, sentence } from "./dom.js";
import { emit } from "./bus.js";

const all = new Map();

/** `place` is `msg:<channel>/<ts>`, `page`, `panel`, ...; the same place and key again replaces the text. */
export function raise(place, key, problem) {
  if (!all.has(place)) all.set(place, new Map());
  const known = all.get(place).get(key);
  if (known && known.text === problem.text && known.next === problem.next) return;
  all.get(place).set(key, problem);
  emit("problems", place);
}

export function clear(place, key) {
  if (!all.get(place)?.delete(key)) return;
  emit("problems", place);
}

export const problemsAt = (place) => [...(all.get(place) || [])].map(([key, problem]) => ({ key, ...problem }));

export const msgPlace = (channel, ts) => `msg:${channel}/${ts}`;

export function problemNode(place, problem) {
  const buttons = (problem.actions || []).map(({ label, run }) =>
    h("button", { type: "button", class: "link-button", on: { click: run }, text: label }),
  );
  const close = h("button", {
    type: "button",
    class: "link-button",
    text: "Dismiss",
    on: { click: () => clear(place, problem.key) },
  });
  return h(
    "div",
    { class: `problem problem-${problem.tone || "error"}`, role: problem.tone === "error" ? "alert" : "status" },
    icon(problem.tone === "info" ? "info" : "alert", 16),
    h(
      "div",
      { class: "problem-text" },
      h("span", {}, sentence(problem.text)),
      problem.next && h("span", { class: "problem-next" }, " ", sentence(problem.next)),
      " ",
      h("span", { class: "problem-actions" }, buttons, !problem.sticky && close),
    ),
  );
}
