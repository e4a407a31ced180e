// The points of a partition's history as steps, lines, bands and marks over time. Times are Unix seconds.
export const secondsOf = moment => Date.parse(moment) / 1000;

/** @typedef {{ item: Api.HistoryItem, from: number, to: number }} Step what was known, and how long */
/** @typedef {{ verdict: string, from: number, to: number }} Band a time with one verdict */
/** @typedef {{ incident: Api.IncidentAnswer, from: number, to: number }} Mark a time with an incident */

/**
 * Steps, newest first. A point holds until the next one.
 * @param {Api.HistoryItem[]} items newest first
 * @param {number} end until when the newest one holds
 * @returns {Step[]}
 */
export function stepsOf(items, end) {
  let to = end;
  return items.map(item => {
    const from = secondsOf(item.at);
    const step = { item, from, to: Math.max(from, to) };
    to = from;
    return step;
  });
}

/**
 * Times, rows of the source and rows of the lake, oldest first. The last values are repeated at the end of their step.
 * @param {Step[]} steps at least one
 * @returns {[number[], (number | null)[], (number | null)[]]}
 */
export function linesOf(steps) {
  const past = [...steps].reverse();
  const newest = steps[0];
  // A single moment has no width to draw.
  const end = Math.max(newest.to, past[0].from + 1);
  const rows = side => [...past, newest].map(({ item }) => item[side]?.rows ?? null);
  return [[...past.map(step => step.from), end], rows("source"), rows("lake")];
}

/** Bands, oldest first; neighbours of one verdict are one band. @param {Step[]} steps @returns {Band[]} */
export function bandsOf(steps) {
  /** @type {Band[]} */
  const bands = [];
  for (const { item, from, to } of [...steps].reverse()) {
    const last = bands.at(-1);
    if (last?.verdict === item.verdict) last.to = to;
    else bands.push({ verdict: item.verdict, from, to });
  }
  return bands;
}

/**
 * The incidents of a table that overlap a time, newest first.
 * @param {Api.IncidentAnswer[]} incidents
 * @param {string} table
 * @param {number} from
 * @param {number} to
 * @returns {Mark[]}
 */
export const marksOf = (incidents, table, from, to) =>
  incidents
    .filter(incident => incident.table === table)
    .map(incident => ({ incident, from: secondsOf(incident.since), to: incident.closed_at ? secondsOf(incident.closed_at) : to }))
    .filter(mark => mark.from <= to && mark.to >= from);
