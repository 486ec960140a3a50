// How the page calls the API: as its reader, with the token of this tab or the platform's session.

const KEY = "tandem.console.token";

/** The path where the API begins, whatever the host's route prefix is. */
export const BASE = location.pathname.replace(/\/ops\/console\/?$/, "");

/** Whether the platform signs browsers in; the app writes that into the page. */
export const PLATFORM = document.querySelector("meta[name=sign-in]").content === "platform";

/** An answer that is an error, or none at all; `hint` says what to do about it. */
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail);
    this.status = status;
    this.code = (body.type || "").replace("urn:tandem:problem:", "");
    this.title = body.title;
    this.detail = body.detail;
    this.errors = body.errors || [];
    this.correlationId = body.correlationId || null;
    this.retryAfter = retryAfter;
    this.hint = hint(this.status, this.code);
  }
}

const HINTS = {
  unauthenticated: "Sign in again: a token lasts an hour in Azure, half a day on a laptop.",
  forbidden: "Ask for the app role that is named above; who grants it is told in docs/deploy.md, “Who may call”.",
  overloaded: "Too much is asked at the moment. It is tried again by itself.",
  "database-unavailable": "See docs/operations.md, “server-errors”: is the database there, and has it room?",
  "read-models-unavailable": "See docs/operations.md, “server-errors” and “cosmos-throttled”. Nothing is lost: events wait.",
  "service-bus-unavailable": "See docs/operations.md, “unpublished-events”. Nothing is lost: events wait in the outbox.",
  "subscription-closed": "See docs/operations.md, “silent-timer”: deploy the infrastructure again.",
  "not-ready": "See docs/operations.md, “server-errors”. Commands with an Idempotency-Key can be sent again.",
  "authentication-off": "Somebody switched App Service authentication off: deploy the infrastructure again.",
  "anti-forgery": "The request did not come from this page. Reload it.",
  "rebuild-under-way": "One rebuild at a time: wait for it, or cancel it.",
  "generation-incomplete": "Replay dead letters first, or make the generation anew with a rebuild.",
  "switch-under-way": "Wait a quarter of a minute, and look again.",
};

function hint(status, code) {
  if (HINTS[code]) return HINTS[code];
  if (status === 0) return "Is the system running, and the network there? It is tried again by itself.";
  if (status === 429) return "The platform has too many requests waiting. It is tried again by itself.";
  if (status === 503) return "It may be over in a moment. See docs/operations.md, “server-errors”.";
  if (status >= 500) return "This is a bug: look for the correlation id in the log.";
  return "";
}

export const counted = { requests: 0, since: Date.now() };

export function hasToken() {
  return sessionStorage.getItem(KEY) !== null;
}

export function keepToken(token) {
  sessionStorage.setItem(KEY, token.trim());
}

export function forgetToken() {
  sessionStorage.removeItem(KEY);
}

/** What the token says of its owner. It is only shown: the API alone decides. */
export function tokenClaims() {
  try {
    const part = sessionStorage.getItem(KEY).split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (c) => c.charCodeAt(0))));
  } catch {
    return null;
  }
}

/** Call the API. Throws a Problem whatever goes wrong. */
export async function call(method, path, body, signal) {
  const headers = { Accept: "application/json" };
  const token = sessionStorage.getItem(KEY);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (method !== "GET") {
    headers["X-Requested-With"] = "tandem-console"; // no foreign page can send it: it would need CORS
    headers["Content-Type"] = "application/json";
  }
  counted.requests += 1;
  let answer;
  try {
    answer = await fetch(`${BASE}/${path}`, {
      method,
      headers,
      body: method === "GET" ? undefined : JSON.stringify(body || {}),
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { title: "No answer", detail: "The system does not answer." });
  }
  const text = await answer.text();
  let content = null;
  try {
    content = text ? JSON.parse(text) : null;
  } catch {
    content = null;
  }
  if (answer.ok && content !== null) return content;
  const told = content && content.detail ? content : { title: answer.statusText || `HTTP ${answer.status}`, detail: bare(answer.status) };
  throw new Problem(answer.status, told, Number(answer.headers.get("Retry-After")) || null);
}

function bare(status) {
  if (status === 401) return "The platform knows no caller: there is no valid token.";
  if (status === 429) return "Too many requests wait already.";
  return `The platform answers ${status}, and says no more.`;
}

export const get = (path, signal) => call("GET", path, undefined, signal);
export const post = (path, body) => call("POST", path, body);

/** Write parameters as a query string, without those that are empty. */
export function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const text = new URLSearchParams(given).toString();
  return text ? `?${text}` : "";
}
