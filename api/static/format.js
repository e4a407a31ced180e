// Numbers, times and commands as text.
export const SYMBOLS = { match: "✓", mismatch: "✗", inconclusive: "?" };
export const WORDS = { match: "equal", mismatch: "differs", inconclusive: "not decided yet" };
export const LETTERS = { "=": "match", x: "mismatch", "?": "inconclusive" };

export const isKnown = value => value !== null && value !== undefined;
export const count = value => (typeof value === "number" ? value.toLocaleString("en") : (value ?? "–"));
export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** A moment as UTC, to the second. */
export const time = moment => (moment ? `${moment.slice(0, 10)} ${moment.slice(11, 19)} UTC` : "–");
export const clock = moment => (moment ? moment.slice(11, 19) : "–");

/** Seconds in the largest fitting unit. */
export function span(seconds) {
  if (!isKnown(seconds)) return "–";
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** Bytes with a unit. */
export function bytes(number) {
  if (!isKnown(number)) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  let value = number;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${value >= 100 || at === 0 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}

/** A word of a shell command, quoted where a shell needs it. */
export const word = text => (/^[\w.,:=/@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
export const command = (...words) => ["datafingerprint", ...words.filter(isKnown).map(word)].join(" ");
