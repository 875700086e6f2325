// The jobs page: connects to the event stream and draws the state at most once per frame. All data
// from the server is inserted as text, never as HTML.

import { drawActions, startActions } from "./jobs-actions.js";
import { drawCharts, recordSeconds } from "./jobs-charts.js";
import { detailChanged, startDetail } from "./jobs-detail.js";
import { drawListControls, listChanged, startList } from "./jobs-list.js";
import { drawOverview } from "./jobs-overview.js";
import { clock } from "./logic.js";
import { $, announce, setText } from "./page.js";
import { drawConnection, isStale, startStream } from "./stream.js";

// The last event, the settings in the last `state` event, and the server's clock minus the
// browser's clock in milliseconds.
let state = null;
let settings = null;
let clockOffset = 0;

const now = () => Date.now() + clockOffset;

function stateReceived(event) {
  settings = event.settings;
  $("videos-link").hidden = !settings.has_videos;
  for (const link of document.querySelectorAll(".topics-link")) link.hidden = !settings.has_topics;
  setText("enqueue", `curl --json '{"name":"greet","arguments":{"to":"Ada"}}' ${location.origin}/api/jobs`);
  received(event, true);
  drawConnection();
}

function received(event, isState) {
  state = event;
  clockOffset = event.time - Date.now();
  recordSeconds(event.seconds, isState);
  listChanged(event);
  detailChanged();
}

// MARK: Drawing

let isDrawing = false;

function scheduleDraw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    if (!state) return;
    drawProblem();
    drawOverview(state, now());
    drawListControls(state);
    drawActions(state);
    drawCharts(state, now());
  });
}

function drawProblem() {
  const { problem } = state;
  if ($("problem").hidden === (problem === null)) return;
  $("problem").hidden = problem === null;
  setText("problem", problem === null ? "" : `The jobs cannot be read: ${problem}. The figures are as of ${clock(state.time)}.`);
  announce(problem === null ? "The jobs can be read again." : $("problem").textContent);
}

startList(scheduleDraw);
startDetail();
startActions();
startStream({
  url: "/jobs/events",
  title: "tally: jobs",
  handlers: { state: stateReceived, update: (event) => received(event, false) },
  time: () => (state === null ? null : now()),
  isFinished: () => false,
  caption: () => (settings === null ? "" : `since ${clock(settings.started)}`),
  becameStale: () => {},
  draw: scheduleDraw,
});
// The ages of jobs and the charts change even without events.
setInterval(() => { if (!isStale()) scheduleDraw(); }, 1000);
