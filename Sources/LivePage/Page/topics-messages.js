// The messages of a topic or channel at one node: reads them on request, and changes them.

import { ask, valueOf } from "./topics-actions.js";
import { messageQuery, operationText, stateText } from "./topics-logic.js";
import { counted, dateAndClock, grouped } from "./logic.js";
import { $, announce, button, cell, element, reuse, setText } from "./page.js";

let base = "";
// The route whose messages are shown, the messages, the position after them, and the node.
let shown = null;

const filter = () => ({
  state: $("message-state").value, contains: $("message-text").value,
  min_attempts: $("message-attempts").value.trim(), min_age: $("message-age").value,
});

// Sends a request about messages at one node. Fails with the error as a text.
export async function request(path, query, method = "GET") {
  const response = await fetch(`${base}/api/live/messages${path}?${messageQuery(query)}`, { method });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

const place = () => ({ node: $("message-node").value, topic: shown.route.topic, channel: shown.route.channel });

// MARK: Reading

// The time for which a search goes on while the responses contain no message.
const SEARCH_MS = 5000;

async function read(after = null) {
  const { route } = shown;
  showProblem("");
  const begun = performance.now();
  let page = { messages: [], next: after };
  try {
    do {
      page = await request("", { ...place(), ...filter(), after: page.next, limit: 50 });
    } while (page.messages.length === 0 && page.next !== null && performance.now() - begun < SEARCH_MS && shown.route === route);
  } catch (error) {
    if (shown.route === route) showProblem(error.message);
    return;
  }
  if (shown.route !== route) return;
  shown.messages = after === null ? page.messages : [...shown.messages, ...page.messages];
  shown.next = page.next;
  shown.isRead = true;
  draw();
}

function showProblem(text) {
  $("message-problem").hidden = text === "";
  setText("message-problem", text);
  if (text !== "") announce(text);
}

// MARK: Changes

// Changes one message; the nsqd refuses it if the message was delivered meanwhile.
async function change(verb, message, more = {}) {
  try {
    await request(`/${verb}`, { ...place(), id: message.id, attempts: message.attempts, ...more }, "POST");
    return null;
  } catch (error) {
    return error.message;
  }
}

const VERBS = {
  delete: { button: "Delete", done: "deleted", fields: [] },
  requeue: { button: "Requeue", done: "made ready", fields: [] },
  defer: { button: "Defer", done: "deferred", fields: [{ id: "defer", label: "Delay in seconds", value: "60" }] },
  move: { button: "Move", done: "moved to another topic", fields: [{ id: "to", label: "Topic" }] },
};

function argumentsOf(verb) {
  if (verb === "defer") return { defer: Math.round(Number(valueOf("defer")) * 1000) };
  return verb === "move" ? { to: valueOf("to") } : {};
}

function askOne(verb, message) {
  const { button: text, done, fields } = VERBS[verb];
  ask(`${text} message ${message.id}?`, `It is ${done}. Its number of attempts stays the same.`, text, fields,
    () => change(verb, message, argumentsOf(verb)), () => read());
}

// Counts the selected messages, and asks before it changes them.
async function askAll(verb) {
  const { button: text, done, fields } = VERBS[verb];
  const query = { ...place(), ...filter() };
  const route = shown.route;
  showProblem("");
  try {
    const preview = await request("/all/delete", { ...query, preview: true }, "POST");
    const { selected } = await ended(preview, route);
    if (shown.route !== route) return;
    ask(`${text} ${counted(selected, "message")}?`, `All messages that the filter selects are ${done}, in the background.`, text, fields, async () => {
      try {
        const operation = await request(`/all/${verb}`, { ...query, ...argumentsOf(verb) }, "POST");
        ended(operation, route).then(() => read(), (error) => showProblem(error.message));
        return null;
      } catch (error) {
        return error.message;
      }
    }, () => {});
  } catch (error) {
    showProblem(error.message);
  }
}

// Waits for the end of an operation, and shows its progress.
async function ended(operation, route) {
  const node = $("message-node").value;
  let current = operation;
  while (current.state === "running" && shown.route === route) {
    drawOperation(current, node);
    await new Promise((resolve) => { setTimeout(resolve, 300); });
    const { operations } = await request("/operations", { node });
    current = operations.find(({ operation: number }) => number === operation.operation) ?? { ...current, state: "failed" };
  }
  drawOperation(current, node);
  if (current.state === "failed") throw new Error(operationText(current));
  return current;
}

function drawOperation(operation, node) {
  const isRunning = operation.state === "running";
  $("message-progress").hidden = operation.action === "count" && !isRunning;
  setText("message-progress-text", operationText(operation));
  $("message-cancel").hidden = !isRunning;
  $("message-cancel").onclick = () => request("/cancel", { ...place(), node, operation: operation.operation }, "POST").catch((error) => showProblem(error.message));
}

// MARK: Drawing

// Shows the messages section for a topic or channel. It reads messages only when the user asks for
// them.
export function drawMessages(route, nodes) {
  if (shown?.route !== route) {
    shown = { route, messages: [], next: null, isRead: false };
    showProblem("");
    $("message-progress").hidden = true;
    draw();
  }
  drawNodeChoice("message-node", nodes);
}

// Shows the nodes in a selection, if there are several.
export function drawNodeChoice(id, nodes) {
  $(`${id}-part`).hidden = nodes.length < 2;
  reuse($(id), nodes, (node) => node, () => element("option"), (option, node) => {
    option.value = node;
    setText(option, node);
  });
}

// A row of a table of messages: the ID, cells with a name and a class, the body, and a button for each
// change. `act` receives the change and the message of the row.
export function messageRow(cells, verbs, act) {
  const row = element("tr");
  const head = row.appendChild(element("th", "mono"));
  head.scope = "row";
  for (const [name, kind] of cells) row.append(cell(name, kind));
  row.appendChild(cell("Body")).append(element("pre"));
  const group = row.appendChild(cell("", "action admin")).appendChild(element("div", "actions"));
  for (const [verb, { button: text }] of Object.entries(verbs)) group.append(button(`${text}…`, () => act(verb, row.message)));
  return row;
}

function draw() {
  const { messages, next, isRead, route } = shown;
  $("message-table").hidden = messages.length === 0;
  $("message-none").hidden = !isRead || messages.length > 0;
  setText("message-none", next === null ? "No message is selected." : "No message is found yet.");
  setText("message-shown", isRead && messages.length > 0 ? `${counted(messages.length, "message")}${next === null ? "" : ", more follow"}` : "");
  $("message-further").hidden = next === null;
  $("message-all").hidden = !isRead || route.channel === undefined;
  reuse($("message-rows"), messages, ({ id }) => id, () => messageRow(
    [["Published"], ["Attempts", "figure"], ["State"], ["Bytes", "figure"]], VERBS, askOne,
  ), (row, message) => {
    row.message = message;
    const [head, published, attempts, state, bytes, body, actions] = row.children;
    setText(head, message.id);
    setText(published, dateAndClock(message.timestamp / 1e6));
    setText(attempts, grouped(message.attempts));
    setText(state, stateText(message));
    const notes = [message.body_format === "hex" ? "hex" : "", message.body_cut ? "cut" : ""].filter((note) => note !== "");
    setText(bytes, `${grouped(message.body_bytes)}${notes.length === 0 ? "" : ` (${notes.join(", ")})`}`);
    setText(body.firstElementChild, message.body);
    actions.hidden = route.channel === undefined;
  });
}

export function startMessages(path) {
  base = path;
  $("message-show").addEventListener("click", () => read());
  $("message-further").addEventListener("click", () => read(shown.next));
  $("message-filter").addEventListener("keydown", (event) => {
    if (event.key === "Enter") read();
  });
  for (const verb of Object.keys(VERBS)) $("message-all").append(button(`${VERBS[verb].button} all…`, () => askAll(verb), "admin"));
}
