// The numbers of jobs by state, the queues, the workers, and the failed jobs by error.

import { act, bulk } from "./jobs-actions.js";
import { showJob } from "./jobs-detail.js";
import { filterBy, filteredState } from "./jobs-list.js";
import { STATES, limitText, memoryText, rateText, spanText, timeText } from "./jobs-logic.js";
import { grouped } from "./logic.js";
import { $, button, cell, element, reuse, setText } from "./page.js";

// A queue is highlighted if its oldest job waits for longer than `OLD_MS`, and a worker if its last
// report is older than `SILENT_MS`.
const OLD_MS = 60_000;
const SILENT_MS = 90_000;
const MAX_SHOWN_JOBS = 5;

export function drawOverview(state, now) {
  const all = state.totals;
  const total = STATES.reduce((sum, name) => sum + all[name], 0);
  const isEmpty = total === 0 && state.workers.length === 0;
  $("start").hidden = total > 0;
  for (const id of ["charts", "queues", "jobs"]) $(id).hidden = total === 0;
  $("workers").hidden = isEmpty;
  drawStates(all);
  drawQueues(state.queues, now);
  const rest = state.queue_count - state.queues.length;
  setText("more-queues", rest > 0 ? `and ${grouped(rest)} more` : "");
  drawWorkers(state.workers, now);
  drawErrors(state.errors, now);
}

function drawStates(all) {
  reuse($("states"), STATES, (state) => state, () => {
    const item = element("li");
    const control = item.appendChild(button("", () => filterBy({ state: item.dataset.key === filteredState() ? "" : item.dataset.key })));
    control.append(element("span", "label"), element("span", "number"));
    return item;
  }, (item, state) => {
    const control = item.firstElementChild;
    setText(control.firstElementChild, state);
    setText(control.lastElementChild, grouped(all[state]));
    control.setAttribute("aria-pressed", filteredState() === state);
    item.classList.toggle("alert", (state === "discarded" || state === "retryable") && all[state] > 0);
  });
}

// MARK: Queues

function drawQueues(queues, now) {
  reuse($("queue-rows"), queues, ({ queue }) => queue, () => {
    const row = element("tr");
    const head = row.appendChild(element("th"));
    head.scope = "row";
    head.append(button("", () => filterBy({ queue: row.dataset.key }), "link"), " ", element("span", "badge"), element("div", "soft limits"));
    for (const name of ["Available", "Running", "Per second", "Oldest waits", "Wait, 95 %", "Duration, 95 %"]) row.append(cell(name, "figure"));
    const actions = element("div", "actions");
    actions.append(button("", () => {
      const isPaused = row.dataset.paused === "true";
      act(`/api/queues/${encodeURIComponent(row.dataset.key)}/${isPaused ? "resume" : "pause"}`);
    }));
    const last = row.appendChild(element("td", "action"));
    last.append(actions);
    return row;
  }, (row, queue) => {
    const [link, , badge, limits] = row.firstElementChild.childNodes;
    setText(link, queue.queue);
    row.dataset.paused = queue.paused;
    badge.hidden = !queue.paused;
    setText(badge, "paused");
    setText(limits, limitText(queue));
    const age = queue.oldest === null ? null : Math.max(0, now - queue.oldest);
    const texts = [
      grouped(queue.counts.available), grouped(queue.counts.running), rateText(queue.rate),
      age === null ? "–" : spanText(age * 1000), queue.wait_us === null ? "–" : spanText(queue.wait_us),
      queue.duration_us === null ? "–" : spanText(queue.duration_us),
    ];
    const cells = row.querySelectorAll("td.figure");
    texts.forEach((text, index) => setText(cells[index], text));
    cells[3].classList.toggle("old", age !== null && age > OLD_MS);
    const control = row.querySelector(".actions button");
    setText(control, queue.paused ? "Resume" : "Pause");
    control.setAttribute("aria-label", `${control.textContent} queue ${queue.queue}`);
  });
}

// MARK: Workers

function drawWorkers(workers, now) {
  $("no-worker").hidden = workers.length > 0;
  $("worker-table").hidden = workers.length === 0;
  reuse($("worker-rows"), workers, ({ number }) => number, () => {
    const row = element("tr");
    const head = row.appendChild(element("th"));
    head.scope = "row";
    row.append(cell("Queues"), cell("Busy", "figure"), cell("Memory", "figure"), cell("Runs for", "figure"));
    row.append(cell("Does now", "wide-cell"));
    row.lastElementChild.append(element("div", "running-jobs"));
    return row;
  }, (row, worker) => {
    const silence = now - worker.seen;
    const cells = row.children;
    setText(cells[0], silence > SILENT_MS ? `${worker.name} (silent for ${spanText(silence * 1000)})` : worker.name);
    cells[0].classList.toggle("old", silence > SILENT_MS);
    setText(cells[1], worker.queues.join(", "));
    setText(cells[2], `${grouped(worker.running)} of ${grouped(worker.concurrency)}`);
    setText(cells[3], memoryText(worker.memory));
    setText(cells[4], spanText((now - worker.started) * 1000));
    drawRunning(cells[5].firstElementChild, worker, now);
  });
}

function drawRunning(list, { jobs, running }, now) {
  const shown = jobs.slice(0, MAX_SHOWN_JOBS);
  const rest = running - shown.length;
  const entries = [...shown, ...(rest > 0 ? [{ id: "rest" }] : []), ...(jobs.length === 0 ? [{ id: "idle" }] : [])];
  reuse(list, entries, ({ id }) => id, () => {
    const line = element("div");
    line.append(button("", () => showJob(Number(line.dataset.key)), "link"), element("span", "soft"));
    return line;
  }, (line, job) => {
    const [link, text] = line.children;
    link.hidden = typeof job.id !== "number";
    if (job.id === "rest") return setText(text, `and ${grouped(rest)} more`);
    if (job.id === "idle") return setText(text, "nothing");
    setText(link, `${job.name} ${job.id}`);
    const suffix = `${job.attempt > 1 ? `, attempt ${job.attempt}` : ""}${job.cancel_requested ? ", is being cancelled" : ""}`;
    setText(text, ` for ${spanText(Math.max(0, now - job.started) * 1000)}${suffix}`);
  });
}

// MARK: Errors

function drawErrors(errors, now) {
  $("errors").hidden = errors.length === 0;
  reuse($("error-rows"), errors, ({ number }) => number, () => {
    const row = element("tr");
    row.append(cell("Jobs", "figure"), cell("Name"), cell("Error", "wide-cell"), cell("Latest", "figure"));
    row.children[2].append(button("", () => filterBy({ error: row.dataset.key }, row.dataset.error), "link"));
    row.children[3].append(button("", () => showJob(Number(row.dataset.job)), "link"));
    const actions = element("div", "actions");
    actions.append(
      button("Retry…", () => bulk("retry", { error: row.dataset.key })),
      button("Discard…", () => bulk("discard", { error: row.dataset.key })));
    row.appendChild(element("td", "action")).append(actions);
    return row;
  }, (row, group) => {
    row.dataset.error = group.error;
    row.dataset.job = group.latest_job;
    setText(row.children[0], grouped(group.count));
    setText(row.children[1], group.name);
    setText(row.children[2].firstElementChild, group.error === "" ? "(no text)" : group.error);
    setText(row.children[3].firstElementChild, group.latest === 0 ? `job ${group.latest_job}` : timeText(group.latest, now));
  });
}
