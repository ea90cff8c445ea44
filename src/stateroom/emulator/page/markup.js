// A message's text to a tree of blocks, and the tree to DOM nodes. Every string becomes a text node.
// Block: {t: "p"|"pre"|"quote"|"list"|"heading"|"hr"|"table", ...}; an open fence (a stream still growing) is a fence.
import { h } from "./dom.js";
import { emojiNode } from "./emoji.js";
import { parseInline } from "./inline.js";
import { unescapeWire } from "./wire.js";

const FENCE = /```(?:([\w+#.-]{1,20})\n)?([\s\S]*?)(?:```|$)/g;

export function parseBlocks(text, options = {}) {
  const out = [];
  let last = 0;
  for (const match of text.matchAll(FENCE)) {
    out.push(...parseLines(text.slice(last, match.index).replace(/\n$/, ""), options));
    const code = match[2].replace(/^\n/, "").replace(/\n$/, "");
    out.push({ t: "pre", lang: match[1] || "", text: unescapeWire(code) });
    last = match.index + match[0].length;
    if (text[last] === "\n") last += 1;
  }
  out.push(...parseLines(text.slice(last), options));
  return out;
}

const QUOTE = /^(?:&gt;|>)\s?/;
const HEADING = /^(#{1,6})\s+(.+?)\s*#*$/;
const RULE = /^\s*(?:-{3,}|\*{3,}|_{3,})\s*$/;
const ITEM = /^(\s*)([-*•◦]|\d{1,9}[.)])\s+(.*)$/;
const TABLE_LINE = /^\s*\|?(?:\s*:?-{2,}:?\s*\|)+\s*:?-*:?\s*$/;

function parseLines(text, options) {
  const lines = text.split("\n");
  const out = [];
  let plain = [];
  const flush = () => {
    while (plain.length && !plain[0].trim()) plain.shift();
    while (plain.length && !plain.at(-1).trim()) plain.pop();
    if (plain.length) out.push({ t: "p", children: parseInline(plain.join("\n"), options) });
    plain = [];
  };
  let i = 0;
  while (i < lines.length) {
    const hit = startBlock(lines, i, options);
    if (hit) {
      flush();
      out.push(hit.block);
      i = hit.next;
    } else {
      if (!lines[i].trim()) flush();
      else plain.push(lines[i]);
      i += 1;
    }
  }
  flush();
  return out;
}

function startBlock(lines, i, options) {
  const line = lines[i];
  if (QUOTE.test(line)) return quoteFrom(lines, i, options);
  const heading = HEADING.exec(line);
  if (heading)
    return {
      block: { t: "heading", level: heading[1].length, children: parseInline(heading[2], options) },
      next: i + 1,
    };
  if (RULE.test(line)) return { block: { t: "hr" }, next: i + 1 };
  if (ITEM.test(line)) return listFrom(lines, i, options);
  if (line.includes("|") && TABLE_LINE.test(lines[i + 1] || "") && lines[i + 1].includes("|"))
    return tableFrom(lines, i, options);
  return null;
}

function quoteFrom(lines, start, options) {
  const inner = [];
  let i = start;
  while (i < lines.length && QUOTE.test(lines[i])) inner.push(lines[i++].replace(QUOTE, ""));
  return { block: { t: "quote", children: parseLines(inner.join("\n"), options) }, next: i };
}

function listFrom(lines, start, options) {
  const items = [];
  let i = start;
  for (; i < lines.length; i++) {
    const match = ITEM.exec(lines[i]);
    if (match && !RULE.test(lines[i]))
      items.push({ depth: match[1].replace(/\t/g, "    ").length, mark: match[2], text: match[3] });
    else if (/^\s{2,}\S/.test(lines[i])) items.at(-1).text += `\n${lines[i].trim()}`;
    else if (!lines[i].trim() && ITEM.test(lines[i + 1] || "")) continue;
    else break;
  }
  return { block: nest(items, options), next: i };
}

function nest(items, options) {
  const ordered = /\d/.test(items[0].mark);
  const list = { t: "list", ordered, start: ordered ? parseInt(items[0].mark, 10) : 1, items: [] };
  let i = 0;
  while (i < items.length) {
    const below = [];
    const item = items[i++];
    while (i < items.length && items[i].depth > item.depth + 1) below.push(items[i++]);
    const children = [{ t: "p", children: parseInline(item.text, options) }];
    if (below.length) children.push(nest(below, options));
    list.items.push(children);
  }
  return list;
}

function tableFrom(lines, start, options) {
  const cells = (line) =>
    line
      .trim()
      .replace(/^\||\|$/g, "")
      .split("|")
      .map((cell) => parseInline(cell.trim(), options));
  const rows = [];
  let i = start + 2;
  while (i < lines.length && lines[i].includes("|")) rows.push(cells(lines[i++]));
  return { block: { t: "table", head: cells(lines[start]), rows }, next: i };
}

/** `names`: {user(id), channel(id), me} for mentions. Returns an array of nodes. */
export function renderText(text, names, options = {}) {
  return parseBlocks(text, options).map((block) => blockNode(block, names));
}

const BLOCKS = {
  p: (block, names) => h("p", {}, inlineNodes(block.children, names)),
  heading: (block, names) =>
    h("p", { class: `md-heading md-h${Math.min(block.level, 3)}` }, inlineNodes(block.children, names)),
  hr: () => h("hr"),
  quote: (block, names) =>
    h(
      "blockquote",
      {},
      block.children.map((child) => blockNode(child, names)),
    ),
  pre: (block) =>
    h(
      "div",
      { class: "code-block" },
      block.lang && h("span", { class: "code-lang", text: block.lang }),
      h("pre", {}, h("code", { text: block.text })),
    ),
  list: listNode,
  table: tableNode,
};

const blockNode = (block, names) => BLOCKS[block.t](block, names);

function listNode(block, names) {
  const items = block.items.map((children) =>
    h(
      "li",
      {},
      children.map((child) => blockNode(child, names)),
    ),
  );
  return block.ordered ? h("ol", { start: block.start }, items) : h("ul", {}, items);
}

function tableNode(block, names) {
  const row = (tag, cells) =>
    h(
      "tr",
      {},
      cells.map((cell) => h(tag, {}, inlineNodes(cell, names))),
    );
  return h(
    "div",
    { class: "table-wrap" },
    h(
      "table",
      {},
      h("thead", {}, row("th", block.head)),
      h(
        "tbody",
        {},
        block.rows.map((cells) => row("td", cells)),
      ),
    ),
  );
}

export const inlineNodes = (nodes, names) => nodes.map((node) => INLINE[node.t](node, names));

const INLINE = {
  text: (node) => document.createTextNode(node.text),
  br: () => h("br"),
  code: (node) => h("code", { text: node.text }),
  b: (node, names) => h("strong", {}, inlineNodes(node.children, names)),
  i: (node, names) => h("em", {}, inlineNodes(node.children, names)),
  s: (node, names) => h("s", {}, inlineNodes(node.children, names)),
  link: (node, names) =>
    h("a", { href: node.href, target: "_blank", rel: "noopener noreferrer" }, inlineNodes(node.children, names)),
  user: (node, names) =>
    h("span", {
      class: node.id === names.me ? "mention mention-me" : "mention",
      text: `@${names.user(node.id) || node.label || node.id}`,
    }),
  channel: (node, names) =>
    h("span", { class: "mention", text: `#${names.channel(node.id) || node.label || node.id}` }),
  range: (node) => h("span", { class: "mention mention-me", text: `@${node.name.replace(/^@/, "")}` }),
  emoji: (node) => emojiNode(node.name, node.char),
};
