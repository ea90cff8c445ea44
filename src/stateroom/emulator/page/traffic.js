// How much went over the wire, and the way to the inspector that shows it.
import { on } from "./bus.js";
import { h, icon } from "./dom.js";
import { state } from "./store.js";

export class Traffic {
  constructor(openInspector) {
    this.summary = h("span", { class: "fold-note" });
    this.el = h(
      "section",
      { class: "panel-section traffic", "aria-labelledby": "traffic-title" },
      h("div", { class: "section-head" }, h("h3", { id: "traffic-title", text: "Traffic" }), this.summary),
      h("button", { type: "button", class: "button action", on: { click: openInspector } }, icon("list", 17), "Open the inspector"),
    );
    for (const topic of ["loaded", "traffic", "reset"]) on(topic, () => this.draw());
  }

  draw() {
    const total = state.deliveries.length + state.calls.length + state.interactions.length;
    this.summary.textContent = total ? `${total} so far` : "quiet";
  }
}
