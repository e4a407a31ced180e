// Tables and partitions as a map: one line a table, one mark a partition, problems first.
import { count, LETTERS, plural, SYMBOLS, WORDS } from "../format.js";
import { html, useEffect, useMemo, useRef, useState } from "../lib.js";
import { matrix } from "../state.js";
import { partitionPath, query, setQuery, tablePath } from "../router.js";
import { Space, useNarrow, useVisibleRows } from "../parts/rows.js";
import { Glyph } from "../parts/verdict.js";

const ROW = { wide: 34, narrow: 62 };
const CELL = { wide: 18, narrow: 26 };
const LABEL = 300;
const MORE = 70;
const RANK = { mismatch: 0, inconclusive: 1, match: 2 };
const FILTERS = ["", "mismatch", "inconclusive", "match"];

const troubles = item => item.verdicts.length - item.verdicts.split("=").length + 1;
const letterOf = verdict => Object.keys(LETTERS).find(letter => LETTERS[letter] === verdict) ?? "";

/**
 * The tables that a search and a filter leave, problems first; each with the places of its wanted partitions.
 * @param {Api.MatrixTable[]} items
 * @param {string} text
 * @param {string} verdict one of `FILTERS`
 */
export function arrange(items, text, verdict) {
  const wanted = text.toLowerCase();
  const letter = letterOf(verdict);
  /** @type {{ item: Api.MatrixTable, places: number[] | null, troubles: number }[]} */
  const found = [];
  for (const item of items) {
    const isNamed = !wanted || item.table.toLowerCase().includes(wanted);
    if (verdict && item.verdict !== verdict && !item.verdicts.includes(letter)) continue;
    // Null stands for all partitions: most tables are shown whole.
    /** @type {number[] | null} */
    let places = null;
    if (!isNamed || (verdict && item.partitions.length)) {
      /** @type {number[]} */
      const chosen = [];
      item.partitions.forEach((name, at) => {
        const isWanted = isNamed || name.toLowerCase().includes(wanted);
        if (isWanted && (!verdict || item.verdicts[at] === letter)) chosen.push(at);
      });
      if (!chosen.length) continue;
      places = chosen;
    }
    found.push({ item, places, troubles: troubles(item) });
  }
  return found.sort(
    (a, b) => RANK[a.item.verdict] - RANK[b.item.verdict] || b.troubles - a.troubles || (a.item.table < b.item.table ? -1 : 1),
  );
}

/** The first places to show: differing, then undecided, then equal partitions. */
function firstPlaces({ item, places }, most) {
  const total = places ? places.length : item.partitions.length;
  const chosen = [];
  for (const letter of ["x", "?", "="]) {
    for (let n = 0; n < total && chosen.length < most; n += 1) {
      const at = places ? places[n] : n;
      if (item.verdicts[at] === letter) chosen.push(at);
    }
  }
  return { chosen, total };
}

function links({ item, places }, most) {
  const head = { href: tablePath(item.table), name: item.table, verdict: item.verdict };
  if (!item.partitions.length) return { head, cells: [], more: 0, reason: item.reason ?? "no rows" };
  const { total } = firstPlaces({ item, places }, 0);
  const { chosen } = firstPlaces({ item, places }, total > most ? most - 1 : most);
  const cells = chosen.map(at => ({
    href: partitionPath(item.table, item.partitions[at]),
    name: item.partitions[at],
    verdict: LETTERS[item.verdicts[at]],
  }));
  return { head, cells, more: total - chosen.length };
}

function Row({ row, line, active }) {
  const { head, cells, more, reason } = line;
  const tab = at => (active === at ? 0 : -1);
  return html`
    <div class="row" role="row" aria-rowindex=${row + 1} data-row=${row}>
      <span role="rowheader" class=${`name ${head.verdict}`}>
        <a href=${head.href} data-at="0" tabindex=${tab(0)} title=${head.name} aria-label=${`${head.name}, ${WORDS[head.verdict]}`}><${Glyph} verdict=${head.verdict} /><span>${head.name}</span></a>
      </span>
      <span role="gridcell" class="cells">
        ${cells.map((cell, at) => html`
          <a key=${cell.name} href=${cell.href} data-at=${at + 1} tabindex=${tab(at + 1)} class=${`cell ${cell.verdict}`} title=${`${cell.name} ${SYMBOLS[cell.verdict]}`} aria-label=${`${cell.name}, ${WORDS[cell.verdict]}`}></a>`)}
        ${more > 0 && html`<a href=${head.href} data-at=${cells.length + 1} tabindex=${tab(cells.length + 1)} class="more" aria-label=${`${count(more)} more partitions of ${head.name}`}>+${count(more)}</a>`}
        ${!cells.length && html`<span class="quiet remark" title=${reason}>${reason}</span>`}
      </span>
    </div>
  `;
}

function useKeys(rows, lineOf, isNarrow) {
  const [active, setActive] = useState({ row: 0, at: 0 });
  const wants = useRef(false);
  const grid = useRef(/** @type {HTMLElement | null} */ (null));
  const row = Math.min(active.row, Math.max(0, rows.length - 1));
  const widest = rows.length ? lineOf(row).cells.length + (lineOf(row).more > 0 ? 1 : 0) : 0;
  const at = Math.min(active.at, widest);
  const onKeyDown = event => {
    const step = { ArrowDown: [1, 0], ArrowUp: [-1, 0], PageDown: [15, 0], PageUp: [-15, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1], Home: [0, -at], End: [0, widest] }[event.key];
    if (!step || event.altKey || event.metaKey) return;
    event.preventDefault();
    const isFirst = event.ctrlKey && event.key === "Home";
    const isLast = event.ctrlKey && event.key === "End";
    const target = isFirst ? 0 : isLast ? rows.length - 1 : row + step[0];
    wants.current = true;
    setActive({ row: Math.max(0, Math.min(rows.length - 1, target)), at: Math.max(0, Math.min(step[1] ? widest : active.at, (step[1] ? at : active.at) + step[1])) });
  };
  const onFocus = event => {
    const place = event.target.dataset?.at;
    const line = event.target.closest?.("[data-row]");
    if (place !== undefined && line) setActive({ row: Number(line.dataset.row), at: Number(place) });
  };
  useEffect(() => {
    if (!wants.current || !grid.current) return;
    const height = isNarrow ? ROW.narrow : ROW.wide;
    const top = grid.current.getBoundingClientRect().top + row * height;
    if (top < 0) scrollBy(0, top - height);
    else if (top + height > innerHeight) scrollBy(0, top + 2 * height - innerHeight);
    /** @type {HTMLElement | null} */
    const link = grid.current.querySelector(`[data-row="${row}"] [data-at="${at}"]`);
    if (link) {
      wants.current = false;
      link.focus({ preventScroll: true });
    }
  });
  return { row, at, onKeyDown, onFocus, grid };
}

function Grid({ rows }) {
  const isNarrow = useNarrow();
  const size = isNarrow ? "narrow" : "wide";
  const { holder, first, last } = useVisibleRows(rows.length, ROW[size]);
  const [width, setWidth] = useState(900);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width)));
    if (holder.current) observer.observe(holder.current);
    return () => observer.disconnect();
  }, []);
  const space = isNarrow ? width - MORE : width - LABEL - MORE;
  const most = Math.max(4, Math.floor(space / CELL[size]));
  const lineOf = at => links(rows[at], most);
  const { row, at, onKeyDown, onFocus, grid } = useKeys(rows, lineOf, isNarrow);
  const shown = Array.from({ length: Math.max(0, last - first) }, (_, number) => first + number);
  return html`
    <div class="matrix" ref=${element => { holder.current = element; grid.current = element; }} role="grid" aria-label="Tables and partitions" aria-rowcount=${rows.length} onKeyDown=${onKeyDown} onFocusIn=${onFocus}>
      <${Space} height=${first * ROW[size]} />
      ${shown.map(number => html`<${Row} key=${rows[number].item.table} row=${number} line=${lineOf(number)} active=${number === row ? at : -1} />`)}
      <${Space} height=${(rows.length - Math.max(first, last)) * ROW[size]} />
    </div>
  `;
}

const NAMES = { "": "All", mismatch: "Differ", inconclusive: "Not decided", match: "Equal" };

/** @type {Api.MatrixTable[]} */
const NOTHING = [];

export function Matrix() {
  const items = matrix.value?.items ?? NOTHING;
  const text = query.value.get("q") ?? "";
  const wanted = query.value.get("verdict") ?? "";
  const verdict = FILTERS.includes(wanted) ? wanted : "";
  const rows = useMemo(() => arrange(items, text, verdict), [items, text, verdict]);
  const numbers = useMemo(() => {
    const totals = { "": items.length, mismatch: 0, inconclusive: 0, match: 0 };
    for (const item of items) totals[item.verdict] += 1;
    return totals;
  }, [items]);
  return html`
    <section class="map" aria-labelledby="map">
      <div class="tools">
        <h2 id="map">Tables and partitions</h2>
        <input type="search" aria-label="Search tables and partitions" placeholder="Search a table or partition" value=${text} onInput=${event => setQuery("q", event.currentTarget.value)} />
        <div class="filters" role="group" aria-label="Verdict">
          ${FILTERS.map(filter => html`<button key=${filter} type="button" aria-pressed=${verdict === filter} class=${filter} onClick=${() => setQuery("verdict", filter)}>${NAMES[filter]} <span class="quiet">${count(numbers[filter])}</span></button>`)}
        </div>
      </div>
      <p class="legend">
        <span><i class="cell match"></i>equal</span><span><i class="cell mismatch"></i>differs</span><span><i class="cell inconclusive"></i>not decided yet</span>
        <span class="keys">Arrow keys move, Enter opens</span>
      </p>
      ${rows.length ? html`<${Grid} rows=${rows} />` : html`<p class="quiet empty">${items.length ? `No table matches. ${plural(items.length, "table")} in all.` : "No table has been captured yet."}</p>`}
    </section>
  `;
}
