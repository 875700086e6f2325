// Pure functions of the jobs page. They read no clock and no document, so the browser test can call
// them.

import { clock, grouped } from "./logic.js";

export const STATES = ["scheduled", "available", "running", "retryable", "completed", "discarded", "cancelled"];
const FILTERS = ["state", "queue", "name", "tag", "text", "error"];

// MARK: Formatting

// A duration in microseconds as a text with about two digits: 8 µs, 1.2 ms, 45 s, 3 min, 2.5 h, 4 d.
export function spanText(microseconds) {
  const units = [["µs", 1], ["ms", 1e3], ["s", 1e6], ["min", 60e6], ["h", 3600e6], ["d", 86_400e6]];
  const value = Math.max(0, microseconds);
  const limits = [1000, 1e6, 60e6, 3600e6, 48 * 3600e6, Infinity];
  const [unit, size] = units[limits.findIndex((limit) => value < limit)];
  const number = value / size;
  return `${number >= 10 || Number.isInteger(number) ? grouped(Math.round(number)) : number.toFixed(1)} ${unit}`;
}

export function memoryText(bytes) {
  if (bytes === null) return "–";
  const size = bytes / 2 ** 20;
  return size < 1024 ? `${Math.round(size)} MiB` : `${(size / 1024).toFixed(1)} GiB`;
}

export function rateText(rate) {
  if (rate === 0) return "0";
  return rate < 10 ? rate.toFixed(1) : grouped(Math.round(rate));
}

const oneLimitText = ({ concurrency, rate_starts, rate_seconds }) => [
  ...(concurrency === null ? [] : [`${grouped(concurrency)} at once`]),
  ...(rate_starts === null ? [] : [`${grouped(rate_starts)} start${rate_starts === 1 ? "" : "s"} per ${spanText(rate_seconds * 1e6)}`]),
].join(", ");

// The limits of a queue, and how many jobs wait for them; empty if there are none.
export function limitText({ limit, key_limit, waiting_for_limit }) {
  return [
    ...(limit === null ? [] : [`limit ${oneLimitText(limit)}`]),
    ...(key_limit === null ? [] : [`limit per key ${oneLimitText(key_limit)}`]),
    ...(waiting_for_limit === 0 ? [] : [`${grouped(waiting_for_limit)} wait${waiting_for_limit === 1 ? "s" : ""} for it`]),
  ].join(" · ");
}

const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

// The time of day; on another day than `now`, the date and the time.
export function timeText(milliseconds, now) {
  const isToday = new Date(milliseconds).toDateString() === new Date(now).toDateString();
  return isToday ? clock(milliseconds) : days.format(milliseconds);
}

// The time to show for a job, with a label: when it is due, started, ended or was enqueued,
// depending on its state.
export function timeOf({ state, due, started, finished, created }) {
  switch (state) {
    case "scheduled": case "retryable": return ["due", due];
    case "running": return ["started", started ?? created];
    case "completed": case "discarded": case "cancelled": return ["ended", finished ?? created];
    default: return ["enqueued", created];
  }
}

// JSON with line breaks, or the text itself if it is not JSON.
export function prettyJSON(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

// Arguments as a text. For encrypted arguments, the text contains only the name of the key.
export function argumentsText(value) {
  const key = value?.["$encrypted"]?.key;
  return typeof key === "string" ? `encrypted with key '${key}'` : prettyJSON(value);
}

// MARK: Filter

// Parses the filter in a query string. Parameters with an empty value are ignored.
export function filterFrom(search) {
  const query = new URLSearchParams(search);
  return Object.fromEntries(FILTERS.filter((name) => query.get(name)).map((name) => [name, query.get(name)]));
}

export const queryOf = (filter) => new URLSearchParams(filter).toString();

// The filter in the form that the body of `POST /api/jobs/bulk` needs.
export const bodyOf = (filter) => (filter.error === undefined ? filter : { ...filter, error: Number(filter.error) });

// True if an action can change a job in this state.
export function allows(action, state) {
  const isFinal = ["completed", "discarded", "cancelled"].includes(state);
  switch (action) {
    case "retry": return state !== "available" && state !== "running";
    case "cancel": return !isFinal;
    default: return !isFinal && state !== "running";
  }
}

// MARK: Charts

// The entries of the last `count` seconds up to `last`; null for a second without an entry.
export function secondsUntil(last, count, seconds) {
  return Array.from({ length: count }, (_, index) => seconds.get(last - count + 1 + index) ?? null);
}

// A histogram with one column for each power of two: [[upper bound in µs, count]].
export function octaves(histogram) {
  const counts = new Map();
  for (const [bound, count] of histogram) {
    const octave = Math.ceil(Math.log2(Math.max(1, bound + 1)));
    counts.set(octave, (counts.get(octave) ?? 0) + count);
  }
  if (counts.size === 0) return [];
  const [first, last] = [Math.min(...counts.keys()), Math.max(...counts.keys())];
  return Array.from({ length: last - first + 1 }, (_, index) => [2 ** (first + index), counts.get(first + index) ?? 0]);
}

// The part of an operation that is done, from 0 to 1; null if the number of selected jobs is
// unknown.
export function progressOf({ count, complete, changed, unchanged }) {
  if (!complete || count === 0) return null;
  return Math.min(1, (changed + unchanged) / count);
}

export function previewText({ count, complete }, action) {
  const jobs = `${complete ? "" : "at least "}${grouped(count)} job${count === 1 ? "" : "s"}`;
  return count === 0 && complete
    ? "No job matches the filter."
    : `This affects ${jobs}. Those whose state does not allow “${action}” stay as they are.`;
}
