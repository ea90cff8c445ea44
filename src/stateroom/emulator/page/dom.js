// DOM nodes, never HTML strings: the one place where elements are made.
// Rule: nothing in this page assigns innerHTML or reads text as markup; the CSP would not save a mistake in a link.

const SVG = "http://www.w3.org/2000/svg";

/** Makes an element. `props`: class, text, on {event: fn}, data {key: value}, vars {--css: value}, any attribute. */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) setProp(node, key, value);
  add(node, children);
  return node;
}

function setProp(node, key, value) {
  if (value === undefined || value === null || value === false) return;
  if (key === "class") node.className = value;
  else if (key === "text") node.textContent = value;
  else if (key === "on") for (const [name, fn] of Object.entries(value)) node.addEventListener(name, fn);
  else if (key === "data") Object.assign(node.dataset, value);
  else if (key === "vars") for (const [name, v] of Object.entries(value)) node.style.setProperty(name, v);
  else if (key in PROPERTIES) node[key] = value;
  else node.setAttribute(key, value === true ? "" : String(value));
}

const PROPERTIES = { value: 1, checked: 1, disabled: 1, hidden: 1, inert: 1, tabIndex: 1, htmlFor: 1, type: 1, open: 1 };

export function add(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child);
  }
  return node;
}

export function fill(node, ...children) {
  node.replaceChildren();
  return add(node, children);
}

/** Writes text only when it differs, so that live regions speak once. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Our own sentences: what stands in backticks is code. */
export function sentence(text) {
  return text.split("`").map((part, i) => (i % 2 ? h("code", { text: part }) : part));
}

export const byId = (id) => document.getElementById(id);

/** A picture of index.html's set, 24 x 24, stroked with the text colour. */
export function icon(name, size = 18) {
  const node = svg("svg", { width: size, height: size, "aria-hidden": "true", class: "icon" });
  node.append(svg("use", { href: `#i-${name}` }));
  return node;
}

/** The mark of a bot, and of this page: a porthole with a wave behind it. */
export function porthole(size = 20) {
  const node = svg("svg", { viewBox: "0 0 24 24", width: size, height: size, "aria-hidden": "true", class: "mark" });
  if (size < 16) {
    node.append(
      svg("circle", { cx: 12, cy: 12, r: 9.5, fill: "none", stroke: "currentColor", "stroke-width": 3 }),
      svg("path", {
        d: "M5 12.6c2.3-2.4 4.7-2.4 7 0s4.7 2.4 7 0",
        stroke: "currentColor",
        "stroke-width": 3,
        fill: "none",
      }),
    );
    return node;
  }
  node.append(
    svg("circle", { cx: 12, cy: 12, r: 8.6, fill: "none", stroke: "currentColor", "stroke-width": 2 }),
    svg("path", {
      d: "M12 1v3M12 20v3M1 12h3M20 12h3M4.2 4.2l2.1 2.1M17.7 17.7l2.1 2.1M4.2 19.8l2.1-2.1M17.7 6.3l2.1-2.1",
      stroke: "currentColor",
      "stroke-width": 1.6,
      fill: "none",
    }),
    svg("path", {
      d: "M6.4 10.4c1.9-1.7 3.7-1.7 5.6 0s3.7 1.7 5.6 0M6.4 14.4c1.9-1.7 3.7-1.7 5.6 0s3.7 1.7 5.6 0",
      stroke: "currentColor",
      "stroke-width": 1.8,
      fill: "none",
      "stroke-linecap": "round",
    }),
  );
  return node;
}

function svg(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

/** An icon button with a name for everyone: the label is the tooltip and what a screen reader says. */
export function iconButton(name, label, onClick, props = {}) {
  return h(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, on: { click: onClick }, ...props },
    icon(name),
  );
}
