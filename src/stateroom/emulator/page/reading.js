// What each person has read: the last ts per channel, kept in the browser. Unread is what others said after it.
import { emit } from "./bus.js";
import { recall, remember } from "./prefs.js";
import { logOf, state } from "./store.js";

const keyOf = () => `read.${state.team}.${state.me}`;

export function lastRead(channel) {
  return (recall(keyOf(), {}) || {})[channel] || "";
}

export function markRead(channel) {
  const newest = logOf(channel).main.at(-1);
  if (!newest || newest <= lastRead(channel)) return;
  remember(keyOf(), { ...recall(keyOf(), {}), [channel]: newest });
  emit("read", channel);
}

/** On the first visit everything is old news. */
export function firstVisit() {
  if (recall(keyOf())) return;
  const newest = [...state.channels.keys()].map((id) => [id, logOf(id).main.at(-1)]).filter(([, ts]) => ts);
  remember(keyOf(), { "": "0", ...Object.fromEntries(newest) });
}

export function unreadIn(channel) {
  const after = lastRead(channel);
  const log = logOf(channel);
  let [count, mentions] = [0, 0];
  for (let i = log.main.length - 1; i >= 0 && log.main[i] > after; i--) {
    const message = log.byTs.get(log.main[i]);
    if (!message || message.user === state.me || message.deleted) continue;
    count += 1;
    if (message.text?.includes(`<@${state.me}>`)) mentions += 1;
  }
  return { count, mentions };
}
