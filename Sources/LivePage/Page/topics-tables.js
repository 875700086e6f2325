// The tables of channels, nodes and consumers.

import { hasLookupds, setPaused, tombstone } from "./topics-actions.js";
import { clientRates, pathOf, perSecond } from "./topics-logic.js";
import { spanText } from "./jobs-logic.js";
import { grouped } from "./logic.js";
import { $, button, cell, element, reuse, setText } from "./page.js";

const drainText = (seconds) => (seconds === null ? "–" : spanText(seconds * 1e6));

// A row with a link and a badge in its first cell, and cells with these names.
function makeRow(names, others = []) {
  const row = element("tr");
  const head = row.appendChild(element("th"));
  head.scope = "row";
  head.append(element("a"), element("span", "badge"));
  for (const name of names) row.append(cell(name, "figure"));
  for (const name of others) row.append(cell(name));
  return row;
}

function fillHead(row, text, href, badge, kind = "paused") {
  const [link, mark] = row.firstElementChild.children;
  setText(link, text);
  link.href = href;
  mark.hidden = badge === "";
  mark.className = `badge ${kind}`;
  setText(mark, badge);
}

const fillCells = (row, texts) => texts.forEach((text, index) => setText(row.children[index + 1], text));

// MARK: Channels

export function drawChannels(topic, channels, base) {
  $("no-channel").hidden = channels.length > 0;
  $("channel-table").hidden = channels.length === 0;
  const names = ["Waiting", "In flight", "Deferred", "Requeued", "Timed out", "Finished/s", "Consumers", "Empty in"];
  reuse($("channel-rows"), channels, ({ name }) => name, () => makeRow(names), (row, { name, paused, figures }) => {
    fillHead(row, name, base + pathOf("topics", topic, name), paused ? "paused" : "");
    fillCells(row, [
      grouped(figures.depth), grouped(figures.in_flight), grouped(figures.deferred), grouped(figures.requeues),
      grouped(figures.timeouts), perSecond(figures.outgoing), grouped(figures.clients), drainText(figures.drain_seconds),
    ]);
  });
}

// MARK: Nodes

function drawHead(names) {
  if ($("node-head").dataset.names === names.join()) return;
  $("node-head").dataset.names = names.join();
  $("node-rows").replaceChildren();
  const row = element("tr");
  names.forEach((name, index) => {
    const head = row.appendChild(element("th", index > 0 && name !== "" ? "figure" : ""));
    head.scope = "col";
    head.textContent = name;
  });
  $("node-head").replaceChildren(row);
}

function drawNodeRows(nodes, names, base, texts, badge = () => ["", ""], action = null) {
  drawHead(["Node", ...names, ...(action === null ? [] : [""])]);
  reuse($("node-rows"), nodes, ({ node }) => node, () => {
    const row = makeRow(names);
    row.firstElementChild.append(element("span", "soft"));
    if (action !== null) {
      const last = row.appendChild(element("td", "action admin"));
      const group = last.appendChild(element("div", "actions"));
      group.append(button(action.text, () => row.perform()));
    }
    return row;
  }, (row, node) => {
    fillHead(row, node.node, base + pathOf("nodes", node.node), ...badge(node));
    setText(row.firstElementChild.lastElementChild, node.hostname);
    fillCells(row, texts(node));
    // Assigned at each drawing, because the page of another topic may reuse this row.
    row.perform = () => action.perform(node.node);
  });
}

export function drawTopicNodes(topic, nodes, base) {
  const action = hasLookupds() ? { text: "Tombstone…", perform: (node) => tombstone(topic, node) } : null;
  drawNodeRows(nodes, ["Waiting in the topic", "On disk", "Messages", "Channels"], base,
    (node) => [node.depth, node.backend_depth, node.messages, node.channels].map(grouped),
    (node) => [node.paused ? "paused" : "", "paused"], action);
}

export function drawChannelNodes(nodes, base) {
  drawNodeRows(nodes, ["Waiting", "On disk", "In flight", "Deferred", "Requeued", "Timed out", "Messages", "Consumers"], base,
    ({ figures, backend_depth }) => [
      figures.depth, backend_depth, figures.in_flight, figures.deferred, figures.requeues, figures.timeouts, figures.messages,
      figures.clients,
    ].map(grouped),
    (node) => [node.paused ? "paused" : "", "paused"]);
}

export function drawNodes(nodes, base) {
  const badge = (node) => (node.reachable ? [node.out_of_date ? "older version" : "", "paused"] : ["no response", "bad"]);
  drawNodeRows(nodes, ["Version", "Topics", "Waiting", "In flight", "Published/s", "Finished/s", "Consumers", "Messages"], base,
    ({ version, topics, figures, reachable }) => [version, ...[
      grouped(topics), grouped(figures.depth), grouped(figures.in_flight), perSecond(figures.incoming),
      perSecond(figures.outgoing), grouped(figures.clients), grouped(figures.messages),
    ].map((text) => (reachable ? text : "–"))], badge);
}

export function drawTopicsOfNode(topics, base) {
  const names = ["Channels", "Waiting", "In flight", "Deferred", "Consumers", "Messages"];
  reuse($("node-topic-rows"), topics, ({ name }) => name, () => makeRow(names), (row, { name, paused, channels, figures }) => {
    fillHead(row, name, base + pathOf("topics", name), paused ? "paused" : "");
    fillCells(row, [channels, figures.depth, figures.in_flight, figures.deferred, figures.clients, figures.messages].map(grouped));
  });
}

// MARK: Consumers

let before = null;
let rates = new Map();

// Computes the rates of the consumers from the last two responses for the same channel.
function measure(data) {
  if (before?.data === data) return;
  const isSame = before !== null && before.data.route === data.route;
  const seconds = isSame ? (data.time - before.data.time) / 1000 : 0;
  if (isSame && seconds < 0.5) return;
  rates = clientRates(isSame ? before.data.clients : null, data.clients, seconds);
  before = { data };
}

export function drawClients(data, now) {
  measure(data);
  const { clients, client_count, known } = data;
  // If no node has responded, the consumers are unknown.
  $("no-client").hidden = clients.length > 0 || !known;
  $("client-table").hidden = clients.length === 0;
  setText("clients-title", clients.length < client_count ? `Consumers: ${grouped(clients.length)} of ${grouped(client_count)}` : "Consumers");
  reuse($("client-rows"), clients, ({ node, address }) => `${node} ${address}`, () => {
    const row = element("tr");
    const head = row.appendChild(element("th"));
    head.scope = "row";
    head.append(element("span"), element("span", "soft"));
    row.append(cell("Node"));
    for (const name of ["Ready", "In flight", "Finished", "Per second", "Requeued", "Connected"]) row.append(cell(name, "figure"));
    row.append(cell("Uses"));
    return row;
  }, (row, client) => {
    const [name, agent] = row.firstElementChild.children;
    const names = [...new Set([client.client_id, client.hostname])].filter((text) => text !== "");
    setText(name, names.length === 0 ? client.address : names.join(" at "));
    setText(agent, names.length === 0 ? client.user_agent : `${client.address} ${client.user_agent}`);
    fillCells(row, [
      client.node, grouped(client.ready), grouped(client.in_flight), grouped(client.finished),
      perSecond(rates.get(row.dataset.key)), grouped(client.requeued), spanText(Math.max(0, now / 1000 - client.connected) * 1e6),
      [...client.features, ...(client.sample_rate > 0 ? [`${client.sample_rate} % sample`] : []), ...(client.identity === "" ? [] : [client.identity])].join(", "),
    ]);
  });
}

// A button that pauses or unpauses a topic or channel, depending on its attribute `data-paused`.
export function pauseButton(target) {
  const made = button("", () => setPaused(target, made.dataset.paused !== "true"));
  return made;
}
