// Incidents: a line for each, and the list of open and closed ones.
import { paths } from "../api.js";
import { count, plural, span, time } from "../format.js";
import { html } from "../lib.js";
import { ageOf, matrix, useAnswer } from "../state.js";
import { incidentPath, tablePath } from "../router.js";
import { Waiting } from "../parts/facts.js";
import { Verdict } from "../parts/verdict.js";

const CLASSES = {
  rows_missing: "rows missing",
  rows_extra: "extra rows",
  values_differ: "values differ",
  file_damaged: "file damaged",
  metadata_lost: "metadata lost",
  schema_differs: "schema differs",
  source_gap: "source gap",
  pending: "pending",
  snapshot_stalled: "snapshot stalled",
  lag_high: "lag",
  data_stale: "nothing recent compared",
  service_silent: "service silent",
  audit_failed: "audit failed",
};

export const className = incident => CLASSES[incident.class] ?? incident.class ?? "incident";
/** @param {Api.IncidentAnswer} incident */
export const subjectOf = incident => incident.table ?? (incident.subject === "flow" ? `The flow: ${incident.name}` : incident.name) ?? "system";
export const verdictOf = incident => {
  if (incident.state === "closed") return "match";
  return incident.class === "pending" ? "inconclusive" : "mismatch";
};

/** @param {Api.IncidentAnswer} incident */
const extent = incident =>
  [
    incident.partition_count ? plural(incident.partition_count, "partition") : "",
    incident.rows ? plural(Math.abs(incident.rows), "row") : "",
    incident.acknowledged_at ? "acknowledged" : "",
    incident.quiet_since ? "sound again, closing soon" : "",
  ].filter(Boolean).join(", ");

/** @param {{ incident: Api.IncidentAnswer }} props */
export const IncidentLine = ({ incident }) => html`
  <li class=${verdictOf(incident)}>
    <a href=${incidentPath(incident.id)}><${Verdict} verdict=${verdictOf(incident)} word=${className(incident)} /> <strong>${subjectOf(incident)}</strong></a>
    <span>${extent(incident)}</span>
    <span class="reason">${incident.reason}</span>
    <span class="quiet">${incident.state === "closed" ? `closed ${time(incident.closed_at)}` : `for ${span(ageOf(incident.since ?? incident.opened_at))}`}</span>
  </li>
`;

function Differing() {
  const items = (matrix.value?.items ?? []).filter(item => item.verdict === "mismatch");
  return html`
    <p class="card">This server keeps no incidents. ${items.length ? "Tables that differ now:" : "No table differs now."}</p>
    <ul class="lines">${items.map(item => html`<li key=${item.table} class="mismatch"><a href=${tablePath(item.table)}><${Verdict} verdict="mismatch" /> <strong>${item.table}</strong></a><span class="reason">${item.reason}</span></li>`)}</ul>
  `;
}

const List = ({ title, id, answer, empty }) => html`
  <section aria-labelledby=${id}>
    <h2 id=${id}>${title}${answer.data ? ` (${count(answer.data.items.length)})` : ""}</h2>
    ${answer.data
      ? answer.data.items.length
        ? html`<ul class="lines">${answer.data.items.map(found => html`<${IncidentLine} key=${found.id} incident=${found} />`)}</ul>`
        : html`<p class="quiet">${empty}</p>`
      : html`<${Waiting} what="incidents" error=${answer.error} />`}
  </section>
`;

export function Incidents() {
  const isKept = paths.value.has("/v1/incidents");
  /** @type {import("../state.js").Answered<Api.IncidentsAnswer>} */
  const open = useAnswer(isKept ? "/v1/incidents?state=open" : null);
  /** @type {import("../state.js").Answered<Api.IncidentsAnswer>} */
  const closed = useAnswer(isKept ? "/v1/incidents?state=closed" : null);
  return html`
    <h1 tabindex="-1">Incidents</h1>
    ${isKept
      ? html`<${List} title="Open" id="open" answer=${open} empty="No incident is open." /><${List} title="Closed" id="closed" answer=${closed} empty="No incident was closed yet." />`
      : html`<${Differing} />`}
  `;
}
