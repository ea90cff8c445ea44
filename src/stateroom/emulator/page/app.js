// Puts the page together: state and stream in, views out, the keys that work everywhere.
import { staysBeside, tellContext } from "./agent.js";
import { api } from "./api.js";
import { on, emit } from "./bus.js";
import { closeTopDrawer, Drawer } from "./dialog.js";
import { byId, fill, h, iconButton, porthole } from "./dom.js";
import { forgetSaid, saidAt, settle } from "./outgoing.js";
import { Panel, stripOf } from "./panel.js";
import { recall, remember } from "./prefs.js";
import { problemNode, problemsAt } from "./problems.js";
import { Home } from "./home.js";
import { Inspector } from "./inspector.js";
import { Modals } from "./modal.js";
import { joinChannel, openApps, openMembers, openPeople, openWorkspaces, startDm } from "./places.js";
import { firstVisit, unreadIn } from "./reading.js";
import { Sidebar } from "./sidebar.js";
import { apply, load, loadViews, logOf, markOf, messageOf, state } from "./store.js";
import { Stream } from "./stream.js";
import { openSwitcher } from "./switcher.js";
import { themeButton } from "./theme.js";
import { watchTroubles } from "./troubles.js";
import { ChannelView, ThreadView } from "./views.js";

const AUTO_OPEN_MILLIS = 60_000;
const NARROW = "(max-width: 799px)";
const MIDDLE = "(max-width: 1099px)";
const WIDE = "(max-width: 1239px)";

const areas = ["topbar", "sidebar", "main", "thread", "panel", "dock"].map(byId);
const drawerOf = (id, query, onClose, yields = false) =>
  new Drawer(byId(id), {
    query,
    scrim: byId("scrim"),
    others: areas.filter((area) => area.id !== id),
    onClose,
    yields,
    onTurn: () => drawToggles(),
  });

const sideDrawer = drawerOf("sidebar", NARROW);
const threadDrawer = drawerOf("thread", MIDDLE, () => {
  thread.forget();
  rememberPlace();
});
const panelDrawer = drawerOf("panel", WIDE, () => {
  if (!panelDrawer.covers) remember("panel", "closed");
  drawToggles();
}, true);

const dockDrawer = drawerOf("dock", NARROW, () => {
  if (!dockDrawer.covers) remember("dock", null);
  drawToggles();
}, true);

const channel = new ChannelView({ openThread: (ts) => openThread(ts), inspect, join: joinChannel });
const thread = new ThreadView({ drawer: threadDrawer, inspect });
const home = new Home();
const inspector = new Inspector(byId("dock"), { reveal: (id, ts) => jump(id, ts), onClose: () => toggleDock() });
const jumpTo = () => openSwitcher(openChannel, (user) => startDm(user, openChannel));

function openChannel(id, { focus = true, keepThread = false } = {}) {
  if (!state.channels.has(id)) return;
  const beside = thread.isOpen && !threadDrawer.covers && staysBeside(thread.channel, thread.root);
  const tells = beside && id !== state.here;
  if (!keepThread && !beside && threadDrawer.isOpen) threadDrawer.close();
  sideDrawer.covers && sideDrawer.close();
  channel.open(id);
  if (tells) tellContext(thread.channel, thread.root, id);
  home.aim();
  emit("read", id);
  rememberPlace();
  if (focus) channel.talk.composer.focus();
}

function openThread(ts, focus = true, of = state.here) {
  thread.open(of, ts, focus);
  rememberPlace();
}

function rememberPlace() {
  const place = [state.here, ...(thread.isOpen ? [thread.root] : [])];
  if (thread.isOpen && thread.channel !== state.here) place.push(thread.channel);
  history.replaceState(null, "", `#${place.join("/")}`);
}

function startPlace() {
  const [id, ts, of = id] = location.hash.slice(1).split("/");
  const known = state.channels.has(id) ? id : "";
  const hinted = state.channels.has(state.hints.channel) && state.hints.channel;
  const first = hinted || [...state.channels.keys()][0];
  openChannel(known || first, { focus: !matchMedia("(pointer: coarse)").matches });
  if (known && state.channels.has(of) && messageOf(of, ts)) openThread(ts, false, of);
}

// ---- the bars

function buildBars() {
  byId("brand").append(
    iconButton("menu", "Channels", () => sideDrawer.toggle(byId("sidebar").querySelector("button")), {
      class: "icon-button only-narrow",
      "aria-controls": "sidebar",
    }),
    porthole(22),
    h(
      "span",
      { class: "brand-name" },
      h("b", { text: "Stateroom" }),
      h("span", { class: "brand-sub", text: " · local workspace" }),
    ),
  );
  byId("topbar-tools").append(
    themeButton(),
    iconButton("list", "Inspector", () => toggleDock(), { id: "dock-toggle", "aria-controls": "dock" }),
    iconButton("pulse", "Durability panel", () => togglePanel(), { id: "panel-toggle", "aria-controls": "panel" }),
  );
  byId("channel-tools").append(
    iconButton("people", "Members", (event) => openMembers(event.currentTarget, openChannel)),
    iconButton("search", "Jump to a conversation (Ctrl+K)", jumpTo, { class: "icon-button only-narrow" }),
  );
  byId("thread-tools").append(iconButton("close", "Close the thread", () => thread.close()));
}

function togglePanel() {
  panelDrawer.toggle(panelDrawer.covers ? byId("panel").querySelector("button") : null);
  if (panelDrawer.isOpen && !panelDrawer.covers) remember("panel", null);
  drawToggles();
}

function toggleDock(open = !dockDrawer.isOpen) {
  if (!open) dockDrawer.close();
  else {
    if (dockDrawer.covers && panelDrawer.isOpen) panelDrawer.close();
    dockDrawer.open(byId("dock").querySelector("input"));
    if (!dockDrawer.covers) remember("dock", "open");
    inspector.draw();
  }
  drawToggles();
}

/** From a message to what went over the wire for it. */
function inspect(place) {
  if (!dockDrawer.isOpen) toggleDock(true);
  inspector.showFor(place);
}

function jump(id, ts) {
  const root = messageOf(id, ts)?.thread_ts || ts;
  if (dockDrawer.covers) dockDrawer.close();
  if (messageOf(id, ts)) reveal(id, root, ts);
}

function drawToggles() {
  byId("dock-toggle")?.setAttribute("aria-expanded", String(dockDrawer.isOpen));
  const toggle = byId("panel-toggle");
  toggle?.setAttribute("aria-expanded", String(panelDrawer.isOpen));
  document.body.classList.toggle("has-panel", panelDrawer.isOpen);
}

function reveal(id, root, ts) {
  if (panelDrawer.covers) panelDrawer.close();
  if (id !== state.here) openChannel(id);
  home.show("messages", false);
  channel.talk.timeline.reveal(root);
  if (ts !== root || logOf(id).replies(root).length) openThread(root);
}

// ---- changes

function onMessages(changes) {
  for (const [id, set] of changes) {
    for (const ts of [...set]) {
      const root = messageOf(id, ts)?.thread_ts;
      if (root) set.add(root);
      maybeOpenThread(id, messageOf(id, ts));
    }
    if (id === state.here) channel.changed(set);
    thread.changed(id, set);
  }
  drawTitle();
}

// The first answer to what was just said here opens its thread beside the channel, where there is room beside it. A
// thread that a person opened, or writes in, stays.
function maybeOpenThread(id, message) {
  if (!message?.bot_id || id !== state.here || threadDrawer.covers || thread.isTaken) return;
  const root = messageOf(id, message.thread_ts);
  if (Date.now() - saidAt(root?.client_msg_id) > AUTO_OPEN_MILLIS) return;
  forgetSaid(root.client_msg_id);
  openThread(message.thread_ts, false);
  thread.byItself = true;
}

function refreshAll() {
  channel.talk.allow();
  thread.talk.allow();
  channel.changed();
  thread.changed(thread.channel);
}

function drawTitle() {
  const total = [...state.channels.keys()].reduce(
    (sum, id) => sum + (id === state.here && document.hasFocus() ? 0 : unreadIn(id).count),
    0,
  );
  document.title = (total ? `(${total}) ` : "") + "Stateroom · local workspace";
}

function onProblems(place) {
  if (place === "page")
    fill(
      byId("page-problems"),
      problemsAt("page").map((one) => problemNode("page", one)),
    );
  if (!place.startsWith("msg:")) return;
  const ts = new Set([place.split("/")[1]]);
  channel.talk.timeline.sync(ts);
  thread.changed(thread.channel, ts);
}

function listen() {
  on("messages", onMessages);
  on("problems", onProblems);
  on("outgoing", () => [channel, thread].forEach((view) => view.talk.timeline.sync(new Set())));
  on("bot", () => refreshAll());
  on("me", () => {
    if (threadDrawer.isOpen && !threadDrawer.covers) thread.talk.allow();
    openChannel(state.here, { focus: false, keepThread: true });
    refreshAll();
    readViews();
  });
  on("team", () => {
    thread.close();
    state.here = "";
    state.me = "";
    history.replaceState(null, "", "#");
    stream.retry();
  });
  on("reset", () => stream.retry());
  addEventListener("focus", () => {
    channel.seen();
    drawTitle();
  });
  document.addEventListener("keydown", onKey);
  document.addEventListener("visibilitychange", () => document.hidden || channel.seen());
}

function onKey(event) {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && !event.shiftKey) {
    event.preventDefault();
    jumpTo();
  } else if (event.key === "F6") {
    event.preventDefault();
    nextArea(event.shiftKey ? -1 : 1);
  } else if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (closeTopDrawer()) return;
    if (byId("thread").contains(event.target)) thread.close();
    else if (!byId("main").contains(event.target)) channel.talk.composer.focus();
  }
}

// F6 goes round the areas of the page, as in Slack.
function nextArea(step) {
  const stops = [
    [byId("sidebar"), () => byId("sidebar").querySelector("[aria-current]")],
    [
      byId("channel-scroll"),
      () => byId("channel-scroll").querySelector("article.is-current") || byId("channel-scroll"),
    ],
    [byId("composer-slot"), () => channel.talk.composer.area],
    [byId("thread"), () => thread.talk.composer.area],
    [byId("panel"), () => byId("panel").querySelector("button")],
    [byId("dock"), () => byId("dock").querySelector(".dock-list")],
  ].filter(([area, target]) => !area.inert && area.offsetParent && target());
  const at = stops.findIndex(([area]) => area.contains(document.activeElement));
  const [, target] = stops[(at + step + stops.length) % stops.length];
  target()?.focus();
}

// ---- start

let started = false;

async function reload() {
  const raw = await api.state();
  load(raw);
  settle();
  await readViews();
  if (!started) return raw.cursor;
  if (!state.channels.has(state.here)) startPlace();
  refreshAll();
  return raw.cursor;
}

state.refresh = () => stream.retry();

// What the acting person has open. An older server has no such thing.
async function readViews() {
  try {
    loadViews(await api.views(state.team, state.me));
  } catch (error) {
    if (error.status !== 404) throw error;
  }
}

const stream = new Stream({
  onEvents: apply,
  reload,
  onState: (conn) => {
    if (state.conn === conn) return;
    state.conn = conn;
    document.body.dataset.conn = conn;
    emit("conn");
  },
});

// What went over the wire before the page was opened; what the stream told meanwhile is there already.
async function pastTraffic() {
  const found = await Promise.all([api.deliveries(), api.calls(), api.interactions()]);
  for (const [name, list] of found.flatMap((one) => Object.entries(one))) {
    const known = new Set(state[name].map(markOf));
    state[name] = [...list.slice(-200).filter((one) => !known.has(markOf(one))), ...state[name]];
  }
  emit("traffic");
}

async function start() {
  buildBars();
  stripOf(byId("strip"));
  new Sidebar(byId("sidebar"), {
    open: (id) => openChannel(id),
    search: jumpTo,
    workspaces: openWorkspaces,
    people: (anchor) => openPeople(anchor, openChannel),
    apps: () => openApps(openChannel),
  });
  new Panel(byId("panel"), {
    closeButton: iconButton("close", "Close the panel", () => togglePanel()),
    reveal,
    openInspector: () => toggleDock(true),
  });
  new Modals();
  watchTroubles({ retryConnection: () => stream.retry() });
  listen();
  if (!panelDrawer.covers && recall("panel") !== "closed") panelDrawer.open();
  drawToggles();
  if (!dockDrawer.covers && recall("dock") === "open") dockDrawer.open();
  state.me = recall("me", "") || "";
  state.team = recall("team", "") || "";
  await begin();
}

async function begin() {
  try {
    const cursor = await reload();
    firstVisit();
    byId("skeleton").remove();
    startPlace();
    started = true;
    stream.start(cursor);
    performance.mark("stateroom:shown");
    await pastTraffic();
  } catch (error) {
    if (started) return;
    fill(
      byId("page-problems"),
      problemNode("page", {
        key: "start",
        tone: "error",
        sticky: true,
        text: error.message,
        next: "",
        actions: [{ label: "Try again", run: () => location.reload() }],
      }),
    );
  }
}

start();
