// The vendored packages, in one place: views import from here only.
import { h, render } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export { render };
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
/** @template T @typedef {import("./vendor/signals.js").Signal<T>} Signal */

export { computed, effect, signal, useSignal } from "./vendor/signals.js";
export { default as Plot } from "./vendor/uplot.js";

/** Builds elements. Names of the warehouse reach the page as text only, never as markup. */
export const html = htm.bind(h);
