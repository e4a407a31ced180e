// The frame around every view: navigation, state of the connection, title.
import { caller, logout, needsLogin, paths, readPaths } from "./api.js";
import { SYMBOLS, span, time } from "./format.js";
import { effect, html, render } from "./lib.js";
import * as live from "./live.js";
import * as router from "./router.js";
import * as state from "./state.js";
import { Login } from "./parts/login.js";
import { Incident } from "./views/incident.js";
import { Incidents } from "./views/incidents.js";
import { Missing } from "./views/missing.js";
import { Overview } from "./views/overview.js";
import { Partition } from "./views/partition.js";
import { Pipeline } from "./views/pipeline.js";
import { Table } from "./views/table.js";

const VIEWS = {
  overview: Overview,
  table: Table,
  partition: Partition,
  incidents: Incidents,
  incident: Incident,
  pipeline: Pipeline,
  missing: Missing,
};

const LINKS = [["/", "Overview", ["overview", "table", "partition"]], ["/incidents", "Incidents", ["incidents", "incident"]], ["/pipeline", "Pipeline", ["pipeline"]]];

function Connection() {
  const { value: trouble } = state.trouble;
  if (trouble) return html`<span class="connection away">no answer for ${span((live.now.value - trouble.since) / 1000)}</span>`;
  if (!state.status.value) return html`<span class="connection">connecting</span>`;
  return html`<span class="connection">${live.hasEvents.value ? "live" : "updated every 2 s"}</span>`;
}

const Caller = () => caller.value?.needs_token && html`
  <p>
    You are <strong>${caller.value.name}</strong>, ${caller.value.role}${caller.value.expires_at ? ` until ${time(caller.value.expires_at)}` : ""}.
    <button type="button" onClick=${logout}>Use another token</button>
  </p>
`;

function App() {
  const { view, ...names } = router.route.value;
  const View = VIEWS[view];
  const { value: trouble } = state.trouble;
  return html`
    <a class="skip" href="#main">Skip to the content</a>
    <header>
      <a class="brand" href="/"><img src="/static/icon.svg" alt="" width="26" height="26" />DataFingerprint</a>
      <nav aria-label="Views">
        ${LINKS.map(([href, name, views]) => html`<a key=${href} href=${href} aria-current=${views.includes(view) ? "page" : undefined}>${name}</a>`)}
      </nav>
      <${Connection} />
    </header>
    <main id="main" tabindex="-1">
      ${trouble && html`<p class="alarm mismatch" role="alert">The API does not answer: ${trouble.text}. ${state.status.value ? "What is shown below may be old." : ""}</p>`}
      <div class=${trouble ? "stale" : ""}>
        ${needsLogin.value ? html`<${Login} />` : html`<${View} key=${location.pathname} ...${names} />`}
      </div>
    </main>
    <footer><${Caller} />Both sides are compared at the same epoch of the source. <a href="/docs">REST</a> <a href="/metrics">Metrics</a></footer>
  `;
}

const TITLES = { pipeline: "Pipeline", incidents: "Incidents", missing: "No such page" };

function title() {
  const { view, table, partition, id } = router.route.value;
  const verdict = state.trouble.value || state.status.value?.standstill ? "!" : (SYMBOLS[state.status.value?.verdict] ?? "…");
  const subject = partition ?? table ?? (id && `Incident ${id}`) ?? TITLES[view];
  document.title = `${verdict} ${subject ? `${subject} – ` : ""}DataFingerprint`;
}

router.start();
try {
  await readPaths();
} catch {
  paths.value = new Set();
}
render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
effect(title);
state.start();
live.start();
