// Actions on all jobs that match a filter, their progress, and the log of actions.

import { bodyOf, previewText, progressOf, queryOf } from "./jobs-logic.js";
import { clock, counted, grouped } from "./logic.js";
import { $, announce, button, element, reuse, setText } from "./page.js";

// Ended changes are shown for this time.
const ENDED_MS = 15_000;

// Sends a change. Returns the error as a text, or null.
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
    return `The change was not made: ${error.message}`;
  }
}

// Sends a change from a button without a place for an error of its own.
export async function act(path, body) {
  const problem = await post(path, body);
  $("refusal").hidden = problem === null;
  setText("refusal", problem ?? "");
}

// MARK: Confirmation

// The change that the dialog asks about.
let asked = null;

// Asks whether an action is to be done with all jobs that match a filter, with their number.
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
  const { action, filter } = asked;
  $("confirm-yes").disabled = true;
  const queue = action === "move" ? { queue: $("confirm-queue").value.trim() } : {};
  const problem = await post("/api/jobs/bulk", { action, filter: bodyOf(filter), ...queue });
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

// When the page saw the end of an operation, by its number.
const endedAt = new Map();

export function drawActions({ operations, actions }) {
  const now = performance.now();
  for (const { number, state } of operations) {
    if (state === "running" || endedAt.has(number)) continue;
    endedAt.set(number, now);
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
    setText(time, `${new Date(action.time).toLocaleDateString("en-GB")} ${clock(action.time)}`);
    time.dateTime = new Date(action.time).toISOString();
    const isOne = action.changed === 1 && action.unchanged === 0;
    const count = isOne ? "" : `: ${counted(action.changed, "job")} changed`
      + (action.unchanged > 0 ? `, ${grouped(action.unchanged)} not allowed` : "");
    setText(text, `${action.action} ${action.target}${count}${action.error === null ? "" : ` – ${action.error}`}`);
  });
}
