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

const PROPERTIES = { value: 1, checked: 1, disabled: 1, hidden: 1, inert: 1, tabIndex: 1, htmlFor: 1, type: 1 };

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

// 24 x 24, stroked with the text colour; `!` in front means filled.
const PATHS = {
  menu: "M4 7h16M4 12h16M4 17h11",
  close: "M6 6l12 12M18 6L6 18",
  hash: "M9.5 4L7.5 20M16.5 4l-2 16M4.5 9h16M3.5 15h16",
  thread: "M4 5h16v11H11l-4 4v-4H4zM8 9h8M8 12h5",
  smile: "M12 3a9 9 0 100 18 9 9 0 000-18zM8.5 14.5c1.8 2.4 5.2 2.4 7 0M9 9.5v.5M15 9.5v.5",
  edit: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5",
  send: "!M3.4 20.6l18-8.1a.6.6 0 000-1.1l-18-8.1a.5.5 0 00-.7.6L5.2 11l9 1-9 1-2.5 7.1a.5.5 0 00.7.5z",
  at: "M15.5 12a3.5 3.5 0 11-7 0 3.5 3.5 0 017 0zM15.5 8.5V13c0 3.4 5 3 5-1.2A8.6 8.6 0 1016.5 19",
  sun: "M12 8a4 4 0 100 8 4 4 0 000-8zM12 2.5V5M12 19v2.5M2.5 12H5M19 12h2.5M5.3 5.3L7 7M17 17l1.7 1.7M18.7 5.3L17 7M7 17l-1.7 1.7",
  moon: "M20 14.5A8.5 8.5 0 019.5 4a8.5 8.5 0 1010.5 10.5z",
  half: "M12 3.5a8.5 8.5 0 100 17 8.5 8.5 0 000-17zM12 3.5v17M12 8h7.4M12 12h8.5M12 16h7.4",
  pulse: "M3 12h4l2.5-7 4.5 14 3-7h4",
  crash: "M13 2.5L5 13.5h6L10 21.5l9-12h-6.5z",
  twice: "M9 3h11v11M15 8.5H4V20h11zM20 3l-5 5",
  search: "M10.5 4a6.5 6.5 0 100 13 6.5 6.5 0 000-13zM15.5 15.5L20.5 20.5",
  down: "M12 5v14M6 13l6 6 6-6",
  chevron: "M9 6l6 6-6 6",
  check: "M5 12.5l4.5 4.5L19 7",
  alert: "M12 4l9 16H3zM12 10v4.5M12 17.2v.3",
  retry: "M4 12a8 8 0 0113.7-5.6L20 9M20 4v5h-5M20 12a8 8 0 01-13.7 5.6L4 15M4 20v-5h5",
  info: "M12 3.5a8.5 8.5 0 100 17 8.5 8.5 0 000-17zM12 11v5.5M12 7.6v.3",
  clock: "M12 3.5a8.5 8.5 0 100 17 8.5 8.5 0 000-17zM12 7.5V12l3 2",
  plug: "M9 3v5M15 3v5M6 8h12v3a6 6 0 01-12 0zM12 17v4",
  code: "M8 7l-5 5 5 5M16 7l5 5-5 5",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9a3 3 0 100 6 3 3 0 000-6z",
  dice: "M5 4h14v16H5zM9 8.5v.5M15 15v.5M12 12v.2",
  out: "M5 12h13M12 6l6 6-6 6",
  back: "M19 12H6M12 6l-6 6 6 6",
};

export function icon(name, size = 18) {
  const path = PATHS[name] || PATHS.alert;
  const filled = path.startsWith("!");
  const node = svg("svg", { viewBox: "0 0 24 24", width: size, height: size, "aria-hidden": "true", class: "icon" });
  node.append(svg("path", filled ? { d: path.slice(1), fill: "currentColor", stroke: "none" } : { d: path }));
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
