// Where a person writes: grows with the text, keeps its draft, completes names, sends on Enter.
import { h, icon, iconButton } from "./dom.js";
import { Completion } from "./complete.js";
import { recall, remember } from "./prefs.js";
import { pickEmoji } from "./picker.js";

const WRAPS = { b: "*", i: "_", e: "`" };
let serial = 0;

export class Composer {
  /** `onSend(text)`; `onUp()` when Up is pressed in an empty box; `onCancel()` for Esc; `submit` names the button. */
  constructor({ label, onSend, onUp, onCancel, submit = "Send", cancel = false }) {
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
    this.hint = h("span", { class: "composer-hint", text: "Enter to send, Shift+Enter for a new line" });
    this.button = h(
      "button",
      { type: "submit", class: "send-button", "aria-label": submit, title: submit },
      submit === "Send" ? icon("send", 18) : submit,
    );
    const tools = [
      iconButton("at", "Mention someone", () => this.type("@")),
      iconButton("smile", "Insert an emoji", (event) =>
        pickEmoji(
          event.currentTarget,
          (name) => this.type(`:${name}: `),
          () => this.focus(),
        ),
      ),
      iconButton("code", "Code (Ctrl+E)", () => this.wrap("`")),
    ];
    const cancelButton =
      cancel &&
      h("button", { type: "button", class: "button", on: { click: () => this.onCancel?.() }, text: "Cancel" });
    this.el = h(
      "form",
      { class: "composer", on: { submit: (event) => this.submit(event) } },
      this.completion.list,
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
    this.button.disabled = !area.value.trim() || Boolean(this.blocked);
    this.el.classList.toggle("has-text", Boolean(area.value.trim()));
    this.onChange?.(area.value);
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
    if (!text || this.blocked) return;
    this.area.value = "";
    this.changed();
    this.onSend(text);
  }
}
