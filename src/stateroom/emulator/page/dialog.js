// Dialogs and drawers: the focus moves in, stays in, and goes back. Dialogs are the browser's own <dialog>, which does
// all of that; a drawer is an aside which, where the window is narrow, covers the rest and makes it inert.
import { h } from "./dom.js";
import { names } from "./store.js";
import { plain, textObject } from "./texts.js";

/** Asks yes or no; the promise holds the answer. Esc and a click outside are a no. */
export function confirmDialog({ title, text, action, deny = "Cancel", style = "danger" }) {
  return new Promise((resolve) => {
    let answer = false;
    const close = (value) => {
      answer = value;
      dialog.close();
    };
    const yes = h("button", { type: "button", class: `button button-${style}`, on: { click: () => close(true) } }, action);
    const no = h("button", { type: "button", class: "button", on: { click: () => close(false) } }, deny);
    const dialog = h(
      "dialog",
      { class: "dialog", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text" },
      h("h2", { id: "confirm-title" }, title),
      h("div", { id: "confirm-text" }, text),
      h("div", { class: "dialog-buttons" }, no, yes),
    );
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    yes.focus();
  });
}

/** The confirm object of an element, asked before it acts. */
export const askFirst = (given) =>
  confirmDialog({
    title: plain(given.title),
    text: textObject(given.text, names),
    action: plain(given.confirm),
    deny: plain(given.deny),
    style: given.style === "danger" ? "danger" : "primary",
  });

const stack = [];

/** A side pane that is part of the page on a wide window and a modal drawer on a narrow one. */
export class Drawer {
  /**
   * `query`: the media query under which it covers the rest; `others`: what is inert meanwhile. `yields`: opened where
   * there was room, it goes when the window gets too narrow, and comes back with the room; `onTurn` tells of both.
   */
  constructor(el, { query, others, scrim, onClose, yields = false, onTurn }) {
    Object.assign(this, { el, others, scrim, onClose, yields, onTurn, isOpen: false, opener: null, waits: false });
    this.media = matchMedia(query);
    this.media.addEventListener("change", () => this.turn());
    scrim.addEventListener("click", () => this.covers && this.isOpen && this.close());
    this.settle();
  }

  get covers() {
    return this.media.matches;
  }

  /** Opens and, if `focus` names something inside, moves the focus there. */
  open(focus) {
    if (!this.isOpen) this.opener = document.activeElement;
    this.isOpen = true;
    this.settle();
    focus?.focus({ preventScroll: true });
  }

  close() {
    if (!this.isOpen) return;
    this.isOpen = false;
    const inside = this.el.contains(document.activeElement);
    this.settle();
    if (inside || this.covers) this.giveBack();
    this.onClose?.();
  }

  giveBack() {
    if (this.opener?.isConnected && this.opener !== document.body) this.opener.focus({ preventScroll: true });
  }

  turn() {
    const goes = this.yields && this.covers && this.isOpen && !this.el.contains(document.activeElement);
    const comes = this.waits && !this.covers && !this.isOpen;
    this.waits = goes;
    if (goes || comes) this.isOpen = comes;
    this.settle();
    this.onTurn?.();
  }

  toggle(focus) {
    if (this.isOpen) this.close();
    else this.open(focus);
  }

  settle() {
    const at = stack.indexOf(this);
    if (this.isOpen && this.covers && at < 0) stack.push(this);
    if (!(this.isOpen && this.covers) && at >= 0) stack.splice(at, 1);
    this.el.classList.toggle("is-open", this.isOpen);
    this.el.classList.toggle("is-drawer", this.covers);
    this.el.inert = this.covers && !this.isOpen;
    const top = stack.at(-1);
    for (const one of this.others) one.inert = Boolean(top) && top.el !== one && !one.contains(top.el);
    if (top) top.el.inert = false;
    this.scrim.hidden = !top;
  }
}

/** Esc closes the topmost drawer; false if there was none. */
export function closeTopDrawer() {
  const top = stack.at(-1);
  top?.close();
  return Boolean(top);
}
