// Where one is and who with: workspaces, people, members, apps; each a list or a dialog opened from the sidebar or a head.
import { api } from "./api.js";
import { avatar } from "./avatar.js";
import { emit, on } from "./bus.js";
import { choose } from "./choose.js";
import { fill, h, icon, iconButton } from "./dom.js";
import { remember } from "./prefs.js";
import { problemNode, problemsAt, raise, clear } from "./problems.js";
import { appLine, state, userName } from "./store.js";
import { strangers } from "./switcher.js";

/** Starts a direct message as the acting person; `go(channel)` opens it. */
export async function startDm(user, go) {
  try {
    const { channel } = await api.room({ team: state.team, user: state.me, with_user: user });
    await state.refresh();
    go(channel.id);
  } catch (error) {
    raise("page", "dm", { tone: "error", text: `The conversation was not started: ${error.message}` });
  }
}

export const openPeople = (anchor, go) =>
  choose({
    title: "Write to",
    anchor,
    load: (query) => strangers(query.toLowerCase()),
    pick: ({ user }) => startDm(user, go),
    none: "You have a conversation with everybody here.",
  });

export async function joinChannel(channel, leave = false) {
  try {
    await api.room({ team: state.team, user: state.me, channel, leave });
    clear("page", "join");
    await state.refresh();
  } catch (error) {
    raise("page", "join", { tone: "error", text: error.message });
  }
}

export function openMembers(anchor, go) {
  const channel = state.channels.get(state.here);
  const members = channel?.members || [];
  choose({
    title: `Members (${members.length})`,
    placeholder: "Find a member",
    anchor,
    load: (query) =>
      members
        .map((id) => ({ value: id, label: userName(id) || id, hint: id === state.me ? "you" : state.users.get(id)?.is_bot ? "app" : "", face: avatar(id, "s") }))
        .filter((one) => one.label.toLowerCase().includes(query.toLowerCase())),
    pick: ({ value }) => value !== state.me && startDm(value, go),
  });
}

// ---- workspaces

export function openWorkspaces(anchor) {
  choose({
    title: "Workspace",
    anchor,
    search: false,
    load: () => [
      ...state.teams.map((team) => ({
        value: team.id,
        label: team.name,
        hint: team.id === state.team ? "here" : team.id,
        face: icon(team.id === state.team ? "check" : "people", 16),
      })),
      { value: "+", label: "Add a workspace", face: icon("plus", 16) },
    ],
    pick: ({ value }) => (value === "+" ? addWorkspace() : goToTeam(value)),
  });
}

export function goToTeam(id) {
  if (id === state.team) return;
  remember("team", id);
  state.team = id;
  emit("team");
}

function addWorkspace() {
  const taken = new Set(state.teams.map((one) => one.id));
  let number = state.teams.length + 1;
  while (taken.has(teamId(number))) number += 1;
  const name = h("input", { class: "box", id: "team-name", value: "Another workspace", required: true });
  const id = h("input", { class: "box", id: "team-id", value: teamId(number), pattern: "T[A-Z0-9]{8,}", required: true });
  const note = h("p", { class: "input-error", role: "alert" });
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "team-title", text: "Add a workspace" }),
    h("p", { class: "pane-topic", text: "With a #general, two people, and every app that is installed here." }),
    h("label", { class: "input-label", htmlFor: "team-name", text: "Name" }),
    name,
    h("label", { class: "input-label", htmlFor: "team-id", text: "Team id" }),
    id,
    note,
    h(
      "div",
      { class: "dialog-buttons" },
      h("button", { type: "button", class: "button", text: "Cancel", on: { click: () => dialog.close() } }),
      h("button", { type: "submit", class: "button button-primary", text: "Add" }),
    ),
  );
  const dialog = openDialog("team-title", form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await api.addTeam({ id: id.value, name: name.value.trim() });
      dialog.close();
      await state.refresh();
      goToTeam(id.value);
    } catch (error) {
      note.textContent = error.message;
    }
  });
}

const teamId = (number) => `T${String(number).padStart(8, "0")}`;

function openDialog(labelled, ...inside) {
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": labelled }, inside);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

// ---- apps

/** The apps of this workspace: how each is reached, and installing, revoking, taking away. */
export function openApps(go) {
  const list = h("ul", { class: "app-list" });
  const notes = h("div");
  const draw = () => {
    fill(list, state.apps.size ? [...state.apps.values()].map((app) => appRow(app, go, () => dialog.close())) : h("li", { text: "No app yet." }));
    fill(notes, problemsAt("apps").map((one) => problemNode("apps", one)));
  };
  const dialog = openDialog(
    "apps-title",
    h("header", { class: "modal-head" }, h("h2", { id: "apps-title", text: "Apps in this workspace" }), iconButton("close", "Close", () => dialog.close())),
    list,
    notes,
    h("p", { class: "pane-topic", text: "An app appears here when it registers with POST /_sim/apps, or with --manifest." }),
  );
  dialog.classList.add("apps");
  const stops = ["loaded", "bot", "problems"].map((topic) => on(topic, draw));
  dialog.addEventListener("close", () => stops.forEach((stop) => stop()));
  draw();
}

function appRow(app, go, leave) {
  const line = appLine(app);
  const word = !app.installed ? "not installed here" : line.online ? "online" : line.online === false ? "offline" : "not connected";
  const way = app.transport === "socket" ? " over Socket Mode" : app.transport === "http" ? " over HTTP" : "";
  const does = async (button, verb, facts, said) => {
    button.setAttribute("aria-busy", "true");
    try {
      await api.app(app.app_id, verb, facts);
      raise("apps", "done", { tone: "info", text: said });
      await state.refresh();
    } catch (error) {
      raise("apps", "done", { tone: "error", text: `${app.name}: ${error.message}` });
    }
    button.removeAttribute("aria-busy");
  };
  const act = (label, verb, facts, said, style = "") =>
    h("button", {
      type: "button",
      class: `button button-small ${style}`,
      "aria-label": `${label} ${app.name}`,
      text: label,
      on: { click: (event) => does(event.currentTarget, verb, facts, said) },
    });
  const talk = () => {
    leave();
    const known = [...state.channels.values()].find((one) => one.is_im && one.members?.includes(app.bot_user_id) && one.members.includes(state.me));
    if (known) go(known.id);
    else startDm(app.bot_user_id, go);
  };
  return h(
    "li",
    { class: "app-row", data: { app: app.app_id } },
    avatar(app.bot_user_id || app.app_id, "m"),
    h(
      "div",
      { class: "file-text" },
      h("strong", { text: app.name }),
      h("span", { class: `bot-state ${line.online ? "is-on" : line.online === false && app.installed ? "is-off" : ""}`, text: word + (app.installed ? way : "") }),
    ),
    h(
      "div",
      { class: "app-tools" },
      app.installed
        ? [
            h("button", { type: "button", class: "button button-small", "aria-label": `Write to ${app.name}`, text: "Write", on: { click: talk } }),
            act("Revoke token", "revoke", { kind: "bot", team: state.team }, `${app.name}'s bot token is revoked; it was told with tokens_revoked.`),
            act("Uninstall", "uninstall", { team: state.team }, `${app.name} is uninstalled; it was told with app_uninstalled.`, "action-crash"),
          ]
        : act("Install", "install", { team: state.team, user: state.me }, `${app.name} is installed.`, "button-primary"),
      app.install_url && h("a", { class: "button button-small", href: app.install_url, text: "Install page" }),
    ),
  );
}
