// Says why a button is off: the token is a viewer's.
import { mayChange } from "../api.js";
import { html } from "../lib.js";

export const Permit = () => !mayChange() && html`<p class="quiet">The buttons need the token of an operator. Yours is a viewer's.</p>`;
