// Faces: a person is a round one with initials, a bot a rounded square with a mark, so nobody mistakes one for the other.
import { h, porthole } from "./dom.js";
import { state } from "./store.js";

const HUES = 8;

/** The colour is the user's place among all users, so two people never share one by chance of a hash. */
function hueOf(id) {
  const place = [...state.users.keys()].indexOf(id);
  return (place < 0 ? id.length : place) % HUES;
}

export function avatar(id, size = "m") {
  const user = state.users.get(id);
  const name = user?.real_name || user?.name || "?";
  const bot = user ? user.is_bot : /^(A|B|USLACKBOT)/.test(id);
  const inside = bot ? porthole(size === "s" ? 13 : size === "l" ? 30 : 22) : initials(name);
  return h(
    "span",
    { class: `avatar avatar-${size} ${bot ? "avatar-bot" : "avatar-person"} hue-${hueOf(id)}`, "aria-hidden": "true" },
    inside,
  );
}

function initials(name) {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const picked = words.length > 1 ? [words[0], words.at(-1)] : [words[0] || "?"];
  return picked.map((word) => [...word][0].toUpperCase()).join("");
}
