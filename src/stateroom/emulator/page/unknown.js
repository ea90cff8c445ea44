// What nobody taught this page to draw: its name, and all of it.
import { h } from "./dom.js";

export function unknownCard(what, value) {
  const name = typeof value?.type === "string" ? value.type : "without a type";
  return h(
    "details",
    { class: "unknown-card" },
    h(
      "summary",
      {},
      h("span", { class: "unknown-name", text: `${what}: ${name}` }),
      h("span", { class: "unknown-hint", text: "not drawn here, show its JSON" }),
    ),
    h("pre", { tabIndex: 0 }, h("code", { text: JSON.stringify(value, null, 2) })),
  );
}
