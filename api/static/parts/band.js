// What the chart of a history draws besides its lines: the verdict as a band above them, and incidents.
// A differing time is high and filled, an undecided one high and hollow, an equal one low. Each has its shape in it.
import { colour } from "./chart.js";
import { SHAPES } from "./verdict.js";

const BAND = 20;
const LOW = 8;
const GAP = 6;
const FLAGS = 16;
const GLYPH = 14;
const WIDTH_MIN = 3;
const ORDER = ["match", "inconclusive", "mismatch"];

/** @typedef {import("../lib.js").Plot} Plot */
/** @typedef {{ bands: import("./points.js").Band[], marks: import("./points.js").Mark[] }} Drawn */

/** Pixels that the band needs above the lines. @param {Drawn} drawn */
export const aboveOf = drawn => BAND + GAP + (drawn.marks.length ? FLAGS : 0);

/** Left end and width of a time on the canvas. */
function extent(plot, { from, to }) {
  const { left, width } = plot.bbox;
  const within = at => Math.min(left + width, Math.max(left, at));
  const start = within(plot.valToPos(from, "x", true));
  return { start, width: within(plot.valToPos(to, "x", true)) - start };
}

/** Tints the times without a match, below the lines. @param {Plot} plot @param {Drawn} drawn */
export function drawGrounds(plot, { bands }) {
  const { ctx, bbox } = plot;
  ctx.save();
  for (const band of bands.filter(({ verdict }) => verdict !== "match")) {
    const { start, width } = extent(plot, band);
    ctx.fillStyle = colour(`--${band.verdict}-ground`);
    ctx.fillRect(start, bbox.top, Math.max(width, WIDTH_MIN), bbox.height);
  }
  ctx.restore();
}

function drawGlyph(ctx, verdict, at, top, ratio) {
  ctx.save();
  ctx.translate(at, top);
  ctx.scale((GLYPH / 16) * ratio, (GLYPH / 16) * ratio);
  ctx.lineWidth = 2.2;
  ctx.lineCap = "round";
  ctx.lineJoin = "round";
  ctx.stroke(new Path2D(SHAPES[verdict]));
  ctx.restore();
}

function drawBand(plot, band, top, ratio) {
  const { ctx } = plot;
  const { start, width: exact } = extent(plot, band);
  const width = Math.max(exact, WIDTH_MIN * ratio);
  const { verdict } = band;
  const height = BAND * ratio;
  if (verdict === "match") {
    ctx.fillStyle = colour("--match-mark");
    ctx.fillRect(start, top + height - LOW * ratio, width, LOW * ratio);
  } else if (verdict === "mismatch") {
    ctx.fillStyle = colour("--mismatch-mark");
    ctx.fillRect(start, top, width, height);
  } else {
    ctx.strokeStyle = colour("--inconclusive-mark");
    ctx.lineWidth = 2 * ratio;
    ctx.strokeRect(start + ratio, top + ratio, Math.max(ratio, width - 2 * ratio), height - 2 * ratio);
  }
  if (width < (GLYPH + 4) * ratio) return;
  ctx.strokeStyle = verdict === "mismatch" ? colour("--card") : colour(`--${verdict}`);
  const above = verdict === "match" ? -1 : (BAND - GLYPH) / 2;
  drawGlyph(ctx, verdict, start + (width - GLYPH * ratio) / 2, top + above * ratio, ratio);
}

function drawMark(plot, mark, top, ratio) {
  const { ctx, bbox } = plot;
  const { start, width } = extent(plot, mark);
  ctx.fillStyle = ctx.strokeStyle = colour("--ink");
  ctx.fillRect(start, top + 4 * ratio, Math.max(width, ratio), 2 * ratio);
  ctx.beginPath();
  ctx.moveTo(start - 5 * ratio, top);
  ctx.lineTo(start + 5 * ratio, top);
  ctx.lineTo(start, top + 10 * ratio);
  ctx.fill();
  ctx.setLineDash([3 * ratio, 3 * ratio]);
  ctx.lineWidth = ratio;
  ctx.beginPath();
  ctx.moveTo(start, top + 10 * ratio);
  ctx.lineTo(start, bbox.top + bbox.height);
  ctx.stroke();
  ctx.setLineDash([]);
}

/** Draws the band and the incidents. @param {Plot} plot @param {Drawn} drawn */
export function drawBands(plot, drawn) {
  const ratio = devicePixelRatio;
  const top = plot.bbox.top - aboveOf(drawn) * ratio;
  plot.ctx.save();
  // Troubles come last: a short one stays visible between long equal times.
  for (const verdict of ORDER) {
    for (const band of drawn.bands.filter(found => found.verdict === verdict)) drawBand(plot, band, top, ratio);
  }
  for (const mark of drawn.marks) drawMark(plot, mark, top + (BAND + 4) * ratio, ratio);
  plot.ctx.restore();
}
