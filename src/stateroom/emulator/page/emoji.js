// Emoji by Slack's short names. Where the machine has no glyph, the name is shown instead of an empty box.
import { h } from "./dom.js";

const TABLE = `+1 👍|thumbsup 👍|-1 👎|thumbsdown 👎|heart ❤️|eyes 👀|white_check_mark ✅|heavy_check_mark ✔️|tada 🎉|rocket 🚀|wave 👋|thinking_face 🤔
pray 🙏|fire 🔥|100 💯|x ❌|clap 👏|raised_hands 🙌|muscle 💪|ok_hand 👌|point_up ☝️|point_right 👉|point_left 👈|point_down 👇|smile 😄|smiley 😃|grinning 😀
grin 😁|joy 😂|laughing 😆|sweat_smile 😅|slightly_smiling_face 🙂|upside_down_face 🙃|wink 😉|blush 😊|heart_eyes 😍|sunglasses 😎|neutral_face 😐
expressionless 😑|confused 😕|disappointed 😞|cry 😢|sob 😭|scream 😱|open_mouth 😮|flushed 😳|sleeping 😴|rage 😡|angry 😠|nerd_face 🤓|face_palm 🤦|shrug 🤷
robot_face 🤖|ghost 👻|skull 💀|poop 💩|see_no_evil 🙈|sparkles ✨|star ⭐|star2 🌟|zap ⚡|boom 💥|bulb 💡|bell 🔔|mega 📣|loudspeaker 📢
warning ⚠️|rotating_light 🚨|no_entry ⛔|octagonal_sign 🛑|construction 🚧|question ❓|exclamation ❗|information_source ℹ️|hourglass ⌛|hourglass_flowing_sand ⏳
stopwatch ⏱️|alarm_clock ⏰|calendar 📅|date 📅|memo 📝|pencil 📝|pencil2 ✏️|clipboard 📋|pushpin 📌|paperclip 📎|link 🔗|lock 🔒|unlock 🔓|key 🔑
mag 🔍|gear ⚙️|wrench 🔧|hammer 🔨|hammer_and_wrench 🛠️|package 📦|inbox_tray 📥|outbox_tray 📤|email 📧|envelope ✉️|computer 💻|keyboard ⌨️|floppy_disk 💾
file_folder 📁|open_file_folder 📂|chart_with_upwards_trend 📈|chart_with_downwards_trend 📉|bar_chart 📊|books 📚|book 📖|bug 🐛|ant 🐜|snake 🐍|whale 🐳|elephant 🐘
ship 🚢|anchor ⚓|sailboat ⛵|ocean 🌊|earth_africa 🌍|sunny ☀️|cloud ☁️|rainbow 🌈|snowflake ❄️|coffee ☕|beer 🍺|beers 🍻|pizza 🍕|cake 🍰|birthday 🎂
trophy 🏆|medal 🏅|first_place_medal 🥇|dart 🎯|game_die 🎲|art 🎨|musical_note 🎵|arrow_right ➡️|arrow_left ⬅️|arrow_up ⬆️|arrow_down ⬇️|repeat 🔁
arrows_counterclockwise 🔄|recycle ♻️|red_circle 🔴|large_blue_circle 🔵|large_green_circle 🟢|large_yellow_circle 🟡|white_circle ⚪|black_circle ⚫|heavy_plus_sign ➕
heavy_minus_sign ➖|one 1️⃣|two 2️⃣|three 3️⃣|man 👨|woman 👩|busts_in_silhouette 👥|speech_balloon 💬|thought_balloon 💭|handshake 🤝|crossed_fingers 🤞|v ✌️`;

export const EMOJI = new Map(
  TABLE.split(/[|\n]/).map((pair) => [pair.slice(0, pair.lastIndexOf(" ")), pair.slice(pair.lastIndexOf(" ") + 1)]),
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
