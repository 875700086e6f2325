// The event stream of a page, and how the page shows its connection.

import { clock } from "./logic.js";
import { $, announce, setText } from "./page.js";

const RECONNECT_MS = 3000;
// A connection without any event for this long is lost: the server sends one at least every 10 s.
const SILENCE_MS = 20_000;

// The states of the connection. In `lost` and `ended` the figures are old.
const labels = { connecting: "Connecting", live: "Live", finished: "Run ended", lost: "Disconnected", ended: "Stopped" };
let connection = "connecting";
// The time since which the figures are old, and why; null while they are current.
let staleSince = null;
let stopReason = null;
let page = null;

export const isStale = () => staleSince !== null;

// Connects, and connects again after failures. The page has `url`, `title`, `handlers` by the names of
// events, `time`, which returns the time of the figures or null, `isFinished`, `caption(state)`, the text
// beside the state, `becameStale`, and `draw`, which is called after each event.
export function startStream(options) {
  page = options;
  connect();
}

function setConnection(state) {
  if (state === connection) return;
  const wasStale = isStale();
  connection = state;
  const isOld = state === "lost" || state === "ended";
  if (!isOld) staleSince = null;
  else if (!wasStale) staleSince = page.time();
  if (isOld) page.becameStale();
  drawConnection();
  announce($("stale").hidden ? $("connection").textContent : $("stale").textContent);
}

export function drawConnection() {
  const state = connection === "live" && page.isFinished() ? "finished" : connection;
  const root = document.documentElement;
  root.dataset.state = state;
  root.toggleAttribute("data-stale", isStale());
  setText("connection", labels[state]);
  const asOf = isStale() ? `as of ${clock(staleSince)}` : "";
  setText("as-of", asOf || page.caption(state));
  $("stale").hidden = !isStale();
  if (isStale()) setText("stale", `${staleReason()} The figures are ${asOf}.`);
  document.title = state === "live" || state === "connecting" ? page.title : `${labels[state]} – ${page.title}`;
}

function staleReason() {
  if (connection === "lost") return "The connection is lost; the page connects again by itself.";
  if (stopReason === null) return "tally has stopped.";
  return `Stopped: ${stopReason}.`;
}

function connect() {
  const events = new EventSource(page.url);
  let lastEvent = performance.now();
  const on = (name, apply) => events.addEventListener(name, (event) => {
    lastEvent = performance.now();
    apply(JSON.parse(event.data));
    page.draw();
  });
  // A connection that is cut without a close on this side reports no error.
  const watch = setInterval(() => {
    if (connection === "ended" || performance.now() - lastEvent < SILENCE_MS) return;
    setConnection("lost");
    reconnect(0);
  }, 1000);
  const reconnect = (delay) => {
    clearInterval(watch);
    events.close();
    setTimeout(connect, delay);
  };
  on("alive", () => {});
  for (const [name, apply] of Object.entries(page.handlers)) on(name, apply);
  on("end", ({ reason }) => {
    stopReason = reason;
    setConnection("ended");
  });
  events.onopen = () => {
    lastEvent = performance.now();
    setConnection("live");
  };
  events.onerror = () => {
    if (connection !== "ended") setConnection("lost");
    // The browser reconnects automatically, except after a response that is not an event stream.
    if (events.readyState === EventSource.CLOSED) reconnect(RECONNECT_MS);
  };
}
