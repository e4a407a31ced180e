// One partition: both sides, since when, its history, its audit and scans.
import { count, span, time } from "../format.js";
import { html } from "../lib.js";
import { ageOf, useAnswer } from "../state.js";
import { tablePath } from "../router.js";
import { Audit, Repair, Scans } from "../parts/actions.js";
import { Differences } from "../parts/differences.js";
import { Facts, Waiting } from "../parts/facts.js";
import { Sides } from "../parts/sides.js";
import { Verdict } from "../parts/verdict.js";
import { History } from "./history.js";
import { Crumbs, OpenIncidents } from "./table.js";

export function Partition({ table, partition }) {
  const name = partition.split("/").map(encodeURIComponent).join("/");
  /** @type {import("../state.js").Answered<Api.PartitionAnswer>} */
  const { data, error } = useAnswer(`/v1/fingerprints/${encodeURIComponent(table)}/${name}`);
  const crumbs = html`
    <${Crumbs}><a href=${tablePath(table)}>${table}</a> <span aria-hidden="true">/</span> <span aria-current="page">${partition}</span><//>
  `;
  if (!data) return html`${crumbs}<h1 tabindex="-1">${partition}</h1><${Waiting} what=${partition} error=${error} />`;
  const title = partition === "-" ? "The only partition" : data.partition;
  return html`
    ${crumbs}
    <h1 tabindex="-1" class="named"><span>${title}</span> <${Verdict} verdict=${data.verdict} /></h1>
    ${data.reason && html`<p class="alarm ${data.verdict}">${data.reason}</p>`}
    <${OpenIncidents} table=${data.table} />
    <section class="card" aria-labelledby="sides">
      <h2 id="sides">Both sides at epoch ${count(data.epoch)}</h2>
      <${Sides} label="Both sides of the partition" sides=${[data.source, data.lake]} />
      <${Facts} items=${[
        ["This verdict since", `${time(data.since)}, ${span(ageOf(data.since))}`],
        ["Compared as of", data.as_of && `${time(data.as_of)}, ${span(ageOf(data.as_of))} ago`],
        ["Source position", data.position && `${data.position.gtid || "–"} (${data.position.file}:${data.position.pos})`],
      ]} />
    </section>
    ${data.audit?.source && html`
      <section class="card" aria-labelledby="audited">
        <h2 id="audited">Source and stream at the last audit</h2>
        <${Sides} label="Source and stream" names=${["Source", "Stream"]} sides=${[data.audit.source, data.audit.stream]} />
      </section>`}
    <${History} table=${data.table} partition=${data.partition} name=${name} since=${data.since} />
    ${data.verdict !== "match" && html`<${Differences} table=${data.table} partition=${data.partition} />`}
    <div class="columns">
      <${Audit} table=${data.table} partition=${data.partition} audit=${data.audit} />
      <${Scans} table=${data.table} partition=${data.partition} />
      <${Repair} table=${data.table} partition=${data.partition} />
    </div>
  `;
}
