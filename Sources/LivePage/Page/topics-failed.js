// The failed messages of a channel at one node: reads them on request, retries and discards them.

import { ask } from "./topics-actions.js";
import { drawNodeChoice, messageRow, request } from "./topics-messages.js";
import { counted, dateAndClock, grouped } from "./logic.js";
import { $, announce, button, reuse, setText } from "./page.js";

// The channel whose failed messages are shown, the topic that contains them, the messages, and the
// position after them.
let shown = null;

// nsqd keeps the failed messages of a channel in a topic of their own. Ephemeral topics and channels
// have none.
export const hasFailedSet = ({ topic, channel }) => ![topic, channel].some((name) => name.endsWith("#ephemeral"));

const place = () => ({ node: $("failed-node").value, topic: shown.route.topic, channel: shown.route.channel });

// MARK: Reading

const LIMIT = 50;

async function read(after = null) {
  const { route } = shown;
  showProblem("");
  try {
    const page = await request("/failed", { ...place(), after, limit: LIMIT });
    if (shown.route !== route) return;
    shown.messages = after === null ? page.messages : [...shown.messages, ...page.messages];
    shown.next = page.next ?? null;
    shown.topic = page.failed_topic;
    shown.isRead = true;
    draw();
  } catch (error) {
    if (shown.route === route) showProblem(error.message);
  }
}

function showProblem(text) {
  $("failed-problem").hidden = text === "";
  setText("failed-problem", text);
  if (text !== "") announce(text);
}

// MARK: Changes

const VERBS = {
  retry: { button: "Retry", done: "retried", text: (them) => `The channel receives ${them} as new, with no attempts.` },
  discard: { button: "Discard", done: "discarded", text: () => "This cannot be undone." },
};

function askOne(verb, message) {
  ask(`${VERBS[verb].button} failed message ${message.id}?`, VERBS[verb].text("it"), VERBS[verb].button, [], async () => {
    try {
      const { messages } = await request(`/failed/${verb}`, { ...place(), id: message.id }, "POST");
      return messages === 1 ? null : "The message is no longer in the failed set.";
    } catch (error) {
      return error.message;
    }
  }, () => read());
}

function askAll(verb) {
  ask(`${VERBS[verb].button} all failed messages?`, VERBS[verb].text("them"), VERBS[verb].button, [], () => {
    changeAll(verb, shown.route);
    return null;
  }, () => {});
}

// Changes as many messages as the failed set has at the start, in portions of one request each, so that
// it ends even if retried messages fail again at once. It also ends when the user cancels it or leaves
// the channel; the messages of the former portions stay changed.
async function changeAll(verb, route) {
  const query = place();
  let [after, count, isCancelled] = [null, 0, false];
  const text = () => `${counted(count, "failed message")} ${VERBS[verb].done}`;
  $("failed-cancel").onclick = () => { isCancelled = true; };
  showProblem("");
  try {
    const { failed_sets: sets } = await request("/failed", { node: query.node });
    const limit = sets.find((set) => set.failed_topic === shown.topic)?.messages ?? 0;
    do {
      showProgress(`${text()} so far`, true);
      const portion = await request(`/failed/${verb}`, { ...query, after }, "POST");
      count += portion.messages;
      after = portion.next ?? null;
    } while (after !== null && count < limit && !isCancelled && shown.route === route);
  } catch (error) {
    if (shown.route === route) showProblem(error.message);
  }
  if (shown.route !== route) return;
  showProgress(`${text()}${isCancelled && after !== null ? ", then cancelled" : ""}`, false);
  await read();
}

function showProgress(text, isRunning) {
  $("failed-progress").hidden = false;
  setText("failed-progress-text", text);
  $("failed-cancel").hidden = !isRunning;
  if (!isRunning) announce(text);
}

// MARK: Drawing

// Shows the section for a channel. It reads failed messages only when the user asks for them.
export function drawFailed(route, nodes) {
  if (shown?.route !== route) {
    shown = { route, messages: [], next: null, isRead: false };
    showProblem("");
    $("failed-progress").hidden = true;
    draw();
  }
  drawNodeChoice("failed-node", nodes);
}

function draw() {
  const { messages, next, isRead } = shown;
  $("failed-table").hidden = messages.length === 0;
  $("failed-none").hidden = !isRead || messages.length > 0 || next !== null;
  setText("failed-shown", messages.length > 0 ? `${counted(messages.length, "message")}${next === null ? "" : ", more follow"}` : "");
  $("failed-further").hidden = next === null;
  $("failed-all").hidden = messages.length === 0 && next === null;
  reuse($("failed-rows"), messages, ({ id }) => id, () => messageRow(
    [["Failed"], ["Published"], ["Reason"], ["Attempts", "figure"], ["Bytes", "figure"]], VERBS, askOne,
  ), (row, message) => {
    row.message = message;
    const [head, failed, published, reason, attempts, bytes, body] = row.children;
    setText(head, message.id);
    setText(failed, dateAndClock(message.failed_at / 1e6));
    setText(published, dateAndClock(message.published_at / 1e6));
    setText(reason, message.reason === "attempts" ? "too many attempts" : message.reason);
    setText(attempts, grouped(message.attempts));
    setText(bytes, grouped(message.body_bytes));
    setText(body.firstElementChild, message.body);
  });
}

export function startFailed() {
  $("failed-show").addEventListener("click", () => read());
  $("failed-further").addEventListener("click", () => read(shown.next));
  for (const verb of Object.keys(VERBS)) $("failed-all").append(button(`${VERBS[verb].button} all…`, () => askAll(verb), "admin"));
}
