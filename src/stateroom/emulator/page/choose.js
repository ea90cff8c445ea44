// Choosing from a list that can be searched: the switcher, every select menu, overflow menus, shortcuts. A dialog with a
// search box and a listbox; arrows and Enter choose, Esc gives the focus back.
import { fill, h, icon } from "./dom.js";

let serial = 0;

/**
 * `load(query)` gives options, at once or as a promise: {value, label, hint, face, group}. One of `pick(option)` for a
 * single choice, or `chosen` (values) with `done(options)` for many. `anchor` places it beside something, else it stands
 * in the middle. `help`: nodes below the list.
 */
export function choose({ title, placeholder = title, load, pick, chosen, done, max, anchor, help, search = true, none }) {
  if (document.querySelector("dialog.chooser")) return;
  const opener = anchor || document.activeElement;
  const id = `choose-${++serial}`;
  const picked = new Map((chosen || []).map((option) => [option.value, option]));
  const list = h("ul", {
    role: "listbox",
    id,
    "aria-label": title,
    "aria-multiselectable": done ? "true" : null,
    tabIndex: search ? -1 : 0,
  });
  const input = h("input", {
    type: "text",
    role: "combobox",
    "aria-expanded": "true",
    "aria-controls": id,
    "aria-label": title,
    placeholder,
    autocomplete: "off",
    spellcheck: "false",
  });
  const ready = h("button", { type: "button", class: "button button-primary", text: "Done", on: { click: finish } });
  const dialog = h(
    "dialog",
    { class: `chooser ${anchor ? "chooser-at" : "dialog switcher"}`, "aria-label": title },
    search && h("div", { class: "switch-box" }, icon("search", anchor ? 15 : 18), input),
    list,
    help && h("p", { class: "switch-help" }, help),
    done && h("div", { class: "chooser-foot" }, ready),
  );
  const keys = search ? input : list;
  let [options, active, result, round] = [[], 0, null, 0];

  function draw() {
    let group = null;
    const rows = options.flatMap((option, i) => {
      const head = option.group && option.group !== group;
      group = option.group;
      return [head && h("li", { class: "choose-group", role: "presentation", text: group }), row(option, i)];
    });
    fill(list, rows, !options.length && h("li", { class: "switch-none", text: none || "Nothing of that name here." }));
    if (options.length) keys.setAttribute("aria-activedescendant", `${id}-${active}`);
    else keys.removeAttribute("aria-activedescendant");
    list.querySelector(`#${id}-${active}`)?.scrollIntoView({ block: "nearest" });
  }

  function row(option, i) {
    const on = done ? picked.has(option.value) : i === active;
    return h(
      "li",
      {
        role: "option",
        id: `${id}-${i}`,
        class: i === active ? "is-active" : null,
        "aria-selected": String(on),
        data: { place: i },
      },
      done && h("span", { class: "choose-tick" }, on && icon("check", 14)),
      option.face,
      h("span", { class: "switch-name" }, option.label),
      option.hint && h("span", { class: "switch-hint", text: option.hint }),
    );
  }

  async function refresh() {
    const mine = ++round;
    active = 0;
    let found = load(input.value.trim());
    if (found?.then) {
      fill(list, h("li", { class: "switch-none", role: "status", text: "Asking the app…" }));
      found = await found.catch((error) => {
        fill(list, h("li", { class: "switch-none is-bad", role: "alert", text: error.message }));
        return null;
      });
    }
    if (mine !== round || !found) return;
    options = found;
    draw();
  }

  function take(i) {
    const option = options[i];
    if (!option) return;
    active = i;
    if (!done) {
      result = option;
      dialog.close();
    } else {
      if (picked.has(option.value)) picked.delete(option.value);
      else if (!max || picked.size < max) picked.set(option.value, option);
      draw();
    }
  }

  function finish() {
    result = [...picked.values()];
    dialog.close();
  }

  keys.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && options.length) active = (active + step + options.length) % options.length;
    else if (event.key === "Enter" && done && (event.ctrlKey || event.metaKey)) return finish();
    else if (event.key === "Enter") {
      event.preventDefault();
      return take(active);
    } else return undefined;
    event.preventDefault();
    return draw();
  });
  input.addEventListener("input", refresh);
  list.addEventListener("click", (event) => {
    const place = event.target.closest("[role=option]")?.dataset.place;
    if (place) take(Number(place));
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (opener?.isConnected) opener.focus();
    if (result) (done || pick)(result);
  });
  refresh();
  document.body.append(dialog);
  dialog.showModal();
  if (anchor) beside(dialog, anchor);
  keys.focus();
}

/** Puts an open dialog above or below what it belongs to. */
export function beside(dialog, anchor) {
  const at = anchor.getBoundingClientRect();
  const { width, height } = dialog.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left), innerWidth - width - 8);
  const room = innerHeight - at.bottom - 14;
  const top = at.top - height - 6 > 8 && room < height ? at.top - height - 6 : Math.min(at.bottom + 6, innerHeight - height - 8);
  dialog.style.left = `${left}px`;
  dialog.style.top = `${Math.max(8, top)}px`;
}
