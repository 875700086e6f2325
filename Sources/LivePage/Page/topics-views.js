// The parts of the page that each view shows.

import { createChannel, empty, publish, remove } from "./topics-actions.js";
import { drawChannelNodes, drawChannels, drawClients, drawNodes, drawTopicNodes, drawTopicsOfNode, pauseButton } from "./topics-tables.js";
import { drawFailed, hasFailedSet } from "./topics-failed.js";
import { drawMessages } from "./topics-messages.js";
import { pathOf, perSecond } from "./topics-logic.js";
import { spanText } from "./jobs-logic.js";
import { counted, grouped } from "./logic.js";
import { $, button, cell, element, reuse, setText } from "./page.js";

const TITLES = { topics: "Topics", nodes: "Nodes", counter: "Counter", lookup: "Lookup" };
// The sections of each view.
const SECTIONS = {
  topics: ["topics-part"], topic: ["channels-part", "nodes-part", "messages-part", "latency-part"],
  channel: ["nodes-part", "clients-part", "messages-part", "failed-part", "latency-part"], nodes: ["nodes-part"], node: ["node-topics-part"],
  counter: ["nodes-part"], lookup: ["lookup-part"],
};
const ALL = [...new Set(Object.values(SECTIONS).flat())];

export function drawView(view) {
  const { route, data, missing } = view;
  for (const id of ALL) $(id).hidden = data === null || !SECTIONS[route.view].includes(id);
  drawHeading(view);
  drawActions(view);
  $("missing").hidden = missing === "";
  setText("missing", missing === "" ? "" : missingText(route, missing));
  drawFigures(view);
  if (data !== null) drawSections(view);
  document.body.dataset.view = route.view;
}

function missingText({ view, topic, channel, node }, missing) {
  if (!missing.startsWith("unknown")) return missing;
  if (view === "channel") return `No node has channel ${channel} of topic ${topic}.`;
  return view === "node" ? `There is no node ${node}.` : `There is no topic ${topic}.`;
}

// MARK: Heading

function drawHeading({ route, state, data, base }) {
  const { view, topic, channel, node } = route;
  setText("title", channel ?? topic ?? node ?? TITLES[view]);
  $("title-badge").hidden = !data?.paused;
  const subtitle = $("subtitle");
  if (view === "channel") {
    if (subtitle.firstElementChild?.textContent !== topic) {
      const link = element("a");
      link.textContent = topic;
      link.href = base + pathOf("topics", topic);
      subtitle.replaceChildren("channel of ", link);
    }
    return;
  }
  const nodes = counted(state.nodes, "node");
  const texts = {
    topics: `at ${nodes}`, nodes: "", counter: `at ${nodes}`, lookup: "", topic: "topic", node: data?.node?.hostname ?? "node",
  };
  setText(subtitle, texts[view]);
}

// The route for which the buttons of the topic or channel were made. Another route needs new
// buttons.
let actionsRoute = null;

function drawActions({ route, data, base }) {
  const { topic, channel } = route;
  const group = $("view-actions");
  group.hidden = !topic || data === null;
  group.classList.add("admin");
  if (group.hidden) return;
  if (actionsRoute !== route) {
    actionsRoute = route;
    const target = { topic, channel };
    const depth = () => (channel ? current.figures.depth : current.depth);
    const made = [pauseButton(target)];
    if (!channel) made.push(button("Publish…", () => publish(topic, current.nodes.map(({ node }) => node))), button("Create a channel…", () => createChannel(topic)));
    made.push(button("Empty…", () => empty(target, depth())), button("Delete…", () => remove(target)));
    group.replaceChildren(...made);
  }
  current = data;
  const [pause] = group.children;
  pause.dataset.paused = data.paused;
  setText(pause, data.paused ? "Unpause" : "Pause");
}

let current = null;

// MARK: Figures

function drawFigures({ route, state, data }) {
  const figures = ["topics", "nodes", "counter"].includes(route.view) ? state.totals : (data?.node?.figures ?? data?.figures);
  $("figures-part").hidden = figures === undefined;
  if (figures === undefined) return;
  const shown = [
    ["Waiting", grouped(figures.depth)], ["In flight", grouped(figures.in_flight)], ["Deferred", grouped(figures.deferred)],
    ["Published/s", perSecond(figures.incoming)], ["Finished/s", perSecond(figures.outgoing)],
    ["Consumers", grouped(figures.clients)], ["Messages", grouped(figures.messages)],
  ];
  if (["topic", "channel"].includes(route.view)) shown.push(["Empty in", figures.drain_seconds === null ? "–" : spanText(figures.drain_seconds * 1e6)]);
  drawList($("figures"), shown);
}

function drawList(list, entries) {
  reuse(list, entries, ([label]) => label, () => {
    const item = element("li");
    item.append(element("span", "label"), element("span", "number"));
    return item;
  }, (item, [label, text]) => {
    setText(item.firstElementChild, label);
    setText(item.lastElementChild, text);
  });
}

// MARK: Sections

function drawSections({ route, data, now, base, state }) {
  setText("nodes-title", route.view === "nodes" ? "All nodes" : "Nodes");
  switch (route.view) {
    case "topic":
      drawChannels(route.topic, data.channels, base);
      drawTopicNodes(route.topic, data.nodes, base);
      $("nodes-part").hidden = data.nodes.length === 0;
      drawMessages(route, data.nodes.map(({ node }) => node));
      drawLatency(data.latency);
      break;
    case "channel":
      drawChannelNodes(data.nodes, base);
      for (const id of ["nodes-part", "clients-part"]) $(id).hidden = !data.known;
      drawClients(data, now);
      drawMessages(route, data.nodes.map(({ node }) => node));
      drawFailed(route, data.nodes.map(({ node }) => node));
      $("failed-part").hidden = !data.known || !hasFailedSet(route);
      drawLatency(data.latency);
      break;
    case "node":
      drawNode(data, base);
      break;
    case "lookup":
      drawLookup(data, base);
      break;
    case "nodes": case "counter":
      drawNodes(data.nodes, base);
      break;
    default:
  }
  if (route.view === "nodes" || route.view === "counter") {
    $("node-table").hidden = data.nodes.length === 0 && state.number === 0;
  }
}

function drawNode({ topics, node }, base) {
  drawTopicsOfNode(topics, base);
  $("node-topic-table").hidden = topics.length === 0;
  $("node-none").hidden = topics.length > 0;
  setText("node-none", node.reachable ? "The node has no topic." : "The node does not respond.");
  setText("node-shown", topics.length < node.topics ? `${grouped(topics.length)} of ${counted(node.topics, "topic")}` : counted(node.topics, "topic"));
}

function drawLatency(latency) {
  $("latency-part").hidden = latency.length === 0;
  drawList($("latency"), latency.map(([quantile, nanoseconds]) => [`${Number((quantile * 100).toFixed(2))} % within`, spanText(nanoseconds / 1000)]));
}

function drawLookup({ lookupds, inactive, inactive_count }, base) {
  $("no-lookup").hidden = lookupds.length > 0;
  reuse($("lookup-rows"), lookupds, (address) => address, () => element("li"), (item, address) => setText(item, address));
  $("inactive-part").hidden = lookupds.length === 0;
  const shown = inactive.length < inactive_count ? `${grouped(inactive.length)} of ${grouped(inactive_count)}` : grouped(inactive_count);
  setText("inactive-shown", inactive_count === 0 ? "none" : shown);
  reuse($("inactive-rows"), inactive, (name) => name, (name) => {
    const row = element("tr");
    const head = row.appendChild(element("th"));
    head.scope = "row";
    const link = head.appendChild(element("a"));
    link.textContent = name;
    link.href = base + pathOf("topics", name);
    const last = row.appendChild(cell("", "action admin"));
    last.appendChild(element("div", "actions")).append(button("Delete…", () => remove({ topic: name })));
    return row;
  }, () => {});
}

