// Actions on all jobs that match a filter, their progress, and the log of actions.

import { bodyOf, previewText, progressOf, queryOf } from "./jobs-logic.js";
import { counted, dateAndClock, grouped } from "./logic.js";
import { $, announce, button, element, reuse, setText } from "./page.js";

// An operation that has ended stays visible for this time.
const ENDED_MS = 15_000;

// Sends a change to the API. Returns the error as a text; null after success.
export async function post(path, body) {
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (response.ok) return null;
    const { error } = await response.json();
    announce(error);
    return error;
  } catch (error) {
    return `It is not known whether the change was made: ${error.message}`;
  }
}

// Sends a change to the API, and shows an error at the top of the page. For buttons that have no
// place for an error beside them.
export async function act(path, body) {
  const problem = await post(path, body);
  $("refusal").hidden = problem === null;
  setText("refusal", problem ?? "");
}

// MARK: Confirmation

// The action and the filter that the open dialog asks about; null while it is closed.
let asked = null;

// Opens a dialog that shows how many jobs match a filter, and asks whether to perform an action on
// all of them.
export async function bulk(action, filter) {
  const current = (asked = { action, filter });
  const name = action[0].toUpperCase() + action.slice(1);
  setText("confirm-title", `${name} all matching jobs?`);
  setText("confirm-text", "Counting the jobs…");
  setText("confirm-yes", name);
  $("confirm-yes").disabled = true;
  $("confirm-queue-part").hidden = action !== "move";
  showError(null);
  $("confirm").showModal();
  try {
    const response = await fetch(`/api/jobs/preview?${queryOf(filter)}`);
    const answer = await response.json();
    if (asked !== current) return;
    if (!response.ok) return showError(answer.error);
    setText("confirm-text", previewText(answer, action));
    $("confirm-yes").disabled = answer.count === 0 && answer.complete;
  } catch (error) {
    if (asked === current) showError(`The jobs cannot be counted: ${error.message}`);
  }
}

function showError(text) {
  $("confirm-error").hidden = text === null;
  setText("confirm-error", text ?? "");
}

async function confirmed() {
  const current = asked;
  const { action, filter } = current;
  $("confirm-yes").disabled = true;
  const queue = action === "move" ? { queue: $("confirm-queue").value.trim() } : {};
  const problem = await post("/api/jobs/bulk", { action, filter: bodyOf(filter), ...queue });
  if (asked !== current) return;
  $("confirm-yes").disabled = false;
  if (problem !== null) return showError(problem);
  $("confirm").close();
}

export function startActions() {
  $("confirm-yes").addEventListener("click", confirmed);
  $("confirm-no").addEventListener("click", () => $("confirm").close());
  $("confirm").addEventListener("close", () => { asked = null; });
}

// MARK: Progress

// The time when this page first saw that an operation had ended, by the number of the operation.
const endedAt = new Map();

export function drawActions({ operations, actions }) {
  const now = performance.now();
  for (const { number, state } of operations) {
    // After a restart of tally, the numbers begin again.
    if (state === "running") endedAt.delete(number);
    else if (!endedAt.has(number)) endedAt.set(number, now);
  }
  const shown = operations.filter(({ number, state }) => state === "running" || now - endedAt.get(number) < ENDED_MS);
  $("operations").hidden = shown.length === 0;
  reuse($("operations"), shown, ({ number }) => number, () => {
    const item = element("li");
    item.append(
      element("span"),
      button("Stop", () => act(`/api/jobs/bulk/${item.dataset.key}/cancel`)),
      element("progress"));
    return item;
  }, drawOperation);
  drawLog(actions);
}

function drawOperation(item, operation) {
  const [text, stop, progress] = item.children;
  item.dataset.state = operation.state;
  const rest = operation.unchanged > 0 ? `, ${grouped(operation.unchanged)} not allowed` : "";
  const error = operation.error === null ? "" : `: ${operation.error}`;
  setText(text, `${operation.action}: ${operation.target} – ${operation.state}, ${counted(operation.changed, "job")} changed${rest}${error}`);
  stop.hidden = operation.state !== "running";
  progress.hidden = operation.state !== "running";
  progress.setAttribute("aria-label", "progress of the change");
  const done = progressOf(operation);
  if (done === null) progress.removeAttribute("value");
  else progress.value = done;
}

function drawLog(actions) {
  $("log").hidden = actions.length === 0;
  reuse($("log-rows"), actions, ({ number }) => number, () => {
    const item = element("li");
    item.append(element("time"), element("span"));
    return item;
  }, (item, action) => {
    const [time, text] = item.children;
    setText(time, dateAndClock(action.time));
    time.dateTime = new Date(action.time).toISOString();
    const isOne = action.changed === 1 && action.unchanged === 0;
    const count = isOne ? "" : `: ${counted(action.changed, "job")} changed`
      + (action.unchanged > 0 ? `, ${grouped(action.unchanged)} not allowed` : "");
    setText(text, `${action.action} ${action.target}${count}${action.error === null ? "" : ` – ${action.error}`}`);
  });
}
