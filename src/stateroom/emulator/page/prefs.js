// What the browser keeps for this page: drafts, unsent messages, what was read, who you are, the theme.
// A browser may refuse storage (private windows, quotas); the page then works without remembering.

const PREFIX = "stateroom.";

export function recall(key, fallback = null) {
  try {
    const raw = localStorage.getItem(PREFIX + key);
    return raw === null ? fallback : JSON.parse(raw);
  } catch {
    return fallback;
  }
}

export function remember(key, value) {
  try {
    if (value === null || value === "" || value === undefined) localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch (error) {
    console.info(`not remembered: ${error.name}`);
  }
}
