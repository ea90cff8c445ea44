// Block Kit: each kind of block is a row of the table, and what is not in it is a named card with its JSON.
// https://docs.slack.dev/reference/block-kit/blocks
import { fill, h, icon } from "./dom.js";
import { element } from "./elements.js";
import { fileCard } from "./files.js";
import { safeHref } from "./inline.js";
import { inlineNodes, renderText } from "./markup.js";
import { parseInline } from "./inline.js";
import { richNodes } from "./rich.js";
import { imageNode, outLink, plain, textObject, words } from "./texts.js";
import { unknownCard } from "./unknown.js";

/** `context` is what elements.js asks of it. */
export function renderBlocks(blocks, context) {
  const full = { ...STILL, inline: (text) => inlineNodes(parseInline(String(text)), context.names), ...context };
  return (blocks || []).map((block) => blockNode(block, full));
}

const STILL = { value: () => undefined, set() {}, press: async () => {}, suggest: async () => [] };

function blockNode(block, context) {
  const kind = Object.hasOwn(BLOCKS, block?.type) && BLOCKS[block.type];
  return kind ? kind(block, context) : unknownCard("block", block);
}

const all = (items, draw) => (Array.isArray(items) ? items : []).map(draw);
const text = (object, context) => object && textObject(object, context.names);

const BLOCKS = {
  section: (block, context) =>
    h(
      "div",
      { class: "block-section" },
      h(
        "div",
        { class: "block-main" },
        text(block.text, context),
        block.fields && h("div", { class: "block-fields" }, all(block.fields, (field) => h("div", {}, text(field, context)))),
      ),
      block.accessory && element(block.accessory, block, context),
    ),
  context: (block, context) =>
    h(
      "div",
      { class: "block-context" },
      all(block.elements, (item) =>
        item.type === "image" ? imageNode(item, "pic-tiny") : h("div", {}, text(item, context)),
      ),
    ),
  divider: () => h("hr"),
  header: (block) => h("p", { class: `block-header block-h${Number(block.level) || 1}` }, plain(block.text)),
  markdown: (block, context) =>
    h("div", { class: "block-markdown" }, renderText(String(block.text ?? ""), context.names, { markdown: true })),
  actions: buttons,
  context_actions: buttons,
  image: (block) =>
    h("figure", { class: "block-image" }, block.title && h("figcaption", {}, plain(block.title)), imageNode(block)),
  rich_text: (block, context) => h("div", { class: "block-rich" }, richNodes(block, context.names)),
  file: (block, context) => {
    const file = context.files?.find((one) => one.id === block.file_id || one.external_id === block.external_id);
    return file ? fileCard(file) : h("p", { class: "file-chip" }, icon("file", 15), `Remote file ${block.external_id || ""}`);
  },
  input,
  table: (block, context) => table(block.rows, context, block.column_settings),
  data_table: dataTable,
  data_visualization: chart,
  video,
  task_card: (block, context) => task(block, context),
  plan: (block, context) =>
    h(
      "section",
      { class: "plan", "aria-label": words(block.title) },
      h("p", { class: "plan-title" }, icon("list", 16), plain(block.title)),
      all(block.tasks, (one) => task(one, context)),
    ),
  alert: (block, context) =>
    h(
      "div",
      { class: `callout callout-${LEVELS.includes(block.level) ? block.level : "default"}` },
      icon(block.level === "success" ? "check" : block.level === "error" || block.level === "warning" ? "alert" : "info", 16),
      h("div", {}, text(block.text, context)),
    ),
  card,
  carousel: (block, context) =>
    h(
      "div",
      { class: "carousel", role: "group", "aria-label": "Cards", tabIndex: 0 },
      all(block.elements, (one) => blockNode(one, context)),
    ),
  container,
};

const LEVELS = ["info", "warning", "error", "success"];

function buttons(block, context) {
  return h("div", { class: `block-actions is-${block.type}` }, all(block.elements, (item) => element(item, block, context)));
}

let serial = 0;

/** A label, its element, a hint and a place for what is wrong with it. */
function input(block, context) {
  const id = `field-${++serial}`;
  return h(
    "div",
    { class: "block-input", data: { block: block.block_id || "" } },
    h(
      "p",
      { class: "input-label", id },
      plain(block.label),
      block.optional
        ? h("span", { class: "input-optional", text: " (optional)" })
        : h("span", { class: "input-required", title: "Required", text: " *" }),
    ),
    element(block.element, block, context, id),
    block.hint && h("p", { class: "input-hint" }, plain(block.hint)),
    h("p", { class: "input-error", role: "alert", hidden: true }),
  );
}

// ---- tables and charts

const cellText = (cell) => (cell?.type === "raw_number" ? cell.text ?? String(cell.value) : cell?.text);

function cellNode(cell, context) {
  if (cell?.type === "rich_text") return richNodes(cell, context.names);
  if (cell?.type === "raw_text" || cell?.type === "raw_number") return String(cellText(cell) ?? "");
  return cell?.type === "mrkdwn" || cell?.type === "plain_text" ? text(cell, context) : unknownCard("cell", cell);
}

function table(rows, context, settings = [], head = "td") {
  const look = (i) => {
    const set = settings?.[i] || {};
    return [set.align && `is-${set.align}`, set.is_wrapped && "is-wrapped"].filter(Boolean).join(" ") || null;
  };
  const row = (cells, tag) => h("tr", {}, all(cells, (cell, i) => h(tag, { class: look(i) }, cellNode(cell, context))));
  const [first, ...rest] = Array.isArray(rows) ? rows : [];
  return h(
    "div",
    { class: "table-wrap", tabIndex: 0, role: "group", "aria-label": "Table" },
    h("table", {}, first && h(head === "th" ? "thead" : "tbody", {}, row(first, head)), h("tbody", {}, rest.map((one) => row(one, "td")))),
  );
}

const sortKey = (cell) => (cell?.type === "raw_number" ? Number(cell.value) : String(cellText(cell) ?? JSON.stringify(cell)));

/** Sorted by a press on a column's name, a page at a time. */
function dataTable(block, context) {
  const [head, ...rows] = Array.isArray(block.rows) ? block.rows : [[]];
  const size = Number(block.page_size) || 5;
  const body = h("tbody");
  const foot = h("p", { class: "table-pages" });
  let [page, by, down] = [0, -1, false];
  const draw = () => {
    const sorted = by < 0 ? rows : [...rows].sort((a, b) => (sortKey(a[by]) > sortKey(b[by]) ? 1 : -1) * (down ? -1 : 1));
    const last = Math.max(0, Math.ceil(rows.length / size) - 1);
    const lead = block.row_header_column_index ?? 0;
    fill(
      body,
      sorted.slice(page * size, page * size + size).map((cells) =>
        h("tr", {}, all(cells, (cell, i) => h(i === lead ? "th" : "td", { scope: i === lead ? "row" : null }, cellNode(cell, context)))),
      ),
    );
    const turn = (step, label) =>
      h("button", {
        type: "button",
        class: "link-button",
        disabled: page + step < 0 || page + step > last,
        text: label,
        on: { click: () => draw((page += step)) },
      });
    fill(foot, last > 0 && [turn(-1, "Previous"), ` ${page + 1} of ${last + 1} `, turn(1, "Next")]);
  };
  const sort = (i) => {
    [by, down, page] = [i, by === i && !down, 0];
    draw();
  };
  draw();
  const names = all(head, (cell, i) =>
    h("th", { scope: "col" }, h("button", { type: "button", class: "sort", on: { click: () => sort(i) } }, String(cellText(cell) ?? ""))),
  );
  return h(
    "div",
    { class: "table-wrap" },
    h("table", {}, h("caption", { text: words(block.caption) }), h("thead", {}, h("tr", {}, names)), body),
    foot,
  );
}

/** A chart as its numbers, each with a bar of its size. */
function chart(block) {
  const { type, segments, series = [], axis_config: axis } = block.chart || {};
  const names = segments ? segments.map((one) => one.label) : axis?.categories || [];
  const columns = segments ? [{ name: "", data: segments }] : series;
  const at = (one, name) => Number((one.data || []).find((point) => point.label === name)?.value ?? 0);
  const sum = columns[0] ? names.reduce((total, name) => total + at(columns[0], name), 0) : 1;
  const most = segments ? sum : Math.max(1, ...columns.flatMap((one) => names.map((name) => at(one, name))));
  const cell = (value) =>
    h("td", { class: "bar-cell" }, h("i", { class: "bar", vars: { "--part": value / (most || 1) } }), segments ? `${value} (${Math.round((100 * value) / (sum || 1))} %)` : String(value));
  return h(
    "div",
    { class: "table-wrap chart" },
    h(
      "table",
      {},
      h("caption", { text: `${words(block.title)} (${type} chart)` }),
      !segments && h("thead", {}, h("tr", {}, h("th", { text: axis?.x_label || "" }), columns.map((one) => h("th", { scope: "col", text: one.name })))),
      h("tbody", {}, names.map((name) => h("tr", {}, h("th", { scope: "row", text: name }), columns.map((one) => cell(at(one, name)))))),
    ),
  );
}

// ---- cards

function video(block) {
  const href = safeHref(String(block.title_url || block.video_url || ""));
  const title = plain(block.title);
  return h(
    "div",
    { class: "kit-card video-card" },
    h("p", { class: "kit-card-over" }, icon("play", 15), [words(block.provider_name), words(block.author_name)].filter(Boolean).join(" · ") || "Video"),
    h("p", { class: "kit-card-title" }, href ? outLink(href, {}, title) : title),
    block.description && h("p", {}, plain(block.description)),
    h("p", { class: "kit-card-sub", text: words(block.alt_text) }),
  );
}

function card(block, context) {
  const size = (name, object) => object && h("div", { class: name }, text(object, context));
  return h(
    "div",
    { class: "kit-card" },
    block.hero_image && imageNode(block.hero_image, "pic"),
    h(
      "div",
      { class: "kit-card-head" },
      block.icon && imageNode(block.icon, "pic-small"),
      block.slack_icon && icon(ICONS[block.slack_icon.name] || "info", 20),
      h("div", {}, size("kit-card-title", block.title), size("kit-card-sub", block.subtitle)),
    ),
    size("kit-card-body", block.body),
    size("kit-card-sub", block.subtext),
    block.actions && h("div", { class: "block-actions" }, all(block.actions, (item) => element(item, block, context))),
  );
}

const ICONS = { trash: "trash", edit: "edit", warning: "alert", check: "check", code: "code", file: "file", image: "image", link: "out", comment: "thread", "eye-open": "eye", refresh: "retry", call: "bolt" };

function container(block, context) {
  const title = block.rich_text_title ? richNodes(block.rich_text_title, context.names) : plain(block.title);
  const head = [
    block.icon && imageNode(block.icon, "pic-small"),
    h("div", {}, h("div", { class: "kit-card-title" }, title), block.subtitle && h("div", { class: "kit-card-sub" }, text(block.subtitle, context))),
  ];
  const inside = h("div", { class: "container-body" }, all(block.child_blocks, (one) => blockNode(one, context)));
  const width = ["narrow", "wide", "full"].includes(block.width) ? block.width : "standard";
  const look = { class: `kit-card container is-${width}` };
  if (!block.is_collapsible) return h("section", look, h("div", { class: "kit-card-head" }, head), inside);
  return h("details", { ...look, open: !block.default_collapsed }, h("summary", { class: "kit-card-head" }, head, icon("chevron", 14)), inside);
}

const STATES = { pending: "clock", in_progress: "half", complete: "check", error: "alert" };

/** A task of an agent: a block, or a chunk of a stream. */
export function task(one, context) {
  const status = STATES[one.status] ? one.status : "pending";
  const rich = (value) => (typeof value === "string" ? h("p", {}, plain({ text: value })) : value && richNodes(value, context.names));
  const more = [rich(one.details), rich(one.output)].filter(Boolean);
  const sources = all(one.sources, (source) => {
    const href = safeHref(String(source.url));
    return href && outLink(href, { class: "task-source" }, String(source.text || source.url));
  });
  const head = [
    icon(STATES[status], 15),
    h("span", { class: "task-title" }, plain(one.title)),
    h("span", { class: "visually-hidden", text: `, ${status.replace("_", " ")}` }),
  ];
  const look = { class: `task task-${status}` };
  if (!more.length && !sources.length) return h("div", look, h("p", { class: "task-head" }, head));
  return h("details", { ...look, open: true }, h("summary", { class: "task-head" }, head), more, sources.length > 0 && h("p", { class: "task-sources" }, sources));
}

/** What a stream tells beside its text: tasks, under their plan if there is one. */
export function chunkNodes(chunks, context) {
  const tasks = chunks.filter((one) => one.type === "task_update").map((one) => task(one, context));
  const plan = chunks.find((one) => one.type === "plan_update");
  if (!tasks.length && !plan) return [];
  return [h("section", { class: "plan" }, plan && h("p", { class: "plan-title" }, icon("list", 16), plain(plan.title)), tasks)];
}
