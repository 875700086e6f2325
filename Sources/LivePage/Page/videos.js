// The videos page: connects to the event stream and draws the model at most once per frame. All
// data from the server is inserted as text, never as HTML.

import { advanceCharts, drawCharts, drawLatest } from "./charts.js";
import {
  batchedCaption, callsCaption, clock, counted, duration, grouped, isBacklog, playsCaption, queueCaption,
} from "./logic.js";
import { applyCall, applyState, applyStatistics, model, serverTime } from "./model.js";
import { $, announce, setText, silence } from "./page.js";
import { drawConnection, isStale, startStream } from "./stream.js";
import { drawTable, removeHighlights, resetTable, startTable, videoChanged } from "./table.js";

// If the totals have changed, they are announced to screen readers when nothing else was announced
// for this time.
const SUMMARY_MS = 20_000;
// MARK: Connection

function connect() {
  startStream({
    url: "/events",
    title: "tally: videos",
    handlers: {
      state: stateReceived,
      call: (call) => applyCall(call, videoChanged),
      statistics: applyStatistics,
      verdict: verdictReceived,
    },
    time: () => (model.statistics ? serverTime() : null),
    isFinished: () => model.verdict !== null,
    caption(state) {
      if (state === "finished") return `at ${clock(model.verdict.time)}`;
      return model.run === null ? "" : `since ${clock(model.run.started)}`;
    },
    becameStale: () => { $("new-run").hidden = true; },
    draw: scheduleDraw,
  });
}

function verdictReceived(verdict) {
  model.verdict = verdict;
  drawVerdict();
  drawConnection();
  announce(`${$("verdict-title").textContent}. ${$("verdict-reason").textContent}`);
}

function stateReceived(state) {
  const isNewRun = applyState(state);
  setText("source", state.settings.source);
  const { has_jobs, has_topics } = state.settings;
  $("pages").hidden = !has_jobs && !has_topics;
  $("jobs-link").hidden = !has_jobs;
  for (const link of document.querySelectorAll(".topics-link")) link.hidden = !has_topics;
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

// Announces the totals to screen readers if they have changed.
let announcedPlays = 0;
function announceTotals() {
  if (!model.statistics || isStale() || silence() < SUMMARY_MS) return;
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
// The time axis of the charts advances even without events.
setInterval(() => {
  if (!isStale()) advanceCharts();
  drawCharts();
  announceTotals();
  scheduleDraw();
}, 1000);
