// Draws the charts: plays and calls per second, and the latest calls.

import { model, serverTime } from "./model.js";
import {
  COLUMNS, callColumns, callKind, callsOf, clock, counted, fillCaption, grouped, lastSeconds, rateCaption,
  secondColumns, shouldAggregate,
} from "./logic.js";
import { $, setPath, setText } from "./page.js";

const SECONDS = 120;
const MIN_SECONDS = 30;
const HEIGHT = 160;
const WIDTH = 10;
// If a call has more slots than this, a column is drawn as a bar instead of cells.
const MAX_CELLS = 40;

const box = (x, y, width, height) =>
  `M${x.toFixed(2)} ${y.toFixed(2)}h${width.toFixed(2)}v${height.toFixed(2)}h${(-width).toFixed(2)}z`;

// The last second whose statistics are complete.
let lastSecond = 0;

// Moves the charts to the present, or to the end of the run if it has a verdict. This function is
// not called while the page has no connection, so the charts stand still.
export function advanceCharts() {
  const now = Math.floor(serverTime() / 1000) - 2;
  lastSecond = model.verdict === null ? now : Math.min(now, Math.floor(model.verdict.time / 1000) + 1);
}

export function drawCharts() {
  if (!model.statistics) return;
  if (lastSecond === 0) advanceCharts();
  drawRates();
  drawLatest();
}

// MARK: Plays and calls per second

function drawRates() {
  // The time range starts short and grows to two minutes.
  const age = lastSecond - Math.min(lastSecond, ...model.seconds.keys());
  const width = Math.min(SECONDS, Math.max(MIN_SECONDS, age + 2));
  const seconds = lastSeconds(model.seconds, lastSecond, width);
  for (const id of ["plays-chart", "calls-chart"]) $(id).setAttribute("viewBox", `0 0 ${width} 40`);
  setText("rates-first", clock((lastSecond - width + 1) * 1000));
  setText("rates-last", clock(lastSecond * 1000));

  const plays = seconds.map((second) => second?.plays ?? 0);
  const mostPlays = Math.max(...plays);
  const levels = plays.map((count) => (39 - (count / Math.max(1, mostPlays)) * 37).toFixed(2));
  const points = levels.map((level, x) => `${x + 0.5} ${level}`);
  setPath("plays-chart", "plays", `M-1 41V${levels[0]}L${points.join("L")}L${width + 1} ${levels.at(-1)}V41z`);
  setRate("plays", plays.at(-1), mostPlays);

  const totals = seconds.map((second) => (second ? callsOf(second) : 0));
  const mostCalls = Math.max(...totals);
  const paths = { immediate: "", batched: "" };
  seconds.forEach((second, x) => {
    if (second) addBar(paths, x, second, 38 / Math.max(1, mostCalls));
  });
  for (const [kind, path] of Object.entries(paths)) setPath("calls-chart", kind, path);
  setRate("calls", totals.at(-1), mostCalls);
}

// Adds the bar of one second. The part for mixed calls has its left half in the style of immediate
// calls, and its right half in the style of batched calls.
function addBar(paths, x, { immediate_calls, mixed_calls, batched_calls }, scale) {
  const [immediate, mixed, batched] = [immediate_calls, mixed_calls, batched_calls].map((calls) => calls * scale);
  let level = 40 - immediate;
  if (immediate > 0) paths.immediate += box(x + 0.12, level, 0.76, immediate);
  level -= mixed;
  if (mixed > 0) {
    paths.immediate += box(x + 0.12, level, 0.38, mixed);
    paths.batched += box(x + 0.12, level, 0.76, mixed);
  }
  level -= batched;
  if (batched > 0) paths.batched += box(x + 0.12, level, 0.76, batched);
}

function setRate(name, now, peak) {
  const caption = rateCaption(now, peak);
  setText(`${name}-now`, caption);
  $(`${name}-chart`).setAttribute("aria-label", `${name} per second: ${caption}`);
}

// MARK: Latest calls

export function drawLatest() {
  if (!model.statistics) return;
  const isAggregated = shouldAggregate(model.seconds, lastSecond);
  const columns = isAggregated ? secondColumns(model.seconds, lastSecond) : callColumns(model.calls);
  const slots = model.settings.videos_per_call;
  const draw = isAggregated || slots > MAX_CELLS ? bars : cells;
  const paths = { unused: "", immediate: "", batched: "" };
  for (let place = 0; place < COLUMNS; place += 1) {
    const column = columns[place - COLUMNS + columns.length] ?? { calls: 0, immediate: 0, batched: 0 };
    // A second without calls has no free slots.
    if (isAggregated && column.calls === 0) continue;
    draw(paths, place * WIDTH, column, slots);
  }
  for (const [kind, path] of Object.entries(paths)) setPath("latest", kind, path);
  $("latest").dataset.unit = isAggregated ? "second" : "call";
  drawAxes(columns, isAggregated, slots);
}

// A batched slot is hollow, so that it can be told from an immediate slot without colours.
const hollow = (x, y, width, height) => box(x + 0.6, y + 0.6, width - 1.2, Math.max(0.1, height - 1.2));

function cells(paths, x, { immediate, batched }, slots) {
  const size = HEIGHT / slots;
  const gap = Math.min(1.5, size / 4);
  for (let row = 0; row < slots; row += 1) {
    const y = HEIGHT - (row + 1) * size;
    if (row < immediate) paths.immediate += box(x, y, WIDTH - 1.5, size - gap);
    else if (row < immediate + batched) paths.batched += hollow(x, y, WIDTH - 1.5, size - gap);
    else paths.unused += box(x, y, WIDTH - 1.5, size - gap);
  }
}

function bars(paths, x, { immediate, batched }, slots) {
  const solid = Math.min(HEIGHT, (immediate / slots) * HEIGHT);
  const outlined = Math.min(HEIGHT - solid, (batched / slots) * HEIGHT);
  const width = WIDTH - 1.5;
  paths.unused += box(x, 0, width, HEIGHT - solid - outlined);
  if (outlined > 0) paths.batched += hollow(x, HEIGHT - solid - outlined, width, outlined);
  if (solid > 0) paths.immediate += box(x, HEIGHT - solid, width, solid);
}

function drawAxes(columns, isAggregated, slots) {
  const [first, last] = [columns[0], columns.at(-1)];
  const { calls } = model.statistics;
  setText("calls-title", `Latest calls: videos ${isAggregated ? "per call, by second" : "in each call"}`);
  setText("calls-fill", fillCaption(calls, slots));
  setText("slots", grouped(slots));
  setText("half-slots", slots % 2 === 0 ? grouped(slots / 2) : "");
  const name = (column) => isAggregated ? clock(column.first) : `call ${grouped(column.number)}, ${clock(column.first)}`;
  setText("latest-first", first ? name(first) : "");
  setText("latest-last", first ? name(last) : "");
  for (const kind of ["immediate", "mixed", "batched"]) setText(`${kind}-calls`, grouped(calls[kind]));
  $("latest").setAttribute("aria-label", summary(columns, isAggregated));
}

function summary(columns, isAggregated) {
  if (columns.length === 0) return "Latest calls: none yet";
  const times = `from ${clock(columns[0].first)} to ${clock(columns.at(-1).last)}`;
  if (isAggregated) return `Average number of videos in the calls of each second, ${times}`;
  const count = (kind) => columns.filter((column) => callKind(column) === kind).length;
  return `The latest ${counted(columns.length, "call")}, ${times}: `
    + `${count("immediate")} immediate, ${count("mixed")} mixed, ${count("batched")} batched`;
}
