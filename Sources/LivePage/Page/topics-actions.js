// Changes of topics, channels and nodes, the dialog that confirms them, and the log of actions.

import { counted, dateAndClock } from "./logic.js";
import { $, announce, element, reuse, setText } from "./page.js";

let base = "";
let redraw = () => {};
let go = () => {};
let hasRights = false;
let usesLookupds = false;

export const isAdmin = () => hasRights;
export const hasLookupds = () => usesLookupds;

// Asks the server whether this user may change anything, and which other pages the server has.
export async function readSession(path, draw) {
  try {
    const response = await fetch(`${path}/api/live/session`);
    if (!response.ok) throw new Error(`status ${response.status}`);
    const session = await response.json();
    hasRights = session.is_admin === true;
    usesLookupds = session.has_lookupds === true;
    $("videos-link").hidden = session.has_videos !== true;
    $("jobs-link").hidden = session.has_jobs !== true;
    document.body.toggleAttribute("data-admin", hasRights);
    setText("source", hasRights ? "" : "read only");
    draw();
  } catch (error) {
    setText("source", `The rights of the user are unknown: ${error.message}`);
  }
}

// Sends a change to the API. Returns the error or warning as a text; null after success.
async function send(method, path, body) {
  try {
    const response = await fetch(`${base}/api/${path}`, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const { message = "", error } = await response.json();
    const problem = error ?? message;
    if (problem !== "" && problem !== undefined) announce(problem);
    return response.ok && !message ? null : problem;
  } catch (error) {
    return `It is not known whether the change was made: ${error.message}`;
  }
}

const name = encodeURIComponent;
const placeOf = ({ topic, channel }) => `topics/${name(topic)}${channel ? `/${name(channel)}` : ""}`;
const titleOf = ({ topic, channel }) => (channel ? `channel ${channel} of ${topic}` : `topic ${topic}`);

// Pauses or unpauses without a confirmation, because the change can be undone.
export async function setPaused(target, isPaused) {
  const problem = await send("POST", placeOf(target), { action: isPaused ? "pause" : "unpause" });
  $("refusal").hidden = problem === null;
  setText("refusal", problem ?? "");
  redraw();
}

// MARK: Dialog

// The functions of the open dialog: `perform` sends the change and returns the error or null;
// `then` runs after success.
let asked = null;

export function ask(title, text, button, fields, perform, then = redraw) {
  asked = { perform, then };
  setText("confirm-title", title);
  setText("confirm-text", text);
  setText("confirm-yes", button);
  $("confirm-yes").disabled = false;
  $("form").replaceChildren(...fields.map(fieldOf));
  $("form").hidden = fields.length === 0;
  showError(null);
  $("confirm").showModal();
}

function fieldOf({ id, label, kind = "input", options = [], value = "" }) {
  const field = element("label");
  const control = element(kind);
  control.id = `form-${id}`;
  control.autocomplete = "off";
  control.spellcheck = false;
  if (kind === "input") control.maxLength = 64;
  for (const option of options) {
    const made = control.appendChild(element("option"));
    made.value = option;
    made.textContent = option;
  }
  if (value !== "") control.value = value;
  field.append(label, control);
  return field;
}

export const valueOf = (id) => $(`form-${id}`)?.value.trim() ?? "";

function showError(text) {
  $("confirm-error").hidden = text === null;
  setText("confirm-error", text ?? "");
}

async function confirmed() {
  const current = asked;
  $("confirm-yes").disabled = true;
  const problem = await current.perform();
  if (asked !== current) return;
  $("confirm-yes").disabled = false;
  if (problem !== null) {
    redraw();
    return showError(problem);
  }
  $("confirm").close();
  current.then();
}

export function empty(target, depth) {
  const verb = depth === 1 ? "waits and is" : "wait and are";
  ask(`Empty ${titleOf(target)}?`, `${counted(depth, "message")} ${verb} deleted. This cannot be undone.`, "Empty", [],
    () => send("POST", placeOf(target), { action: "empty" }));
}

export function remove(target) {
  ask(`Delete ${titleOf(target)}?`, "Its messages are deleted at all nodes. A producer or consumer that still uses it creates it again.", "Delete", [],
    () => send("DELETE", placeOf(target)),
    () => go(target.channel ? `/topics/${name(target.topic)}` : "/topics"));
}

export function tombstone(topic, node) {
  ask(`Tombstone ${node} for topic ${topic}?`, "nsqlookupds hide the node from consumers of the topic, and the topic is deleted there with its messages.", "Tombstone", [],
    () => send("DELETE", `nodes/${name(node)}`, { topic }));
}

export function createTopic() {
  ask("Create a topic", "The channel is optional.", "Create",
    [{ id: "topic", label: "Topic" }, { id: "channel", label: "Channel" }],
    () => send("POST", "topics", { topic: valueOf("topic"), channel: valueOf("channel") }));
}

export function createChannel(topic) {
  ask(`Create a channel of ${topic}`, "It receives the messages that are published from now on.", "Create",
    [{ id: "channel", label: "Channel" }],
    async () => (valueOf("channel") === "" ? "The name of the channel is empty." : send("POST", "topics", { topic, channel: valueOf("channel") })));
}

export function publish(topic, nodes) {
  const fields = [{ id: "message", label: "Message", kind: "textarea" }];
  if (nodes.length > 1) fields.unshift({ id: "node", label: "Node", kind: "select", options: nodes });
  ask(`Publish to ${topic}`, "The text is published as one message.", "Publish", fields,
    () => {
      const message = $("form-message").value;
      const node = valueOf("node");
      return send("POST", `live/topics/${name(topic)}/publish`, node === "" ? { message } : { message, node });
    });
}

export function startActions(page) {
  ({ base, redraw, go } = page);
  $("confirm-yes").addEventListener("click", confirmed);
  $("confirm-no").addEventListener("click", () => $("confirm").close());
  $("confirm").addEventListener("close", () => { asked = null; });
  $("form").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.tagName === "INPUT") confirmed();
  });
  $("create").addEventListener("click", createTopic);
}

// MARK: Log

export function drawLog(actions) {
  $("log").hidden = actions.length === 0;
  reuse($("log-rows"), actions, ({ number }) => number, () => {
    const item = element("li");
    item.append(element("time"), element("span"));
    return item;
  }, (item, { time, action, target, user, error }) => {
    const [when, text] = item.children;
    setText(when, dateAndClock(time));
    when.dateTime = new Date(time).toISOString();
    setText(text, `${action} ${target}${user === "" ? "" : ` by ${user}`}${error === null ? "" : ` – ${error}`}`);
  });
}
