// The first page: one sentence, what needs attention, and every table and partition as a map.
import { sentence } from "../sentence.js";
import { count, plural, span } from "../format.js";
import { html } from "../lib.js";
import { ageOf, history, incidents, matrix, snapshots, status } from "../state.js";
import { tablePath } from "../router.js";
import { Chart } from "../parts/chart.js";
import { Waiting } from "../parts/facts.js";
import { Glyph, Verdict } from "../parts/verdict.js";
import { IncidentLine } from "./incidents.js";
import { Matrix } from "./matrix.js";

const TROUBLED_MAX = 8;
const SNAPSHOTS_MAX = 12;

/** @template T @param {T[]} values @returns {T | null} */
const last = values => values.at(-1) ?? null;

function Attention() {
  if (incidents.value?.length) {
    return html`
      <section aria-labelledby="open">
        <h2 id="open">${plural(incidents.value.length, "open incident")}</h2>
        <ul class="lines">${incidents.value.slice(0, TROUBLED_MAX).map(found => html`<${IncidentLine} key=${found.id} incident=${found} />`)}</ul>
        ${incidents.value.length > TROUBLED_MAX && html`<p><a href="/incidents">All ${count(incidents.value.length)} incidents</a></p>`}
      </section>
    `;
  }
  const differing = (matrix.value?.items ?? []).filter(item => item.verdict === "mismatch");
  if (!differing.length) return null;
  return html`
    <section aria-labelledby="open">
      <h2 id="open">${plural(differing.length, "table")} ${differing.length === 1 ? "differs" : "differ"}</h2>
      <ul class="lines">
        ${differing.slice(0, TROUBLED_MAX).map(item => html`
          <li key=${item.table} class="mismatch">
            <a href=${tablePath(item.table)}><${Verdict} verdict=${item.verdict} /> <strong>${item.table}</strong></a>
            <span class="reason">${item.reason}</span>
          </li>`)}
      </ul>
      ${differing.length > TROUBLED_MAX && html`<p class="quiet">and ${count(differing.length - TROUBLED_MAX)} more, first in the map below</p>`}
    </section>
  `;
}

const Measure = ({ name, value, label, times, values, unit }) => html`
  <div class="card measure">
    <p><span class="quiet">${name}</span><strong>${value}</strong></p>
    <${Chart} isSmall label=${label} times=${times} values=${values} unit=${unit} />
  </div>
`;

/** @param {{ now: Api.StatusAnswer }} props */
function Measures({ now }) {
  const { times, freshness, lagSeconds, lagRows } = history.value;
  const { lag } = now;
  return html`
    <section class="measures" aria-label="Freshness and lag">
      <${Measure} name="Compared up to" value=${now.as_of ? `${span(Math.round(last(freshness) ?? 0))} ago` : "–"} label="Age of the compared state" times=${times} values=${freshness} />
      <${Measure} name="Lake is behind by" value=${span(lag.seconds)} label="Seconds that the lake is behind" times=${times} values=${lagSeconds} />
      <${Measure} name="Rows not in the lake yet" value=${count(lag.rows)} label="Rows that the lake is behind" times=${times} values=${lagRows} unit=${count} />
      <div class="card measure">
        <p><span class="quiet">Tables</span><strong>${count(now.tables)}</strong></p>
        <p><span class="quiet">Rows</span><strong>${count(now.rows)}</strong></p>
      </div>
    </section>
  `;
}

function timeLeft(table, percent) {
  const first = snapshots.get(table);
  if (!first || percent <= first.percent) return "";
  const perSecond = (percent - first.percent) / ((last(history.value.times) ?? first.at) - first.at);
  return perSecond > 0 ? `, about ${span((100 - percent) / perSecond)} left` : "";
}

/** @param {{ now: Api.StatusAnswer }} props */
function Snapshots({ now }) {
  const entries = Object.entries(now.snapshot);
  if (!entries.length) return null;
  return html`
    <section class="card" aria-labelledby="snapshots">
      <h2 id="snapshots">${plural(entries.length, "snapshot")} in progress</h2>
      <ul class="snapshots">
        ${entries.slice(0, SNAPSHOTS_MAX).map(([table, percent]) => html`
          <li key=${table}>
            <a href=${tablePath(table)}>${table}</a>
            <progress max="100" value=${percent} aria-label=${`Snapshot of ${table}`}></progress>
            <span class="quiet">${percent} %${timeLeft(table, percent)}</span>
          </li>`)}
      </ul>
      ${entries.length > SNAPSHOTS_MAX && html`<p class="quiet">and ${count(entries.length - SNAPSHOTS_MAX)} more</p>`}
    </section>
  `;
}

/** @param {{ now: Api.StatusAnswer }} props */
function SetAside({ now }) {
  const entries = Object.entries(now.set_aside);
  if (!entries.length) return null;
  return html`
    <section class="card" aria-labelledby="aside">
      <h2 id="aside">${plural(entries.length, "table")} set aside</h2>
      <p class="quiet">Capture leaves these tables out. Each returns by itself when the reason is gone.</p>
      <dl class="aside">${entries.slice(0, SNAPSHOTS_MAX).map(([table, reason]) => html`<div key=${table}><dt><a href=${tablePath(table)}>${table}</a></dt><dd>${reason}</dd></div>`)}</dl>
      ${entries.length > SNAPSHOTS_MAX && html`<p class="quiet">and ${count(entries.length - SNAPSHOTS_MAX)} more</p>`}
    </section>
  `;
}

export function Overview() {
  if (!status.value || !matrix.value) return html`<h1 tabindex="-1" class="unseen">Overview</h1><${Waiting} what="the state" />`;
  const { verdict, text } = sentence(status.value, matrix.value, status.value.as_of ? ageOf(status.value.as_of) : 0);
  return html`
    <h1 tabindex="-1" class=${`sentence ${verdict}`}><${Glyph} verdict=${verdict} /><span>${text}</span></h1>
    <span class="unseen" role="status">${text.replace(/ as of.*? ago/, "")}</span>
    ${status.value.standstill && html`<p class="alarm" role="alert">Nothing newer is known: ${status.value.standstill}. <a href="/pipeline">Pipeline</a></p>`}
    <${Attention} />
    <${Measures} now=${status.value} />
    <${Snapshots} now=${status.value} />
    <${SetAside} now=${status.value} />
    <${Matrix} />
  `;
}
