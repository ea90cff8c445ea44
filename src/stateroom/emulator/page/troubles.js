// Watches for what went wrong outside of a person's own click, and says it where it matters: an event that no bot
// acknowledged under its message, a bot that is away and a lost connection above the message box.
import { on } from "./bus.js";
import { clear, msgPlace, raise } from "./problems.js";
import { state, theBot } from "./store.js";

const WHY = {
  http_timeout: "The bot did not acknowledge this within 3 seconds",
  connection_failed: "The bot could not be reached: nothing listens at its address",
  http_error: "The bot refused the event",
  ssl_error: "The bot's address has a broken certificate",
  too_many_redirects: "The bot's address redirects too often",
};
const NEXT = [
  "It is sent again at once.",
  "It is sent again in a minute.",
  "It is sent once more in five minutes.",
  "Slack gives up here. Look at the bot's log, then use “Deliver this message again”.",
];

const failing = new Map();
const judged = new WeakSet();

/** Notes each delivery of a message: the problem stands while any of its events is not taken. */
function judge(delivery) {
  if (!delivery.ts || !["message", "app_mention"].includes(delivery.type)) return;
  const place = msgPlace(delivery.channel, delivery.ts);
  const open = failing.get(place) || new Map();
  if (delivery.reason) open.set(delivery.event_id, delivery);
  else open.delete(delivery.event_id);
  failing.set(place, open);
  const worst = [...open.values()].sort((a, b) => b.attempt - a.attempt)[0];
  if (!worst) {
    clear(place, "delivery");
    return;
  }
  const status = worst.reason === "http_error" ? ` (HTTP ${worst.status})` : "";
  raise(place, "delivery", {
    tone: "warn",
    text: `${WHY[worst.reason] || "The event did not arrive"}${status}, attempt ${worst.attempt}.`,
    next: NEXT[Math.min(worst.attempt, NEXT.length) - 1],
  });
}

function bot() {
  const one = theBot();
  if (state.conn === "lost" || !one || one.online !== false || one.restarting) return clear("page", "bot");
  const next = state.caps.crash
    ? "Its supervisor starts it again. Write on: messages are kept and sent when it is back."
    : "Start it again. Write on: messages are kept, and sent on Slack's schedule.";
  raise("page", "bot", { tone: "warn", sticky: true, text: `${one.name} is offline.`, next });
  return true;
}

function nobody() {
  const one = theBot();
  if (!one || one.online !== null) return clear("page", "nobody");
  raise("page", "nobody", {
    tone: "info",
    text: "No bot listens to this workspace yet.",
    next: "Start one with `stateroom serve`, or everything at once with `stateroom dev`.",
  });
  return true;
}

export function watchTroubles({ retryConnection }) {
  on("traffic", () => {
    for (const one of state.deliveries.filter((item) => !judged.has(item))) {
      judged.add(one);
      judge(one);
    }
  });
  for (const topic of ["bot", "loaded", "conn"]) {
    on(topic, bot);
    on(topic, nobody);
  }
  on("conn", () => {
    if (state.conn !== "lost") return clear("page", "conn");
    raise("page", "conn", {
      tone: "error",
      sticky: true,
      text: "The connection to the local Slack is lost.",
      next: "Trying again by itself. What you write is kept here.",
      actions: [{ label: "Try now", run: retryConnection }],
    });
    return true;
  });
}
