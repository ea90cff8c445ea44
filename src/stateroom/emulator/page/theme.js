// Light, dark, or as the system says. The choice is kept; the colours themselves are in style.css.
import { fill, icon, iconButton } from "./dom.js";
import { recall, remember } from "./prefs.js";

const ORDER = {
  "": { next: "light", icon: "half", name: "as the system" },
  light: { next: "dark", icon: "sun", name: "light" },
  dark: { next: "", icon: "moon", name: "dark" },
};

export function themeButton() {
  let mode = recall("theme", "") || "";
  const button = iconButton("half", "", () => {
    mode = ORDER[mode].next;
    remember("theme", mode);
    show();
  });
  const show = () => {
    const { icon: picture, name } = ORDER[mode];
    if (mode) document.documentElement.dataset.theme = mode;
    else delete document.documentElement.dataset.theme;
    fill(button, icon(picture));
    button.setAttribute("aria-label", `Theme: ${name}. Change it`);
    button.title = `Theme: ${name}`;
  };
  show();
  return button;
}
