// Attachments, the older way to add to a message: a coloured bar, fields, a footer, or blocks inside.
// https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments
import { renderBlocks } from "./blocks.js";
import { h } from "./dom.js";
import { safeHref } from "./inline.js";
import { renderText } from "./markup.js";
import { imageNode, outLink } from "./texts.js";
import { fullTimeOf } from "./time.js";
import { unknownCard } from "./unknown.js";

const COLOURS = { good: "#2eb886", warning: "#daa038", danger: "#a30200" };
const PARTS = ["text", "pretext", "title", "fallback", "fields", "image_url", "author_name", "footer"];

export function attachment(one, context) {
  const colour = COLOURS[one?.color] || (/^#?[0-9a-f]{3,8}$/i.test(one?.color || "") && `#${one.color.replace("#", "")}`);
  const bar = { class: "attachment", vars: colour ? { "--bar": colour } : {} };
  if (one?.blocks?.length) return h("div", bar, renderBlocks(one.blocks, context));
  if (!PARTS.some((name) => one?.[name]?.length)) return unknownCard("attachment", one);
  const text = (words) => renderText(String(words), context.names);
  const linked = (words, url) => {
    const href = url && safeHref(String(url));
    return href ? outLink(href, {}, String(words)) : String(words);
  };
  const bare = !one.text && !one.title && !one.fields?.length && one.fallback;
  const foot = [one.footer, one.ts && fullTimeOf(one.ts)].filter(Boolean).join(" · ");
  return [
    one.pretext && text(one.pretext),
    h(
      "div",
      bar,
      one.author_name && h("p", { class: "kit-card-sub" }, linked(one.author_name, one.author_link)),
      one.title && h("p", {}, h("strong", {}, linked(one.title, one.title_link))),
      one.text && text(one.text),
      bare && text(bare),
      one.fields?.length > 0 &&
        h(
          "div",
          { class: "block-fields" },
          one.fields.map((field) =>
            h("div", { class: field.short ? null : "is-long" }, h("p", {}, h("strong", { text: field.title || "" })), text(field.value ?? "")),
          ),
        ),
      one.image_url && imageNode({ image_url: one.image_url, alt_text: one.fallback || one.title }),
      foot && h("p", { class: "kit-card-sub", text: foot }),
    ),
  ];
}
