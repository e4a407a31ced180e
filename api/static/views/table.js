// One table: both sides, its partitions, audit, scans, columns.
import { bytes, clock, count, LETTERS, plural, span, time } from "../format.js";
import { html, useMemo } from "../lib.js";
import { ageOf, incidents, matrix, useAnswer } from "../state.js";
import { partitionPath, query, setQuery } from "../router.js";
import { Audit, Repair, Scans } from "../parts/actions.js";
import { Differences } from "../parts/differences.js";
import { Facts, Waiting } from "../parts/facts.js";
import { Space, useNarrow, useVisibleRows } from "../parts/rows.js";
import { Sides } from "../parts/sides.js";
import { Glyph, Verdict } from "../parts/verdict.js";
import { IncidentLine } from "./incidents.js";

const PAGE_MAX = 1000;
const ROW = { wide: 34, narrow: 58 };
const RANK = { x: 0, "?": 1, "=": 2 };

/** @param {Api.MatrixTable} item @param {string} text */
function lines(item, text) {
  const wanted = text.toLowerCase();
  const found = item.partitions
    .map((name, at) => ({ name, letter: item.verdicts[at] }))
    .filter(line => !wanted || line.name.toLowerCase().includes(wanted));
  return found.sort((a, b) => RANK[a.letter] - RANK[b.letter]);
}

/** @param {{ table: string, line: { name: string, letter: string }, detail?: Api.PartitionFingerprint, number: number }} props */
function Line({ table, line, detail, number }) {
  const verdict = LETTERS[line.letter];
  return html`
    <div class="partition" role="row" aria-rowindex=${number + 2}>
      <span role="rowheader" class=${`name ${verdict}`}><a href=${partitionPath(table, line.name)} title=${line.name}><${Glyph} verdict=${verdict} /><span>${line.name}</span></a></span>
      <span role="cell" class="number">${detail ? count(detail.source?.rows) : ""}</span>
      <span role="cell" class=${`number ${detail && detail.source?.rows !== detail.lake?.rows ? "differs" : ""}`}>${detail ? count(detail.lake?.rows) : ""}</span>
      <span role="cell" class="quiet since">${detail ? time(detail.since) : ""}</span>
      <span role="cell" class="reason">${detail?.reason ?? ""}</span>
    </div>
  `;
}

/** @param {{ table: string, item: Api.MatrixTable, details: Map<string, Api.PartitionFingerprint> }} props */
function Partitions({ table, item, details }) {
  const text = query.value.get("q") ?? "";
  const shown = useMemo(() => lines(item, text), [item, text]);
  const size = useNarrow() ? "narrow" : "wide";
  const { holder, first, last } = useVisibleRows(shown.length, ROW[size]);
  return html`
    <section aria-labelledby="partitions" class="map">
      <div class="tools">
        <h2 id="partitions">${plural(item.partitions.length, "partition")}</h2>
        <input type="search" aria-label="Search partitions" placeholder="Search a partition" value=${text} onInput=${event => setQuery("q", event.currentTarget.value)} />
      </div>
      <div class="partitions" role="table" aria-label=${`Partitions of ${table}`} aria-rowcount=${shown.length + 1}>
        <div class="partition heads" role="row" aria-rowindex="1">
          <span role="columnheader">Partition</span><span role="columnheader" class="number">Source rows</span><span role="columnheader" class="number">Lake rows</span><span role="columnheader" class="since">Verdict since</span><span role="columnheader">Reason</span>
        </div>
        <div ref=${holder} role="rowgroup">
          <${Space} height=${first * ROW[size]} />
          ${shown.slice(first, last).map((line, at) => html`<${Line} key=${line.name} table=${table} line=${line} detail=${details.get(line.name)} number=${first + at} />`)}
          <${Space} height=${(shown.length - Math.max(first, last)) * ROW[size]} />
        </div>
      </div>
    </section>
  `;
}

/** @param {{ definition: Api.TableAnswer }} props */
const Columns = ({ definition }) => html`
  <section class="card" aria-labelledby="columns">
    <h2 id="columns">Definition ${count(definition.definition)}</h2>
    <${Facts} items=${[
      ["Key", definition.key.join(", ") || "none"],
      ["Partitioned by", definition.partition.join(", ") || "nothing"],
      ["Lake files", definition.lake && `${count(definition.lake.files)}, ${bytes(definition.lake.octets)}${definition.lake.unreadable ? `, ${count(definition.lake.unreadable)} unreadable` : ""}`],
      ["Snapshot", definition.snapshot && !definition.snapshot.complete ? `${definition.snapshot.percent} %, ${plural(definition.snapshot.rows, "row")} read` : null],
    ]} />
    <details>
      <summary>${plural(definition.columns.length, "column")}</summary>
      <div class="scroll" tabindex="0" role="region" aria-label="Columns">
        <table>
          <thead><tr><th scope="col">Column</th><th scope="col">Type</th><th scope="col">May be NULL</th></tr></thead>
          <tbody>${definition.columns.map(column => html`<tr key=${column.name}><th scope="row">${column.name}</th><td><code>${column.type}</code></td><td>${column.nullable ? "yes" : "no"}</td></tr>`)}</tbody>
        </table>
      </div>
    </details>
  </section>
`;

export const Crumbs = ({ children }) => html`<nav class="crumbs" aria-label="Path"><a href="/">Overview</a> <span aria-hidden="true">/</span> ${children}</nav>`;

export const OpenIncidents = ({ table }) => {
  const open = (incidents.value ?? []).filter(incident => incident.table === table);
  return open.length ? html`<ul class="lines">${open.map(incident => html`<${IncidentLine} key=${incident.id} incident=${incident} />`)}</ul>` : null;
};

export function Table({ table }) {
  const item = matrix.value?.items.find(found => found.table === table);
  const isLarge = item && item.partitions.length > PAGE_MAX;
  const path = `/v1/fingerprints/${encodeURIComponent(table)}`;
  // Of a large table only differing and undecided partitions are read with their sums; each partition has a page.
  /** @type {import("../state.js").Answered<Api.ScannedTable>} */
  const whole = useAnswer(item || matrix.value ? `${path}${isLarge ? `?verdict=mismatch&limit=${PAGE_MAX}` : ""}` : null);
  /** @type {import("../state.js").Answered<Api.TableFingerprint>} */
  const undecided = useAnswer(isLarge ? `${path}?verdict=inconclusive&limit=${PAGE_MAX}` : null);
  /** @type {import("../state.js").Answered<Api.TablesAnswer>} */
  const definitions = useAnswer("/v1/tables", false);
  const details = useMemo(
    () => new Map([...(whole.data?.partitions ?? []), ...(undecided.data?.partitions ?? [])].map(part => [part.partition, part])),
    [whole.data, undecided.data],
  );
  const crumbs = html`<${Crumbs}><span aria-current="page">${table}</span><//>`;
  if (!whole.data) return html`${crumbs}<h1 tabindex="-1">${table}</h1><${Waiting} what=${table} error=${whole.error} />`;
  const found = whole.data;
  const definition = definitions.data?.items.find(other => other.table === found.table);
  return html`
    ${crumbs}
    <h1 tabindex="-1" class="named"><span>${found.table}</span> <${Verdict} verdict=${found.verdict} /></h1>
    ${found.reason && html`<p class="alarm ${found.verdict}">${found.reason}</p>`}
    <${OpenIncidents} table=${found.table} />
    <section class="card" aria-labelledby="sides">
      <h2 id="sides">Both sides at epoch ${count(found.epoch)}</h2>
      <${Sides} label="Both sides of the table" sides=${[found.source, found.lake]} />
      <${Facts} items=${[
        ["Compared as of", found.as_of ? `${time(found.as_of)}, ${span(ageOf(found.as_of))} ago` : "not compared yet"],
        ["Source position", found.position && `${found.position.gtid || "–"} (${found.position.file}:${found.position.pos})`],
      ]} />
    </section>
    ${item && item.partitions.length > 0 && html`<${Partitions} table=${found.table} item=${item} details=${details} />`}
    ${found.verdict !== "match" && html`<${Differences} table=${found.table} />`}
    <div class="columns">
      <${Audit} table=${found.table} audit=${found.audit} />
      <${Scans} table=${found.table} scans=${found.scans} />
      <${Repair} table=${found.table} />
      ${definition && html`<${Columns} definition=${definition} />`}
    </div>
  `;
}
