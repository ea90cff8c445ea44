// Ctrl+K: type a few letters of a channel or a person, Enter goes there, Esc goes back. A person without a conversation
// yet is offered, too: choosing them starts one.
import { avatar } from "./avatar.js";
import { choose } from "./choose.js";
import { h, icon } from "./dom.js";
import { unreadIn } from "./reading.js";
import { isMember, otherSide, state, titleOf, userName } from "./store.js";

const HELP = [h("kbd", { text: "↑↓" }), " choose ", h("kbd", { text: "Enter" }), " open ", h("kbd", { text: "Esc" }), " close"];

/** `go(channel)` opens a conversation, `start(user)` begins one. */
export function openSwitcher(go, start) {
  choose({
    title: "Jump to a conversation",
    load: (query) => [...conversations(query.toLowerCase()), ...strangers(query.toLowerCase())],
    pick: (option) => (option.user ? start(option.user) : go(option.value)),
    help: HELP,
  });
}

function conversations(query) {
  const all = [...state.channels.values()].filter((one) => !one.is_im || isMember(one));
  const scored = all
    .map((one) => ({ one, at: titleOf(one.id).toLowerCase().indexOf(query) }))
    .filter(({ at }) => at >= 0);
  const rank = ({ one, at }) => (one.id === state.here ? 1000 : 0) - (unreadIn(one.id).count ? 100 : 0) + at;
  return scored.sort((a, b) => rank(a) - rank(b)).map(({ one }) => optionOf(one));
}

function optionOf(one) {
  const { count } = unreadIn(one.id);
  return {
    value: one.id,
    label: titleOf(one.id),
    hint: count ? `${count} unread` : one.topic || "",
    face: one.is_im ? avatar(otherSide(one), "s") : icon("hash", 16),
  };
}

/** People and apps that the acting person has no direct message with yet. */
export function strangers(query = "") {
  const known = new Set([...state.channels.values()].filter((one) => one.is_im && isMember(one)).map(otherSide));
  return [...state.users.values()]
    .filter((user) => user.id !== state.me && !known.has(user.id) && !user.deleted)
    .filter((user) => `${user.name} ${user.real_name}`.toLowerCase().includes(query))
    .map((user) => ({
      value: `dm:${user.id}`,
      user: user.id,
      label: userName(user.id),
      hint: "start a conversation",
      face: avatar(user.id, "s"),
    }));
}
