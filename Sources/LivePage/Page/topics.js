// The pages of topics and nodes: connects to the event stream, reads the data of the shown view,
// and draws at most once per frame. All data from the server is inserted as text, never as HTML.

import { drawLog, isAdmin, readSession, startActions } from "./topics-actions.js";
import { drawCharts, startCharts } from "./topics-charts.js";
import { drawList, listPath, startList } from "./topics-list.js";
import { routeOf } from "./topics-logic.js";
import { startFailed } from "./topics-failed.js";
import { startMessages } from "./topics-messages.js";
import { drawView } from "./topics-views.js";
import { clock } from "./logic.js";
import { $, announce, setText } from "./page.js";
import { drawConnection, isStale, startStream } from "./stream.js";

const base = document.documentElement.dataset.base;

// The last event, the shown route, and the last response for it.
let state = null;
let route = routeOf(location.pathname.slice(base.length));
let data = null;
let missing = "";
let clockOffset = 0;

const now = () => Date.now() + clockOffset;

// MARK: Reading

let pending = null;
let isOld = false;

// The path of the API for a route.
function pathFor({ view, topic, channel, node }, range) {
  const name = encodeURIComponent;
  switch (view) {
    case "topics": return listPath();
    case "topic": return `topics/${name(topic)}?range=${range}`;
    case "channel": return `topics/${name(topic)}/${name(channel)}?range=${range}`;
    case "node": return `nodes/${name(node)}`;
    case "lookup": return "lookup";
    default: return "nodes";
  }
}

// Reads the data of the shown view. A call during a request causes one more request afterwards;
// with `isNew`, the request in progress is aborted instead.
async function read({ isNew = false } = {}) {
  if (pending !== null && !isNew) {
    isOld = true;
    return;
  }
  pending?.abort();
  const controller = (pending = new AbortController());
  isOld = false;
  const range = document.querySelector(".ranges [aria-pressed=true]").dataset.range;
  const get = (path) => fetch(`${base}/api/live/${path}`, { signal: controller.signal });
  try {
    const needsPoints = ["topics", "counter"].includes(route.view);
    const [response, points] = await Promise.all([
      get(pathFor(route, range)), needsPoints ? get(`points?range=${range}`) : null,
    ]);
    const answer = await response.json();
    const extra = points === null ? {} : await points.json();
    if (pending !== controller) return;
    missing = response.ok ? "" : answer.error;
    if (response.ok) data = { ...answer, ...extra, route, range, time: performance.now() };
    else if (response.status === 404 && data?.route === route) data = null;
  } catch (error) {
    if (error.name === "AbortError") return;
    missing = `The page cannot be read: ${error.message}`;
  }
  pending = null;
  scheduleDraw();
  if (isOld) read();
}

// MARK: Navigation

function show(path, isBack) {
  if (!isBack) history.pushState(null, "", base + path);
  route = routeOf(path.split(/[?#]/)[0]);
  data = null;
  missing = "";
  read({ isNew: true });
  scheduleDraw();
  if (isBack) return;
  window.scrollTo(0, 0);
  $("view").focus({ preventScroll: true });
}

// True for the paths of the pages of topics and nodes. The server may have other pages, such as
// `/jobs`.
const isOurs = (path) => /^\/(topics|nodes|counter|lookup)(\/|$)/.test(path.slice(base.length)) && path.startsWith(base);

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || !isOurs(url.pathname) || link.getAttribute("href").startsWith("#")) return;
  event.preventDefault();
  show(url.pathname.slice(base.length), false);
});
window.addEventListener("popstate", () => show(location.pathname.slice(base.length), true));

// MARK: Drawing

let isDrawing = false;

function scheduleDraw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    if (state) draw();
  });
}

function draw() {
  for (const link of document.querySelectorAll("#pages [data-view]")) {
    const isCurrent = link.dataset.view === route.view
      || (link.dataset.view === "topics" && ["topic", "channel"].includes(route.view))
      || (link.dataset.view === "nodes" && route.view === "node");
    if (isCurrent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const shown = data !== null && data.route === route ? data : null;
  drawProblem(shown?.warnings ?? []);
  // Before the first poll of the cluster, a missing topic is not an error.
  const isLoading = state.number === 0;
  drawView({ route, state, data: shown, missing: isLoading ? "" : missing, now: now(), base });
  if (route.view === "topics") drawList(shown, state, base);
  drawCharts(shown, now());
  drawLog(state.actions);
}

// Shows the problems of the cluster, and the warnings of the shown view.
function drawProblem(others) {
  const { problem } = state;
  const warnings = [...new Set([...state.warnings, ...others])];
  if ($("problem").hidden !== (problem === null)) {
    $("problem").hidden = problem === null;
    announce(problem === null ? "The cluster can be read again." : "The cluster cannot be read.");
  }
  setText("problem", problem === null ? "" : `The cluster cannot be read: ${problem}. The figures are as of ${clock(state.time)}.`);
  $("warnings").hidden = warnings.length === 0 || problem !== null;
  setText("warnings", `Some servers do not respond, so figures are incomplete: ${warnings.join("; ")}`);
}

function received(event) {
  const isNew = event.number !== state?.number;
  state = event;
  // Only the first event of a poll sets the clock offset. A later event of the same poll has the
  // same time, but was sent later.
  if (isNew && event.problem === null && event.number > 0) clockOffset = event.time - Date.now();
  read();
  drawConnection();
}

// Handles the first event of each connection. Reads the session again, because the server may have
// restarted with other options.
function connected(event) {
  readSession(base, scheduleDraw);
  received(event);
}

startActions({ base, redraw: () => read({ isNew: true }), go: (path) => show(path, false), isAdmin });
startList(() => read({ isNew: true }));
startMessages(base);
startFailed();
startCharts(() => read({ isNew: true }));
startStream({
  url: `${base}/api/live/events`,
  title: "tally: topics",
  handlers: { state: connected, update: received },
  time: () => state?.time ?? null,
  isFinished: () => false,
  caption: () => (state === null ? "" : `since ${clock(state.started)}`),
  becameStale: () => {},
  draw: scheduleDraw,
});
setInterval(() => { if (!isStale()) scheduleDraw(); }, 1000);
