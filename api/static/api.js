// Requests to the REST service: the token, conditional answers, and the paths that this server has.
import { signal } from "./lib.js";

const ANSWER_MS = 15000;
const TOKEN = "token";
const CALLER = "/v1/caller";

/** @type {HTMLMetaElement | null} */
const mark = document.querySelector("meta[name=dfp-token]");
const isTokenRequired = mark?.content === "required";

export const needsLogin = signal(isTokenRequired && !sessionStorage.getItem(TOKEN));

/** Why the server refused the token; empty while it did not. */
export const refusal = signal("");

/** Who this page asks as: name and role of the token. Null until it is known, and where the server does not say. */
export const caller = signal(/** @type {Api.CallerAnswer | null} */ (null));

/** Whether the server would do what a button requests. */
export const mayChange = () => caller.value?.role !== "viewer";

/** Paths of the server's OpenAPI document: what a server does not have is not asked for. */
export const paths = signal(/** @type {Set<string>} */ (new Set()));

/** Milliseconds by which the server's clock is ahead of ours. */
export const skew = signal(0);

export class ApiError extends Error {
  /**
   * @param {number} status HTTP status; 0 where there was no answer
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** What a rejected request says. */
export const messageOf = error => (error instanceof Error ? error.message : String(error));

/** Keeps a token for this tab. @param {string} token */
export function login(token) {
  sessionStorage.setItem(TOKEN, token);
  refusal.value = "";
  needsLogin.value = false;
}

/** Forgets the token, and asks for another one on the same page. */
export function logout() {
  sessionStorage.removeItem(TOKEN);
  caller.value = null;
  needsLogin.value = true;
}

/** Learns who asks. */
export async function readCaller() {
  if (needsLogin.value || caller.value || !paths.value.has(CALLER)) return;
  try {
    caller.value = await get(CALLER);
  } catch {
    // It is asked again with the next status.
  }
}

/** @returns {Record<string, string>} */
export function authorization() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** @type {Map<string, { etag: string, body: any }>} */
const known = new Map();
const KNOWN_MAX = 24;

/** @param {string} path @param {{ method?: string, headers: Record<string, string>, body?: string }} options */
async function send(path, options) {
  if (needsLogin.value) throw new ApiError(401, "the token is needed");
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options, signal: AbortSignal.timeout(ANSWER_MS) });
  } catch (error) {
    throw new ApiError(0, error instanceof Error && error.name === "TimeoutError" ? "no answer within 15 s" : "the service cannot be reached");
  }
  const date = Date.parse(response.headers.get("Date") ?? "");
  // The header has whole seconds: a difference below two is none.
  if (date) skew.value = Math.abs(date - Date.now()) < 2000 ? 0 : date - Date.now();
  if (response.status === 401) {
    const isSent = Boolean(options.headers.Authorization);
    // An answer to a request from before a login says nothing of the token that is stored now.
    if (options.headers.Authorization === authorization().Authorization) {
      if (isSent) refusal.value = (await response.clone().json().catch(() => ({}))).error ?? "the token was refused";
      logout();
    }
  }
  return response;
}

async function failure(path, response) {
  const body = await response.json().catch(() => ({}));
  return new ApiError(response.status, body.error ?? `${path}: status ${response.status}`);
}

/**
 * The answer of a path. The same object as before while the server says that nothing changed.
 * @param {string} path
 * @returns {Promise<any>}
 */
export async function get(path) {
  const before = known.get(path);
  const headers = { ...authorization(), ...(before ? { "If-None-Match": before.etag } : {}) };
  const response = await send(path, { headers });
  if (response.status === 304 && before) return before.body;
  if (!response.ok) throw await failure(path, response);
  const body = await response.json();
  const etag = response.headers.get("ETag");
  if (etag) {
    known.delete(path);
    known.set(path, { etag, body });
    for (const oldest of known.keys()) {
      if (known.size <= KNOWN_MAX) break;
      known.delete(oldest);
    }
  }
  return body;
}

/**
 * Requests a change.
 * @param {"POST" | "DELETE"} method
 * @param {string} path
 * @param {object} [body]
 * @returns {Promise<any>}
 */
export async function change(method, path, body) {
  const headers = { ...authorization(), ...(body ? { "Content-Type": "application/json" } : {}) };
  const response = await send(path, { method, headers, body: body && JSON.stringify(body) });
  if (!response.ok) throw await failure(path, response);
  return response.json();
}

export async function readPaths() {
  const response = await fetch("/openapi.json", { signal: AbortSignal.timeout(ANSWER_MS) });
  paths.value = new Set(Object.keys((await response.json()).paths ?? {}));
}
