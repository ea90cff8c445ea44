// A small emoji picker: search, arrows, Enter; Esc gives the focus back to where it came from.
import { h, fill } from "./dom.js";
import { EMOJI, emojiNode, findEmoji, isDrawable, QUICK } from "./emoji.js";

const LIMIT = 42;

/** Opens beside `anchor`; `onPick(name)`; `restore()` puts the focus back when nothing was picked. */
export function pickEmoji(anchor, onPick, restore = () => anchor.focus()) {
  const grid = h("div", { class: "picker-grid" });
  const search = h("input", {
    type: "search",
    placeholder: "Find an emoji",
    "aria-label": "Find an emoji",
    autocomplete: "off",
  });
  const dialog = h("dialog", { class: "picker", "aria-label": "Emoji" }, search, grid);
  let picked = null;
  const draw = () => {
    const query = search.value.trim().replace(/:/g, "").toLowerCase();
    const names = query ? findEmoji(query, LIMIT) : common();
    fill(grid, names.length ? names.map(cell) : h("p", { class: "picker-none", text: "No emoji of that name." }));
  };
  const choose = (name) => {
    picked = name;
    dialog.close();
  };
  const cell = (name) =>
    h(
      "button",
      {
        type: "button",
        class: "picker-cell",
        "aria-label": name,
        title: `:${name}:`,
        on: { click: () => choose(name) },
      },
      emojiNode(name),
    );
  search.addEventListener("input", draw);
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target === search) grid.querySelector("button")?.click();
    else moveFocus(event, grid, search);
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (picked) onPick(picked);
    else restore();
  });
  draw();
  document.body.append(dialog);
  dialog.showModal();
  place(dialog, anchor);
  search.focus();
}

// What is offered before anything is typed: what this machine can draw, then the usual ones by name.
function common() {
  const rest = [...EMOJI.keys()].filter((name) => !QUICK.includes(name) && isDrawable(name));
  return [...QUICK.filter(isDrawable), ...rest, ...QUICK.filter((name) => !isDrawable(name))].slice(0, LIMIT);
}

function moveFocus(event, grid, search) {
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 7, ArrowUp: -7 }[event.key];
  const cells = [...grid.querySelectorAll("button")];
  const at = cells.indexOf(document.activeElement);
  if (!step || (at < 0 && event.key !== "ArrowDown")) return;
  event.preventDefault();
  const next = at < 0 ? 0 : at + step;
  if (next < 0) search.focus();
  else cells[Math.min(next, cells.length - 1)]?.focus();
}

function place(dialog, anchor) {
  const at = anchor.getBoundingClientRect();
  const { width, height } = dialog.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left), innerWidth - width - 8);
  const top = at.top - height - 6 > 8 ? at.top - height - 6 : Math.min(at.bottom + 6, innerHeight - height - 8);
  dialog.style.left = `${left}px`;
  dialog.style.top = `${Math.max(8, top)}px`;
}
