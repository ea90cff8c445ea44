// Rich text both ways: Slack's `rich_text` elements to nodes, and what a person types in a rich text box to elements.
// https://docs.slack.dev/reference/block-kit/blocks/rich-text-block
import { h } from "./dom.js";
import { emojiNode, EMOJI } from "./emoji.js";
import { safeHref } from "./inline.js";
import { inlineNodes, parseBlocks } from "./markup.js";
import { unknownCard } from "./unknown.js";

const STYLES = { code: "code", bold: "strong", italic: "em", strike: "s", underline: "u" };

const PARTS = {
  rich_text_section: (item, names) => h("p", {}, inline(item.elements, names)),
  rich_text_preformatted: (item) =>
    h(
      "div",
      { class: "code-block" },
      item.language && h("span", { class: "code-lang", text: item.language }),
      h("pre", {}, h("code", { text: (item.elements || []).map((one) => one.text ?? one.url ?? "").join("") })),
    ),
  rich_text_quote: (item, names) => h("blockquote", { class: bordered(item) }, h("p", {}, inline(item.elements, names))),
  rich_text_list: (item, names) => {
    const rows = (item.elements || []).map((one) => h("li", {}, part(one, names)));
    const level = item.indent ? { "--indent": Math.min(8, Number(item.indent) || 0) } : {};
    const props = { class: `rich-list ${bordered(item) || ""}`, vars: level };
    return item.style === "ordered" ? h("ol", { ...props, start: (Number(item.offset) || 0) + 1 }, rows) : h("ul", props, rows);
  },
};

const bordered = (item) => (item.border ? "has-border" : null);

const LEAVES = {
  text: (one) =>
    String(one.text ?? "")
      .split("\n")
      .flatMap((line, i) => (i ? [h("br"), line] : [line])),
  user: (one, names) => inlineNodes([{ t: "user", id: one.user_id }], names),
  channel: (one, names) => inlineNodes([{ t: "channel", id: one.channel_id }], names),
  broadcast: (one, names) => inlineNodes([{ t: "range", name: String(one.range) }], names),
  usergroup: (one, names) => inlineNodes([{ t: "range", name: String(one.usergroup_id) }], names),
  team: (one) => h("span", { class: "mention", text: one.team_id }),
  emoji: (one) => emojiNode(one.name, EMOJI.get(one.name) || fromCode(one.unicode)),
  date: (one) => dated(one),
  color: (one) => [h("i", { class: "swatch", vars: { "--swatch": colour(one.value) } }), h("code", { text: one.value })],
  link: (one) => {
    const href = safeHref(String(one.url));
    const text = one.text || one.url;
    return href ? h("a", { href, target: "_blank", rel: "noopener noreferrer", text }) : String(text);
  },
};

const fromCode = (code) =>
  /^[0-9a-f-]{4,40}$/i.test(code || "") ? String.fromCodePoint(...code.split("-").map((one) => parseInt(one, 16))) : undefined;

const colour = (value) => (/^#?[0-9a-f]{3,8}$/i.test(value || "") ? `#${String(value).replace("#", "")}` : "transparent");

function dated(one) {
  const at = new Date(Number(one.timestamp) * 1000);
  const text = Number.isNaN(at.getTime()) ? one.fallback || "a date" : at.toLocaleString();
  return h("time", { title: one.format || null, text });
}

const part = (item, names) => (PARTS[item?.type] ? PARTS[item.type](item, names) : unknownCard("rich text", item));

function leaf(one, names) {
  const draw = LEAVES[one?.type];
  if (!draw) return unknownCard("rich text", one);
  const tags = Object.keys(STYLES).filter((name) => one.style?.[name]);
  return tags.reduce((inner, name) => h(STYLES[name], {}, inner), draw(one, names));
}

const inline = (elements, names) => (elements || []).map((one) => leaf(one, names));

/** The nodes of a `rich_text` block. */
export const richNodes = (block, names) => (block?.elements || []).map((item) => part(item, names));

// ---- from what was typed

const MARKS = { b: "bold", i: "italic", s: "strike" };
const TYPED = {
  text: (node) => ({ type: "text", text: node.text }),
  br: () => ({ type: "text", text: "\n" }),
  code: (node) => ({ type: "text", text: node.text, style: { code: true } }),
  user: (node) => ({ type: "user", user_id: node.id }),
  channel: (node) => ({ type: "channel", channel_id: node.id }),
  range: (node) => ({ type: "broadcast", range: node.name }),
  emoji: (node) => ({ type: "emoji", name: node.name }),
  link: (node) => ({ type: "link", url: node.href, text: node.children.map((one) => one.text || "").join("") }),
};

function leaves(nodes, style = {}) {
  return (nodes || []).flatMap((node) => {
    if (MARKS[node.t]) return leaves(node.children, { ...style, [MARKS[node.t]]: true });
    const made = TYPED[node.t]?.(node) || { type: "text", text: "" };
    const all = { ...style, ...made.style };
    return [Object.keys(all).length ? { ...made, style: all } : made];
  });
}

const section = (children) => ({ type: "rich_text_section", elements: leaves(children) });

function lists(block, indent = 0) {
  const style = block.ordered ? "ordered" : "bullet";
  return block.items.flatMap((item) => [
    { type: "rich_text_list", style, indent, elements: [section(item[0].children)] },
    ...item.slice(1).flatMap((one) => (one.t === "list" ? lists(one, indent + 1) : [])),
  ]);
}

const BLOCKS = {
  pre: (one) => [{ type: "rich_text_preformatted", elements: [{ type: "text", text: one.text }] }],
  quote: (one) => [{ type: "rich_text_quote", elements: one.children.flatMap((child) => leaves(child.children)) }],
  list: (one) => lists(one),
};

/** Wire text as a `rich_text` block, as Slack's rich text box makes it. */
export function richFrom(text) {
  const elements = parseBlocks(text).flatMap((one) => (BLOCKS[one.t] ? BLOCKS[one.t](one) : [section(one.children)]));
  return { type: "rich_text", elements };
}

/** The words of a `rich_text` block, to be typed on. */
export function richText(block) {
  const words = (one) => one.text ?? one.url ?? (one.elements || []).map(words).join("");
  return (block?.elements || [])
    .map((one) =>
      one.type === "rich_text_list" ? one.elements.map((item) => `• ${words(item)}`).join("\n") : words(one),
    )
    .join("\n");
}
