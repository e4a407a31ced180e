// One incident: what, where, since when, its events, and the operator's actions.
import { change, mayChange, messageOf, paths } from "../api.js";
import { plural, span, time } from "../format.js";
import { html, useState } from "../lib.js";
import { refresh } from "../live.js";
import { ageOf, useAnswer } from "../state.js";
import { partitionPath, tablePath } from "../router.js";
import { Repair } from "../parts/actions.js";
import { Differences } from "../parts/differences.js";
import { Facts, Waiting } from "../parts/facts.js";
import { Permit } from "../parts/permit.js";
import { Verdict } from "../parts/verdict.js";
import { className, subjectOf, verdictOf } from "./incidents.js";
import { Crumbs } from "./table.js";

const HOURS = [1, 4, 24];

const text = value => (typeof value === "object" && value !== null ? JSON.stringify(value) : String(value ?? ""));
const detail = event => Object.entries(event.detail ?? {}).filter(([, value]) => value !== null && value !== "").map(([name, value]) => `${name.replaceAll("_", " ")}: ${text(value)}`).join("; ");

/** @param {{ events: Api.EventAnswer[] }} props */
const Timeline = ({ events }) => html`
  <section class="card" aria-labelledby="timeline">
    <h2 id="timeline">Timeline</h2>
    <ol class="timeline">
      ${events.map(event => html`<li key=${event.id}><time datetime=${event.at}>${time(event.at)}</time> <strong>${event.kind.replaceAll("_", " ")}</strong> <span class="reason">${detail(event)}</span></li>`)}
    </ol>
  </section>
`;

/** @param {{ incident: Api.IncidentDetail }} props */
const Partitions = ({ incident }) => html`
  <section class="card" aria-labelledby="partitions">
    <h2 id="partitions">${plural(incident.partition_count ?? incident.partitions.length, "partition")}</h2>
    <ul class="lines">
      ${incident.partitions.map(part => html`
        <li key=${part.partition} class=${verdictOf({ ...part, state: incident.state })}>
          ${part.partition ? html`<a href=${partitionPath(incident.table, part.partition)}><strong>${part.partition}</strong></a>` : html`<strong>whole table</strong>`}
          <span>${className(part)}</span><span class="reason">${part.reason}</span>
          <span class="quiet">since ${time(part.since)}</span>
        </li>`)}
    </ul>
    ${incident.partition_count > incident.partitions.length && html`<p class="quiet">The worst ${incident.partitions.length} of ${plural(incident.partition_count, "partition")} are named.</p>`}
  </section>
`;

/** @param {{ incident: Api.IncidentDetail }} props */
function Handling({ incident }) {
  const [note, setNote] = useState("");
  const [error, setError] = useState("");
  const base = `/v1/incidents/${incident.id}`;
  const send = async (action, body) => {
    setError("");
    try {
      await change("POST", `${base}/${action}`, body);
      refresh();
    } catch (failed) {
      setError(messageOf(failed));
    }
  };
  const silence = hours => send("silence", { until: new Date(Date.now() + hours * 3600000).toISOString() });
  if (!paths.value.has("/v1/incidents/{id}/acknowledge")) return null;
  return html`
    <section class="card" aria-labelledby="handling">
      <h2 id="handling">Handling</h2>
      <${Facts} items=${[["Acknowledged", incident.acknowledged_at ? time(incident.acknowledged_at) : "not yet"], ["Note", incident.note], ["Silent until", incident.silenced_until && time(incident.silenced_until)]]} />
      ${incident.state !== "closed" && html`
        <form class="form" onSubmit=${event => { event.preventDefault(); send("acknowledge", { note }); }}>
          <label for="note">Note</label>
          <input id="note" value=${note} maxlength="500" onInput=${event => setNote(event.currentTarget.value)} placeholder="Who looks into it, and what is known" />
          <button type="submit" class="main" disabled=${!mayChange()}>Acknowledge</button>
        </form>
        <p class="form"><span>Silence alerts for</span> ${HOURS.map(hours => html`<button key=${hours} type="button" disabled=${!mayChange()} onClick=${() => silence(hours)}>${hours} h</button>`)}</p>
        <${Permit} />`}
      ${error && html`<p class="wrong" role="alert">${error}</p>`}
    </section>
  `;
}

export function Incident({ id }) {
  const isKept = paths.value.has("/v1/incidents/{id}");
  /** @type {import("../state.js").Answered<Api.IncidentDetail>} */
  const { data, error } = useAnswer(isKept ? `/v1/incidents/${encodeURIComponent(id)}` : null);
  const crumbs = html`<${Crumbs}><a href="/incidents">Incidents</a> <span aria-hidden="true">/</span> <span aria-current="page">${id}</span><//>`;
  if (!isKept) return html`${crumbs}<h1 tabindex="-1">Incident ${id}</h1><p class="card">This server keeps no incidents. <a href="/">The overview</a> shows what differs now.</p>`;
  if (!data) return html`${crumbs}<h1 tabindex="-1">Incident ${id}</h1><${Waiting} what="the incident" error=${error} />`;
  const end = data.closed_at ? (Date.parse(data.closed_at) - Date.parse(data.since ?? data.opened_at)) / 1000 : ageOf(data.since ?? data.opened_at);
  return html`
    ${crumbs}
    <h1 tabindex="-1" class="named"><span>${subjectOf(data)}</span> <${Verdict} verdict=${verdictOf(data)} word=${data.state === "closed" ? "closed" : className(data)} /></h1>
    ${data.reason && html`<p class="alarm ${verdictOf(data)}">${data.reason}</p>`}
    <section class="card" aria-labelledby="facts">
      <h2 id="facts">Incident ${data.id}</h2>
      <${Facts} items=${[
        ["Class", className(data)],
        ["First hop that differs", data.hop],
        ["Since", time(data.since ?? data.opened_at)],
        ["Lasts", span(end)],
        ["Closed", data.closed_at && time(data.closed_at)],
        ["Rows", data.rows],
        ["Came back", data.returns ? plural(data.returns, "time") : null],
        ["Table", data.table && html`<a href=${tablePath(data.table)}>${data.table}</a>`],
      ]} />
    </section>
    ${data.partitions?.length > 0 && html`<${Partitions} incident=${data} />`}
    ${data.table && data.state !== "closed" && html`<${Differences} table=${data.table} />`}
    <div class="columns">
      <${Handling} incident=${data} />
      ${data.events?.length > 0 && html`<${Timeline} events=${data.events} />`}
      ${data.table && data.state !== "closed" && html`<${Repair} table=${data.table} />`}
    </div>
  `;
}
