// Completion for @people, #channels and :emoji: in a text area: a listbox above it, driven from the keyboard.
import { h, fill } from "./dom.js";
import { avatar } from "./avatar.js";
import { commandOptions } from "./commands.js";
import { icon } from "./dom.js";
import { emojiNode, findEmoji } from "./emoji.js";
import { state } from "./store.js";

const TRIGGER = /(?:^|[\s(])([@#:])([\p{L}\p{N}._+-]*)$|^(\/)([\w-]*)$/u;
const LIMIT = 8;
let serial = 0;

const SOURCES = {
  "/": commandOptions,
  "@": (query) => [...state.users.values()].filter((user) => fits(query, user.name, user.real_name)).map(userOption),
  "#": (query) =>
    [...state.channels.values()]
      .filter((one) => !one.is_im && fits(query, one.name))
      .map((one) => ({ insert: `#${one.name}`, face: icon("hash", 16), label: one.name, hint: one.topic || "" })),
  ":": (query) =>
    query.length < 2
      ? []
      : findEmoji(query, LIMIT).map((name) => ({
          insert: `:${name}:`,
          face: emojiNode(name),
          label: `:${name}:`,
          hint: "",
        })),
};

const userOption = (user) => ({
  insert: `@${user.name}`,
  face: avatar(user.id, "s"),
  label: user.real_name || user.name,
  hint: `@${user.name}${user.is_bot ? " · app" : ""}`,
});

const fits = (query, ...texts) =>
  texts.some(
    (text) =>
      text &&
      text
        .toLowerCase()
        .split(/[\s._-]/)
        .concat(text.toLowerCase())
        .some((word) => word.startsWith(query.toLowerCase())),
  );

export class Completion {
  constructor(area) {
    this.area = area;
    this.options = [];
    this.active = 0;
    this.id = `complete-${++serial}`;
    this.list = h("ul", { class: "complete", role: "listbox", id: this.id, "aria-label": "Suggestions", hidden: true });
    area.setAttribute("aria-autocomplete", "list");
    area.setAttribute("aria-controls", this.id);
    area.addEventListener("input", () => this.refresh());
    area.addEventListener("blur", () => this.close());
    this.list.addEventListener("mousedown", (event) => {
      event.preventDefault();
      const row = event.target.closest("[role=option]");
      if (row) this.pick(Number(row.dataset.place));
    });
  }

  get open() {
    return !this.list.hidden;
  }

  refresh() {
    const before = this.area.value.slice(0, this.area.selectionStart);
    const match = TRIGGER.exec(before);
    const [mark, query] = match ? [match[1] || match[3], match[2] ?? match[4]] : [];
    this.options = mark ? SOURCES[mark](query).slice(0, LIMIT) : [];
    this.from = mark ? before.length - query.length - 1 : 0;
    this.active = 0;
    this.draw();
  }

  draw() {
    this.list.hidden = !this.options.length;
    fill(
      this.list,
      this.options.map((option, i) => this.row(option, i)),
    );
    if (this.open) this.area.setAttribute("aria-activedescendant", `${this.id}-${this.active}`);
    else this.area.removeAttribute("aria-activedescendant");
  }

  row(option, i) {
    return h(
      "li",
      { role: "option", id: `${this.id}-${i}`, data: { place: i }, "aria-selected": String(i === this.active) },
      option.face,
      h("span", { class: "complete-label", text: option.label }),
      h("span", { class: "complete-hint", text: option.hint }),
    );
  }

  /** Takes the key if the list is open and the key is one of its own. */
  onKey(event) {
    if (!this.open) return false;
    if (event.key === "Enter" && this.isWhole) {
      this.close();
      return false;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      this.active = (this.active + step + this.options.length) % this.options.length;
      this.draw();
    } else if (event.key === "Enter" || event.key === "Tab") this.pick(this.active);
    else if (event.key === "Escape") this.close();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  /** The name is typed out already: Enter then sends, as it would without a list. */
  get isWhole() {
    const typed = this.area.value.slice(this.from, this.area.selectionStart);
    return this.options[this.active]?.insert === typed;
  }

  pick(place) {
    const option = this.options[place];
    if (!option) return;
    const { area } = this;
    area.setRangeText(`${option.insert} `, this.from, area.selectionStart, "end");
    this.close();
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  close() {
    this.options = [];
    this.draw();
  }
}
