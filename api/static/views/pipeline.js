// The way of a row: services, lag, epochs.
import { get } from "../api.js";
import { clock, count, isKnown, plural, span, time } from "../format.js";
import { html, useEffect, useMemo, useState } from "../lib.js";
import { beat } from "../live.js";
import { ageOf, history, status, useAnswer } from "../state.js";
import { Chart } from "../parts/chart.js";
import { Waiting } from "../parts/facts.js";
import { ServiceState } from "../parts/verdict.js";

const EPOCHS_FIRST = 300;
const EPOCHS_NEXT = 20;
const EPOCHS_SHOWN = 20;
const CHAIN = [["cdc", "Capture", "binlog to Kafka"], ["lake_writer", "Lake writer", "Kafka to the lake"], ["fingerprinter", "Fingerprinter", "compares both"]];
const LAKE_AFTER = 2;

/** The last epochs, oldest first. The first answer is long, later ones bring what is new. */
function useEpochs() {
  const [epochs, setEpochs] = useState(/** @type {Api.EpochAnswer[] | null} */ (null));
  const trigger = beat.value;
  useEffect(() => {
    let isWanted = true;
    get(`/v1/epochs?limit=${epochs ? EPOCHS_NEXT : EPOCHS_FIRST}`).then(answer => {
      if (!isWanted) return;
      const newest = epochs?.at(-1)?.epoch ?? 0;
      const news = answer.items.filter(item => item.epoch > newest).reverse();
      if (!epochs || news.length) setEpochs([...(epochs ?? []), ...news].slice(-EPOCHS_FIRST));
    }, () => undefined);
    return () => { isWanted = false; };
  }, [trigger]);
  return epochs;
}

/** @param {{ service: Api.ServiceAnswer }} props */
const Service = ({ service }) => html`
  <tr>
    <th scope="row">${service.service}</th>
    <td><${ServiceState} state=${service.state} /></td>
    <td class="number">${service.since ? span(ageOf(service.since)) : "–"}</td>
    <td class="reason">${service.message ?? ""}${service.remedy ? html`<br /><strong>${service.remedy}</strong>` : null}</td>
    <td>${service.host ? `${service.host}, ${service.pid}` : "–"}</td>
    <td>${service.version ?? "–"}</td>
  </tr>
`;

const Side = ({ name, epoch }) => html`<li><strong>${name}</strong><span class="quiet">epoch ${count(epoch)}</span></li>`;

/** @param {{ services: Api.ServiceAnswer[], lag: Api.LagAnswer | null }} props */
const Flow = ({ services, lag }) => html`
  <ol class="flow" aria-label="From the source to the verdict">
    <${Side} name="Source" epoch=${status.value?.source_epoch} />
    ${CHAIN.map(([name, title, what], at) => {
      const service = services.find(found => found.service === name);
      const group = lag?.groups[`dfp-${name.replace("_", "-")}`];
      return html`${at === LAKE_AFTER && html`<${Side} name="Lake" epoch=${status.value?.epoch} />`}<li key=${name}><strong>${title}</strong><span class="quiet">${what}</span>${service && html`<${ServiceState} state=${service.state} />`}${group && isKnown(group.messages) && html`<span class="quiet">${plural(group.messages, "unread message")}</span>`}</li>`;
    })}
  </ol>
`;

/** @param {{ lag: Api.LagAnswer }} props */
const Lag = ({ lag }) => html`
  <section class="card" aria-labelledby="lag">
    <h2 id="lag">Lag by consumer group</h2>
    ${lag.kafka !== "ok" && html`<p class="wrong">Kafka ${lag.kafka}</p>`}
    <div class="scroll" tabindex="0" role="region" aria-label="Lag of each group">
      <table>
        <thead><tr><th scope="col">Group</th>${["Messages", "Rows", "Epochs", "Time"].map(head => html`<th scope="col" class="number">${head}</th>`)}</tr></thead>
        <tbody>${Object.entries(lag.groups).map(([name, group]) => html`<tr key=${name}><th scope="row">${name}</th><td class="number">${count(group.messages)}</td><td class="number">${count(group.rows)}</td><td class="number">${count(group.epochs)}</td><td class="number">${span(group.seconds)}</td></tr>`)}</tbody>
      </table>
    </div>
  </section>
`;

const largest = tables => Object.entries(tables).sort((a, b) => b[1] - a[1]).slice(0, 3).map(([name, rows]) => `${name} ${count(rows)}`).join(", ");

/** @param {{ epochs: Api.EpochAnswer[] }} props */
const Epochs = ({ epochs }) => html`
  <section class="card" aria-labelledby="epochs">
    <h2 id="epochs">Epochs</h2>
    <div class="scroll" tabindex="0" role="region" aria-label="Last epochs">
      <table>
        <thead><tr><th scope="col">Epoch</th><th scope="col">Committed</th><th scope="col" class="number">Until summed</th><th scope="col" class="number">Transactions</th><th scope="col" class="number">Rows</th><th scope="col">Largest tables</th></tr></thead>
        <tbody>
          ${epochs.slice(-EPOCHS_SHOWN).reverse().map(epoch => html`
            <tr key=${epoch.epoch}>
              <th scope="row">${count(epoch.epoch)}</th><td>${clock(epoch.committed_at)}</td>
              <td class="number">${span(delayOf(epoch))}</td><td class="number">${count(epoch.transactions)}</td><td class="number">${count(epoch.rows)}</td>
              <td class="reason">${epoch.rows ? largest(epoch.tables) : "heartbeat"}</td>
            </tr>`)}
        </tbody>
      </table>
    </div>
  </section>
`;

const secondsOf = moment => Date.parse(moment) / 1000;
/** @param {Api.EpochAnswer} epoch */
const delayOf = epoch => Math.max(0, secondsOf(epoch.recorded_at) - secondsOf(epoch.committed_at));

/** @param {Api.EpochAnswer[]} epochs @returns chart data; times that stand still are told apart by their order. */
function courses(epochs) {
  /** @type {number[]} */
  const times = [];
  for (const epoch of epochs) times.push(Math.max(secondsOf(epoch.recorded_at), (times.at(-1) ?? 0) + 0.001));
  const rate = epochs.map((epoch, at) => (at ? epoch.rows / Math.max(1, times[at] - times[at - 1]) : null));
  return { times, rate, delay: epochs.map(delayOf) };
}

const Course = ({ title, ...chart }) => html`<section class="card course"><h2>${title}</h2><${Chart} label=${title} ...${chart} /></section>`;

export function Pipeline() {
  /** @type {import("../state.js").Answered<Api.ServicesAnswer>} */
  const services = useAnswer("/v1/services");
  /** @type {import("../state.js").Answered<Api.LagAnswer>} */
  const lag = useAnswer("/v1/lag");
  const epochs = useEpochs();
  const drawn = useMemo(() => (epochs?.length ? courses(epochs) : null), [epochs]);
  const past = history.value;
  return html`
    <h1 tabindex="-1">Pipeline</h1>
    ${status.value?.standstill && html`<p class="alarm" role="alert">Nothing newer is known: ${status.value.standstill}.</p>`}
    <${Flow} services=${services.data?.items ?? []} lag=${lag.data} />
    ${services.data
      ? html`
        <section class="card" aria-labelledby="services">
          <h2 id="services">Services</h2>
          ${services.data.kafka !== "ok" && html`<p class="wrong">Kafka ${services.data.kafka}</p>`}
          ${services.data.items.length
            ? html`<div class="scroll" tabindex="0" role="region" aria-label="States of services"><table>
                <thead><tr>${["Service", "State", "For", "Last line", "Host, process", "Version"].map(head => html`<th scope="col" class=${head === "For" ? "number" : ""}>${head}</th>`)}</tr></thead>
                <tbody>${services.data.items.map(service => html`<${Service} key=${`${service.service} ${service.host} ${service.pid}`} service=${service} />`)}</tbody>
              </table></div>`
            : html`<p class="quiet">No service has reported.</p>`}
        </section>`
      : html`<${Waiting} what="services" error=${services.error} />`}
    <div class="courses">
      ${drawn && html`<${Course} title="Changed rows per second" times=${drawn.times} values=${drawn.rate} unit=${count} />`}
      ${drawn && html`<${Course} title="Seconds from commit to sum" times=${drawn.times} values=${drawn.delay} />`}
      <${Course} title="Seconds the lake is behind" times=${past.times} values=${past.lagSeconds} />
      <${Course} title="Rows the lake is behind" times=${past.times} values=${past.lagRows} unit=${count} />
    </div>
    <p class="quiet">The charts of lag begin when this page is opened. Prometheus keeps longer courses: <a href="/metrics">/metrics</a>.</p>
    ${lag.data ? html`<${Lag} lag=${lag.data} />` : html`<${Waiting} what="lag" error=${lag.error} />`}
    ${epochs && epochs.length > 0 && html`<${Epochs} epochs=${epochs} />`}
  `;
}
