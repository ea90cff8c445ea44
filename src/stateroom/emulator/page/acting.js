// Doing something that an app must answer: the control that was used is busy meanwhile, and what went wrong is said where
// it was done, with the next step. Nothing fails in silence.
import { api } from "./api.js";
import { clear, raise } from "./problems.js";
import { state } from "./store.js";

const WORDS = {
  app_offline: "The app is offline.",
  no_ack: "The app did not acknowledge it within 3 seconds.",
  http_error: "The app answered with an error.",
  unknown_command: "No app here knows that command.",
  not_subscribed: "The app does not take this.",
  app_not_installed: "The app is not installed in this workspace.",
};

/** A server's `{ok: false, error, detail}` as a problem. */
export const problemOf = (answer, what = "") => ({
  tone: "error",
  text: `${what}${what && " "}${WORDS[answer.error] || answer.detail || answer.error}`,
  next: WORDS[answer.error] ? sentenceCase(answer.detail || "") : "",
});

const sentenceCase = (text) => (text ? text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".") : "");

export function busy(control, on) {
  if (!control) return;
  if (on) control.setAttribute("aria-busy", "true");
  else control.removeAttribute("aria-busy");
}

/**
 * Sends an action for the acting person. Returns the server's answer, or null when it failed; then the problem stands at
 * `place`, with a way to try again.
 */
export async function perform(place, key, action, { what = "", control, again } = {}) {
  if (control?.getAttribute("aria-busy") === "true") return null;
  busy(control, true);
  try {
    const answer = await api.act({ team: state.team, user: state.me, ...action });
    if (answer.ok !== false) {
      clear(place, key);
      return answer;
    }
    const retry = again || (() => perform(place, key, action, { what, control }));
    raise(place, key, { ...problemOf(answer, what), actions: [{ label: "Try again", run: retry }] });
  } catch (error) {
    raise(place, key, {
      tone: "error",
      text: `${what}${what && ": "}${error.message}`,
      actions: error.retryable ? [{ label: "Try again", run: () => perform(place, key, action, { what, control }) }] : [],
    });
  } finally {
    busy(control, false);
  }
  return null;
}

/** What elements ask of a place with blocks: a message (`{channel, ts}`) or a view (`{view_id}`). */
export function blockContext(at, place, names, values = () => ({})) {
  return {
    names,
    press: (block, item, part, control) =>
      perform(
        place,
        `press ${block.block_id} ${item.action_id}`,
        { kind: "press", ...at, block_id: block.block_id, action_id: item.action_id, ...pressed(item, part), values: values() },
        { control },
      ),
    suggest: async (block, item, value) => {
      const asked = { kind: "suggest", team: state.team, user: state.me, ...at, block_id: block.block_id, action_id: item.action_id, value };
      const answer = await api.act(asked);
      if (answer.ok === false) throw new Error(`${WORDS[answer.error] || answer.error} ${answer.detail || ""}`);
      return answer.option_groups?.length ? answer.option_groups : answer.options || [];
    },
  };
}

const BUTTONS = new Set(["button", "icon_button", "feedback_buttons"]);
const pressed = (item, part) => (BUTTONS.has(item.type) ? { value: part.value } : { selected: part });
