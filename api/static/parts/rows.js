// A long list of which only the rows on the screen are elements; the page scrolls, not the list.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib.js";

const SPARE = 12;

/** The range of rows on the screen, and some more. */
export function useVisibleRows(count, height) {
  const holder = useRef(/** @type {HTMLElement | null} */ (null));
  const [range, setRange] = useState([0, Math.min(count, 40)]);
  const measure = () => {
    if (!holder.current) return;
    const top = -holder.current.getBoundingClientRect().top;
    const first = Math.max(0, Math.min(Math.floor(top / height) - SPARE, count - 1));
    const last = Math.min(count, Math.ceil((top + innerHeight) / height) + SPARE);
    setRange(before => (before[0] === first && before[1] === last ? before : [first, Math.max(first, last)]));
  };
  const current = useRef(measure);
  current.current = measure;
  useLayoutEffect(measure, [count, height]);
  useEffect(() => {
    let frame = 0;
    const later = () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => current.current());
    };
    addEventListener("scroll", later, { passive: true });
    addEventListener("resize", later);
    return () => {
      cancelAnimationFrame(frame);
      removeEventListener("scroll", later);
      removeEventListener("resize", later);
    };
  }, []);
  return { holder, first: range[0], last: Math.min(range[1], count) };
}

/** Whether the screen is as narrow as a phone. */
export function useNarrow() {
  const media = useRef(matchMedia("(max-width: 640px)"));
  const [isNarrow, setNarrow] = useState(media.current.matches);
  useEffect(() => {
    const change = event => setNarrow(event.matches);
    media.current.addEventListener("change", change);
    return () => media.current.removeEventListener("change", change);
  }, []);
  return isNarrow;
}

/** Empty space in the place of rows that are not on the screen. */
export const Space = ({ height }) => (height > 0 ? html`<div style=${{ height: `${height}px` }} aria-hidden="true"></div>` : null);
