// The interactive elements of Block Kit: a table by type. Each shows the value it has, and tells `context` what was
// chosen: `set` keeps a value (a form's), `press` sends the action. https://docs.slack.dev/reference/block-kit/block-elements
import { avatar } from "./avatar.js";
import { choose } from "./choose.js";
import { askFirst } from "./dialog.js";
import { fill, h, icon } from "./dom.js";
import { FileTray } from "./files.js";
import { safeHref } from "./inline.js";
import { richFrom, richText } from "./rich.js";
import { isMember, otherSide, state, titleOf, userName, wireOf } from "./store.js";
import { imageNode, plain, words } from "./texts.js";
import { unknownCard } from "./unknown.js";

/**
 * `context`: {names, value(block, item), set(block, item, part), press(block, item, part, control), suggest(block, item,
 * query)}; `labelled` is the id of an input block's label.
 */
export function element(item, block, context, labelled) {
  const draw = ELEMENTS[item?.type];
  return draw ? draw(item, block, context, labelled) : unknownCard("element", item);
}

const named = (item, labelled, fallback) =>
  labelled
    ? { "aria-labelledby": labelled }
    : { "aria-label": item.accessibility_label || words(item.placeholder) || fallback };

// What an element has chosen is kept, and sent, unless it stands in a form that did not ask for it.
async function chosen(item, block, context, part, control) {
  context.set(block, item, part);
  if (block.type !== "input" || block.dispatch_action) await context.press(block, item, part, control);
}

async function act(item, block, context, part, control) {
  if (!item.confirm || (await askFirst(item.confirm))) await chosen(item, block, context, part, control);
}

const valueOf = (item, block, context, part) => {
  const now = context.value(block, item);
  return now && part in now ? now[part] : item[part.replace("selected_", "initial_").replace(/^value$/, "initial_value")];
};

// ---- buttons

function button(item, block, context) {
  const style = item.style === "primary" || item.style === "danger" ? ` button-${item.style}` : "";
  const part = item.value === undefined ? {} : { value: item.value };
  const props = { class: `button${style}`, "aria-label": item.accessibility_label };
  const press = (event) => act(item, block, context, part, event.currentTarget);
  const href = item.url && safeHref(item.url);
  if (href)
    return h("a", { ...props, href, target: "_blank", rel: "noopener noreferrer", on: { click: press } }, plain(item.text));
  return h("button", { ...props, type: "button", on: { click: press } }, plain(item.text));
}

function feedback(item, block, context) {
  const one = (side, picture) => {
    const { text, value, accessibility_label: label } = item[side] || {};
    const node = h(
      "button",
      { type: "button", class: "button button-quiet", "aria-label": label, "aria-pressed": "false" },
      icon(picture, 16),
      plain(text),
    );
    node.addEventListener("click", async () => {
      for (const sibling of node.parentElement.children) sibling.setAttribute("aria-pressed", String(sibling === node));
      await act(item, block, context, { value, text }, node);
    });
    return node;
  };
  return h("span", { class: "feedback" }, one("positive_button", "up"), one("negative_button", "under"));
}

function iconElement(item, block, context) {
  if (item.visible_to_user_ids && !item.visible_to_user_ids.includes(state.me)) return null;
  const label = item.accessibility_label || words(item.text);
  return h(
    "button",
    {
      type: "button",
      class: "button button-quiet",
      "aria-label": label,
      title: words(item.text),
      on: { click: (event) => act(item, block, context, { value: item.value }, event.currentTarget) },
    },
    icon(item.icon === "trash" ? "trash" : "bolt", 16),
    plain(item.text),
  );
}

function overflow(item, block, context) {
  const open = (event) => {
    const anchor = event.currentTarget;
    choose({
      title: "More options",
      anchor,
      search: false,
      load: () => (item.options || []).map(optionOf),
      pick: ({ option }) => {
        const href = option.url && safeHref(option.url);
        if (href) window.open(href, "_blank", "noopener,noreferrer");
        act(item, block, context, { selected_option: option }, anchor);
      },
    });
  };
  const label = item.accessibility_label || "More options";
  return h(
    "button",
    { type: "button", class: "button button-more", "aria-haspopup": "listbox", "aria-label": label, on: { click: open } },
    icon("more", 16),
  );
}

// ---- choosing one or many

const optionOf = (option) => ({
  value: option.value,
  option,
  label: h("span", {}, plain(option.text), option.description && h("small", {}, plain(option.description))),
  words: words(option.text),
});

const person = (id) => ({ value: id, option: id, label: userName(id) || id, words: userName(id) || id, face: avatar(id, "s") });

const place = (id) => {
  const one = state.channels.get(id);
  const face = one?.is_im ? avatar(otherSide(one), "s") : icon(one?.is_private ? "lock" : "hash", 15);
  return { value: id, option: id, label: titleOf(id) || id, words: titleOf(id) || id, face };
};

const holds = (query) => (one) => one.words.toLowerCase().includes(query.toLowerCase());

function fixed(item) {
  const groups = item.option_groups?.flatMap((group) =>
    group.options.map((one) => ({ ...optionOf(one), group: words(group.label) })),
  );
  const all = groups || (item.options || []).map(optionOf);
  return (query) => all.filter(holds(query));
}

const wanted = (one, filter) => {
  const kind = one.is_im ? "im" : one.is_private ? "private" : "public";
  if (filter?.include && !filter.include.includes(kind)) return false;
  return !(filter?.exclude_bot_users && one.is_im && state.users.get(otherSide(one))?.is_bot);
};

const SOURCES = {
  static: fixed,
  external: (item, block, context) => async (query) => {
    if (query.length < (item.min_query_length ?? 3)) return [];
    return (await context.suggest(block, item, query)).flatMap((one) =>
      one.options ? one.options.map((inner) => ({ ...optionOf(inner), group: words(one.label) })) : [optionOf(one)],
    );
  },
  users: () => (query) => [...state.users.keys()].map(person).filter(holds(query)),
  conversations: (item) => (query) =>
    [...state.channels.values()]
      .filter((one) => (!one.is_im || isMember(one)) && wanted(one, item.filter))
      .map((one) => place(one.id))
      .filter(holds(query)),
  channels: () => (query) =>
    [...state.channels.values()].filter((one) => !one.is_im && !one.is_private).map((one) => place(one.id)).filter(holds(query)),
};
const FACES = { users: person, conversations: place, channels: place, static: optionOf, external: optionOf };
const SINGULAR = { users: "user", conversations: "conversation", channels: "channel", static: "option", external: "option" };

/** A select menu of one source, for one choice or for many. */
function select(source, many) {
  const part = `selected_${SINGULAR[source]}${many ? "s" : ""}`;
  return (item, block, context, labelled) => {
    const name = words(item.placeholder) || (many ? "Choose some" : "Choose one");
    const node = h("button", { type: "button", class: "select", "aria-haspopup": "listbox", id: labelled && `${labelled}-menu` });
    let now = valueOf(item, block, context, part) ?? (item.default_to_current_conversation ? state.here : undefined);
    const show = () => {
      const list = (many ? now || [] : now ? [now] : []).map(FACES[source]);
      const label = list.map((one) => one.words).join(", ");
      if (labelled) node.setAttribute("aria-labelledby", `${labelled} ${node.id}`);
      else node.setAttribute("aria-label", `${item.accessibility_label || name}: ${label || "nothing chosen"}`);
      node.classList.toggle("is-empty", !list.length);
      fill(
        node,
        h("span", { class: "select-text" }, list.length ? list.map((one) => h("span", { class: many ? "select-chip" : null }, one.words)) : name),
        icon("fold", 14),
      );
    };
    const take = async (value) => {
      const before = now;
      if (item.confirm && !(await askFirst(item.confirm))) return;
      now = value;
      show();
      if (JSON.stringify(before) !== JSON.stringify(now)) await chosen(item, block, context, { [part]: now }, node);
    };
    node.addEventListener("click", () => {
      const load = SOURCES[source](item, block, context);
      const shared = { title: name, anchor: node, load, none: source === "external" ? "Type to ask the app for options." : undefined };
      if (many)
        choose({
          ...shared,
          chosen: (now || []).map(FACES[source]),
          max: item.max_selected_items,
          done: (list) => take(list.map((one) => one.option)),
        });
      else choose({ ...shared, pick: (one) => take(one.option) });
    });
    context.init?.(block, item, now === undefined ? null : { [part]: now });
    show();
    return node;
  };
}

// ---- boxes to tick

function ticks(type, part) {
  return (item, block, context, labelled) => {
    const now = [valueOf(item, block, context, part) || []].flat().map((one) => one.value);
    const group = `${block.block_id}-${item.action_id}`;
    const inputs = (item.options || []).map((option) => {
      const input = h("input", { type, name: group, checked: now.includes(option.value) });
      input.addEventListener("change", () => {
        const on = item.options.filter((_, i) => inputs[i].querySelector("input").checked);
        act(item, block, context, { [part]: type === "radio" ? on[0] : on }, input);
      });
      const text = h("span", {}, textOf(option.text, context), option.description && h("small", {}, textOf(option.description, context)));
      return h("label", { class: "tick" }, input, text);
    });
    const start = valueOf(item, block, context, part);
    context.init?.(block, item, start || type === "checkbox" ? { [part]: start || [] } : null);
    return h("div", { class: "ticks", role: type === "radio" ? "radiogroup" : "group", ...named(item, labelled, "Options") }, inputs);
  };
}

const textOf = (object, context) => (object?.type === "mrkdwn" ? context.inline(object.text) : plain(object));

// ---- dates and times

const two = (n) => String(n).padStart(2, "0");
const localOf = (seconds) => {
  const at = new Date(seconds * 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
};

function moment(type, part, { out = (v) => v, back = (v) => v, fallback }) {
  return (item, block, context, labelled) => {
    const start = valueOf(item, block, context, part);
    const input = h("input", { type, class: "box", ...named(item, labelled, fallback), value: start ? back(start) : "" });
    input.addEventListener("change", () => act(item, block, context, { [part]: input.value ? out(input.value) : null }, input));
    context.init?.(block, item, { [part]: start ?? null });
    return input;
  };
}

// ---- boxes to write in

function textBox(props = {}) {
  return (item, block, context, labelled) => {
    const tall = item.multiline;
    const start = valueOf(item, block, context, "value") ?? "";
    const input = h(tall ? "textarea" : "input", {
      ...(tall ? { rows: 3 } : { type: "text" }),
      class: "box",
      ...named(item, labelled, "Text"),
      placeholder: words(item.placeholder),
      minlength: item.min_length,
      maxlength: item.max_length,
      min: item.min_value,
      max: item.max_value,
      step: item.is_decimal_allowed === false ? 1 : item.is_decimal_allowed ? "any" : null,
      autofocus: item.focus_on_load,
      autocomplete: "off",
      ...props,
      value: String(start),
    });
    const part = () => ({ value: input.value === "" ? null : input.value });
    const when = item.dispatch_action_config?.trigger_actions_on || ["on_enter_pressed"];
    const send = () => block.dispatch_action && context.press(block, item, part(), input);
    let timer = 0;
    input.addEventListener("input", () => {
      context.set(block, item, part());
      clearTimeout(timer);
      if (when.includes("on_character_entered")) timer = setTimeout(send, 300);
    });
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !tall && block.dispatch_action && when.includes("on_enter_pressed")) {
        event.preventDefault();
        send();
      }
    });
    context.init?.(block, item, part());
    return input;
  };
}

function richBox(item, block, context, labelled) {
  const now = valueOf(item, block, context, "rich_text_value") || item.initial_value;
  const area = h("textarea", {
    rows: 4,
    class: "box",
    ...named(item, labelled, "Text"),
    placeholder: words(item.placeholder) || "*bold*, _italic_, lists and `code` as in a message",
    autofocus: item.focus_on_load,
  });
  area.value = now ? richText(now) : "";
  const part = () => ({ rich_text_value: area.value.trim() ? richFrom(wireOf(area.value)) : null });
  area.addEventListener("input", () => context.set(block, item, part()));
  context.init?.(block, item, now ? { rich_text_value: now } : part());
  return area;
}

function fileBox(item, block, context, labelled) {
  const tray = new FileTray({
    accept: item.filetypes,
    max: item.max_files ?? 10,
    button: true,
    onChange: () => context.set(block, item, { files: tray.ready }),
  });
  tray.el.setAttribute("role", "group");
  if (labelled) tray.el.setAttribute("aria-labelledby", labelled);
  context.init?.(block, item, { files: [] });
  return tray.el;
}

const ELEMENTS = {
  button,
  workflow_button: (item) =>
    h("button", { type: "button", class: "button", disabled: true, title: "Workflows do not run in the local Slack" }, plain(item.text)),
  feedback_buttons: feedback,
  icon_button: iconElement,
  overflow,
  image: (item) => imageNode(item, "pic-small"),
  checkboxes: ticks("checkbox", "selected_options"),
  radio_buttons: ticks("radio", "selected_option"),
  datepicker: moment("date", "selected_date", { fallback: "Date" }),
  timepicker: moment("time", "selected_time", { fallback: "Time" }),
  datetimepicker: moment("datetime-local", "selected_date_time", {
    fallback: "Date and time",
    out: (value) => Math.floor(new Date(value).getTime() / 1000),
    back: localOf,
  }),
  plain_text_input: textBox(),
  email_text_input: textBox({ type: "email" }),
  url_text_input: textBox({ type: "url" }),
  number_input: textBox({ type: "number" }),
  rich_text_input: richBox,
  file_input: fileBox,
};
for (const source of Object.keys(SOURCES)) {
  ELEMENTS[`${source}_select`] = select(source, false);
  ELEMENTS[`multi_${source}_select`] = select(source, true);
}
