// What a person types and what Slack carries are two notations: `@ada` is `<@U…>` on the wire, `<` is `&lt;`.
// Code spans are left as typed, as Slack does.

const CODE = /(```[\s\S]*?```|`[^`\n]+`)/;
const URL_RE = /https?:\/\/[^\s<>|]+/g;
const RANGES = { here: "<!here>", channel: "<!channel>", everyone: "<!everyone>" };

export const escapeWire = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
export const unescapeWire = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

/** Typed text to wire text. `users`, `channels`: arrays with id and name (users also real_name). */
export function toWire(text, users, channels) {
  return text
    .split(CODE)
    .map((part, i) => (i % 2 ? escapeWire(part) : plainToWire(part, users, channels)))
    .join("");
}

function plainToWire(part, users, channels) {
  const kept = [];
  const keep = (wire) => `\uE000${kept.push(wire) - 1}\uE001`;
  const marked = part
    .replace(/[\uE000\uE001]/g, "")
    .replace(URL_RE, (url) => keepUrl(url, keep))
    .replace(/(^|[^\p{L}\p{N}_@])@([\p{L}\p{N}._-]+)/gu, (all, before, name) => {
      const hit = matchName(name, users, (user) => [user.name, user.real_name]);
      if (hit) return before + keep(`<@${hit.item.id}>`) + hit.rest;
      const range = RANGES[name.toLowerCase()];
      return range ? before + keep(range) : all;
    })
    .replace(/(^|[^\p{L}\p{N}_&#])#([\p{L}\p{N}._-]+)/gu, (all, before, name) => {
      const hit = matchName(name, channels, (channel) => [channel.name]);
      return hit ? before + keep(`<#${hit.item.id}>`) + hit.rest : all;
    });
  return escapeWire(marked).replace(/\uE000(\d+)\uE001/g, (_, i) => kept[i]);
}

function keepUrl(url, keep) {
  const end = url.match(/[).,;:!?'"*_~]*$/)[0];
  const bare = url.slice(0, url.length - end.length);
  return keep(`<${escapeWire(bare)}>`) + end;
}

// `@ada.` at the end of a sentence is still Ada: the longest name wins, the rest goes back to the text.
function matchName(typed, items, namesOf) {
  const lower = typed.toLowerCase();
  for (let end = lower.length; end > 0; end--) {
    const rest = typed.slice(end);
    if (rest && !/^[._-]+$/.test(rest)) break;
    const item = items.find((one) => namesOf(one).some((name) => name && name.toLowerCase() === lower.slice(0, end)));
    if (item) return { item, rest };
  }
  return null;
}

/** Wire text back to what a person would type, for editing. */
export function fromWire(text, nameOfUser, nameOfChannel) {
  const typed = text.replace(/<([^<>\n]+)>/g, (all, inner) => {
    const [target, label] = inner.split("|");
    if (target.startsWith("@")) return `@${nameOfUser(target.slice(1))}`;
    if (target.startsWith("#")) return `#${label || nameOfChannel(target.slice(1))}`;
    if (target.startsWith("!")) return `@${target.slice(1).split("^")[0]}`;
    return label && label !== target ? `[${label}](${target})` : target;
  });
  return unescapeWire(typed);
}
