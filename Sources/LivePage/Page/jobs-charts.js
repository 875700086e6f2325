// Draws the charts of the last two minutes: ended attempts, waits and durations.

import { octaves, secondsUntil, spanText } from "./jobs-logic.js";
import { clock, grouped, rateCaption } from "./logic.js";
import { $, setPath, setText } from "./page.js";

const SECONDS = 120;
const HEIGHT = 40;
// The charts of waits and durations have a logarithmic scale that starts at 100 µs.
const LEAST_US = 100;

// The last two minutes by second.
const seconds = new Map();

export function recordSeconds(received, isState) {
  if (isState) seconds.clear();
  for (const second of received) seconds.set(second.second, second);
  const last = received.at(-1)?.second ?? 0;
  for (const second of seconds.keys()) if (second < last - SECONDS - 5) seconds.delete(second);
}

const box = (x, y, width, height) =>
  `M${x.toFixed(2)} ${y.toFixed(2)}h${width.toFixed(2)}v${height.toFixed(2)}h${(-width).toFixed(2)}z`;

export function drawCharts(state, now) {
  if ($("charts").hidden) return;
  const last = Math.floor((now - 500) / 1000) - 1;
  const shown = secondsUntil(last, SECONDS, seconds);
  for (const label of document.querySelectorAll("#charts .first")) setText(label, clock((last - SECONDS + 1) * 1000));
  for (const label of document.querySelectorAll("#charts .last")) setText(label, clock(last * 1000));
  drawThroughput(shown);
  drawTimes("wait", shown, "wait_us", state.waits);
  drawTimes("duration", shown, "duration_us", state.durations);
}

function drawThroughput(shown) {
  const ended = shown.map((second) => (second ? second.completed + second.failed : 0));
  const most = Math.max(...ended);
  const scale = (HEIGHT - 2) / Math.max(1, most);
  const paths = { completed: "", failed: "" };
  shown.forEach((second, x) => {
    if (!second) return;
    const [failed, completed] = [second.failed * scale, second.completed * scale];
    if (failed > 0) paths.failed += box(x + 0.1, HEIGHT - failed, 0.8, failed);
    if (completed > 0) paths.completed += box(x + 0.1, HEIGHT - failed - completed, 0.8, completed);
  });
  for (const [kind, path] of Object.entries(paths)) setPath("throughput", kind, path);
  const caption = rateCaption(ended.at(-1), most);
  setText("throughput-now", caption);
  $("throughput").setAttribute("aria-label", `attempts that ended per second: ${caption}`);
}

function drawTimes(name, shown, key, histogram) {
  const values = shown.map((second) => second?.[key] ?? null);
  const known = values.filter((value) => value !== null);
  const most = Math.max(LEAST_US * 10, ...known);
  const level = (value) => HEIGHT - 1 - (Math.log(Math.max(LEAST_US, value) / LEAST_US) / Math.log(most / LEAST_US)) * (HEIGHT - 3);
  const path = values.map((value, x) => (value === null ? "" : box(x + 0.1, level(value), 0.8, HEIGHT - level(value)))).join("");
  setPath(name, "line", path);
  const caption = known.length === 0 ? "none" : `95 %: ${spanText(known.at(-1))}, up to ${spanText(Math.max(...known))}`;
  setText(`${name}-now`, caption);
  $(name).setAttribute("aria-label", `${name} by second, logarithmic: ${caption}`);
  drawHistogram(name, octaves(histogram));
}

function drawHistogram(name, columns) {
  const most = Math.max(1, ...columns.map(([, count]) => count));
  const width = SECONDS / Math.max(8, columns.length);
  setPath(`${name}-histogram`, "bars", columns.map(([, count], index) => {
    const height = count === 0 ? 0 : Math.max(0.8, (count / most) * (HEIGHT - 1));
    return box(index * width + 0.5, HEIGHT - height, width - 1, height);
  }).join(""));
  const all = columns.reduce((sum, [, count]) => sum + count, 0);
  setText(`${name}-least`, columns.length === 0 ? "" : `below ${spanText(columns[0][0])}`);
  setText(`${name}-most`, columns.length === 0 ? "" : `below ${spanText(columns.at(-1)[0])}`);
  const text = columns.map(([bound, count]) => `${grouped(count)} below ${spanText(bound)}`).join(", ");
  $(`${name}-histogram`).setAttribute("aria-label", all === 0 ? `no ${name} in the last two minutes` : `${name} in the last two minutes: ${text}`);
}
