// Draws the charts of the shown topic, channel or node: messages per second, and waiting messages.

import { filled, linePath, perSecond, slotsUntil } from "./topics-logic.js";
import { clock, grouped } from "./logic.js";
import { $, setPath, setText } from "./page.js";

const HEIGHT = 40;
const MIN_SLOTS = 24;
const RANGES = { minutes: { seconds: 5, count: 120, gap: 13 }, day: { seconds: 300, count: 288, gap: 1 } };

export function drawCharts(data, now) {
  const points = data?.points;
  $("charts").hidden = points === undefined;
  if (points === undefined) return;
  const { seconds, count: most, gap } = RANGES[data.range];
  const last = Math.floor(now / 1000 / seconds);
  // The time range starts short and grows.
  const count = Math.min(most, Math.max(MIN_SLOTS, last - (points[0]?.[0] ?? last) + 2));
  const slots = filled(slotsUntil(last, count, points), gap);
  for (const id of ["rates", "depth"]) $(id).setAttribute("viewBox", `0 0 ${count} ${HEIGHT}`);
  for (const label of document.querySelectorAll("#charts .first")) setText(label, clock((last - count + 1) * seconds * 1000));
  for (const label of document.querySelectorAll("#charts .last")) setText(label, clock(now));
  const series = (index) => slots.map((slot) => (slot === null ? null : slot[index]));
  const [depth, incoming, outgoing] = [series(1), series(2), series(3)];
  const fastest = Math.max(0, ...incoming, ...outgoing);
  setPath("rates", "plays", linePath(incoming, fastest, HEIGHT, true));
  setPath("rates", "finished", linePath(outgoing, fastest, HEIGHT, false));
  const rates = fastest === 0 ? "none" : `up to ${perSecond(fastest)}`;
  setText("rates-now", rates);
  $("rates").setAttribute("aria-label", `messages published and finished per second: ${rates}`);
  const deepest = Math.max(0, ...depth);
  setPath("depth", "plays", linePath(depth, deepest, HEIGHT, true));
  const waits = deepest === 0 ? "none" : `up to ${grouped(Math.ceil(deepest))}`;
  setText("depth-now", waits);
  $("depth").setAttribute("aria-label", `messages that wait: ${waits}`);
}

export function startCharts(read) {
  const buttons = document.querySelectorAll(".ranges button");
  for (const control of buttons) {
    control.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", other === control);
      read();
    });
  }
}
