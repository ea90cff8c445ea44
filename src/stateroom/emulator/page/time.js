// Times as people read them. Slack's ts is seconds with six digits; other clocks may be seconds, milliseconds or ISO text.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  hour12: false,
});
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const dayLong = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const dayYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });

export const tsMillis = (ts) => Math.floor(parseFloat(ts) * 1000);
export const clockOf = (millis) => clock.format(millis);
export const timeOf = (ts) => clock.format(tsMillis(ts));
export const fullTimeOf = (ts) => full.format(tsMillis(ts));
export const exactTime = (millis) => exact.format(millis);

/** Any clock value as milliseconds; now, if there is none. */
export function later(at) {
  if (typeof at === "string" && !/^[\d.]+$/.test(at)) return Date.parse(at) || Date.now();
  const value = Number(at);
  if (!value) return Date.now();
  return value < 1e11 ? value * 1000 : value;
}

export const dayKey = (ts) => {
  const date = new Date(tsMillis(ts));
  return `${date.getFullYear()}-${date.getMonth()}-${date.getDate()}`;
};

export function dayLabel(ts, now = Date.now()) {
  const days = Math.round((midnight(now) - midnight(tsMillis(ts))) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return (days < 180 && days > 0 ? dayLong : dayYear).format(tsMillis(ts));
}

function midnight(millis) {
  return new Date(millis).setHours(0, 0, 0, 0);
}

/** "340 ms", "2.4 s", "3 min": how long something took. */
export function span(millis) {
  if (millis < 1000) return `${Math.max(0, Math.round(millis))} ms`;
  if (millis < 60_000) return `${(millis / 1000).toFixed(millis < 10_000 ? 1 : 0)} s`;
  return `${Math.round(millis / 60_000)} min`;
}

export function ago(ts, now = Date.now()) {
  const seconds = Math.max(0, (now - tsMillis(ts)) / 1000);
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return dayLabel(ts, now);
}
