// An agent's surface: the prompts it suggests, what its session is called, how far it is, and the button that stops it.
// https://docs.slack.dev/ai/agent-sessions
import { perform } from "./acting.js";
import { choose } from "./choose.js";
import { fill, h, icon } from "./dom.js";
import { appLine, appOfBot, logOf, messageOf, otherSide, state } from "./store.js";
import { ago } from "./time.js";

const sessionsOf = (channel) => [...state.sessions.values()].filter((one) => one.channel === channel);
export const sessionOf = (channel, thread) => state.sessions.get(`${channel}/${thread || ""}`);

/** The agent of a direct message: its app and what its manifest says of it; null for any other conversation. */
export function agentOf(id) {
  const channel = state.channels.get(id);
  const app = channel?.is_im ? appOfBot(otherSide(channel)) : null;
  return app?.features?.agent ? { app, ...app.features.agent } : null;
}

/** An agent's conversation stays open beside whatever its person goes to look at. */
export function staysBeside(channel, thread) {
  const agent = agentOf(channel);
  return agent?.kind === "agent" || Boolean(agent && sessionOf(channel, thread)?.pane);
}

/** Tells the agent of such a conversation what its person looks at now; what is between people, it is not told. */
export function tellContext(channel, thread, here) {
  const pane = sessionOf(channel, thread)?.pane && { thread_ts: thread };
  const seen = state.channels.get(here)?.is_im ? null : here;
  return perform(
    `box:${channel}/${thread}`,
    "context",
    { kind: "context", channel, ...pane, context_channel: seen },
    { what: "The agent does not know where you are:" },
  );
}

// Prompts stand until the person has said something after them.
function promptsFor(channel, thread) {
  const session = sessionOf(channel, thread);
  const order = thread ? logOf(channel).replies(thread) : logOf(channel).main;
  const spoken = order.some((ts) => ts !== thread && messageOf(channel, ts)?.user === state.me);
  if (spoken) return null;
  if (session?.prompts) return { title: session.prompts_title || "Try one of these", list: session.prompts };
  const agent = !thread && agentOf(channel);
  return agent && agent.prompts?.length ? { title: agent.description || "Try one of these", list: agent.prompts } : null;
}

/** Fills the strip above a message box; `say(text)` sends a prompt. */
export function drawAgent(el, { channel, thread, inThread }, say) {
  const prompts = channel && promptsFor(channel, thread);
  const working = sessionsOf(channel).find(
    (one) => one.status === "processing" && (inThread ? one.thread_ts === thread : agentOf(channel)),
  );
  fill(el, prompts && promptList(prompts, say), working && workingLine(working));
  el.hidden = !prompts && !working;
}

const promptList = ({ title, list }, say) =>
  h(
    "div",
    { class: "suggest", role: "group", "aria-label": "Suggested prompts" },
    h("span", { class: "suggest-label", text: title }),
    list.map(({ title: name, message }) =>
      h("button", { type: "button", class: "suggest-chip", title: message, on: { click: () => say(message) } }, name || message),
    ),
  );

function workingLine(session) {
  const app = appLine(state.apps.get(session.app_id));
  const stop = (event) =>
    perform(
      `box:${session.channel}/${session.thread_ts}`,
      "stop",
      { kind: "stop", channel: session.channel, thread_ts: session.thread_ts },
      { what: "Not stopped:", control: event.currentTarget },
    );
  return h(
    "p",
    { class: "status-line", role: "status" },
    h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
    h("span", {}, h("strong", { text: session.username || app.name || "The agent" }), " is working"),
    h("button", { type: "button", class: "button button-small", on: { click: stop } }, icon("stop", 13), "Stop"),
  );
}

/** The older pane's threads of one direct message, and a new one; `open(ts)` shows a thread. */
export function openThreads(anchor, channel, open) {
  const agent = agentOf(channel);
  const threads = sessionsOf(channel)
    .filter((one) => one.thread_ts)
    .sort((a, b) => (a.thread_ts < b.thread_ts ? 1 : -1));
  choose({
    title: "Conversations",
    anchor,
    load: (query) => [
      ...(agent?.kind === "assistant" ? [{ value: "+", label: "New conversation", face: icon("plus", 16) }] : []),
      ...threads
        .map((one) => ({ value: one.thread_ts, label: one.title || "Untitled", hint: ago(one.thread_ts), face: icon("thread", 16) }))
        .filter((one) => one.label.toLowerCase().includes(query.toLowerCase())),
    ],
    pick: async ({ value }) => {
      if (value !== "+") return open(value);
      const asked = { kind: "open_assistant", app_id: agent.app.app_id };
      const answer = await perform("page", "assistant", asked, { control: anchor });
      return answer?.thread_ts && open(answer.thread_ts);
    },
  });
}
