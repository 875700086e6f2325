// The event stream of a page, and how the page shows its connection.

import { clock } from "./logic.js";
import { $, announce, setText } from "./page.js";

const RECONNECT_MS = 3000;
// A connection without any event for this long is lost: the server sends one at least every 10 s.
const SILENCE_MS = 20_000;

// The captions of the states of the connection. In the states `lost` and `ended`, the shown figures
// are stale.
const labels = { connecting: "Connecting", live: "Live", finished: "Run ended", lost: "Disconnected", ended: "Stopped" };
let connection = "connecting";
// The time of the shown figures if they are stale (otherwise null), and the reason why the server
// stopped.
let staleSince = null;
let stopReason = null;
let page = null;

export const isStale = () => staleSince !== null;

// Connects to the event stream, and reconnects after failures. `options` describes the page: `url`
// of the stream, `title`, `handlers` by the names of events, `time()` of the figures or null,
// `isFinished()`, `caption(state)` for the text beside the state, `becameStale()`, and `draw()`,
// which runs after each event.
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

// The browser keeps a page that the user has left, for its back button. Such a page disconnects,
// because a browser opens at most six connections to a server. It reconnects when it is shown
// again.
let disconnect = () => {};
let waiting = 0;
window.addEventListener("pagehide", () => disconnect());
window.addEventListener("pageshow", ({ persisted }) => { if (persisted) connect(); });

function connect() {
  const events = new EventSource(page.url);
  let lastEvent = performance.now();
  const on = (name, apply) => events.addEventListener(name, (event) => {
    lastEvent = performance.now();
    apply(JSON.parse(event.data));
    page.draw();
  });
  // If the network drops a connection without closing it, the browser reports no error. Only the
  // missing events show the loss.
  const watch = setInterval(() => {
    if (connection === "ended" || performance.now() - lastEvent < SILENCE_MS) return;
    setConnection("lost");
    reconnect(0);
  }, 1000);
  disconnect = () => {
    clearTimeout(waiting);
    clearInterval(watch);
    events.close();
  };
  const reconnect = (delay) => {
    disconnect();
    waiting = setTimeout(connect, delay);
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
