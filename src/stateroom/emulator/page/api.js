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

/** Sends a file up and tells how far it got (0 to 1); answers with the file as Slack knows it. */
export function upload(query, blob, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/_sim/files?${new URLSearchParams(query)}`);
    request.setRequestHeader("content-type", blob.type || "application/octet-stream");
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onerror = () => reject(new ApiError(0, "unreachable", unreachable({})));
    request.onload = () => {
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        answer = { detail: "The local Slack answered with something that is not JSON." };
      }
      if (request.status < 300 && answer.file) resolve(answer.file);
      else reject(new ApiError(request.status, answer.error || `http_${request.status}`, answer.detail));
    };
    request.send(blob);
  });
}

const query = (facts) => new URLSearchParams(Object.entries(facts).filter(([, value]) => value));

export const api = {
  state: () => call("GET", "/_sim/state", undefined, 30_000),
  stats: () => call("GET", "/_sim/stats"),
  deliveries: () => call("GET", "/_sim/deliveries"),
  calls: () => call("GET", "/_sim/calls"),
  interactions: () => call("GET", "/_sim/interactions"),
  event: (id) => call("GET", `/_sim/events/${encodeURIComponent(id)}`),
  views: (team, user) => call("GET", `/_sim/views?${query({ team, user })}`),
  send: (message) => call("POST", "/_sim/messages", message),
  act: (action) => call("POST", "/_sim/actions", action),
  addTeam: (team) => call("POST", "/_sim/teams", team),
  room: (facts) => call("POST", "/_sim/conversations", facts),
  app: (id, verb, facts) => call("POST", `/_sim/apps/${encodeURIComponent(id)}/${verb}`, facts),
  crash: () => call("POST", "/_sim/crash", {}),
  duplicate: (which = {}) => call("POST", "/_sim/duplicate", which),
  addFault: (fault) => call("POST", "/_sim/faults", fault),
  clearFault: (id) => call("DELETE", `/_sim/faults/${encodeURIComponent(id)}`),
  clearFaults: () => call("DELETE", "/_sim/faults"),
};
