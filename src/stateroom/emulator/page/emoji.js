// Emoji by Slack's short names. Where the machine has no glyph, the name is shown instead of an empty box.
import { byId, h } from "./dom.js";

export const EMOJI = new Map(
  byId("emoji")
    .content.textContent.trim()
    .split(/\s*[|\n]\s*/)
    .map((pair) => [pair.slice(0, pair.lastIndexOf(" ")), pair.slice(pair.lastIndexOf(" ") + 1)]),
);
const NAME_OF = new Map([...EMOJI].reverse().map(([name, char]) => [char, name]));

export const QUICK = ["white_check_mark", "eyes", "heart", "tada", "thumbsup", "thinking_face"];

/** Names that start with (then contain) `query`, for the picker and for `:` completion. */
export function findEmoji(query, limit = 8) {
  const names = [...EMOJI.keys()];
  const starts = names.filter((name) => name.startsWith(query));
  const holds = names.filter((name) => !name.startsWith(query) && name.includes(query));
  return [...starts, ...holds].slice(0, limit);
}

/** A node for `:name:`; an unknown name, or one without a glyph here, is a small label. */
export function emojiNode(name, char = EMOJI.get(name)) {
  const known = char && hasGlyph(char);
  const label = name || NAME_OF.get(char) || "emoji";
  if (known) return h("span", { class: "emoji", role: "img", "aria-label": label, title: `:${label}:`, text: char });
  return h("span", { class: "emoji emoji-name", title: `:${label}:`, text: `:${label}:` });
}

export const nameOfEmoji = (char) => NAME_OF.get(char) || NAME_OF.get(`${char}\uFE0F`);

export const isDrawable = (name) => hasGlyph(EMOJI.get(name));

const seen = new Map();
let pen = null;

// Draws the character and a code point no font has; the same picture means that the font lacks it.
function hasGlyph(char) {
  if (!seen.has(char)) {
    const base = char.replace(/\uFE0F/g, "");
    seen.set(char, picture(base) !== picture("\u{10FFFE}") && !isTinyKeycap(char));
  }
  return seen.get(char);
}

const isTinyKeycap = (char) => char.includes("\u20E3") && picture(char) === picture(char[0]);

function picture(char) {
  if (!pen) {
    const canvas = h("canvas", { width: 20, height: 20 });
    pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.textBaseline = "top";
    pen.font = "16px sans-serif";
  }
  pen.clearRect(0, 0, 20, 20);
  pen.fillText(char, 0, 0);
  return pen.getImageData(0, 0, 20, 20).data.join();
}
