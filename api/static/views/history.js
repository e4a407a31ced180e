// The history of a partition: rows of both sides and the verdict over time, incidents, and every point as text.
import { paths, skew } from "../api.js";
import { clock, count, plural, span, time, WORDS } from "../format.js";
import { html, useMemo, useRef } from "../lib.js";
import { slowBeat } from "../live.js";
import { query, setQuery } from "../router.js";
import { incidents, trouble, useAnswer } from "../state.js";
import { aboveOf, drawBands, drawGrounds } from "../parts/band.js";
import { Picture } from "../parts/chart.js";
import { Waiting } from "../parts/facts.js";
import { bandsOf, linesOf, marksOf, secondsOf, stepsOf } from "../parts/points.js";
import { Glyph, Verdict } from "../parts/verdict.js";
import { IncidentLine } from "./incidents.js";

const PATH = "/v1/fingerprints/{table}/{partition}/history";
const INCIDENTS = "/v1/incidents";
const POINTS_MAX = 100;
const INCIDENTS_MAX = 200;
const BANDS_TOLD = 6;
const LINES_MAX = 5;
const HEIGHT = 240;
const WHOLE_STEPS = [...Array(16).keys()].flatMap(power => [1, 2, 5].map(digit => digit * 10 ** power));

/** The values need not begin at 0: one row more or less is to be seen. */
const around = (_plot, low, high) => {
  const from = low ?? 0;
  const to = high ?? 1;
  const margin = Math.max(1, (to - from) * 0.15);
  return /** @type {[number, number]} */ ([Math.max(0, from - margin), to + margin]);
};

const moment = seconds => time(new Date(seconds * 1000).toISOString());

/** Steps, lines, bands and marks of an answer; null without any point. */
function pictured({ answer, end, table, known, isNewest }) {
  const steps = stepsOf(answer.items, end);
  if (!steps.length) return null;
  const lines = linesOf(steps);
  return { steps, lines, bands: bandsOf(steps), marks: marksOf(known, table, lines[0][0], end, isNewest), from: lines[0][0], end };
}

/** @param {{ bands: import("../parts/points.js").Band[], from: number, end: number }} shown */
function described({ bands, from, end }) {
  const told = bands.slice(-BANDS_TOLD).map(band => WORDS[band.verdict]).join(", then ");
  const earlier = bands.length > BANDS_TOLD ? "at last " : "";
  return `Rows of source and lake, and the verdict, from ${moment(from)} to ${moment(end)}: ${earlier}${told}. The table below has every point.`;
}

function Drawing({ shown }) {
  const current = useRef(shown);
  current.current = shown;
  const shape = useMemo(() => ({
    lines: [
      { label: "Source", stroke: "--side", width: 6, isStepped: true },
      { label: "Lake", stroke: "--ink", width: 2, isStepped: true },
    ],
    range: around,
    number: count,
    steps: WHOLE_STEPS,
    above: () => aboveOf(current.current),
    hooks: {
      drawClear: plot => drawGrounds(plot, current.current),
      draw: plot => drawBands(plot, current.current),
    },
  }), []);
  return html`
    <p class="legend">
      <span><i class="line source"></i>source rows</span><span><i class="line lake"></i>lake rows</span>
      ${["match", "mismatch", "inconclusive"].map(verdict => html`<span class=${`name ${verdict}`}><${Glyph} verdict=${verdict} />${WORDS[verdict]}</span>`)}
      ${shown.marks.length > 0 && html`<span><i class="flag"></i>incident</span>`}
    </p>
    <${Picture} description=${described(shown)} data=${shown.lines} shape=${shape} height=${HEIGHT} />
  `;
}

/** @param {{ step: import("../parts/points.js").Step }} props */
const Point = ({ step: { item, from, to } }) => html`
  <tr>
    <th scope="row"><time datetime=${item.at}><span>${item.at.slice(0, 10)}</span> <span>${clock(item.at)}</span></time><br /><span class="quiet">for ${span(to - from)}</span></th>
    <td><${Verdict} verdict=${item.verdict} />${item.reason && html`<br /><span class="reason">${item.reason}</span>`}</td>
    <td class="number">${count(item.source?.rows)}</td>
    <td class=${`number ${item.source && item.lake && item.source.rows !== item.lake.rows ? "differs" : ""}`}>${count(item.lake?.rows)}</td>
    <td class="number epoch">${count(item.epoch)}</td>
  </tr>
`;

const Points = ({ steps }) => html`
  <div class="scroll points" tabindex="0" role="region" aria-label="Points of the history, newest first">
    <table>
      <thead><tr><th scope="col">From</th><th scope="col">Verdict</th><th scope="col" class="number">Source rows</th><th scope="col" class="number">Lake rows</th><th scope="col" class="number epoch">Epoch</th></tr></thead>
      <tbody>${steps.map(step => html`<${Point} key=${step.item.at} step=${step} />`)}</tbody>
    </table>
  </div>
`;

/** The newest incidents of all tables; asked again when another incident of this one opens or closes. */
function useIncidents(table, before) {
  const open = (incidents.value ?? []).filter(incident => incident.table === table).map(incident => incident.id).join(" ");
  const path = paths.value.has(INCIDENTS) ? `${INCIDENTS}?limit=${INCIDENTS_MAX}` : null;
  /** @type {import("../state.js").Answered<Api.IncidentsAnswer>} */
  const answer = useAnswer(path, false, before ? "" : `${slowBeat.value} ${open}`);
  return answer;
}

/** A page of the history. The page before stays until the next one is there, so that nothing jumps. */
function usePage(table, name, since, before) {
  const path = `/v1/fingerprints/${encodeURIComponent(table)}/${name}/history?limit=${POINTS_MAX}${before ? `&before=${before}` : ""}`;
  // A page of the past stays as it is. The newest one changes with the verdict; sums come at most once a minute here.
  const occasion = `${trouble.value === null} ${before ? "" : `${slowBeat.value} ${since}`}`;
  /** @type {import("../state.js").Answered<Api.HistoryAnswer>} */
  const { data, error } = useAnswer(paths.value.has(PATH) ? path : null, false, occasion);
  const last = useRef(/** @type {{ answer: Api.HistoryAnswer, end: number } | null} */ (null));
  const slow = slowBeat.value;
  const page = useMemo(() => data && { answer: data, end: before ? Number(before) / 1000 : (Date.now() + skew.value) / 1000 }, [data, before, slow]);
  if (page) last.current = page;
  return { page: page ?? (error ? null : last.current), error };
}

/** @param {{ shown: { marks: import("../parts/points.js").Mark[], from: number }, found: import("../state.js").Answered<Api.IncidentsAnswer> }} props */
function Marked({ shown: { marks, from }, found }) {
  const oldest = found.data?.items.at(-1);
  const isCut = found.data?.next_before && oldest && secondsOf(oldest.opened_at) > from;
  return html`
    ${found.error && html`<p class="wrong" role="alert">Incidents cannot be shown: ${found.error.message}</p>`}
    ${marks.length > 0 && html`
      <h3>Incidents of the table in this time</h3>
      <ul class="lines">${marks.slice(0, LINES_MAX).map(({ incident }) => html`<${IncidentLine} key=${incident.id} incident=${incident} />`)}</ul>`}
    ${marks.length > LINES_MAX && html`<p class="quiet">${count(marks.length - LINES_MAX)} more are on the page of <a href="/incidents">incidents</a>.</p>`}
    ${isCut && html`<p class="quiet">Only the newest ${count(INCIDENTS_MAX)} incidents of all tables were read.</p>`}
  `;
}

export function History({ table, partition, name, since }) {
  const wanted = query.value.get("before") ?? "";
  const before = /^\d{1,15}$/.test(wanted) ? wanted : "";
  const { page, error } = usePage(table, name, since, before);
  const found = useIncidents(table, before);
  const known = found.data?.items;
  const shown = useMemo(() => page && pictured({ ...page, table, known: known ?? [], isNewest: !before }), [page, known, table]);
  if (!paths.value.has(PATH)) return null;
  const next = page?.answer.next_before;
  return html`
    <section class="card history" aria-labelledby="history">
      <h2 id="history">History</h2>
      ${error && page && html`<p class="wrong" role="alert">${error.message}</p>`}
      ${page ? null : html`<${Waiting} what=${`the history of ${partition}`} error=${error} />`}
      ${page && !shown && html`<p class="quiet">${before ? "Nothing older is kept." : "No point is recorded yet. The history begins with the next change of the verdict or the sums."}</p>`}
      ${shown && html`
        <p class="quiet" role="status">${plural(shown.steps.length, "point")} from ${moment(shown.from)} to ${before ? moment(shown.end) : "now"}</p>
        <${Drawing} shown=${shown} />
        <${Marked} shown=${shown} found=${found} />
        <${Points} steps=${shown.steps} />`}
      ${(before || next) && html`
        <p class="form">
          <button type="button" disabled=${!next} onClick=${() => setQuery("before", String(next))}>Older</button>
          <button type="button" disabled=${!before} onClick=${() => setQuery("before", "")}>Newest</button>
        </p>`}
    </section>
  `;
}
