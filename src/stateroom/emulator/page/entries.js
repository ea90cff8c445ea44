// What went over the wire, as entries of one list: an event with its attempts, a Web API call, an interaction with what
// the app said. Pure: from the server's records to values.
import { later } from "./time.js";

const spaced = (word) => String(word).replace("http_", "").replaceAll("_", " ");

function events(deliveries) {
  const byId = new Map();
  for (const one of deliveries) {
    const key = `${one.event_id} ${one.app_id || ""}`;
    byId.set(key, [...(byId.get(key) || []), one]);
  }
  return [...byId].map(([key, attempts]) => {
    const last = attempts.at(-1);
    return {
      key: `event ${key}`,
      kind: "event",
      name: last.subtype ? `${last.type} · ${last.subtype}` : last.type,
      at: later(attempts[0].at),
      ms: last.ms,
      good: !last.reason,
      result: last.reason ? spaced(last.reason) : String(last.status ?? "acked"),
      status: last.status,
      app: last.app_id,
      note: attempts.length > 1 ? `#${last.attempt}` : "",
      transport: last.transport || "http",
      place: last.ts && { channel: last.channel, ts: last.ts },
      event_id: last.event_id,
      attempts,
    };
  });
}

const call = (one) => ({
  key: `call ${one.at} ${one.method}`,
  kind: "call",
  name: one.method,
  at: later(one.at),
  ms: one.ms,
  good: one.ok !== false,
  result: one.ok === false ? spaced(one.error || "error") : "ok",
  status: one.status,
  app: one.app,
  note: one.fault ? `fault: ${one.fault}` : "",
  place: placeOf(one),
  request: one.args,
  answer: one.answer ?? { ok: one.ok, ...(one.error && { error: one.error }), ...(one.retry_after && { retry_after: one.retry_after }) },
});

function placeOf({ args = {}, answer = {} }) {
  const channel = answer?.channel?.id || (typeof answer?.channel === "string" && answer.channel) || args.channel || args.channel_id;
  const ts = answer?.ts || answer?.message_ts || args.ts || args.timestamp || args.thread_ts;
  return channel && ts ? { channel, ts: String(ts) } : null;
}

const interaction = (one) => {
  const { payload = {} } = one;
  const { container = {} } = payload;
  const channel = payload.channel?.id || payload.channel_id || container.channel_id;
  const ts = payload.message?.ts || container.message_ts || payload.message_ts;
  return {
    key: `interaction ${one.id}`,
    kind: "interaction",
    name: one.name && one.name !== one.kind ? `${one.kind} · ${one.name}` : one.kind,
    at: later(one.at),
    ms: one.ms,
    good: !one.error,
    result: one.error ? spaced(one.error) : String(one.status ?? "acked"),
    status: one.status,
    app: one.app_id,
    note: "",
    transport: one.transport,
    place: channel && ts ? { channel, ts } : null,
    user: one.user,
    request: payload,
    answer: one.answer,
  };
};

/** All of it, newest first. */
export function entriesOf({ deliveries, calls, interactions }) {
  const all = [...events(deliveries), ...calls.map(call), ...interactions.map(interaction)];
  return all.sort((a, b) => b.at - a.at);
}

export const WAYS = {
  event: { word: "Event to the app", tone: "to-bot", icon: "out" },
  interaction: { word: "Interaction to the app", tone: "to-bot", icon: "bolt" },
  call: { word: "Call from the app", tone: "from-bot", icon: "back" },
};

/** `filter`: all, event, call, interaction or failed; `query` is looked for in everything; `place` is one message. */
export function matching(entries, { filter, query, place }) {
  const wanted = query.toLowerCase();
  return entries.filter(
    (one) =>
      (filter === "all" || (filter === "failed" ? !one.good : one.kind === filter)) &&
      (!place || (one.place?.channel === place.channel && touches(one, place.ts))) &&
      (!wanted || textOf(one).includes(wanted)),
  );
}

const touches = (one, ts) => one.place.ts === ts || one.request?.thread_ts === ts || one.request?.ts === ts;

function textOf(one) {
  const { attempts, request, answer, ...facts } = one;
  return JSON.stringify([facts, request, answer]).toLowerCase();
}
