// A verdict as shape, colour and word: no reader needs the colour.
import { html } from "../lib.js";
import { WORDS } from "../format.js";

/** The shape of each verdict, as a path in a square of 16. */
export const SHAPES = {
  match: "M3.5 8.5l3 3 6-7",
  mismatch: "M4 4l8 8M12 4l-8 8",
  inconclusive: "M5.5 6a2.5 2.5 0 1 1 3.6 2.2C8.3 8.7 8 9 8 9.8M8 12.4v.2",
};

export const Glyph = ({ verdict }) => html`
  <svg class="glyph" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d=${SHAPES[verdict] ?? SHAPES.inconclusive} /></svg>
`;

export const Verdict = ({ verdict, word }) => html`
  <span class=${`verdict ${verdict}`}><${Glyph} verdict=${verdict} />${word ?? WORDS[verdict] ?? verdict}</span>
`;

/** The state of a service, as a verdict is shown. */
export const ServiceState = ({ state }) => {
  const verdict = { running: "match", ended: "match", stopped: "mismatch", silent: "mismatch" }[state] ?? "inconclusive";
  return html`<${Verdict} verdict=${verdict} word=${state} />`;
};
