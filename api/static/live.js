// When to ask again: every 2 s, or on an event of the server with a slower beat below it; never in a hidden tab.
import { authorization, needsLogin, paths } from "./api.js";
import { signal } from "./lib.js";

const EVERY_MS = 2000;
const EVERY_WITH_EVENTS_MS = 5000;
const AGAIN_MS = 5000;
const SLOW_MS = 60000;
const EVENTS = "/v1/events";

/** Grows whenever views should ask again. */
export const beat = signal(0);

/** Grows with the first beat of each minute, for what changes seldom. */
export const slowBeat = signal(0);

/** Whether the server sends events to this page. */
export const hasEvents = signal(false);

/** The present time in milliseconds, every second. */
export const now = signal(Date.now());

/** An answer that took long is asked for less often, so that no page takes more than a fifth of a core of the server. */
const SHARE = 4;
let last = 0;
let lastSlow = 0;
let tookMs = 0;

/** Says how long the server took for its last answers. */
export const took = milliseconds => {
  tookMs = milliseconds;
};

let lastEventId = "";

/** Asks again at once. */
export function refresh() {
  last = Date.now();
  beat.value += 1;
  if (last - lastSlow < SLOW_MS) return;
  lastSlow = last;
  slowBeat.value += 1;
}

function tick() {
  now.value = Date.now();
  if (document.hidden) return;
  const every = hasEvents.value ? EVERY_WITH_EVENTS_MS : EVERY_MS;
  if (Date.now() - last >= Math.max(every, SHARE * tookMs)) refresh();
}

// EventSource sends no token, so the stream is read by fetch.
async function listen(stop) {
  /** @type {Record<string, string>} */
  const resume = lastEventId ? { "Last-Event-ID": lastEventId } : {};
  const headers = { Accept: "text/event-stream", ...authorization(), ...resume };
  const response = await fetch(EVENTS, { headers, cache: "no-store", signal: stop });
  if (!response.ok || !response.headers.get("Content-Type")?.startsWith("text/event-stream")) return;
  if (!response.body) return;
  hasEvents.value = true;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split(/\r?\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("id:")) lastEventId = line.slice(3).trim();
    if (lines.some(line => line.startsWith("data:"))) refresh();
  }
}

/** @type {AbortController | undefined} */
let stream;

async function keepListening() {
  if (stream || document.hidden || needsLogin.value || !paths.value.has(EVENTS)) return;
  stream = new AbortController();
  try {
    await listen(stream.signal);
  } catch {
    // The slower beat goes on; the stream is opened again below.
  }
  hasEvents.value = false;
  stream = undefined;
}

export function start() {
  setInterval(tick, 500);
  setInterval(keepListening, AGAIN_MS);
  keepListening();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stream?.abort();
    else {
      refresh();
      keepListening();
    }
  });
  refresh();
}
