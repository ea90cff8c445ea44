// Where a person writes: grows with the text, keeps its draft, completes names, sends on Enter.
import { h, icon, iconButton } from "./dom.js";
import { Completion } from "./complete.js";
import { dropZone, FileTray } from "./files.js";
import { recall, remember } from "./prefs.js";
import { pickEmoji } from "./picker.js";

const WRAPS = { b: "*", i: "_", e: "`" };
const HINT = "Enter to send, Shift+Enter for a new line";
let serial = 0;

export class Composer {
  /**
   * `onSend(text, files)`; `onUp()` when Up is pressed in an empty box; `onCancel()` for Esc; `submit` names the button;
   * `place()` tells where files go, `onShortcuts(anchor)` opens their menu; without them there is no such tool.
   */
  constructor({ label, onSend, onUp, onCancel, submit = "Send", cancel = false, place, onShortcuts }) {
    Object.assign(this, { onSend, onUp, onCancel, draftKey: null, blocked: "" });
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
    this.hint = h("span", { class: "composer-hint", text: HINT });
    this.button = h(
      "button",
      { type: "submit", class: "send-button", "aria-label": submit, title: submit },
      submit === "Send" ? icon("send", 18) : submit,
    );
    this.tray = place && new FileTray({ place, onChange: () => this.changed(false) });
    const tools = [
      place && iconButton("clip", "Attach files", () => this.tray.browse()),
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
    this.area.addEventListener("input", () => this.changed());
    this.area.addEventListener("keydown", (event) => this.onKey(event));
    if (this.tray) this.area.addEventListener("paste", (event) => this.onPaste(event));
    this.changed();
  }

  /** Points the composer at another place: its draft is put away, the other's is brought back. */
  aim(draftKey, label) {
    this.draftKey = draftKey;
    this.area.setAttribute("aria-label", label);
    this.area.placeholder = label;
    this.area.value = recall(`draft.${draftKey}`, "");
    this.completion.close();
    this.changed(false);
  }

  block(reason) {
    this.blocked = reason;
    this.area.disabled = Boolean(reason);
    this.el.classList.toggle("is-blocked", Boolean(reason));
    if (reason) this.area.placeholder = reason;
    this.changed(false);
  }

  changed(save = true) {
    const { area } = this;
    if (save && this.draftKey) remember(`draft.${this.draftKey}`, area.value.trim() ? area.value : null);
    area.style.height = "auto";
    if (area.value && area.scrollHeight) area.style.height = `${area.scrollHeight}px`;
    this.button.disabled = !this.canSend;
    this.el.classList.toggle("has-text", Boolean(area.value.trim()));
    this.onChange?.(area.value);
  }

  get canSend() {
    const files = this.tray?.ready.length && !this.tray.busy;
    return Boolean((this.area.value.trim() || files) && !this.blocked && !this.tray?.busy);
  }

  /** Files dropped on this place are attached here. */
  catchDrops(el) {
    dropZone(
      el,
      (files) => this.tray.take(files),
      () => !this.blocked,
    );
  }

  onPaste(event) {
    const files = event.clipboardData?.files;
    if (!files?.length) return;
    event.preventDefault();
    this.tray.take(files);
  }

  /** Says what is being waited for; nothing else can be sent meanwhile. */
  waiting(words) {
    this.hint.textContent = words || HINT;
    this.el.classList.toggle("is-waiting", Boolean(words));
    if (words) this.el.setAttribute("aria-busy", "true");
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
    event.preventDefault();
    const text = this.area.value.trim();
    if (!this.canSend) return;
    const files = this.tray ? this.tray.ready : [];
    this.area.value = "";
    if (this.tray) this.tray.clear();
    this.changed();
    this.onSend(text, files);
  }
}
