// Audit and scan of a table or partition, with the progress of the one that was begun here.
import { change, get, mayChange, messageOf, paths } from "../api.js";
import { command, count, plural, span, time } from "../format.js";
import { html, useState } from "../lib.js";
import { refresh } from "../live.js";
import { ageOf, useAnswer } from "../state.js";
import { Command } from "./command.js";
import { Permit } from "./permit.js";
import { Verdict } from "./verdict.js";

const RESYNCS = "/v1/resyncs";
const OVER = new Set(["done", "failed", "cancelled"]);

function useBegun(base) {
  const [begun, setBegun] = useState(/** @type {number | null} */ (null));
  const [error, setError] = useState("");
  const answer = useAnswer(begun === null ? null : `${base}/${begun}`);
  const begin = async body => {
    setError("");
    try {
      setBegun((await change("POST", base, body)).id);
      refresh();
    } catch (failed) {
      setError(messageOf(failed));
    }
  };
  // From the request on, so that a second press begins no second one.
  const isRunning = begun !== null && !answer.error && !(answer.data && OVER.has(answer.data.state));
  return { present: answer.data, begin, error, isRunning };
}

const Progress = ({ what, present }) => html`
  <p role="status">
    ${what} ${present.id}: ${present.state}
    ${present.partitions > 0 && typeof present.partitions === "number" ? `, ${present.partitions_done} of ${plural(present.partitions, "partition")}, ${plural(present.rows, "row")}` : ""}
    ${present.percent > 0 && present.state === "running" ? `, ${present.percent} %, ${plural(present.rows, "row")} read` : ""}
    ${present.progress ? `, ${present.progress}` : ""}${present.reason ? `: ${present.reason}` : ""}${present.error ? `: ${present.error}` : ""}
    ${OVER.has(present.state) && present.verdict ? html` <${Verdict} verdict=${present.verdict} />` : null}
  </p>
`;

const finding = audit => {
  const hops = audit.hops?.length ? `, at ${audit.hops.join(" and ")}` : "";
  const at = audit.checked_at ?? audit.oldest;
  return html`<${Verdict} verdict=${audit.verdict} /> ${at ? `${span(ageOf(at))} ago (${time(at)})` : ""}${hops}${audit.reason ? html`<br /><span class="reason">${audit.reason}</span>` : null}`;
};

export function Audit({ table, partition, audit }) {
  const { present, begin, error, isRunning } = useBegun("/v1/audits");
  return html`
    <section class="card" aria-labelledby="audit">
      <h2 id="audit">Audit: the source itself</h2>
      <p class="quiet">Sums up the rows on the source in its own SQL, at a known position, and compares them with what capture published.</p>
      <p>Last audit: ${audit ? finding(audit) : "never"}</p>
      <p><button type="button" class="main" disabled=${isRunning || !mayChange()} onClick=${() => begin({ table, partition })}>Audit now</button></p>
      <${Permit} />
      ${error && html`<p class="wrong" role="alert">${error}</p>`}
      ${present && html`<${Progress} what="Audit" present=${present} />`}
      <${Command} text=${command("audit", table, ...(partition ? ["--partition", partition] : []))} />
    </section>
  `;
}

/** @param {{ scan: Api.ScanSummary }} props */
const ScanRow = ({ scan }) => html`
  <tr>
    <th scope="row">${scan.engine}</th>
    <td><${Verdict} verdict=${scan.verdict} word=${scan.state === "done" ? undefined : scan.state} /></td>
    <td>${scan.partition ?? "all"}</td>
    <td>${count(scan.epoch)}</td>
    <td>${time(scan.ended_at ?? scan.started_at)}</td>
    <td class="reason">${scan.error ?? scan.progress ?? ""}</td>
  </tr>
`;

export function Scans({ table, partition, scans = [] }) {
  const { present, begin, error, isRunning } = useBegun("/v1/scans");
  const engines = [...new Set([...scans.map(scan => scan.engine), "duckdb"])];
  const [engine, setEngine] = useState(engines[0]);
  if (!paths.value.has("/v1/scans")) return null;
  return html`
    <section class="card" aria-labelledby="scans">
      <h2 id="scans">Scan: the lake by another engine</h2>
      <p class="quiet">A query engine of the settings counts the files of the lake. Its sums are compared with the running ones.</p>
      ${scans.length > 0 && html`
        <div class="scroll" tabindex="0" role="region" aria-label="Last scans">
          <table>
            <thead><tr>${["Engine", "Verdict", "Partition", "Epoch", "Time", ""].map(head => html`<th scope="col">${head || html`<span class="unseen">Remark</span>`}</th>`)}</tr></thead>
            <tbody>${scans.map(scan => html`<${ScanRow} key=${scan.id} scan=${scan} />`)}</tbody>
          </table>
        </div>`}
      <p class="form">
        <label for="engine">Engine</label>
        <input id="engine" value=${engine} onInput=${event => setEngine(event.currentTarget.value)} list="engines" autocomplete="off" spellcheck=${false} />
        <datalist id="engines">${engines.map(name => html`<option value=${name}></option>`)}</datalist>
        <button type="button" class="main" disabled=${isRunning || !engine || !mayChange()} onClick=${() => begin({ table, engine, partition })}>Scan now</button>
      </p>
      <${Permit} />
      ${error && html`<p class="wrong" role="alert">${error}</p>`}
      ${present && html`<${Progress} what="Scan" present=${present} />`}
      <${Command} text=${command("scan", table, ...(partition ? ["--partition", partition] : []), "--engine", engine)} />
    </section>
  `;
}

/** @param {Api.ResyncPlan} plan */
const planned = plan => {
  const whole = plan.partition ? "" : ` of ${plural(plan.partitions, "partition")}`;
  const rows = plan.rows === null ? "An unknown number of rows" : `About ${plural(plan.rows, "row")}`;
  const lake = plan.lake_rows === null ? "what it holds" : plural(plan.lake_rows, "row");
  return `${rows}${whole} would be read from the source. They replace ${lake} in the lake.`;
};

/** A resync in two steps: what it would read, then the request itself. */
function Resync({ table, partition }) {
  const { present, begin, error, isRunning } = useBegun(RESYNCS);
  const [plan, setPlan] = useState(/** @type {Api.ResyncPlan | null} */ (null));
  const [wrong, setWrong] = useState("");
  const ask = async () => {
    setWrong("");
    const search = new URLSearchParams({ table, ...(partition ? { partition } : {}) });
    try {
      setPlan(await get(`${RESYNCS}/plan?${search}`));
    } catch (failed) {
      setWrong(messageOf(failed));
    }
  };
  const start = () => {
    setPlan(null);
    void begin({ table, partition });
  };
  return html`
    <p class="form">
      <button type="button" class=${plan ? "" : "main"} disabled=${isRunning} onClick=${ask}>Resync: dry run</button>
      ${plan && html`<button type="button" class="main" disabled=${isRunning || !mayChange()} onClick=${start}>Resync now</button>`}
    </p>
    ${plan && html`<p role="status">${planned(plan)}</p>`}
    <${Permit} />
    ${(error || wrong) && html`<p class="wrong" role="alert">${error || wrong}</p>`}
    ${present && html`<${Progress} what="Resync" present=${present} />`}
  `;
}

export const Repair = ({ table, partition }) => html`
  <section class="card" aria-labelledby="repair">
    <h2 id="repair">Repair</h2>
    <p class="quiet">Reads ${partition ? "the partition" : "the table"} from the source again, while everything runs, and replaces it in the lake. Find the cause first. The dry run only says what would be read.</p>
    ${paths.value.has(`${RESYNCS}/plan`) && html`<${Resync} table=${table} partition=${partition} />`}
    <${Command} text=${`${command("resync", table, ...(partition ? ["--partition", partition] : []))} --dry-run`} />
    <${Command} text=${command("resync", table, ...(partition ? ["--partition", partition] : []))} />
  </section>
`;
