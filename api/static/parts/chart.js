// A line over time. The last value is text beside it, so the picture adds only the course.
import { html, Plot, useEffect, useRef } from "../lib.js";
import { span } from "../format.js";

const clock = seconds => new Date(seconds * 1000).toISOString().slice(11, 19);
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options(width, height, isSmall, label) {
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height,
    cursor: { show: !isSmall, y: false, points: { size: 6 } },
    legend: { show: false },
    tzDate: seconds => Plot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    padding: isSmall ? [4, 0, 4, 0] : [8, 8, 0, 0],
    scales: { y: { range: (_plot, _low, high) => [0, Math.max(high ?? 1, 1) * 1.1] } },
    axes: isSmall ? [{ show: false }, { show: false }] : [{ ...axis, space: 90, size: 28, values: (_plot, splits) => splits.map(clock) }, { ...axis, size: 56, space: 32 }],
    series: [
      {},
      { label, stroke: colour("--accent"), width: 1.75, fill: colour("--accent-faint"), points: { show: false } },
    ],
  };
}

/** `times` are Unix seconds, `values` numbers or null where nothing is known. */
export function Chart({ label, times, values, isSmall = false, height = isSmall ? 44 : 180, unit = span }) {
  const holder = useRef(/** @type {HTMLElement | null} */ (null));
  const plot = useRef(/** @type {Plot | null} */ (null));
  useEffect(() => {
    const place = holder.current;
    if (!place) return undefined;
    const draw = () => {
      plot.current?.destroy();
      const width = Math.max(60, Math.floor(place.clientWidth));
      plot.current = new Plot(options(width, height, isSmall, label), data.current, place);
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
  const data = useRef([times, values]);
  data.current = [times, values];
  useEffect(() => plot.current?.setData(data.current), [times, values]);
  const seen = values.filter(value => value !== null);
  const most = seen.length ? `; highest ${unit(seen.reduce((a, b) => Math.max(a, b)))}` : "";
  return html`<div class="chart" ref=${holder} role="img" aria-label=${`${label} over time${most}`}></div>`;
}
