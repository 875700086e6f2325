// The page: connects to the event stream and draws the model at most once per frame. All data from
// the server is inserted as text, never as HTML.

import { advanceCharts, drawCharts, drawLatest } from "./charts.js";
import {
  batchedCaption, callsCaption, clock, counted, duration, grouped, isBacklog, playsCaption, queueCaption,
} from "./logic.js";
import { applyCall, applyState, applyStatistics, model, serverTime } from "./model.js";
import { $, announce, setText, silence } from "./page.js";
import { drawTable, removeHighlights, resetTable, startTable, videoChanged } from "./table.js";

const RECONNECT_MS = 3000;
// While the totals change, they are announced after this much silence.
const SUMMARY_MS = 20_000;
// A connection without any event for this long is lost: the server sends one at least every 10 s.
const SILENCE_MS = 20_000;

// MARK: Connection

// The states of the connection. In `lost` and `ended` the figures are old.
const labels = { connecting: "Connecting", live: "Live", finished: "Run ended", lost: "Disconnected", ended: "Stopped" };
let connection = "connecting";
// The time since which the figures are old, and why; null while they are current.
let staleSince = null;
let stopReason = null;

function setConnection(state) {
  if (state === connection) return;
  const wasStale = staleSince !== null;
  connection = state;
  const isStale = state === "lost" || state === "ended";
  if (!isStale) staleSince = null;
  else if (!wasStale && model.statistics) staleSince = serverTime();
  if (isStale) $("new-run").hidden = true;
  drawConnection();
  announce($("stale").hidden ? $("connection").textContent : $("stale").textContent);
}

function drawConnection() {
  const state = connection === "live" && model.verdict !== null ? "finished" : connection;
  const root = document.documentElement;
  root.dataset.state = state;
  root.toggleAttribute("data-stale", staleSince !== null);
  setText("connection", labels[state]);
  const asOf = staleSince === null ? "" : `as of ${clock(staleSince)}`;
  const since = model.run === null ? "" : `since ${clock(model.run.started)}`;
  setText("as-of", asOf || (state === "finished" ? `at ${clock(model.verdict.time)}` : since));
  $("stale").hidden = staleSince === null;
  if (staleSince !== null) setText("stale", `${staleReason()} The figures are ${asOf}.`);
  document.title = state === "live" || state === "connecting" ? "tally: videos" : `${labels[state]} – tally: videos`;
}

function staleReason() {
  if (connection === "lost") return "The connection is lost; the page connects again by itself.";
  if (stopReason === null) return "tally has stopped.";
  return `Stopped: ${stopReason}.`;
}

function connect() {
  const events = new EventSource("/events");
  let lastEvent = performance.now();
  const on = (name, apply) => events.addEventListener(name, (event) => {
    lastEvent = performance.now();
    apply(JSON.parse(event.data));
    scheduleDraw();
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
  on("state", stateReceived);
  on("call", (call) => applyCall(call, videoChanged));
  on("statistics", applyStatistics);
  on("verdict", (verdict) => {
    model.verdict = verdict;
    drawVerdict();
    drawConnection();
    announce(`${$("verdict-title").textContent}. ${$("verdict-reason").textContent}`);
  });
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

function stateReceived(state) {
  const isNewRun = applyState(state);
  setText("source", state.settings.source);
  setText("produce", state.settings.produce_command ?? "");
  $("start-command").hidden = state.settings.produce_command === null;
  $("latest").dataset.unit = "call";
  drawVerdict();
  drawConnection();
  advanceCharts();
  drawCharts();
  resetTable();
  if (!isNewRun) return;
  setText("new-run-text", `A new run has started at ${clock(model.run.started)}. Its calls and times replace those of the run before.`);
  $("new-run").hidden = false;
  announce($("new-run-text").textContent);
}

// MARK: Verdict

function drawVerdict() {
  const { verdict } = model;
  $("verdict").hidden = verdict === null;
  if (verdict === null) return;
  const broken = verdict.rules.filter((rule) => !rule.holds);
  $("verdict").dataset.verdict = verdict.verdict;
  setText("verdict-title", `Verdict: ${verdict.verdict}`);
  setText("verdict-reason", broken.length === 0
    ? `All ${counted(verdict.rules.length, "rule")} hold.`
    : `${broken.length} of ${counted(verdict.rules.length, "rule")} ${broken.length === 1 ? "is" : "are"} broken:`);
  drawRules("verdict-broken", broken);
  drawRules("verdict-rules", verdict.rules);
}

function drawRules(id, rules) {
  $(id).hidden = rules.length === 0;
  $(id).replaceChildren(...rules.map(({ rule, holds, detail }) => {
    const item = document.createElement("li");
    item.className = holds ? "holds" : "broken";
    const text = document.createElement("span");
    text.textContent = `${holds ? "holds" : "broken"}: ${rule}`;
    const small = document.createElement("small");
    small.textContent = detail;
    item.append(text, small);
    return item;
  }));
}

// MARK: Figures

function drawFigures() {
  const { statistics: now, settings } = model;
  if (!now) return;
  setText("plays", grouped(model.plays));
  setText("plays-note", playsCaption(now));
  setText("calls", grouped(now.calls.made));
  setText("calls-note", callsCaption(now.calls));
  drawDuration("slowest", now.worst_immediate_us, now.worst_immediate_us > 0);
  setText("slowest-note", now.worst_immediate_us > 0 ? "from receipt to call" : "none yet");
  drawDuration("longest", now.worst_batched_us, now.worst_batched_us > 0);
  setText("longest-note", batchedCaption(now, settings.freshness_ms));
  $("longest").toggleAttribute("data-warning", now.worst_batched_us > settings.freshness_ms * 1000);
  setText("queue", now.queue ? grouped(now.queue.depth) : "–");
  setText("queue-note", queueCaption(now.queue, now.backlog_ms));
  $("queue").toggleAttribute("data-warning", isBacklog(now.queue, now.backlog_ms));
  drawProblem(now.problem);
}

function drawProblem(problem) {
  if ($("problem").hidden === (problem === null)) return;
  $("problem").hidden = problem === null;
  setText("problem", problem === null ? "" : `Counting waits: ${problem}.`);
  announce(problem === null ? "Counting works again." : $("problem").textContent);
}

function drawDuration(id, microseconds, isKnown) {
  const [number, unit] = isKnown ? duration(microseconds) : ["–", ""];
  const element = $(id);
  if (element.dataset.text === number + unit) return;
  element.dataset.text = number + unit;
  const small = document.createElement("small");
  small.textContent = unit;
  element.replaceChildren(number, small);
}

// Announces the totals while they change.
let announcedPlays = 0;
function announceTotals() {
  if (!model.statistics || staleSince !== null || silence() < SUMMARY_MS) return;
  if (model.plays === announcedPlays) return;
  announcedPlays = model.plays;
  announce(`${counted(model.plays, "play")} of ${counted(model.statistics.videos, "video")} in ${counted(model.statistics.calls.made, "call")}`);
}

// MARK: Drawing

let isDrawing = false;

function scheduleDraw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame((now) => {
    isDrawing = false;
    drawFigures();
    drawLatest();
    drawTable(now);
  });
}

$("new-run-dismiss").addEventListener("click", () => {
  $("new-run").hidden = true;
  $("videos").focus();
});
startTable(scheduleDraw);
connect();
setInterval(removeHighlights, 100);
// The charts move even without events.
setInterval(() => {
  if (staleSince === null) advanceCharts();
  drawCharts();
  announceTotals();
  scheduleDraw();
}, 1000);
