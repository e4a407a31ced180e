// Both sides of a table or partition, one above the other, so that digits can be compared.
import { count } from "../format.js";
import { html } from "../lib.js";

const Line = ({ name, side, other }) => {
  const mark = field => (side && other && side[field] !== other[field] ? "differs" : "");
  return html`
    <tr>
      <th scope="row">${name}</th>
      <td class=${`number ${mark("rows")}`}>${side ? count(side.rows) : "not known"}</td>
      <td class=${`short ${mark("fingerprint")}`}><code>${side?.fingerprint ?? "–"}</code></td>
      <td class=${mark("digest")}><code>${side?.digest ?? "–"}</code></td>
    </tr>
  `;
};

export const Sides = ({ label, names = ["Source", "Lake"], sides: [left, right] }) => html`
  <div class="scroll" tabindex="0" role="region" aria-label=${label}>
    <table class="sides">
      <thead>
        <tr><th scope="col">Side</th><th scope="col" class="number">Rows</th><th scope="col" class="short">Sum, 64 bits</th><th scope="col">Sum, 128 bits</th></tr>
      </thead>
      <tbody>
        <${Line} name=${names[0]} side=${left} other=${right} />
        <${Line} name=${names[1]} side=${right} other=${left} />
      </tbody>
    </table>
  </div>
`;
