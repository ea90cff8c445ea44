// Text and picture objects of Block Kit, as nodes. https://docs.slack.dev/reference/block-kit/composition-objects
import { h, icon } from "./dom.js";
import { emojiNode } from "./emoji.js";
import { safeHref } from "./inline.js";
import { renderText } from "./markup.js";
import { unknownCard } from "./unknown.js";

/** `emoji: false` leaves the colons alone, as Slack does. */
export function plain(object) {
  const text = String((typeof object === "string" ? object : object?.text) ?? "");
  if (object?.emoji === false) return text;
  return text.split(/(:[a-z0-9_+'-]+:)/).map((part, i) => (i % 2 ? emojiNode(part.slice(1, -1)) : part));
}

/** The bare words of a text object, for labels and titles. */
export const words = (object) => String((typeof object === "string" ? object : object?.text) ?? "");

export function textObject(object, names) {
  if (object?.type === "plain_text" || typeof object === "string") return h("p", {}, plain(object));
  if (object?.type === "mrkdwn") return renderText(String(object.text ?? ""), names);
  return unknownCard("text", object);
}

export const outLink = (href, props, ...inside) =>
  h("a", { href, target: "_blank", rel: "noopener noreferrer", ...props }, inside);

/** The page's own address of a file that the local Slack keeps; null for any other. */
export function ownFile(item) {
  const file = item?.slack_file;
  const found = file?.id || /\/files-pri\/(?:T\w+-)?(F\w+)\//.exec(`${file?.url || item?.image_url || ""}`)?.[1];
  return found && /^F\w+$/.test(found) ? `/_sim/files/${found}` : null;
}

/** A picture that is kept here is drawn. The page loads nothing from elsewhere, as its CSP says: that is a link. */
export function imageNode(item, kind = "pic") {
  const label = item.alt_text || words(item.title) || "image";
  const own = ownFile(item);
  if (own) return h("img", { class: kind, src: own, alt: label, loading: "lazy" });
  const href = safeHref(String(item.image_url ?? item.slack_file?.url ?? ""));
  if (!href) return unknownCard("image", item);
  return outLink(href, { class: "image-link" }, icon("image", 15), `Image: ${label}`);
}
