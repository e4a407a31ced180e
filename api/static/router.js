// Addresses: each view has one that can be shared and reloaded.
import { signal } from "./lib.js";

const encoded = name => encodeURIComponent(name).replace(/%3D/g, "=").replace(/%2C/g, ",");

export const tablePath = table => `/tables/${encoded(table)}`;
export const partitionPath = (table, partition) =>
  `${tablePath(table)}/${partition.split("/").map(encoded).join("/")}`;
export const incidentPath = id => `/incidents/${encoded(String(id))}`;

/** The view of a path, with the names in it. */
export function parse(path) {
  let segments;
  try {
    segments = path.split("/").slice(1).map(decodeURIComponent);
  } catch {
    return { view: "missing" };
  }
  const [first, second, ...rest] = segments;
  if (first === "" && second === undefined) return { view: "overview" };
  if (first === "tables" && second) {
    return rest.length ? { view: "partition", table: second, partition: rest.join("/") } : { view: "table", table: second };
  }
  if (first === "incidents" && !rest.length) return second ? { view: "incident", id: second } : { view: "incidents" };
  if (first === "pipeline" && second === undefined) return { view: "pipeline" };
  return { view: "missing" };
}

export const route = signal(parse(location.pathname));
export const query = signal(new URLSearchParams(location.search));

function read() {
  route.value = parse(location.pathname);
  query.value = new URLSearchParams(location.search);
}

/** Opens an address of this page without loading the page again. */
export function navigate(href) {
  history.pushState(null, "", href);
  read();
  scrollTo(0, 0);
  // A reader of the screen hears the new page's heading.
  requestAnimationFrame(() => document.querySelector("h1")?.focus({ preventScroll: true }));
}

/** Changes a parameter of the address; an empty value removes it. */
export function setQuery(name, value) {
  const changed = new URLSearchParams(query.value);
  if (value) changed.set(name, value);
  else changed.delete(name);
  const text = changed.toString();
  history.replaceState(null, "", location.pathname + (text ? `?${text}` : ""));
  query.value = changed;
}

/** Follows links to views without loading the page again. */
export function start() {
  addEventListener("popstate", read);
  document.addEventListener("click", event => {
    const link = event.target instanceof Element ? /** @type {HTMLAnchorElement | null} */ (event.target.closest("a[href]")) : null;
    const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !isPlain || event.defaultPrevented || link.origin !== location.origin || link.hash) return;
    if (parse(link.pathname).view === "missing") return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  });
}
