// Slash commands and shortcuts, from the apps' manifests: what is offered, and how one is run.
import { perform } from "./acting.js";
import { avatar } from "./avatar.js";
import { choose } from "./choose.js";
import { state } from "./store.js";

const here = () => [...state.apps.values()].filter((app) => app.installed !== false);

/** Commands whose name begins with what was typed, for the list above the message box. */
export const commandOptions = (query) =>
  here().flatMap((app) =>
    (app.commands || [])
      .filter((one) => one.command.slice(1).toLowerCase().startsWith(query.toLowerCase()))
      .map((one) => ({
        insert: one.command,
        face: avatar(app.bot_user_id || app.app_id, "s"),
        label: one.command,
        hint: [one.usage_hint, one.description, app.name].filter(Boolean).join(" · "),
      })),
  );

/** `/deploy web` as its two parts, or null for ordinary text. */
export function readCommand(text) {
  const match = /^\/([^\s/]\S*)(?:\s+([\s\S]*))?$/.exec(text);
  return match && { command: `/${match[1]}`, text: match[2] || "" };
}

const shortcuts = (type) =>
  here().flatMap((app) =>
    (app.shortcuts || []).filter((one) => (one.type || "global") === type).map((one) => ({ ...one, app })),
  );

export const hasShortcuts = (type) => shortcuts(type).length > 0;

/** The menu of shortcuts: everywhere (`global`), or of one message. */
export function openShortcuts(type, anchor, place, facts) {
  choose({
    title: type === "message" ? "Message shortcuts" : "Shortcuts",
    anchor,
    none: "No app declares a shortcut here: add one to `features.shortcuts` of a manifest.".replaceAll("`", ""),
    load: (query) =>
      shortcuts(type)
        .filter((one) => `${one.name} ${one.app.name}`.toLowerCase().includes(query.toLowerCase()))
        .map((one) => ({
          value: `${one.app.app_id} ${one.callback_id}`,
          one,
          label: one.name,
          hint: one.description || one.app.name,
          face: avatar(one.app.bot_user_id || one.app.app_id, "s"),
        })),
    pick: ({ one }) =>
      perform(
        place,
        "shortcut",
        { kind: "shortcut", callback_id: one.callback_id, app_id: one.app.app_id, ...facts },
        { what: `${one.name}:`, control: anchor },
      ),
  });
}
