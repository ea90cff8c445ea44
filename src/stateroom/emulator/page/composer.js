// Where a person writes: grows with the text, keeps its draft, completes names, sends on Enter. An Enter is never lost: what
// cannot go yet (the page loads, a file goes up) is held and goes by itself; what cannot go at all stays, and it is said why.
import { h, icon, iconButton } from "./dom.js";
import { Completion } from "./complete.js";
import { dropZone, FileTray } from "./files.js";
import { recall, remember } from "./prefs.js";
import { pickEmoji } from "./picker.js";

const WRAPS = { b: "*", i: "_", e: "`" };
const HINT = "Enter to send, Shift+Enter for a new line";
const LEFT = "Not sent: you left while its file went up";
const REFUSED = "Not sent: a file did not go up. Try it again, or remove it";
const EARLY = "loading"; // the draft of words that were written before it was known where they go
let serial = 0;

export class Composer {
  /**
   * `onSend(text, files)`; `onUp()` when Up is pressed in an empty box; `onCancel()` for Esc; `submit` names the button;
   * `place()` tells where files go, `onShortcuts(anchor)` opens their menu; without them there is no such tool. `early`:
   * it is there before its place is known, and takes words until `aim` says it.
   */
  constructor({ label, onSend, onUp, onCancel, submit = "Send", cancel = false, place, onShortcuts, early = false }) {
    Object.assign(this, { onSend, onUp, onCancel, draftKey: early ? EARLY : null, blocked: "" });
    Object.assign(this, { early, held: false, said: "", left: new Set() });
    const id = `composer-${++serial}`;
    this.area = h("textarea", {
      id,
      rows: 1,
      "aria-label": label,
      autocomplete: "off",
      spellcheck: "true",
      enterkeyhint: "send",
    });
    this.completion = new Completion(this.area);
    this.hint = h("span", { class: "composer-hint", role: "status", text: HINT });
    this.button = h(
      "button",
      { type: "submit", class: "send-button", "aria-label": submit, title: submit },
      submit === "Send" ? icon("send", 18) : submit,
    );
    this.tray = place && new FileTray({ place, onChange: () => this.onTray() });
    const tools = [
      place && iconButton("clip", "Attach files", () => this.mayAttach() && this.tray.browse()),
      iconButton("at", "Mention someone", () => this.type("@")),
      iconButton("smile", "Insert an emoji", (event) =>
        pickEmoji(
          event.currentTarget,
          (name) => this.type(`:${name}: `),
          () => this.focus(),
        ),
      ),
      iconButton("code", "Code (Ctrl+E)", () => this.wrap("`")),
      onShortcuts && iconButton("bolt", "Shortcuts", (event) => onShortcuts(event.currentTarget)),
    ];
    const cancelButton =
      cancel &&
      h("button", { type: "button", class: "button", on: { click: () => this.onCancel?.() }, text: "Cancel" });
    this.el = h(
      "form",
      { class: "composer", on: { submit: (event) => this.submit(event) } },
      this.completion.list,
      this.tray && this.tray.el,
      this.area,
      h(
        "div",
        { class: "composer-bar" },
        h("div", { class: "composer-tools" }, tools),
        this.hint,
        cancelButton,
        this.button,
      ),
    );
    this.area.addEventListener("input", () => this.onInput());
    this.area.addEventListener("keydown", (event) => this.onKey(event));
    if (this.tray) this.area.addEventListener("paste", (event) => this.onPaste(event));
    if (early) {
      this.area.value = recall(`draft.${EARLY}`, "");
      this.area.placeholder = "Loading…";
    }
    this.changed();
  }

  /** Points the composer at another place: its draft and files are put away, the other's are brought back. */
  aim(draftKey, label) {
    const words = this.early ? this.area.value : "";
    const goes = this.early && this.held;
    if (this.held && !this.early) this.left.add(this.draftKey);
    if (this.early) remember(`draft.${EARLY}`, null);
    Object.assign(this, { draftKey, early: false, held: false });
    this.area.setAttribute("aria-label", label);
    this.area.placeholder = label;
    this.tray?.aim(draftKey);
    const draft = recall(`draft.${draftKey}`, "");
    this.area.value = goes ? words : [draft, words].filter(Boolean).join("\n");
    this.completion.close();
    this.tell(this.left.delete(draftKey) && this.canSend ? LEFT : "");
    this.changed(Boolean(words));
    if (goes) queueMicrotask(() => this.sendEarly(draft));
  }

  // What was sent while the page loaded goes first; the draft of that place is then there as before.
  sendEarly(draft) {
    this.submit();
    if (draft && !this.area.value) this.set(draft);
  }

  block(reason) {
    this.blocked = reason;
    this.area.disabled = Boolean(reason);
    this.el.classList.toggle("is-blocked", Boolean(reason));
    if (reason) this.area.placeholder = reason;
    this.changed(false);
  }

  // To write on is to take the Enter back.
  onInput() {
    this.held = false;
    this.tell("");
    this.changed();
  }

  onTray() {
    this.changed(false);
    if (this.held && !this.tray.busy) this.submit();
    else if (this.said === REFUSED && !this.tray.failed) this.tell("");
  }

  changed(save = true) {
    const { area } = this;
    if (save && this.draftKey) remember(`draft.${this.draftKey}`, area.value.trim() ? area.value : null);
    area.style.height = "auto";
    if (area.value && area.scrollHeight) area.style.height = `${area.scrollHeight}px`;
    this.button.disabled = !this.canSend;
    this.drawHint();
    this.el.classList.toggle("has-text", Boolean(area.value.trim()));
    this.onChange?.(area.value);
  }

  /** There is something to send, and this person may. */
  get canSend() {
    return Boolean((this.area.value.trim() || this.tray?.items.length) && !this.blocked);
  }

  /** Files dropped on this place are attached here. */
  catchDrops(el) {
    dropZone(
      el,
      (files) => this.mayAttach() && this.tray.take(files),
      () => !this.blocked,
    );
  }

  onPaste(event) {
    const files = event.clipboardData?.files;
    if (!files?.length) return;
    event.preventDefault();
    if (this.mayAttach()) this.tray.take(files);
  }

  // A file goes up for one conversation.
  mayAttach() {
    if (this.early) this.tell("Files can be attached when the page has loaded");
    return !this.early;
  }

  /** Says what is being waited for. */
  waiting(words) {
    this.busy = words;
    this.drawHint();
  }

  tell(words) {
    this.said = words;
    this.drawHint();
  }

  // Where words are in the box, the placeholder cannot say why they do not go.
  drawHint() {
    const words = this.busy || this.said || (this.area.value && this.blocked) || "";
    if (this.hint.textContent !== (words || HINT)) this.hint.textContent = words || HINT;
    this.el.classList.toggle("is-waiting", Boolean(words));
    if (this.busy || this.held) this.el.setAttribute("aria-busy", "true");
    else this.el.removeAttribute("aria-busy");
  }

  set(text) {
    this.area.value = text;
    this.changed();
    this.area.setSelectionRange(text.length, text.length);
  }

  focus() {
    this.area.focus({ preventScroll: true });
  }

  type(text) {
    this.focus();
    const before = this.area.value.slice(0, this.area.selectionStart);
    const gap = text === "@" && before && !/\s$/.test(before) ? " " : "";
    this.area.setRangeText(gap + text, this.area.selectionStart, this.area.selectionEnd, "end");
    this.area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  wrap(mark) {
    this.focus();
    const { area } = this;
    const [from, to] = [area.selectionStart, area.selectionEnd];
    area.setRangeText(mark + area.value.slice(from, to) + mark, from, to, "end");
    if (from === to) area.setSelectionRange(from + mark.length, from + mark.length);
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  onKey(event) {
    if (event.isComposing || this.completion.onKey(event)) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) this.submit(event);
    else if (event.key === "ArrowUp" && !this.area.value && this.onUp?.()) event.preventDefault();
    else if (event.key === "Escape" && this.onCancel) {
      event.preventDefault();
      event.stopPropagation();
      this.onCancel();
    } else if ((event.ctrlKey || event.metaKey) && !event.shiftKey && WRAPS[event.key]) {
      event.preventDefault();
      this.wrap(WRAPS[event.key]);
    }
  }

  submit(event) {
    event?.preventDefault();
    if (!this.canSend) return;
    this.held = Boolean(this.early || this.tray?.busy);
    if (this.held) return this.tell(this.early ? "Goes as soon as the page has loaded" : "Goes as soon as the file is up");
    if (this.tray?.failed) return this.tell(REFUSED);
    const text = this.area.value.trim();
    const files = this.tray ? this.tray.ready : [];
    this.area.value = "";
    this.tell("");
    if (this.tray) this.tray.clear();
    this.changed();
    this.onSend(text, files);
  }
}
