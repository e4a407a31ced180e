// What several views share: the status, the matrix, open incidents, and the history that this page has seen.
import { ApiError, get, messageOf, needsLogin, paths, readCaller, skew } from "./api.js";
import { effect, signal, useEffect, useRef, useSignal } from "./lib.js";
import { beat, now, took } from "./live.js";

const HISTORY_MAX = 1800;
const INCIDENTS = "/v1/incidents";

/** @typedef {{ times: number[], freshness: (number | null)[], lagSeconds: (number | null)[], lagRows: (number | null)[] }} History */

export const status = signal(/** @type {Api.StatusAnswer | null} */ (null));
export const matrix = signal(/** @type {Api.MatrixAnswer | null} */ (null));

/** Open incidents; null where the server keeps none. */
export const incidents = signal(/** @type {Api.IncidentAnswer[] | null} */ (null));

/** Since when the API does not answer, and why; null while it answers. */
export const trouble = signal(/** @type {{ text: string, since: number } | null} */ (null));

/** Unix times in seconds, and what the status said then. */
export const history = signal(/** @type {History} */ ({ times: [], freshness: [], lagSeconds: [], lagRows: [] }));

/** First percentage and time of each snapshot that this page has seen. */
/** @type {Map<string, { percent: number, at: number }>} */
export const snapshots = new Map();

/** Seconds since a moment of the server. @param {string} moment */
export const ageOf = moment => Math.max(0, (now.value + skew.value - Date.parse(moment)) / 1000);

/** @param {Api.StatusAnswer} answer */
function remember(answer) {
  const seconds = Date.now() / 1000;
  const past = history.value;
  const add = (values, value) => [...values.slice(-HISTORY_MAX), value];
  const freshness = answer.as_of ? (Date.now() + skew.value - Date.parse(answer.as_of)) / 1000 : null;
  history.value = {
    times: add(past.times, seconds),
    freshness: add(past.freshness, freshness === null ? null : Math.max(0, freshness)),
    lagSeconds: add(past.lagSeconds, answer.lag.seconds),
    lagRows: add(past.lagRows, answer.lag.rows),
  };
  for (const [table, percent] of Object.entries(answer.snapshot)) {
    if (!snapshots.has(table)) snapshots.set(table, { percent, at: seconds });
  }
}

let isAsking = false;

async function ask() {
  if (isAsking || needsLogin.value) return;
  isAsking = true;
  const begun = Date.now();
  try {
    void readCaller();
    const hasIncidents = paths.value.has(INCIDENTS);
    // One after the other: the server reads all verdicts once for both.
    const answer = await get("/v1/status");
    const [verdicts, open] = await Promise.all([
      get("/v1/matrix"),
      hasIncidents ? get(`${INCIDENTS}?state=open`) : null,
    ]);
    status.value = answer;
    matrix.value = verdicts;
    incidents.value = open?.items ?? null;
    trouble.value = null;
    remember(answer);
  } catch (error) {
    const isRefused = error instanceof ApiError && error.status === 401;
    if (!isRefused) trouble.value = { text: messageOf(error), since: trouble.value?.since ?? Date.now() };
  } finally {
    isAsking = false;
    took(Date.now() - begun);
  }
}

export const start = () =>
  effect(() => {
    beat.value;
    void ask();
  });

/**
 * @template T
 * @typedef {{ data: T | null, error: ApiError | null }} Answered
 */

/**
 * The answer of a path, asked again at every beat. Without a path nothing is asked.
 * @param {string | null} path
 * @param {boolean} [isLive]
 * @param {string} [occasion] where it is not live: it is asked again when this text changes
 * @returns {Answered<any>}
 */
export function useAnswer(path, isLive = true, occasion = "") {
  const answer = useSignal(/** @type {Answered<any> & { path: string | null }} */ ({ path, data: null, error: null }));
  const isBusy = useRef(/** @type {string | null} */ (null));
  const wanted = useRef(path);
  wanted.current = path;
  const trigger = isLive ? beat.value : `${needsLogin.value} ${occasion}`;
  useEffect(() => {
    if (!path || needsLogin.value || isBusy.current === path) return;
    isBusy.current = path;
    const keep = found => {
      if (isBusy.current === path) isBusy.current = null;
      if (wanted.current === path) answer.value = { path, ...found };
    };
    get(path).then(
      data => keep({ data, error: null }),
      error => keep({ data: error.status !== 404 && answer.value.path === path ? answer.value.data : null, error }),
    );
  }, [path, trigger]);
  return answer.value.path === path ? answer.value : { data: null, error: null };
}
