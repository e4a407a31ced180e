// The state of the system in one sentence.
import { clock, plural, span } from "./format.js";

const first = (names, number) => names.slice(0, number).join(", ") + (names.length > number ? ", …" : "");

/** The verdict and the sentence of a status and a matrix; `age` is the age of what was compared, in seconds. */
export function sentence(status, matrix, age) {
  const { match, mismatch, inconclusive } = status.partitions;
  const all = match + mismatch + inconclusive;
  const when = status.as_of ? ` as of ${clock(status.as_of)}, ${span(Math.round(age))} ago` : "";
  const named = verdict => matrix.items.filter(item => item.verdict === verdict).map(item => item.table);
  if (mismatch > 0) {
    const verb = mismatch === 1 ? "differs" : "differ";
    const text = `${mismatch} of ${plural(all, "partition")} ${verb} from the source${when}: ${first(named("mismatch"), 3)}.`;
    return { verdict: "mismatch", text };
  }
  if (status.verdict === "mismatch") {
    return { verdict: "mismatch", text: `The lake differs from the source${when}: ${first(named("mismatch"), 3)}.` };
  }
  if (!matrix.items.length) return { verdict: "inconclusive", text: "No table has been captured yet." };
  if (status.verdict === "inconclusive") {
    const open = inconclusive ? plural(inconclusive, "partition") : plural(status.without_partitions.count, "table");
    return {
      verdict: "inconclusive",
      text: `${plural(match, "partition")} equal the source${when}; ${open} cannot be decided yet: ${first(named("inconclusive"), 3)}.`,
    };
  }
  if (all === 1) return { verdict: "match", text: `The one partition equals the source${when}.` };
  return { verdict: "match", text: `All ${plural(all, "partition")} equal the source${when}.` };
}
