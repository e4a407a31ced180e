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
 * Times, rows of the source and rows of the lake, oldest first: the begin and the end of each step.
 * @param {Step[]} steps at least one
 * @returns {[number[], (number | null)[], (number | null)[]]}
 */
export function linesOf(steps) {
  const past = [...steps].reverse();
  const times = past.flatMap(({ from, to }) => [from, to]);
  // A single moment has no width to draw.
  times.push(Math.max(times[times.length - 1], times[0] + 1));
  const ends = [...past.flatMap(step => [step, step]), steps[0]];
  const rows = side => ends.map(({ item }) => item[side]?.rows ?? null);
  return [times, rows("source"), rows("lake")];
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
 * @param {number} to until when an open one is drawn
 * @param {boolean} isNewest nothing is too late then: the clocks of server and page differ by seconds
 * @returns {Mark[]}
 */
export const marksOf = (incidents, table, from, to, isNewest) =>
  incidents
    .filter(incident => incident.table === table)
    .map(incident => ({ incident, from: secondsOf(incident.since), to: incident.closed_at ? secondsOf(incident.closed_at) : to }))
    .filter(mark => (isNewest || mark.from <= to) && mark.to >= from);
