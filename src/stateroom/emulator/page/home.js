// App Home: the tabs of a direct message with an app. Home shows what the app published for the acting person; when it has
// published nothing, is away or failed, that is said, with what to do. https://docs.slack.dev/surfaces/app-home
import { perform } from "./acting.js";
import { renderBlocks } from "./blocks.js";
import { on } from "./bus.js";
import { byId, fill, h, icon, sentence } from "./dom.js";
import { Form, viewContext } from "./modal.js";
import { problemNode, problemsAt } from "./problems.js";
import { appLine, appOfBot, otherSide, state } from "./store.js";

const PLACE = "home";

export class Home {
  constructor() {
    this.tab = "messages";
    this.forms = new Map();
    this.bar = h("div", { class: "tabs", role: "tablist", "aria-label": "App", hidden: true });
    this.body = h("section", { class: "home", id: "home", role: "tabpanel", "aria-label": "Home", tabIndex: 0, hidden: true });
    byId("channel-head").after(this.bar, this.body);
    for (const topic of ["homes", "bot", "loaded"]) on(topic, () => this.draw());
    on("problems", (place) => place === PLACE && this.draw());
    this.bar.addEventListener("keydown", (event) => this.onKey(event));
  }

  get app() {
    const channel = state.channels.get(state.here);
    return channel?.is_im ? appOfBot(otherSide(channel)) : undefined;
  }

  /** A conversation was opened: an app's begins at its messages, unless it has only a Home. */
  aim() {
    this.show("messages", false);
  }

  async show(tab, told = true) {
    this.tab = this.app ? tab : "messages";
    this.draw();
    const { app } = this;
    if (!app || (!told && tab === "messages" && !this.tells(app))) return;
    await perform(PLACE, "open", { kind: "open_home", app_id: app.app_id, tab: this.tab }, { what: "" });
  }

  // Agents are told when their messages tab is opened.
  tells(app) {
    return app.features?.agent?.kind === "agent";
  }

  draw() {
    const { app } = this;
    const tabs = app ? this.tabs(app) : [];
    this.bar.hidden = tabs.length < 2;
    const home = Boolean(app) && this.tab === "home";
    const focused = this.bar.contains(document.activeElement);
    fill(this.bar, tabs.map(([id, label]) => this.tabNode(id, label)));
    if (focused) byId(`tab-${this.tab}`)?.focus();
    this.body.hidden = !home;
    byId("main").classList.toggle("is-home", home);
    if (home) this.drawBody(app);
  }

  // Only what changed is drawn anew: a button that is just being pressed, or a field that is written in, stays.
  drawBody(app) {
    const view = state.homes.get(app.app_id)?.view;
    const told = problemsAt(PLACE).map(({ key, text, next }) => [key, text, next]);
    const drawn = JSON.stringify([app.app_id, app.name, appLine(app).online, view?.id, view?.hash, told]);
    if (this.drawn === drawn && this.body.firstChild) return;
    this.drawn = drawn;
    fill(this.body, this.content(app));
  }

  tabs(app) {
    return [app.features?.home !== false && ["home", "Home"], ["messages", "Messages"]].filter(Boolean);
  }

  tabNode(id, label) {
    const on_ = this.tab === id;
    return h("button", {
      type: "button",
      role: "tab",
      id: `tab-${id}`,
      class: "tab",
      "aria-selected": String(on_),
      tabIndex: on_ ? 0 : -1,
      text: label,
      on: { click: () => this.show(id) },
    });
  }

  onKey(event) {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const next = this.tab === "home" ? "messages" : "home";
    this.show(next);
  }

  content(app) {
    const line = appLine(app);
    const view = state.homes.get(app.app_id)?.view;
    const problems = problemsAt(PLACE).map((one) => problemNode(PLACE, one));
    const away =
      line.online === false &&
      problemNode(PLACE, {
        tone: "warn",
        sticky: true,
        text: `${app.name} is offline.`,
        next: view ? "This is what it published last." : "Start it again, then open this tab once more.",
      });
    if (!view) return [away, ...problems, this.nothing(app)];
    const key = view.id;
    if (!this.forms.has(key)) this.forms.set(key, new Form(view));
    return [away, ...problems, h("div", { class: "home-blocks prose" }, renderBlocks(view.blocks, viewContext(view, this.forms.get(key), PLACE)))];
  }

  nothing(app) {
    return h(
      "div",
      { class: "home-none" },
      h("span", { class: "intro-tile" }, icon("spark", 28)),
      h("p", { class: "intro-title", text: `${app.name} has not published its Home` }),
      h("p", { class: "intro-words" }, sentence("It is told with `app_home_opened` each time this tab is opened, and answers with `views.publish`.")),
      h("button", { type: "button", class: "button", text: "Open it again", on: { click: () => this.show("home") } }),
    );
  }
}
