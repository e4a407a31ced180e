// Lines over time. What they show is also text beside them, so the picture adds only the course.
import { html, Plot, useEffect, useRef } from "../lib.js";
import { span } from "../format.js";

const DAY_S = 86400;
const MINUTE_S = 60;

/** A colour of the style sheet, as the page shows it now. */
export const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Marks of the time axis: as much of the moment as tells them apart. */
function moments(_plot, splits, _axis, _space, step) {
  const isOverDays = splits.length > 1 && splits[splits.length - 1] - splits[0] > DAY_S;
  return splits.map(seconds => {
    const text = new Date(seconds * 1000).toISOString();
    if (step >= DAY_S) return text.slice(5, 10);
    if (step < MINUTE_S) return text.slice(11, 19);
    return isOverDays ? `${text.slice(5, 10)} ${text.slice(11, 16)}` : text.slice(11, 16);
  });
}

/**
 * How a chart is drawn; colours are names of the style sheet.
 * @typedef {object} Shape
 * @property {{ label: string, stroke: string, width: number, fill?: string, isStepped?: boolean }[]} lines
 * @property {(plot: unknown, low: number | null, high: number | null) => [number, number]} range
 * @property {(value: number) => string} [number] how a mark of the value axis is written
 * @property {number[]} [steps] distances that marks of the value axis may have
 * @property {() => number} [above] pixels above the lines, for what `hooks` draw there
 * @property {Record<string, (plot: Plot) => void>} [hooks]
 */

/** @type {Shape["range"]} */
const fromZero = (_plot, _low, high) => [0, Math.max(high ?? 1, 1) * 1.1];

/** @param {number} width @param {number} height @param {boolean} isSmall @param {Shape} shape */
function options(width, height, isSmall, shape) {
  const { number, steps, above } = shape;
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  const values = number && { values: (_plot, splits) => splits.map(number) };
  return {
    width,
    height,
    cursor: { show: !isSmall, y: false, points: { size: 6 } },
    legend: { show: false },
    tzDate: seconds => Plot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    padding: isSmall ? [4, 0, 4, 0] : [above ?? 8, 8, 0, 0],
    scales: { y: { range: shape.range } },
    axes: isSmall ? [{ show: false }, { show: false }] : [{ ...axis, space: 90, size: 28, values: moments }, { ...axis, size: 56, space: 32, ...values, ...(steps && { incrs: steps }) }],
    series: [
      {},
      ...shape.lines.map(({ stroke, fill, isStepped, ...line }) => ({
        ...line,
        stroke: colour(stroke),
        ...(fill && { fill: colour(fill) }),
        ...(isStepped && { paths: Plot.paths.stepped({ align: 1 }) }),
        points: { show: false },
      })),
    ],
    ...(shape.hooks && { hooks: Object.fromEntries(Object.entries(shape.hooks).map(([name, hook]) => [name, [hook]])) }),
  };
}

/** Lines of any shape. `data` are Unix seconds, then the values of each line, null where nothing is known. */
export function Picture({ description, data, shape, isSmall = false, height }) {
  const holder = useRef(/** @type {HTMLElement | null} */ (null));
  const plot = useRef(/** @type {Plot | null} */ (null));
  const current = useRef(data);
  current.current = data;
  useEffect(() => {
    const place = holder.current;
    if (!place) return undefined;
    const draw = () => {
      plot.current?.destroy();
      const width = Math.max(60, Math.floor(place.clientWidth));
      plot.current = new Plot(options(width, height, isSmall, shape), current.current, place);
    };
    const observer = new ResizeObserver(([entry]) => {
      const width = Math.max(60, Math.floor(entry.contentRect.width));
      if (plot.current && plot.current.width !== width) plot.current.setSize({ width, height });
    });
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    draw();
    observer.observe(place);
    scheme.addEventListener("change", draw);
    return () => {
      observer.disconnect();
      scheme.removeEventListener("change", draw);
      plot.current?.destroy();
      plot.current = null;
    };
  }, []);
  useEffect(() => plot.current?.setData(current.current), [data]);
  return html`<div class="chart" ref=${holder} role="img" aria-label=${description}></div>`;
}

/** One line. `times` are Unix seconds, `values` numbers or null where nothing is known. */
export function Chart({ label, times, values, isSmall = false, height = isSmall ? 44 : 180, unit = span }) {
  const data = useRef([times, values]);
  if (data.current[0] !== times || data.current[1] !== values) data.current = [times, values];
  const seen = values.filter(value => value !== null);
  const most = seen.length ? `; highest ${unit(seen.reduce((a, b) => Math.max(a, b)))}` : "";
  const shape = { lines: [{ label, stroke: "--accent", width: 1.75, fill: "--accent-faint" }], range: fromZero };
  return html`<${Picture} description=${`${label} over time${most}`} data=${data.current} shape=${shape} isSmall=${isSmall} height=${height} />`;
}
