// Files: choosing, pasting, dropping, sending up with progress; and a file as it is shown in a message.
import { upload } from "./api.js";
import { h, fill, icon, iconButton } from "./dom.js";
import { state } from "./store.js";

const KINDS = { image: "image", video: "play", audio: "play" };
const UNITS = ["bytes", "kB", "MB", "GB"];

export function sizeOf(bytes) {
  const power = bytes < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(bytes) / 3));
  return `${Number((bytes / 1000 ** power).toPrecision(3))} ${UNITS[power]}`;
}

const address = (file) => `/_sim/files/${encodeURIComponent(file.id)}`;
const isPicture = (file) => /^image\/(?!svg)/.test(file.mimetype || "");
const factsOf = (file) => [file.filetype?.toUpperCase(), file.size > 0 && sizeOf(file.size)].filter(Boolean).join(" · ");

/** A file of a message: a picture is drawn, anything else is a card; both can be downloaded. */
export function fileCard(file) {
  const name = String(file.title || file.name || file.id || "file");
  if (file.mode === "tombstone" || file.file_access === "file_not_found")
    return h("p", { class: "file-chip" }, icon("file", 15), "This file was deleted.");
  const save = h(
    "a",
    { class: "icon-button", href: address(file), download: name, "aria-label": `Download ${name}`, title: "Download" },
    icon("download"),
  );
  const facts = h(
    "span",
    { class: "file-text" },
    h("span", { class: "file-name", text: name }),
    h("span", { class: "file-facts", text: factsOf(file) }),
  );
  const picture = isPicture(file) && h("img", { class: "file-picture", src: address(file), alt: name, loading: "lazy" });
  picture && picture.addEventListener("error", () => picture.replaceWith(icon("image", 20)));
  const kind = KINDS[(file.mimetype || "").split("/")[0]] || "file";
  return h(
    "figure",
    { class: `file-card${picture ? " has-picture" : ""}`, data: { file: file.id } },
    picture,
    h("figcaption", {}, !picture && h("span", { class: "file-tile" }, icon(kind, 20)), facts, save),
  );
}

/** What is being attached: one chip a file, with how far it got, and what to do when it failed. */
export class FileTray {
  /** `onChange()` after each step; `button` shows one to choose files; `accept` is a list of extensions. */
  constructor({ onChange, accept, max = 10, button = false, place = () => ({ channel: state.here }) }) {
    Object.assign(this, { onChange, max, place, items: [], key: "", kept: new Map() });
    this.input = h("input", {
      type: "file",
      multiple: max > 1,
      class: "visually-hidden",
      tabIndex: -1,
      "aria-label": "Choose files",
      accept: accept?.length ? accept.map((one) => `.${one}`).join(",") : null,
      on: { change: () => this.take(this.input.files) },
    });
    this.list = h("ul", { class: "tray-list" });
    this.el = h(
      "div",
      { class: "tray" },
      this.list,
      this.input,
      button &&
        h("button", { type: "button", class: "button", on: { click: () => this.browse() } }, icon("clip", 16), "Choose files"),
    );
  }

  browse() {
    this.input.value = "";
    this.input.click();
  }

  get ready() {
    return this.items.filter((one) => one.file).map((one) => one.file);
  }

  get busy() {
    return this.items.some((one) => !one.file && !one.error);
  }

  get failed() {
    return this.items.some((one) => one.error);
  }

  /** Another place's files: these are put away as they are, and go on going up. */
  aim(key) {
    if (key === this.key) return;
    this.kept.set(this.key, this.items);
    this.items = this.kept.get(key) || [];
    this.key = key;
    this.draw();
  }

  take(files) {
    const room = this.max - this.items.length;
    for (const blob of [...files].slice(0, room)) {
      const one = { blob, name: blob.name || "pasted.png", part: 0, file: null, error: "" };
      this.items.push(one);
      this.send(one);
    }
  }

  async send(one) {
    Object.assign(one, { error: "", part: 0, file: null });
    this.draw();
    try {
      one.file = await upload({ ...this.place(), team: state.team, user: state.me, name: one.name }, one.blob, (part) => {
        one.part = part;
        one.bar && (one.bar.value = part);
      });
    } catch (error) {
      one.error = error.message;
    }
    if (this.items.includes(one)) this.draw();
  }

  remove(one) {
    this.items = this.items.filter((other) => other !== one);
    this.draw();
  }

  clear() {
    this.items = [];
    this.draw();
  }

  draw() {
    fill(
      this.list,
      this.items.map((one) => this.chip(one)),
    );
    this.list.hidden = !this.items.length;
    this.onChange?.();
  }

  chip(one) {
    one.bar = !one.file && !one.error && h("progress", { max: 1, value: one.part, "aria-label": `Sending ${one.name}` });
    return h(
      "li",
      { class: `tray-chip${one.error ? " is-bad" : ""}` },
      icon(one.error ? "alert" : one.blob.type.startsWith("image/") ? "image" : "file", 16),
      h(
        "span",
        { class: "file-text" },
        h("span", { class: "file-name", text: one.name }),
        one.bar || h("span", { class: "file-facts", role: one.error ? "alert" : null, text: one.error || sizeOf(one.blob.size) }),
      ),
      one.error && h("button", { type: "button", class: "link-button", text: "Try again", on: { click: () => this.send(one) } }),
      iconButton("close", `Remove ${one.name}`, () => this.remove(one)),
    );
  }
}

/** Lets files be dropped on a place; while they hover, it says so. */
export function dropZone(el, onFiles, allowed = () => true) {
  const has = (event) => [...(event.dataTransfer?.types || [])].includes("Files") && allowed();
  let depth = 0;
  const show = (on) => {
    depth = on ? depth : 0;
    el.classList.toggle("is-drop", on);
  };
  el.addEventListener("dragenter", (event) => has(event) && (event.preventDefault(), (depth += 1), show(true)));
  el.addEventListener("dragover", (event) => has(event) && event.preventDefault());
  el.addEventListener("dragleave", () => (depth -= 1) <= 0 && show(false));
  el.addEventListener("drop", (event) => {
    show(false);
    if (!has(event)) return;
    event.preventDefault();
    onFiles(event.dataTransfer.files);
  });
}
