// The control plane as functions. Every failure is one ApiError with a code, a sentence, and whether trying again helps.

export class ApiError extends Error {
  constructor(status, code, detail) {
    super(detail || code);
    this.status = status;
    this.code = code;
    this.detail = detail || "";
    this.retryable = status === 0 || status >= 500 || status === 429;
  }
}

const SEND_DEADLINE = 10_000;

async function call(method, path, body, deadline = SEND_DEADLINE) {
  const init = { method, headers: {}, signal: AbortSignal.timeout(deadline), cache: "no-store" };
  if (body !== undefined) {
    init.headers["content-type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    throw new ApiError(0, error.name === "TimeoutError" ? "no_answer" : "unreachable", unreachable(error));
  }
  const payload = await readJson(response);
  if (!response.ok) throw new ApiError(response.status, payload.error || `http_${response.status}`, payload.detail);
  return payload;
}

function unreachable(error) {
  if (error.name === "TimeoutError")
    return "The local Slack did not answer in time. Look at the terminal that runs it, then retry.";
  return "The local Slack cannot be reached. Is it still running in the terminal?";
}

async function readJson(response) {
  const text = await response.text();
  if (!text) return {};
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(response.status, "not_json", "The local Slack answered with something that is not JSON.");
  }
}

export const api = {
  state: () => call("GET", "/_sim/state", undefined, 30_000),
  stats: () => call("GET", "/_sim/stats"),
  deliveries: () => call("GET", "/_sim/deliveries"),
  calls: () => call("GET", "/_sim/calls"),
  send: (message) => call("POST", "/_sim/messages", message),
  act: (action) => call("POST", "/_sim/actions", action),
  crash: () => call("POST", "/_sim/crash", {}),
  duplicate: (which = {}) => call("POST", "/_sim/duplicate", which),
  addFault: (fault) => call("POST", "/_sim/faults", fault),
  clearFault: (id) => call("DELETE", `/_sim/faults/${encodeURIComponent(id)}`),
  clearFaults: () => call("DELETE", "/_sim/faults"),
};
