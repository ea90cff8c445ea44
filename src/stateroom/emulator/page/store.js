// What the page knows: the server's state, brought forward by the stream's events. No DOM here; changes go out on the bus.
// Events are a table by type; each tells which topics changed, and a batch of events tells each topic once.
import { emit } from "./bus.js";
import { later } from "./time.js";
import { toWire } from "./wire.js";

const KEEP = 300;

export const state = empty();

function empty() {
  return {
    me: "",
    team: "",
    teams: [],
    users: new Map(),
    channels: new Map(),
    apps: new Map(),
    logs: new Map(),
    statuses: new Map(),
    faults: [],
    turns: new Map(),
    deliveries: [],
    calls: [],
    interactions: [],
    stack: [],
    homes: new Map(),
    sessions: new Map(),
    stats: null,
    caps: {},
    hints: {},
    conn: "loading",
    bots: new Map(),
    needsReload: false,
  };
}

/** The messages of one channel: by ts, with the order of the main list and of each thread kept sorted. */
class Log {
  constructor() {
    this.byTs = new Map();
    this.main = [];
    this.threads = new Map();
  }

  upsert(message) {
    const known = this.byTs.has(message.ts);
    this.byTs.set(message.ts, message);
    if (known) return;
    const root = message.thread_ts && message.thread_ts !== message.ts ? message.thread_ts : "";
    if (!root || message.subtype === "thread_broadcast") insert(this.main, message.ts);
    if (root) insert(this.replies(root), message.ts);
  }

  remove(ts) {
    const message = this.byTs.get(ts);
    if (!message) return;
    if (this.replies(ts).length) {
      this.byTs.set(ts, { ...message, deleted: true, text: "", blocks: undefined, reactions: [] });
      return;
    }
    this.byTs.delete(ts);
    drop(this.main, ts);
    if (message.thread_ts) drop(this.replies(message.thread_ts), ts);
  }

  replies(root) {
    if (!this.threads.has(root)) this.threads.set(root, []);
    return this.threads.get(root);
  }
}

// Nearly always an append; a late one finds its place from the end.
function insert(list, ts) {
  let at = list.length;
  while (at > 0 && list[at - 1] > ts) at--;
  if (list[at - 1] !== ts) list.splice(at, 0, ts);
}

function drop(list, ts) {
  const at = list.indexOf(ts);
  if (at >= 0) list.splice(at, 1);
}

export function logOf(channel) {
  if (!state.logs.has(channel)) state.logs.set(channel, new Log());
  return state.logs.get(channel);
}

export const messageOf = (channel, ts) => logOf(channel).byTs.get(ts);

/** Takes `/_sim/state` whole; what only the stream tells (turns, calls) is kept over a reload of the same server. */
export function load(raw) {
  state.teams = raw.teams || [];
  if (!state.teams.some((one) => one.id === state.team)) state.team = state.teams[0]?.id || raw.users[0]?.team;
  state.users = index(raw.users.filter(ours));
  state.channels = index(raw.channels.filter(ours));
  state.apps = index(raw.apps.map(inTeam), "app_id");
  if (!state.users.has(state.me)) state.me = state.users.has(raw.me) ? raw.me : people()[0]?.id || "";
  state.logs = new Map();
  for (const [channel, messages] of Object.entries(raw.messages || {}))
    for (const one of messages.filter(ours)) logOf(channel).upsert(one);
  state.statuses = new Map((raw.statuses || []).filter(ours).map((one) => [`${one.channel}/${one.thread_ts}`, one]));
  state.sessions = new Map((raw.sessions || []).filter(ours).map((one) => [`${one.channel}/${one.thread_ts || ""}`, one]));
  state.faults = raw.faults || [];
  state.caps = raw.caps || {};
  state.hints = raw.hints || {};
  for (const app of state.apps.values()) state.bots.set(app.app_id, { ...state.bots.get(app.app_id), ...known(app) });
  for (const turn of raw.turns || []) EVENTS.turn({ turn });
  if (raw.stats) state.stats = raw.stats;
  emit("loaded");
}

/** What a person has open and what apps have published for them. */
export function loadViews({ views, homes }) {
  state.stack = views || [];
  state.homes = new Map((homes || []).map((view) => [view.app_id, { view }]));
  emit("views");
  emit("homes");
}

// An app with its bot in the team that is shown; `installed` is false where it is not there.
function inTeam(app) {
  const install = app.installs?.find?.((one) => one.team === state.team) || app.installs?.[state.team];
  return { ...app, bot_user_id: install?.bot_user_id ?? app.bot_user_id, installed: app.installs ? Boolean(install) : Boolean(app.bot_user_id) };
}

// Two teams may hold the same channel id and even the same ts; the page shows one team.
const ours = (one) => !one.team || one.team === state.team;

const known = (app) =>
  Object.fromEntries(
    ["online", "pid", "restarts"].filter((key) => app[key] !== undefined).map((key) => [key, app[key]]),
  );

const index = (list, key = "id") => new Map((list || []).map((one) => [one[key], one]));

const EVENTS = {
  message({ channel, message }) {
    logOf(channel).upsert(message);
    return [`messages`, channel, message.ts];
  },
  message_deleted({ channel, ts }) {
    logOf(channel).remove(ts);
    return ["messages", channel, ts];
  },
  status(one) {
    const key = `${one.channel}/${one.thread_ts}`;
    if (one.status) state.statuses.set(key, one);
    else state.statuses.delete(key);
    return ["messages", one.channel, one.thread_ts];
  },
  ephemeral({ channel, message }) {
    return EVENTS.message({ channel, message });
  },
  view({ user, action, view, stack }) {
    if (user !== state.me) return ["other"];
    const known = new Map([...state.stack, ...(view ? [view] : [])].map((one) => [one.id, one]));
    state.stack = (stack || []).map((id) => known.get(id)).filter(Boolean);
    state.viewAction = action;
    return ["views"];
  },
  home({ user, app_id, view }) {
    if (user !== state.me) return ["other"];
    state.homes.set(app_id, { view });
    return ["homes"];
  },
  interaction({ interaction }) {
    push(state.interactions, interaction);
    return ["traffic"];
  },
  session(one) {
    const session = one.session || one;
    state.sessions.set(`${session.channel}/${session.thread_ts || ""}`, session);
    return ["sessions"];
  },
  delivery({ delivery }) {
    push(state.deliveries, delivery);
    return ["traffic"];
  },
  call({ call }) {
    push(state.calls, call);
    return ["traffic"];
  },
  fault({ faults }) {
    state.faults = faults || [];
    return ["faults"];
  },
  stats({ type, ...stats }) {
    state.stats = stats;
    return ["stats"];
  },
  turn({ turn }) {
    const old = state.turns.get(turn.id);
    const steps = [...(old?.steps || [])];
    if (steps.at(-1)?.state !== turn.state || steps.at(-1)?.attempts !== turn.attempts)
      steps.push({ state: turn.state, attempts: turn.attempts, at: later(turn.at) });
    state.turns.delete(turn.id);
    state.turns.set(turn.id, { ...old, ...turn, steps });
    if (state.turns.size > KEEP) state.turns.delete(state.turns.keys().next().value);
    return ["turns"];
  },
  bot({ type, app_id, ...facts }) {
    const old = state.bots.get(app_id) || {};
    const now = { ...old, ...facts };
    now.restarting = Boolean(old.restarting) && !(now.online && now.pid !== now.killed);
    state.bots.set(app_id, now);
    return ["bot"];
  },
  reset() {
    state.needsReload = true;
    return ["reset"];
  },
};

// Told twice where the state was read again while the stream went on.
function push(list, item) {
  const mark = markOf(item);
  const same = list.findLastIndex((one) => markOf(one) === mark);
  if (same >= 0) list[same] = item;
  else list.push(item);
  if (list.length > KEEP) list.splice(0, list.length - KEEP);
}

/** What tells one record of the traffic from another. */
export const markOf = (one) => [one.id || one.event_id || one.method, one.attempt, one.event_id ? "" : one.at].join();

/** Applies a batch of stream events and tells each topic once. Unknown types are a newer server's, and are left alone. */
export function apply(events) {
  const topics = new Map();
  for (const event of events) {
    const handler = EVENTS[event.type];
    if (!handler || !ours(event)) continue;
    const [topic, channel, ts] = handler(event);
    if (!topics.has(topic)) topics.set(topic, new Map());
    if (channel) topics.get(topic).set(channel, (topics.get(topic).get(channel) || new Set()).add(ts));
  }
  for (const [topic, detail] of topics) emit(topic, detail);
}

export const userName = (id) => state.users.get(id)?.real_name || state.users.get(id)?.name || "";
export const handleOf = (id) => state.users.get(id)?.name || "";
export const channelName = (id) => state.channels.get(id)?.name || "";
export const people = () => [...state.users.values()].filter((user) => !user.is_bot);
export const teamOf = (channel) => state.channels.get(channel)?.team;

/** The DM's name is the other side's, as each sees it. */
export function titleOf(channel) {
  const one = state.channels.get(channel);
  if (!one) return "";
  return one.is_im ? userName(otherSide(one)) || one.name || "Direct message" : one.name;
}

export function otherSide(channel) {
  return (channel.members || []).find((id) => id !== state.me) || channel.user;
}

export function isMember(channel, user = state.me) {
  if (channel.members?.length) return channel.members.includes(user);
  return channel.is_im ? channel.user === user : channel.is_member !== false;
}

/** The first registered app, which is what the Durability panel watches. */
export function theBot() {
  const app = [...state.apps.values()].find((one) => one.installed) || state.apps.values().next().value;
  if (!app) return null;
  return { ...app, name: userName(app.bot_user_id) || app.name, ...state.bots.get(app.app_id) };
}

/** What was typed, as it travels: names of this team become mentions. */
export const wireOf = (text) =>
  toWire(
    text,
    [...state.users.values()],
    [...state.channels.values()].filter((one) => !one.is_im),
  );

export const appOfBot = (user) => [...state.apps.values()].find((app) => app.bot_user_id === user && app.installed);
export const appLine = (app) => ({ ...app, ...state.bots.get(app?.app_id) });

export const names = {
  user: (id) => userName(id),
  channel: (id) => channelName(id),
  get me() {
    return state.me;
  },
};
