// Text inside a line to a tree of plain objects: Slack's mrkdwn and Markdown in one reading, since bots send both.
// Node: {t: "text"|"code"|"b"|"i"|"s"|"link"|"user"|"channel"|"range"|"emoji"|"br", ...}. Pure; nothing here makes DOM.
import { unescapeWire } from "./wire.js";
import { EMOJI, nameOfEmoji } from "./emoji.js";

const MAX_DEPTH = 12;
const PICTOGRAM = /^\p{Extended_Pictographic}(?:\uFE0F|\p{Emoji_Modifier}|\u200D\p{Extended_Pictographic})*/u;
const SPECIAL = /[`<[*_~:\n\\!h]|\p{Extended_Pictographic}/u;

/** `options.markdown`: read `*x*` as Markdown does (italic) and honour backslashes. */
export function parseInline(text, options = {}, depth = 0) {
  const out = [];
  let plain = "";
  const flush = () => {
    if (plain) out.push({ t: "text", text: unescapeWire(plain) });
    plain = "";
  };
  let at = 0;
  while (at < text.length) {
    const skip = text.slice(at).search(SPECIAL);
    if (skip < 0) break;
    plain += text.slice(at, at + skip);
    at += skip;
    const hit = depth < MAX_DEPTH ? matchAt(text, at, options, depth) : null;
    if (hit) {
      flush();
      out.push(hit.node);
      at += hit.length;
    } else {
      const width = text.codePointAt(at) > 0xffff ? 2 : 1;
      plain += text.slice(at, at + width);
      at += width;
    }
  }
  plain += text.slice(at);
  flush();
  return out;
}

function matchAt(text, at, options, depth) {
  const char = text[at];
  const rule = RULES[char] || (char > "\u00a8" ? pictogram : null);
  return rule ? rule(text, at, options, depth) : null;
}

const RULES = {
  "\n": () => ({ node: { t: "br" }, length: 1 }),
  "`": codeSpan,
  "<": angled,
  "[": bracketed,
  "!": (text, at, options, depth) => shift(text[at + 1] === "[" ? bracketed(text, at + 1, options, depth) : null),
  "*": (text, at, options, depth) =>
    pair(text, at, "**", "b", options, depth) || pair(text, at, "*", options.markdown ? "i" : "b", options, depth),
  _: (text, at, options, depth) =>
    pair(text, at, "__", "b", options, depth) || pair(text, at, "_", "i", options, depth),
  "~": (text, at, options, depth) =>
    pair(text, at, "~~", "s", options, depth) || pair(text, at, "~", "s", options, depth),
  ":": shortcode,
  "\\": (text, at, options) =>
    options.markdown && /[\\`*_~[\]()#+\-.!>|]/.test(text[at + 1] || "")
      ? { node: { t: "text", text: text[at + 1] }, length: 2 }
      : null,
  h: bareUrl,
};

const shift = (hit) => hit && { node: hit.node, length: hit.length + 1 };

function codeSpan(text, at) {
  const ticks = /^`+/.exec(text.slice(at))[0];
  const end = text.indexOf(ticks, at + ticks.length);
  if (end < 0 || end === at + ticks.length) return null;
  const inner = text.slice(at + ticks.length, end);
  if (inner.includes("\n\n")) return null;
  return { node: { t: "code", text: unescapeWire(inner) }, length: end + ticks.length - at };
}

// `<@U1>`, `<#C1|general>`, `<!here>`, `<https://x|label>`: https://api.slack.com/reference/surfaces/formatting
function angled(text, at) {
  const match = /^<([^<>\n]+)>/.exec(text.slice(at));
  if (!match) return null;
  const [target, ...rest] = match[1].split("|");
  const label = rest.join("|");
  const node = reference(target, label);
  return node && { node, length: match[0].length };
}

function reference(target, label) {
  if (/^@[UWB][A-Z0-9]+$/.test(target)) return { t: "user", id: target.slice(1), label };
  if (/^#[CG][A-Z0-9]+$/.test(target)) return { t: "channel", id: target.slice(1), label };
  if (target.startsWith("!date^")) return { t: "text", text: unescapeWire(label || "a date") };
  if (target.startsWith("!subteam^")) return { t: "range", name: unescapeWire(label || target.slice(9)) };
  if (target.startsWith("!")) return { t: "range", name: unescapeWire(label || target.slice(1)) };
  const href = safeHref(unescapeWire(target));
  if (!href) return null;
  return { t: "link", href, children: [{ t: "text", text: unescapeWire(label || target).replace(/^mailto:/, "") }] };
}

function bracketed(text, at, options, depth) {
  const match =
    /^\[([^\]\n]*(?:\[[^\]\n]*\][^\]\n]*)*)\]\(\s*<?([^\s()<>]*(?:\([^\s()]*\)[^\s()<>]*)*)>?(?:\s+"[^"\n]*")?\s*\)/.exec(
      text.slice(at),
    );
  if (!match) return null;
  const href = safeHref(unescapeWire(match[2]));
  if (!href) return null;
  const children = parseInline(match[1] || match[2], options, depth + 1).filter((node) => node.t !== "link");
  return { node: { t: "link", href, children }, length: match[0].length };
}

// Opening and closing marks hug their words; `snake_case` and `2 * 3 * 4` are not emphasis.
function pair(text, at, mark, t, options, depth) {
  if (!text.startsWith(mark, at)) return null;
  const first = text[at + mark.length];
  if (!first || /\s/.test(first) || first === mark[0]) return null;
  if (isWord(text[at - 1]) && mark !== "**") return null;
  for (let end = text.indexOf(mark, at + mark.length); end > 0; end = text.indexOf(mark, end + 1)) {
    const inner = text.slice(at + mark.length, end);
    if (inner.includes("\n\n")) return null;
    const next = text[end + mark.length];
    const closes = !/\s/.test(text[end - 1]) && next !== mark[0] && (mark === "**" || !isWord(next));
    if (closes && inner)
      return { node: { t, children: parseInline(inner, options, depth + 1) }, length: inner.length + 2 * mark.length };
  }
  return null;
}

const isWord = (char) => char !== undefined && /[\p{L}\p{N}_]/u.test(char);

function shortcode(text, at) {
  const match = /^:([a-z0-9_+'-]{1,60}):(?::skin-tone-[2-6]:)?/.exec(text.slice(at));
  if (!match || !EMOJI.has(match[1])) return null;
  return { node: { t: "emoji", name: match[1] }, length: match[0].length };
}

function pictogram(text, at) {
  const match = PICTOGRAM.exec(text.slice(at));
  if (!match) return null;
  return { node: { t: "emoji", char: match[0], name: nameOfEmoji(match[0]) || "" }, length: match[0].length };
}

function bareUrl(text, at) {
  if (isWord(text[at - 1])) return null;
  const match = /^https?:\/\/[^\s<>|`]+/.exec(text.slice(at));
  if (!match) return null;
  const bare = match[0].replace(/(?:[).,;:!?'"*_~\]]|&gt;)+$/, "");
  const href = safeHref(unescapeWire(bare));
  if (!href) return null;
  return { node: { t: "link", href, children: [{ t: "text", text: unescapeWire(bare) }] }, length: bare.length };
}

const SCHEMES = new Set(["http:", "https:", "mailto:"]);

/** The address if it is one of the three schemes a message may link to, else null: `javascript:` and `data:` never. */
export function safeHref(address) {
  try {
    const url = new URL(address);
    return SCHEMES.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
