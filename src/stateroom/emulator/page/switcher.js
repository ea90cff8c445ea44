// Ctrl+K: type a few letters of a channel or a person, Enter goes there, Esc goes back.
import { avatar } from "./avatar.js";
import { h, fill, icon } from "./dom.js";
import { unreadIn } from "./reading.js";
import { isMember, otherSide, state, titleOf } from "./store.js";

export function openSwitcher(go) {
  if (document.querySelector("dialog.switcher")) return;
  const opener = document.activeElement;
  const list = h("ul", { role: "listbox", id: "switch-list", "aria-label": "Conversations" });
  const input = h("input", {
    type: "text",
    role: "combobox",
    "aria-expanded": "true",
    "aria-controls": "switch-list",
    "aria-label": "Jump to a conversation",
    placeholder: "Jump to a conversation",
    autocomplete: "off",
    spellcheck: "false",
  });
  const help = h(
    "p",
    { class: "switch-help" },
    h("kbd", { text: "↑↓" }),
    " choose ",
    h("kbd", { text: "Enter" }),
    " open ",
    h("kbd", { text: "Esc" }),
    " close",
  );
  const dialog = h(
    "dialog",
    { class: "dialog switcher", "aria-label": "Jump to a conversation" },
    h("div", { class: "switch-box" }, icon("search", 18), input),
    list,
    help,
  );
  let hits = [];
  let active = 0;
  let chosen = "";
  const draw = () => {
    hits = matching(input.value.trim().toLowerCase());
    active = Math.min(active, Math.max(0, hits.length - 1));
    fill(
      list,
      hits.map((one, i) => option(one, i === active, i)),
      !hits.length && h("li", { class: "switch-none", text: "Nothing of that name here." }),
    );
    if (hits.length) input.setAttribute("aria-activedescendant", `switch-${active}`);
    else input.removeAttribute("aria-activedescendant");
  };
  const pick = (i) => {
    chosen = hits[i]?.id || "";
    if (chosen) dialog.close();
  };
  input.addEventListener("input", () => {
    active = 0;
    draw();
  });
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && hits.length) active = (active + step + hits.length) % hits.length;
    else if (event.key === "Enter") pick(active);
    else return;
    event.preventDefault();
    draw();
  });
  list.addEventListener("click", (event) => pick(Number(event.target.closest("[role=option]")?.dataset.place)));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (chosen) go(chosen);
    else if (opener?.isConnected) opener.focus();
  });
  draw();
  document.body.append(dialog);
  dialog.showModal();
  input.focus();
}

function matching(query) {
  const all = [...state.channels.values()].filter((one) => !one.is_im || isMember(one));
  const scored = all
    .map((one) => ({ one, at: titleOf(one.id).toLowerCase().indexOf(query) }))
    .filter(({ at }) => at >= 0);
  const rank = ({ one, at }) => (one.id === state.here ? 1000 : 0) - (unreadIn(one.id).count ? 100 : 0) + at;
  return scored.sort((a, b) => rank(a) - rank(b)).map(({ one }) => one);
}

function option(one, selected, place) {
  const { count } = unreadIn(one.id);
  return h(
    "li",
    { role: "option", id: `switch-${place}`, "aria-selected": String(selected), data: { place } },
    one.is_im ? avatar(otherSide(one), "s") : icon("hash", 16),
    h("span", { class: "switch-name", text: titleOf(one.id) }),
    h("span", { class: "switch-hint", text: count ? `${count} unread` : one.topic || "" }),
  );
}
