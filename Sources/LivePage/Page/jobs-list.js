// The list of jobs: its filter, its rows and its pages.

import { bulk } from "./jobs-actions.js";
import { showJob } from "./jobs-detail.js";
import { STATES, filterFrom, queryOf, timeOf, timeText } from "./jobs-logic.js";
import { counted, grouped } from "./logic.js";
import { $, announce, button, cell, element, reuse, setText } from "./page.js";

const ROWS = 50;
const TYPING_MS = 200;
// After changes in the store, the list is read again, but at most once in this time.
const REFRESH_MS = 1000;
// The server examines a bounded number of jobs for each page of results. If a page is not full, the
// search continues automatically, for at most this many pages.
const MAX_PAGES = 200;

let filter = filterFrom(location.search);
// The shown page contains jobs with IDs below this one; null if it shows the newest jobs.
let before = null;
let jobs = [];
let next = null;
let errorText = "";
let requestDraw = () => {};

export const filteredState = () => filter.state ?? "";
export const currentFilter = () => filter;

// Changes some members of the filter. A member with an empty text is removed.
export function filterBy(change, error) {
  if (change.error) errorText = error ?? "";
  const merged = { ...(change.error ? {} : filter), ...change };
  filter = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== ""));
  before = null;
  remember();
  fillControls();
  load({ isNew: true });
  if ("error" in change || "queue" in change || "state" in change) $("jobs").scrollIntoView({ block: "nearest" });
  requestDraw();
}

function remember() {
  const query = queryOf(filter);
  history.replaceState(null, "", query === "" ? "/jobs" : `/jobs?${query}`);
}

// MARK: Reading

let pending = null;
let lastState = null;
let readAt = -Infinity;
let readPages = 1;
let refresh = 0;
let isReading = false;
// True if the number of jobs in any state has changed since the list was read.
let isOld = false;

// Reads the shown page again if the number of jobs in any state has changed.
export function listChanged({ totals, queues }) {
  const state = JSON.stringify([totals, queues.map(({ queue, counts }) => [queue, counts])]);
  if (state === lastState) return;
  lastState = state;
  isOld = true;
  scheduleRefresh();
}

function scheduleRefresh() {
  clearTimeout(refresh);
  if (!isOld || isReading) return;
  // The pause is proportional to the number of pages that the last search read, so that long
  // searches do not occupy the server.
  const wait = Math.max(0, readAt + REFRESH_MS * readPages - performance.now());
  refresh = setTimeout(() => load({}), wait);
}

async function load({ isNew = false }) {
  pending?.abort();
  const controller = (pending = new AbortController());
  isReading = true;
  isOld = false;
  clearTimeout(refresh);
  try {
    let [found, from, page] = [[], before, 0];
    do {
      const answer = await read(from, controller.signal);
      found = found.concat(answer.jobs);
      from = answer.next;
      page += 1;
      if (isNew && from !== null && found.length < ROWS) setText("shown", `searching below job ${grouped(from)}…`);
    } while (found.length < ROWS && from !== null && page < MAX_PAGES);
    readPages = page;
    jobs = found.slice(0, ROWS);
    next = found.length > ROWS ? jobs.at(-1).id : from;
    drawRows();
    if (isNew) announce($("shown").textContent);
  } catch (error) {
    if (error.name !== "AbortError") setText("shown", `The jobs cannot be read: ${error.message}`);
  } finally {
    if (pending === controller) {
      isReading = false;
      readAt = performance.now();
      scheduleRefresh();
    }
  }
}

async function read(from, signal) {
  const query = new URLSearchParams({ ...filter, summary: "true", limit: ROWS });
  if (from !== null) query.set("before", from);
  const response = await fetch(`/api/jobs?${query}`, { signal });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

// MARK: Rows

function drawRows() {
  reuse($("rows"), jobs, ({ id }) => id, () => {
    const row = element("tr");
    const head = row.appendChild(element("th", "figure"));
    head.scope = "row";
    head.append(button("", () => showJob(Number(row.dataset.key)), "link"));
    row.append(cell("State"), cell("Name"), cell("Queue"), cell("Attempt", "figure"), cell("", "figure"), cell("", "wide-cell mono"));
    row.children[1].append(element("span", "badge"));
    return row;
  }, (row, job) => {
    const cells = row.children;
    setText(cells[0].firstElementChild, String(job.id));
    const badge = cells[1].firstElementChild;
    setText(badge, job.state);
    badge.className = `badge ${job.state}`;
    const tags = job.tags.length > 0 ? ` · ${job.tags.join(", ")}` : "";
    setText(cells[2], `${job.name}${tags}`);
    setText(cells[3], job.priority === "normal" ? job.queue : `${job.queue} · ${job.priority}`);
    setText(cells[4], `${grouped(job.attempt)} of ${grouped(job.max_attempts)}`);
    const [name, time] = timeOf(job);
    setText(cells[5], `${name} ${timeText(time, Date.now())}`);
    const isFailed = job.note !== "" && ["retryable", "discarded", "cancelled"].includes(job.state);
    setText(cells[6], isFailed ? job.note : job.arguments);
  });
  const hasFilter = Object.keys(filter).length > 0;
  $("job-table").hidden = jobs.length === 0;
  $("none").hidden = jobs.length > 0;
  setText("none", next !== null ? "No job was found yet." : hasFilter ? "No job matches the filter." : "There is no job.");
  $("newest").hidden = before === null;
  $("older").hidden = next === null;
  setText("older", jobs.length === 0 ? "Search further" : "Older");
  const more = next === null && before === null ? "" : before === null ? ", the newest" : `, below job ${grouped(before)}`;
  setText("shown", `${counted(jobs.length, "job")}${more}`);
}

// MARK: Controls

function options(select, values, all) {
  reuse(select, ["", ...values], (value) => value, () => element("option"), (option, value) => {
    option.value = value;
    setText(option, value === "" ? all : value);
  });
}

export function drawListControls({ queues, errors }) {
  options($("filter-state"), STATES, "all");
  const names = queues.map(({ queue }) => queue);
  options($("filter-queue"), filter.queue && !names.includes(filter.queue) ? [...names, filter.queue] : names, "all");
  options($("queue-names"), names, "");
  if (filter.error && errorText === "") {
    errorText = errors.find(({ number }) => String(number) === filter.error)?.error ?? "";
  }
  fillControls();
}

function fillControls() {
  for (const name of ["state", "queue", "name", "tag", "text"]) {
    const control = $(`filter-${name}`);
    if (control !== document.activeElement && control.value !== (filter[name] ?? "")) control.value = filter[name] ?? "";
  }
  $("filter-error").hidden = filter.error === undefined;
  setText("filter-error-clear", errorText === "" ? `group ${filter.error ?? ""}` : errorText);
  $("filter-clear").disabled = Object.keys(filter).length === 0;
}

let hasNames = false;

// Reads the job names for the completion of the input field, when the field first gets the focus.
async function completeNames() {
  if (hasNames) return;
  hasNames = true;
  try {
    const { names } = await (await fetch("/api/jobs/names")).json();
    options($("names"), names, "");
  } catch {
    hasNames = false;
  }
}

// Connects the controls. `draw` schedules a redraw of the page.
export function startList(draw) {
  requestDraw = draw;
  let typing = 0;
  for (const name of ["name", "tag", "text"]) {
    $(`filter-${name}`).addEventListener("input", ({ target }) => {
      clearTimeout(typing);
      typing = setTimeout(() => filterBy({ [name]: target.value.trim() }), TYPING_MS);
    });
  }
  for (const name of ["state", "queue"]) {
    $(`filter-${name}`).addEventListener("change", ({ target }) => filterBy({ [name]: target.value }));
  }
  $("filter-name").addEventListener("focus", completeNames);
  $("filter-error-clear").addEventListener("click", () => filterBy({ error: "" }));
  $("filter-clear").addEventListener("click", () => {
    filter = {};
    filterBy({});
  });
  $("older").addEventListener("click", () => {
    before = next;
    load({ isNew: true });
    $("jobs").scrollIntoView();
  });
  $("newest").addEventListener("click", () => {
    before = null;
    load({ isNew: true });
  });
  for (const control of document.querySelectorAll("#all-actions button")) {
    control.addEventListener("click", () => bulk(control.dataset.action, filter));
  }
}
