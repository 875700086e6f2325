// Pure functions of the pages of topics and nodes. They read no clock and no document, so the
// browser test can call them.

import { rateText, secondsUntil, spanText } from "./jobs-logic.js";
import { counted, grouped } from "./logic.js";

// Parses a path without the base path. Returns the view with the names in the path: { view, topic,
// channel, node }.
export function routeOf(path) {
  const parts = path.split("/").slice(1).map(decodeURIComponent);
  const [first = "", second, third] = parts;
  if (first === "topics" && third) return { view: "channel", topic: second, channel: third };
  if (first === "topics" && second) return { view: "topic", topic: second };
  if (first === "nodes" && second) return { view: "node", node: second };
  return { view: ["nodes", "counter", "lookup"].includes(first) ? first : "topics" };
}

// The path of a topic, a channel or a node.
export const pathOf = (kind, ...names) => `/${kind}/${names.map(encodeURIComponent).join("/")}`;

// A rate in messages per second as a text; "–" while it is unknown.
export const perSecond = (rate) => (rate === null || rate === undefined ? "–" : rateText(rate));

// The points of the last `count` slots up to `last`; null for a slot without a point. A slot is an
// interval of the chart, and a point is [slot, depth, incoming, outgoing].
export function slotsUntil(last, count, points) {
  return secondsUntil(last, count, new Map(points.map((point) => [point[0], point])));
}

// Fills gaps of at most `gap` slots with the point before the gap. Such gaps occur because the
// server polls only once a minute while no browser shows the pages.
export function filled(slots, gap) {
  let before = null;
  let missing = 0;
  return slots.map((slot) => {
    if (slot !== null) {
      before = slot;
      missing = 0;
      return slot;
    }
    missing += 1;
    return before !== null && missing <= gap ? before : null;
  });
}

// The SVG path of a line or of an area through values. A null interrupts the path.
export function linePath(values, most, height, isArea) {
  const level = (value) => (height - 1 - (value / Math.max(most, 1e-9)) * (height - 3)).toFixed(2);
  let path = "";
  let start = null;
  const end = (x) => {
    if (isArea && start !== null) path += `V${height + 1}H${start}z`;
    start = null;
    return x;
  };
  values.forEach((value, x) => {
    if (value === null) return end(x);
    if (start === null) {
      start = x;
      path += isArea ? `M${x} ${height + 1}V${level(value)}H${x + 1}` : `M${x} ${level(value)}H${x + 1}`;
      return x;
    }
    path += `V${level(value)}H${x + 1}`;
    return x;
  });
  end(values.length);
  return path;
}

// The query string of a request for messages. Empty values are left out. `min_age` is in minutes.
export function messageQuery({ min_age: minutes, ...values }) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== "" && value !== null && value !== undefined) query.set(name, value);
  }
  if (Number(minutes) > 0) query.set("min_age_ms", Math.round(Number(minutes) * 60000));
  return query.toString();
}

// The state of a message as a text, with its client and the time that is left.
export function stateText({ state, client, time_left_ms: left }) {
  if (state === "ready") return "ready";
  const rest = spanText(left * 1000);
  if (state === "deferred") return `deferred, due in ${rest}`;
  const holder = [client?.client_id, client?.remote_address].filter((text) => text).join(" at ");
  return `in flight to ${holder === "" ? "a client" : holder}, ${rest} left`;
}

// The progress of a change of many messages.
export function operationText({ action, state, messages, examined, selected, changed, error }) {
  const done = action === "count" ? `${grouped(selected)} selected` : `${grouped(changed)} of ${grouped(selected)} selected changed`;
  const ends = { running: `running: ${grouped(Math.min(examined, messages))} of ${counted(messages, "message")} examined, ` };
  return `${action}: ${ends[state] ?? `${state}, `}${done}${error === undefined ? "" : ` (${error})`}`;
}

// The finished messages per second of each consumer, computed from two responses. The key is the
// node and the consumer's address.
export function clientRates(before, clients, seconds) {
  const finished = new Map((before ?? []).map((client) => [`${client.node} ${client.address}`, client.finished]));
  return new Map(clients.map((client) => {
    const key = `${client.node} ${client.address}`;
    const former = finished.get(key);
    return [key, former === undefined || seconds <= 0 ? null : Math.max(0, client.finished - former) / seconds];
  }));
}
