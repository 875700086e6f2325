// The dialog with one job: its fields, its attempts as a timeline, its arguments and output, and
// buttons that change it.

import { post } from "./jobs-actions.js";
import { allows, argumentsText, prettyJSON, spanText } from "./jobs-logic.js";
import { grouped } from "./logic.js";
import { $, element, reuse, setText } from "./page.js";

const REFRESH_MS = 1000;
const dates = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

let shownID = null;
let shown = null;
let readAt = -Infinity;
let refresh = null;
// The number of the newest request. The response to an earlier request is ignored.
let newest = 0;

const date = (text) => (text === null ? "–" : dates.format(new Date(text)));
const microseconds = (from, to) => (new Date(to) - new Date(from)) * 1000;

export async function showJob(id) {
  shownID = id;
  shown = null;
  setText("detail-title", `Job ${id}`);
  showError(null);
  if (!$("detail").open) $("detail").showModal();
  await read();
}

// Reads the shown job again after a change of the store.
export function detailChanged() {
  if (shownID === null) return;
  clearTimeout(refresh);
  refresh = setTimeout(read, Math.max(0, readAt + REFRESH_MS - performance.now()));
}

async function read() {
  const id = shownID;
  if (id === null) return;
  const current = ++newest;
  readAt = performance.now();
  try {
    const response = await fetch(`/api/jobs/${id}`);
    const answer = await response.json();
    if (id !== shownID || current !== newest) return;
    if (!response.ok) return showError(answer.error);
    shown = answer;
    draw();
  } catch (error) {
    if (id === shownID) showError(`The job cannot be read: ${error.message}`);
  }
}

function showError(text) {
  $("detail-error").hidden = text === null;
  setText("detail-error", text ?? "");
}

// MARK: Drawing

function draw() {
  setText("detail-title", `Job ${shown.id}: ${shown.name}`);
  drawFields();
  drawTimeline();
  setText("detail-arguments", argumentsText(shown.arguments));
  $("detail-output-part").hidden = shown.output === null;
  setText("detail-output", shown.output === null ? "" : prettyJSON(shown.output));
  for (const control of document.querySelectorAll("#detail-actions button")) {
    control.disabled = !allows(control.dataset.action, shown.state);
  }
  if ($("detail-queue") !== document.activeElement && $("detail-queue").dataset.job !== String(shown.id)) {
    $("detail-queue").value = shown.queue;
    $("detail-queue").dataset.job = shown.id;
  }
}

function drawFields() {
  const state = shown.cancel_requested ? `${shown.state}, cancellation requested` : shown.state;
  const fields = [
    ["State", state], ["Queue", shown.queue], ["Priority", shown.priority],
    ["Attempts", `${grouped(shown.attempt)} of ${grouped(shown.max_attempts)}`],
    ["Enqueued", date(shown.created_at)], ["Due", date(shown.due_at)], ["Started", date(shown.started_at)],
    ["Ended", date(shown.finished_at)], ["Tags", shown.tags.join(", ") || "–"], ["Unique key", shown.unique_key ?? "–"],
    ["Time limit", shown.timeout_seconds === null ? "none" : spanText(shown.timeout_seconds * 1e6)],
    ...(shown.note === null ? [] : [["Latest error or reason", shown.note]]),
  ];
  reuse($("detail-fields"), fields, ([name]) => name, () => {
    const field = element("div");
    field.append(element("dt"), element("dd"));
    return field;
  }, (field, [name, value]) => {
    setText(field.firstElementChild, name);
    setText(field.lastElementChild, value);
    field.classList.toggle("full", name === "Latest error or reason");
  });
}

function drawTimeline() {
  const { attempts } = shown;
  const running = shown.state === "running"
    ? [{ number: shown.attempt, result: "running", started_at: shown.started_at, ended_at: null, worker: null, error: null }] : [];
  const entries = [...attempts, ...running];
  $("no-attempt").hidden = entries.length > 0;
  const longest = Math.max(1, ...attempts.map(({ started_at, ended_at }) => microseconds(started_at, ended_at)));
  reuse($("timeline"), entries.map((entry, index) => ({ ...entry, index })), ({ index }) => index, () => {
    const item = element("li");
    item.append(element("span", "badge"), " ", element("span"), element("div", "bar"), element("pre"));
    item.lastElementChild.tabIndex = 0;
    return item;
  }, (item, attempt) => {
    const [badge, text, bar, error] = item.children;
    item.dataset.result = attempt.result;
    badge.className = `badge ${attempt.result}`;
    setText(badge, attempt.result === "leaseExpired" ? "worker lost" : attempt.result);
    const duration = attempt.ended_at === null ? null : microseconds(attempt.started_at, attempt.ended_at);
    setText(text, `attempt ${grouped(attempt.number)}, ${date(attempt.started_at)}`
      + `${duration === null ? "" : `, ${spanText(duration)}`}${attempt.worker === null ? "" : `, ${attempt.worker}`}`);
    bar.hidden = duration === null;
    bar.style.width = `${Math.max(0, ((duration ?? 0) / longest) * 100).toFixed(1)}%`;
    error.hidden = attempt.error === null;
    setText(error, attempt.error ?? "");
  });
}

// MARK: Actions

async function act(action) {
  const id = shownID;
  const queue = $("detail-queue").value.trim();
  const problem = action === "move"
    ? await post(`/api/jobs/${id}/edit`, { queue })
    : await post(`/api/jobs/${id}/${action}`);
  if (id !== shownID) return;
  showError(problem);
  read();
}

export function startDetail() {
  for (const control of document.querySelectorAll("#detail-actions button")) {
    control.addEventListener("click", () => act(control.dataset.action));
  }
  $("detail-close").addEventListener("click", () => $("detail").close());
  $("detail").addEventListener("close", () => { shownID = null; });
  const id = new URLSearchParams(location.search).get("id");
  if (id !== null && /^\d+$/.test(id)) showJob(Number(id));
}
