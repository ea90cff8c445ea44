// Modals: the stack of views that apps opened for the acting person, the top one shown. What was filled in stays with its
// view while others lie on it; errors stand under their fields. https://docs.slack.dev/surfaces/modals
import { blockContext, busy, problemOf } from "./acting.js";
import { api } from "./api.js";
import { renderBlocks } from "./blocks.js";
import { on } from "./bus.js";
import { fill, h, iconButton } from "./dom.js";
import { clear, problemNode, problemsAt, raise } from "./problems.js";
import { names, state } from "./store.js";
import { plain } from "./texts.js";

const PLACE = "modal";

/** What was filled into one view: `{block_id: {action_id: {type, part}}}`, and the parts that a field started with. */
export class Form {
  constructor(view) {
    this.values = structuredClone(view.state?.values || {});
  }

  get(block, item) {
    const held = this.values[block.block_id]?.[item.action_id];
    return held?.type === item.type ? held : undefined;
  }

  put(block, item, part) {
    (this.values[block.block_id] ||= {})[item.action_id] = { type: item.type, ...part };
  }
}

const HELD = ["value", "rich_text_value"];
const isEmpty = (held) =>
  !held ||
  Object.entries(held).every(([name, value]) => name === "type" || value === null || value === "" || value === undefined || (Array.isArray(value) && !value.length)) ||
  HELD.some((name) => typeof held[name] === "string" && !held[name].trim());

/** The elements' context of a view: its form, its presses. */
export function viewContext(view, form, place) {
  const base = blockContext({ view_id: view.id }, place, names, () => form.values);
  return {
    ...base,
    value: (block, item) => form.get(block, item),
    set: (block, item, part) => form.put(block, item, part),
    init: (block, item, part) => part && !form.get(block, item) && form.put(block, item, part),
  };
}

export class Modals {
  constructor() {
    this.forms = new Map();
    this.shown = null;
    on("views", () => this.draw());
    on("problems", (place) => place === PLACE && this.drawProblems());
  }

  get view() {
    return state.stack.at(-1);
  }

  draw() {
    const { view } = this;
    if (!view) {
      this.dialog?.close();
      return;
    }
    for (const id of this.forms.keys()) if (!state.stack.some((one) => one.id === id)) this.forms.delete(id);
    if (!this.dialog) this.build();
    const key = `${view.id} ${view.hash}`;
    if (this.shown === key) return;
    const same = this.shown?.startsWith(`${view.id} `);
    this.shown = key;
    clear(PLACE, "submit");
    this.render(view, same);
  }

  build() {
    this.title = h("h2", { id: "modal-title" });
    this.body = h("div", { class: "modal-body prose", tabIndex: -1 });
    this.note = h("div", { class: "modal-problems" });
    this.foot = h("div", { class: "modal-foot" });
    this.form = h(
      "form",
      { class: "modal-form", noValidate: true, novalidate: true, on: { submit: (event) => this.submit(event) } },
      h("header", { class: "modal-head" }, this.title, iconButton("close", "Close", () => this.close(true))),
      this.body,
      this.note,
      this.foot,
    );
    this.dialog = h("dialog", { class: "modal", "aria-labelledby": "modal-title" }, this.form);
    // Esc takes the top view away, as Cancel does; the app is told if it asked to be.
    this.dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.close(false);
    });
    this.dialog.addEventListener("close", () => this.gone());
    document.body.append(this.dialog);
    this.dialog.showModal();
  }

  gone() {
    this.dialog?.remove();
    this.dialog = null;
    this.shown = null;
    this.forms.clear();
    clear(PLACE, "submit");
  }

  render(view, same) {
    const focused = same && document.activeElement?.closest?.("[data-block]")?.dataset.block;
    if (!this.forms.has(view.id)) this.forms.set(view.id, new Form(view));
    const form = this.forms.get(view.id);
    this.keepKnown(view, form);
    fill(this.title, plain(view.title));
    fill(this.body, renderBlocks(view.blocks, viewContext(view, form, PLACE)));
    const cancel = h("button", { type: "button", class: "button", on: { click: () => this.close(false) } }, plain(view.close || "Cancel"));
    this.send = view.submit && h("button", { type: "submit", class: "button button-primary" }, plain(view.submit));
    fill(this.foot, cancel, this.send || (hasInputs(view) ? h("button", { type: "submit", class: "button button-primary", text: "Submit" }) : null));
    this.send ||= this.foot.querySelector("[type=submit]");
    this.drawProblems();
    const first = focused && this.body.querySelector(`[data-block="${CSS.escape(focused)}"]`);
    const target = first || this.body.querySelector("[autofocus]")?.parentElement || this.body;
    (target.querySelector?.("input, textarea, button, select, a") || this.foot.querySelector("button")).focus();
  }

  // A block that was replaced by another of the same place keeps nothing.
  keepKnown(view, form) {
    const known = new Set(view.blocks.map((one) => one.block_id));
    for (const id of Object.keys(form.values)) if (!known.has(id)) delete form.values[id];
  }

  drawProblems() {
    if (this.note) fill(this.note, problemsAt(PLACE).map((one) => problemNode(PLACE, one)));
  }

  showErrors(errors) {
    let first = null;
    for (const field of this.body.querySelectorAll(".block-input")) {
      const words_ = errors[field.dataset.block];
      const line = field.querySelector(".input-error");
      const control = field.querySelector("input, textarea, button.select");
      field.classList.toggle("has-error", Boolean(words_));
      line.hidden = !words_;
      line.textContent = words_ || "";
      if (control) control.setAttribute("aria-invalid", String(Boolean(words_)));
      if (words_) first ||= control;
    }
    first?.focus();
    return first;
  }

  /** What Slack's own form would not send: required fields left out, and text of the wrong form. */
  wrong(view, form) {
    const errors = {};
    for (const block of view.blocks.filter((one) => one.type === "input")) {
      const field = this.body.querySelector(`[data-block="${CSS.escape(block.block_id)}"]`);
      const box = field?.querySelector("input.box, textarea.box");
      if (!block.optional && isEmpty(form.get(block, block.element))) errors[block.block_id] = "Please complete this required field.";
      else if (box && !box.checkValidity()) errors[block.block_id] = box.validationMessage;
      else if (field?.querySelector("progress")) errors[block.block_id] = "A file is still on its way.";
    }
    return errors;
  }

  async submit(event) {
    event.preventDefault();
    const { view } = this;
    if (!view || this.send?.getAttribute("aria-busy") === "true") return;
    const form = this.forms.get(view.id);
    if (this.showErrors(this.wrong(view, form))) return;
    this.setBusy(true);
    clear(PLACE, "submit");
    try {
      const asked = { kind: "submit", team: state.team, user: state.me, view_id: view.id, values: form.values };
      const answer = await api.act(asked);
      if (answer.errors) this.strayErrors(view, answer.errors);
      else if (answer.ok === false) raise(PLACE, "submit", { ...problemOf(answer), sticky: true });
    } catch (error) {
      raise(PLACE, "submit", { tone: "error", text: error.message, next: "What you filled in is kept: submit again.", sticky: true });
    } finally {
      this.setBusy(false);
    }
  }

  // An error for a block that has no field here would be lost: it is shown for the whole form.
  strayErrors(view, errors) {
    this.showErrors(errors);
    const stray = Object.entries(errors).filter(([id]) => !this.body.querySelector(`.block-input[data-block="${CSS.escape(id)}"]`));
    if (stray.length)
      raise(PLACE, "submit", {
        tone: "error",
        sticky: true,
        text: stray.map(([id, said]) => `${id}: ${said}`).join("; "),
        next: "These block ids have no input in this view.",
      });
  }

  setBusy(on) {
    busy(this.send, on);
    this.body.inert = on;
    this.dialog?.classList.toggle("is-busy", on);
  }

  async close(cleared) {
    const { view } = this;
    if (!view) return;
    try {
      const answer = await api.act({ kind: "close", team: state.team, user: state.me, view_id: view.id, cleared });
      if (answer.ok === false && answer.delivered !== undefined)
        raise("page", "view_closed", { ...problemOf(answer, "The app was not told that its modal was closed."), tone: "warn" });
    } catch (error) {
      raise(PLACE, "submit", { tone: "error", text: error.message, sticky: true });
    }
  }
}

const hasInputs = (view) => view.blocks.some((one) => one.type === "input");
