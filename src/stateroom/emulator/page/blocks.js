// Block Kit, as far as this page goes: each kind is a row of the table, and what is not in it is a named card with its JSON.
import { h } from "./dom.js";
import { emojiNode } from "./emoji.js";
import { inlineNodes, renderText } from "./markup.js";
import { safeHref } from "./inline.js";

/** `context`: {names, press(action)} where press is told the block and the element that was pressed. */
export function renderBlocks(blocks, context) {
  return blocks.map((block) => {
    const kind = BLOCKS[block?.type];
    return kind ? kind(block, context) : unknownCard("block", block);
  });
}

/** What nobody taught this page to draw: its name, and all of it. */
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

const BLOCKS = {
  section: (block, context) =>
    h(
      "div",
      { class: "block-section" },
      h(
        "div",
        { class: "block-main" },
        block.text && textObject(block.text, context),
        block.fields &&
          h(
            "div",
            { class: "block-fields" },
            block.fields.map((field) => h("div", {}, textObject(field, context))),
          ),
      ),
      block.accessory && element(block.accessory, block, context),
    ),
  context: (block, context) =>
    h(
      "div",
      { class: "block-context" },
      (block.elements || []).map((item) =>
        item.type === "image" ? imageLink(item) : h("div", {}, textObject(item, context)),
      ),
    ),
  divider: () => h("hr"),
  header: (block) => h("p", { class: "block-header" }, plain(block.text)),
  markdown: (block, context) =>
    h("div", { class: "block-markdown" }, renderText(String(block.text ?? ""), context.names, { markdown: true })),
  actions: (block, context) =>
    h(
      "div",
      { class: "block-actions" },
      (block.elements || []).map((item) => element(item, block, context)),
    ),
  image: (block) => h("div", { class: "block-context" }, imageLink(block)),
  rich_text: (block, context) =>
    h(
      "div",
      { class: "block-rich" },
      (block.elements || []).map((item) => richElement(item, context)),
    ),
};

function textObject(object, context) {
  if (object?.type === "plain_text") return h("p", {}, plain(object));
  if (object?.type === "mrkdwn") return renderText(String(object.text ?? ""), context.names);
  return unknownCard("text", object);
}

// `emoji: false` leaves the colons alone, as Slack does.
function plain(object) {
  const text = String(object?.text ?? "");
  if (object?.emoji === false) return text;
  return text.split(/(:[a-z0-9_+'-]+:)/).map((part, i) => (i % 2 ? emojiNode(part.slice(1, -1)) : part));
}

function element(item, block, context) {
  if (item?.type === "button") return buttonNode(item, block, context);
  if (item?.type === "image") return imageLink(item);
  return unknownCard("element", item);
}

function buttonNode(item, block, context) {
  const style = item.style === "primary" || item.style === "danger" ? ` button-${item.style}` : "";
  const href = item.url && safeHref(item.url);
  if (href)
    return h("a", { class: `button${style}`, href, target: "_blank", rel: "noopener noreferrer" }, plain(item.text));
  return h(
    "button",
    { type: "button", class: `button${style}`, on: { click: () => context.press(block, item) } },
    plain(item.text),
  );
}

// The page loads nothing from elsewhere (its CSP says so), so a picture is its description and a way to open it.
function imageLink(item) {
  const href = safeHref(String(item.image_url ?? ""));
  const label = item.alt_text || item.title?.text || "image";
  if (!href) return unknownCard("image", item);
  return h("a", { href, target: "_blank", rel: "noopener noreferrer", text: `Image: ${label}` });
}

const RICH = {
  rich_text_section: (item, context) => h("p", {}, richInline(item.elements, context)),
  rich_text_preformatted: (item) =>
    h(
      "div",
      { class: "code-block" },
      h("pre", {}, h("code", { text: (item.elements || []).map((one) => one.text ?? one.url ?? "").join("") })),
    ),
  rich_text_quote: (item, context) => h("blockquote", {}, h("p", {}, richInline(item.elements, context))),
  rich_text_list: (item, context) =>
    h(
      item.style === "ordered" ? "ol" : "ul",
      {},
      (item.elements || []).map((one) => h("li", {}, richElement(one, context))),
    ),
};

const richElement = (item, context) =>
  RICH[item?.type] ? RICH[item.type](item, context) : unknownCard("rich text", item);

const richInline = (elements, context) =>
  (elements || []).map((one) => styled(richLeaf(one, context), one.style || {}));

function richLeaf(one, context) {
  if (one.type === "text")
    return String(one.text)
      .split("\n")
      .flatMap((line, i) => (i ? [h("br"), line] : [line]));
  if (one.type === "user") return inlineNodes([{ t: "user", id: one.user_id }], context.names);
  if (one.type === "channel") return inlineNodes([{ t: "channel", id: one.channel_id }], context.names);
  if (one.type === "broadcast") return inlineNodes([{ t: "range", name: one.range }], context.names);
  if (one.type === "emoji") return emojiNode(one.name);
  const href = one.type === "link" && safeHref(String(one.url));
  if (href) return h("a", { href, target: "_blank", rel: "noopener noreferrer", text: one.text || one.url });
  return unknownCard("rich text", one);
}

function styled(node, style) {
  const tags = [style.code && "code", style.bold && "strong", style.italic && "em", style.strike && "s"].filter(
    Boolean,
  );
  return tags.reduce((inner, tag) => h(tag, {}, inner), node);
}
