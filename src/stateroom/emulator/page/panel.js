// The Durability panel: the bot's process, what can be done to it, its turns as they happen, faults, traffic.
import { api } from "./api.js";
import { emit, on } from "./bus.js";
import { h, fill, icon, sentence } from "./dom.js";
import { Faults } from "./faults.js";
import { clear, problemNode, problemsAt, raise } from "./problems.js";
import { state, theBot } from "./store.js";
import { Traffic } from "./traffic.js";
import { Turns } from "./turns.js";

/** The strip, word for word as the project promises it: `acknowledged 5 · answered 5 · lost 0 · doubled 0`. */
export function stripOf(el) {
  const draw = () => {
    const stats = state.stats || { acknowledged: 0, answered: 0, lost: 0, doubled: 0 };
    const parts = ["acknowledged", "answered", "lost", "doubled"].map((name) => {
      const bad = (name === "lost" || name === "doubled") && stats[name] > 0;
      return h("span", { class: `count${bad ? " is-bad" : ""}` }, `${name} `, h("b", { text: stats[name] }));
    });
    fill(
      el,
      parts.flatMap((part, i) => (i ? [" · ", part] : [part])),
    );
    el.classList.toggle("is-bad", stats.lost + stats.doubled > 0);
  };
  on("loaded", draw);
  on("stats", draw);
  draw();
}

export class Panel {
  constructor(el, { closeButton, reveal, openInspector }) {
    this.botCard = h("div", { class: "bot-card" });
    this.problems = h("div", { class: "panel-problems" });
    this.crashNote = h("p", { class: "action-note", id: "crash-note" });
    const again = h(
      "button",
      { type: "button", class: "button action", "aria-describedby": "twice-note", on: { click: () => this.again() } },
      icon("twice", 17),
      "Deliver twice",
    );
    this.crashButton = h(
      "button",
      {
        type: "button",
        class: "button action action-crash",
        "aria-describedby": "crash-note",
        on: { click: () => this.crash() },
      },
      icon("crash", 17),
      "Crash the bot (kill -9)",
    );
    this.turns = new Turns(reveal);
    this.faults = new Faults();
    this.traffic = new Traffic(openInspector);
    fill(
      el,
      h(
        "header",
        { class: "pane-head" },
        h(
          "div",
          { class: "pane-titles" },
          h("h2", { id: "panel-title", text: "Durability" }),
          h("p", { class: "pane-topic", text: "Break it, and watch nothing get lost" }),
        ),
        h("div", { class: "pane-tools" }, closeButton),
      ),
      h(
        "div",
        { class: "panel-body", tabIndex: -1 },
        this.botCard,
        h(
          "div",
          { class: "actions" },
          this.crashButton,
          this.crashNote,
          again,
          h("p", {
            class: "action-note",
            id: "twice-note",
            text: "Sends the last message's event once more, as Slack does when it missed the answer.",
          }),
        ),
        this.problems,
        this.turns.el,
        this.faults.el,
        this.traffic.el,
      ),
    );
    for (const topic of ["loaded", "bot"]) on(topic, () => this.drawBot());
    on("problems", (place) => place === "panel" && this.drawProblems());
  }

  drawBot() {
    const bot = theBot();
    const known = BOT_STATES[botState(bot)];
    fill(
      this.botCard,
      h("span", { class: `lamp ${known.tone}`, "aria-hidden": "true" }),
      h(
        "div",
        { class: "bot-text", role: "status" },
        h(
          "p",
          { class: "bot-line" },
          h("strong", { text: bot?.name || "No bot yet" }),
          h("span", { class: `bot-state ${known.tone}`, text: known.word }),
        ),
        h("p", { class: "bot-facts" }, sentence(facts(bot) || known.hint)),
      ),
    );
    const can = Boolean(state.caps.crash);
    this.crashButton.setAttribute("aria-disabled", String(!can));
    fill(
      this.crashNote,
      sentence(
        can
          ? "SIGKILL, no goodbye. The supervisor starts it again; what was acknowledged is answered."
          : "Works under `stateroom dev`, which runs the bot as a supervised process and can kill it. Here the bot is your own process: kill it yourself.",
      ),
    );
    if (bot?.online && !bot.restarting) clear("panel", "crash");
  }

  drawProblems() {
    fill(
      this.problems,
      problemsAt("panel").map((problem) => problemNode("panel", problem)),
    );
  }

  async crash() {
    if (!state.caps.crash) {
      raise("panel", "crash", {
        tone: "info",
        text: "There is no bot process to kill here.",
        next: "Start everything with `stateroom dev` and press again.",
      });
      return;
    }
    try {
      const { pid } = await api.crash();
      const bot = theBot();
      if (bot) state.bots.set(bot.app_id, { ...state.bots.get(bot.app_id), pid, killed: pid, restarting: true });
      raise("panel", "crash", {
        tone: "info",
        text: `Killed process ${pid} with SIGKILL.`,
        next: "Waiting for the supervisor to start it again. Keep writing, messages wait.",
      });
      emit("bot");
    } catch (error) {
      raise("panel", "crash", {
        tone: "error",
        text: `Not killed: ${error.message}`,
        next: error.code === "no_bot_process" ? "If it is restarting, try again in a second." : "",
      });
    }
  }

  async again() {
    try {
      const { deliveries } = await api.duplicate();
      raise("panel", "again", {
        tone: "info",
        text: `Delivered ${deliveries} event${deliveries === 1 ? "" : "s"} again, with the same ids.`,
        next: "The counts must not change.",
      });
    } catch (error) {
      raise("panel", "again", {
        tone: "error",
        text: `Not delivered: ${error.message}`,
        next: error.status === 404 ? "Write `@stateroom hello` first, then press again." : "",
      });
    }
  }
}

const BOT_STATES = {
  online: { word: "online", tone: "is-on", hint: "Its address takes connections." },
  offline: {
    word: "offline",
    tone: "is-off",
    hint: "Its address takes no connections. Messages are kept and sent when it is back.",
  },
  restarting: { word: "restarting", tone: "is-busy", hint: "Killed a moment ago; the supervisor starts it again." },
  unknown: {
    word: "not connected",
    tone: "is-none",
    hint: "No event address is registered. Start the bot with `stateroom serve`, or `stateroom dev` for all of it.",
  },
};

function botState(bot) {
  if (!bot || typeof bot.online !== "boolean") return "unknown";
  if (bot.restarting) return "restarting";
  return bot.online ? "online" : "offline";
}

function facts(bot) {
  const parts = [];
  const fate = bot?.restarting ? (bot.pid === bot.killed ? " is gone" : " is starting") : "";
  if (bot?.pid) parts.push(`pid ${bot.pid}${fate}`);
  if (Number.isInteger(bot?.restarts)) parts.push(bot.restarts === 1 ? "1 restart" : `${bot.restarts} restarts`);
  return parts.join(" · ");
}
