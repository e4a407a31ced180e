// An address that no view has.
import { html } from "../lib.js";

export const Missing = () => html`
  <h1 tabindex="-1">There is no such page</h1>
  <p>Pages have the addresses <a href="/">/</a>, /tables/schema.table, /tables/schema.table/partition, <a href="/incidents">/incidents</a> and <a href="/pipeline">/pipeline</a>.</p>
`;
