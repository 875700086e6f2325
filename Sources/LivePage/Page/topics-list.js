// The list of topics: its search, its order, its rows and its pages.

import { pathOf, perSecond } from "./topics-logic.js";
import { counted, grouped } from "./logic.js";
import { $, cell, element, reuse, setText } from "./page.js";

const ROWS = 50;
const TYPING_MS = 150;

const query = new URLSearchParams(location.search);
const filter = { search: query.get("search") ?? "", sort: query.get("sort") ?? "name" };
// The cursor after which the shown page of the list starts; null for the first page.
let after = null;
let next = null;
let readAgain = () => {};

// The path of the API for the shown page.
export function listPath() {
  const arguments_ = new URLSearchParams({ ...filter, limit: ROWS });
  if (after !== null) arguments_.set("after", after);
  return `topics?${arguments_}`;
}

export function drawList(data, state, base) {
  if (data === null) return;
  // If all topics of this page were deleted since, the first page is shown instead.
  if (data.topics.length === 0 && after !== null) {
    after = null;
    readAgain();
    return;
  }
  next = data.next;
  reuse($("topic-rows"), data.topics, ({ name }) => name, makeRow, (row, topic) => {
    const [link, badge] = row.firstElementChild.children;
    setText(link, topic.name);
    link.href = base + pathOf("topics", topic.name);
    const text = topic.paused ? "paused" : topic.paused_channels > 0 ? `${counted(topic.paused_channels, "channel")} paused` : topic.nodes === 0 ? "no node" : "";
    badge.hidden = text === "";
    setText(badge, text);
    const { depth, in_flight, deferred, incoming, outgoing, clients, messages } = topic.figures;
    const texts = [
      grouped(topic.channels), grouped(depth), grouped(in_flight), grouped(deferred), perSecond(incoming),
      perSecond(outgoing), grouped(clients), grouped(messages),
    ];
    texts.forEach((value, index) => setText(row.children[index + 1], value));
  });
  const isFiltered = filter.search !== "";
  $("topic-table").hidden = data.topics.length === 0;
  $("none").hidden = data.topics.length > 0 || state.number === 0;
  setText("none", isFiltered ? "No topic matches the search." : "There is no topic yet. It appears here when an nsqd creates it.");
  $("first").hidden = after === null;
  $("further").hidden = next === null;
  const found = isFiltered ? `${grouped(data.matching)} of ${counted(data.count, "topic")}` : counted(data.count, "topic");
  setText("shown", data.topics.length < data.matching ? `${found}, ${grouped(data.topics.length)} shown` : found);
}

function makeRow() {
  const row = element("tr");
  const head = row.appendChild(element("th"));
  head.scope = "row";
  head.append(element("a"), element("span", "badge paused"));
  for (const name of ["Channels", "Waiting", "In flight", "Deferred", "Published/s", "Finished/s", "Consumers", "Messages"]) row.append(cell(name, "figure"));
  return row;
}

// Connects the controls. `read` reads the list again.
export function startList(read) {
  readAgain = read;
  const changed = () => {
    after = null;
    const shown = new URLSearchParams(Object.entries(filter).filter(([name, value]) => value !== (name === "sort" ? "name" : "")));
    history.replaceState(null, "", `${location.pathname}${shown.size > 0 ? `?${shown}` : ""}`);
    read();
  };
  let typing = 0;
  $("search").value = filter.search;
  $("search").addEventListener("input", ({ target }) => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      filter.search = target.value.trim();
      changed();
    }, TYPING_MS);
  });
  $("sort").value = filter.sort;
  if ($("sort").value === "") $("sort").value = filter.sort = "name";
  $("sort").addEventListener("change", ({ target }) => {
    filter.sort = target.value;
    changed();
  });
  $("further").addEventListener("click", () => {
    after = next;
    read();
    $("topics-part").scrollIntoView();
  });
  $("first").addEventListener("click", () => {
    after = null;
    read();
  });
  document.addEventListener("keydown", (event) => {
    const isTyping = ["INPUT", "TEXTAREA", "SELECT"].includes(document.activeElement?.tagName);
    if (event.key !== "/" || isTyping || $("topics-part").hidden || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    $("search").focus();
  });
}
