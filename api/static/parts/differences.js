// The rows that differ, both sides one above the other, with the changed cells marked.
import { get, messageOf, paths } from "../api.js";
import { command, count, plural } from "../format.js";
import { html, useState } from "../lib.js";
import { Command } from "./command.js";

const DIFFS = "/v1/diffs/{table}";
const ROWS_MAX = 100;
const KINDS = {
  missing_in_lake: "missing in the lake",
  extra_in_lake: "extra in the lake",
  changed: "changed",
  duplicated: "duplicated",
};

const shown = value => (value === null || value === undefined ? html`<span class="quiet">NULL</span>` : String(value));

const Values = ({ name, values, row, columns }) => html`
  <tr>
    <th scope="row">${name}</th>
    ${columns.map(column => html`
      <td class=${row.columns.includes(column) ? "differs" : ""}>${values ? shown(values[column]) : html`<span class="quiet">no row</span>`}</td>`)}
  </tr>
`;

/** @param {{ row: Api.RowAnswer }} props */
function Row({ row }) {
  const columns = Object.keys(row.source ?? row.lake ?? row.key ?? {});
  const key = row.key ? Object.entries(row.key).map(([name, value]) => `${name} = ${value}`).join(", ") : row.key_id;
  return html`
    <li>
      <p><strong>${KINDS[row.kind] ?? row.kind}</strong>: <code>${key}</code>${row.copies > 1 || row.copies < -1 ? ` (${count(row.copies)} copies)` : ""}</p>
      ${(row.source || row.lake) && html`
        <div class="scroll" tabindex="0" role="region" aria-label=${`Row ${key}`}>
          <table>
            <thead><tr><th scope="col">Side</th>${columns.map(column => html`<th scope="col">${column}</th>`)}</tr></thead>
            <tbody>
              <${Values} name="Source" values=${row.source} row=${row} columns=${columns} />
              <${Values} name="Lake" values=${row.lake} row=${row} columns=${columns} />
            </tbody>
          </table>
        </div>`}
      ${row.files.length > 0 && html`<p class="quiet">File: <code>${row.files.join(", ")}</code></p>`}
      ${row.note && html`<p class="quiet">${row.note}</p>`}
    </li>
  `;
}

/** @param {{ found: Api.PartitionDiffAnswer }} props */
const Partition = ({ found }) => html`
  <h3>${found.partition}</h3>
  <p>
    ${found.state === "same" ? "Both sides are the same." : found.differing ? `${plural(found.differing, "key")} ${found.differing === 1 ? "differs" : "differ"} at epoch ${count(found.epoch)}.` : ""}
    ${found.reason ? ` ${found.reason}` : ""}
  </p>
  <ul class="differences">${found.rows.map(row => html`<${Row} row=${row} />`)}</ul>
`;

/** Asked for by a button: the answer reads rows of the source. */
export function Differences({ table, partition }) {
  const [state, setState] = useState(/** @type {{ data: Api.TableDiffAnswer | null, error: string, isAsking: boolean }} */ ({ data: null, error: "", isAsking: false }));
  if (!paths.value.has(DIFFS)) return null;
  const ask = async () => {
    setState({ ...state, error: "", isAsking: true });
    const search = new URLSearchParams({ ...(partition ? { partition } : {}), limit: String(ROWS_MAX) });
    try {
      const data = await get(`/v1/diffs/${encodeURIComponent(table)}?${search}`);
      setState({ data, error: "", isAsking: false });
    } catch (error) {
      setState({ data: null, error: messageOf(error), isAsking: false });
    }
  };
  return html`
    <section class="card" aria-labelledby="differences">
      <h2 id="differences">Differing rows</h2>
      <p class="quiet">Named from sketches without a scan. The values of these rows alone are read from both sides.</p>
      <p><button type="button" class="main" disabled=${state.isAsking} onClick=${ask}>${state.data ? "Read again" : "Show the rows"}</button></p>
      ${state.error && html`<p class="wrong" role="alert">${state.error}</p>`}
      ${state.data && (state.data.partitions.length
        ? state.data.partitions.map(found => html`<${Partition} key=${found.partition} found=${found} />`)
        : html`<p>No partition differs.</p>`)}
      <${Command} text=${command("diff", table, ...(partition ? ["--partition", partition] : []))} />
    </section>
  `;
}
