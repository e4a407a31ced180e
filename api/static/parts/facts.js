// Pairs of a name and a value.
import { html } from "../lib.js";

/** `items` are pairs; one without a value is left out. */
export const Facts = ({ items }) => html`
  <dl class="facts">
    ${items.filter(([, value]) => value !== null && value !== undefined && value !== "").map(
      ([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`,
    )}
  </dl>
`;

/** An answer that is not there: because it is awaited, or because of an error. */
export const Waiting = ({ error, what }) =>
  error
    ? html`<p class="card wrong" role="alert">${error.message}</p>`
    : html`<p class="card quiet">Reading ${what} …</p>`;
