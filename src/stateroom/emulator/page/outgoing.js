// What you said and the server has not confirmed. Kept in the browser until it is, so nothing typed is ever lost:
// pending -> (confirmed and gone | failed, with Retry). The same client_msg_id again never posts twice.
import { api } from "./api.js";
import { emit } from "./bus.js";
import { apply, logOf, teamOf } from "./store.js";
import { recall, remember } from "./prefs.js";

const KEY = "outgoing";
const INTERRUPTED = "The page was closed before the local Slack confirmed it. Retry is safe: it posts once.";

let queue = (recall(KEY, []) || []).map((one) =>
  one.state === "pending" ? { ...one, state: "failed", error: INTERRUPTED } : one,
);

/** Unconfirmed messages of one place, oldest first; `thread` is "" for the channel itself. */
export const outgoingOf = (channel, thread) =>
  queue.filter((one) => one.channel === channel && one.thread === (thread || ""));

/** Forgets what the server turned out to have: a confirmation that was lost on the way. */
export function settle() {
  change(queue.filter((one) => !confirmed(one)));
}

function confirmed(one) {
  for (const message of logOf(one.channel).byTs.values()) if (message.client_msg_id === one.id) return true;
  return false;
}

// When each message was said in this tab; by client_msg_id, since the stream may be ahead of the answer to the request.
const said = new Map();

export const saidAt = (id) => said.get(id) ?? 0;
export const forgetSaid = (id) => said.delete(id);

export function say({ channel, thread = "", user, text, files = [] }) {
  const one = { id: crypto.randomUUID(), channel, thread, user, text, files, at: Date.now(), state: "pending", error: "" };
  said.set(one.id, one.at);
  change([...queue, one]);
  return post(one);
}

export function retry(id) {
  const one = queue.find((item) => item.id === id);
  if (!one || one.state === "pending") return null;
  update(id, { state: "pending", error: "" });
  return post(one);
}

export function discard(id) {
  change(queue.filter((one) => one.id !== id));
}

async function post(one) {
  const message = {
    team: teamOf(one.channel),
    channel: one.channel,
    user: one.user,
    text: one.text,
    client_msg_id: one.id,
  };
  if (one.thread) message.thread_ts = one.thread;
  if (one.files?.length) message.files = one.files.map(({ id }) => ({ id }));
  try {
    const { ts, message: shown } = await api.send(message);
    apply([{ type: "message", channel: one.channel, message: logOf(one.channel).byTs.get(ts) || shown }]);
    change(queue.filter((item) => item.id !== one.id));
  } catch (error) {
    update(one.id, { state: "failed", error: error.message });
  }
}

function update(id, facts) {
  change(queue.map((one) => (one.id === id ? { ...one, ...facts } : one)));
}

function change(next) {
  queue = next;
  remember(KEY, queue.length ? queue : null);
  emit("outgoing");
}
