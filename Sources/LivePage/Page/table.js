// The table of videos: its rows, its order and its search.

import { addVideos, model, removeVideos } from "./model.js";
import { barLength, clock, comparing, counted, grouped, guidParts, isFlood } from "./logic.js";
import { $, announce, setText } from "./page.js";

const ROWS_PER_PAGE = 100;
const MAX_ROWS = 1000;
const SORT_MS = 600;
const FETCH_MS = 2000;
const TYPING_MS = 150;

// The order, filter and size of the table.
const view = { sort: "plays", order: "descending", search: "", limit: ROWS_PER_PAGE };
// The number of videos that match the search, as the server reported it. The model may not have all
// videos.
let matching = null;
let hasChanged = false;
let sortedAt = -Infinity;
// The rows by video ID.
const rows = new Map();

export const isShown = (id) => rows.has(id);

// Lets the next drawing sort all rows again, for example after a `state` event.
export function resetTable() {
  matching = null;
  sortedAt = -Infinity;
  if (!modelHasView()) fetchVideos();
}

export function videoChanged({ video_id, immediate }) {
  hasChanged = true;
  if (visible.has(rows.get(video_id)?.element)) highlight(video_id, immediate ? "immediate" : "batched");
}

// MARK: Videos that the model does not have

// Returns true if the model has all rows of the current view: the model has every video, or the
// view shows the most played videos. Only a call can add a video to the most played ones, and the
// server sends every call.
function modelHasView() {
  const all = model.statistics === null || model.videos.size >= model.statistics.videos;
  const isByPlays = view.sort === "plays" && view.order === "descending";
  return all || (isByPlays && view.search === "" && view.limit <= model.videosInState);
}

let pendingFetch = null;
let fetchedAt = -Infinity;

async function fetchVideos() {
  pendingFetch?.abort();
  const controller = (pendingFetch = new AbortController());
  fetchedAt = performance.now();
  const { sort, order, search, limit } = view;
  const query = new URLSearchParams({ sort, order, search, top: limit });
  try {
    const response = await fetch(`/api/videos?${query}`, { signal: controller.signal });
    if (!response.ok) return;
    const found = await response.json();
    addVideos(found.videos);
    matching = found.matching;
    sortedAt = -Infinity;
    requestDraw();
  } catch {
    // A newer query replaced this one, or the connection is lost, which the event source reports.
  }
}

// MARK: Rows

// Totals are drawn at once. The rows are sorted less often, because rows that move cannot be read.
export function drawTable(now) {
  if (!model.statistics) return;
  removeVideos(isShown);
  const isComplete = modelHasView();
  if (hasChanged && !isComplete && now - fetchedAt > FETCH_MS) {
    hasChanged = false;
    fetchVideos();
  }
  if (now - sortedAt < SORT_MS) {
    for (const [id, row] of rows) fill(row, model.videos.get(id));
    return;
  }
  sortedAt = now;
  const videos = [...model.videos.values()];
  const found = view.search === "" ? videos : videos.filter((video) => video.video_id.includes(view.search));
  const shown = found.sort(comparing(view)).slice(0, view.limit);
  placeRows(shown);
  const count = view.search === "" ? model.statistics.videos : isComplete ? found.length : matching ?? found.length;
  drawCount(shown.length, Math.max(count, shown.length));
}

function placeRows(shown) {
  const most = shown.reduce((most, video) => Math.max(most, video.play_count), 0);
  const ids = new Set(shown.map((video) => video.video_id));
  for (const [id, row] of rows) {
    if (ids.has(id)) continue;
    row.element.remove();
    visibility.unobserve(row.element);
    visible.delete(row.element);
    rows.delete(id);
  }
  let place = $("rows").firstElementChild;
  for (const video of shown) {
    const row = rows.get(video.video_id) ?? makeRow(video.video_id);
    fill(row, video);
    const width = `${barLength(video.play_count, most).toFixed(1)}%`;
    if (row.bar.style.width !== width) row.bar.style.width = width;
    if (row.element === place) place = place.nextElementSibling;
    else $("rows").insertBefore(row.element, place);
  }
}

function makeRow(id) {
  const element = document.createElement("tr");
  const cell = (name, tag = "td") => {
    const cell = element.appendChild(document.createElement(tag));
    cell.className = name;
    return cell;
  };
  const inside = (name, tag) => cell(name).appendChild(document.createElement(tag));
  const head = cell("video", "th");
  head.scope = "row";
  for (const part of guidParts(id)) head.append(part, document.createElement("wbr"));
  const row = {
    element, count: inside("count", "span"), bar: inside("bar", "div"),
    kind: inside("kind", "span"), call: cell("call"), updated: cell("updated"), shown: null,
  };
  row.bar.parentElement.setAttribute("aria-hidden", "true");
  rows.set(id, row);
  visibility.observe(element);
  return row;
}

function fill(row, video) {
  if (!video || row.shown === video) return;
  row.shown = video;
  const kind = video.updated === 0 ? "earlier" : video.immediate ? "immediate" : "batched";
  row.count.textContent = grouped(video.play_count);
  if (row.kind.className !== kind) {
    row.kind.textContent = kind;
    row.kind.className = kind;
  }
  row.call.textContent = video.call === 0 ? "–" : grouped(video.call);
  row.updated.textContent = video.updated === 0 ? "–" : clock(video.updated);
}

// True after the search changed, until screen readers announce the number of results.
let shouldAnnounceResults = false;

function drawCount(shown, all) {
  const found = view.search === "" ? counted(all, "video") : `${counted(all, "video")} matching “${view.search}”`;
  setText("shown", shown < all ? `${grouped(shown)} of ${found}` : found);
  if (shouldAnnounceResults) announce($("shown").textContent);
  shouldAnnounceResults = false;
  $("more").hidden = shown >= all || shown < view.limit || view.limit >= MAX_ROWS;
  $("rest").hidden = shown >= all || view.limit < MAX_ROWS;
  const hasVideos = model.statistics.videos > 0;
  $("start").hidden = hasVideos;
  $("videos").hidden = !hasVideos;
  $("charts").hidden = !hasVideos && model.statistics.counted === 0;
  $("none").hidden = shown > 0 || view.search === "";
  setText("none", `No video matches “${view.search}”.`);
}

// MARK: Highlights

// A changed total is highlighted for this time, and then fades for 0.6 s.
const HIGHLIGHT_MS = 300;
const FLOOD_WINDOW_MS = 1000;
const CALM_MS = 2000;
// The times of the last changes of the visible totals, by video ID.
const changes = new Map();
let calmUntil = -Infinity;

// The rows that are visible in the browser's window. Only these rows are highlighted.
const visible = new Set();
const visibility = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) visible.add(target);
    else visible.delete(target);
  }
});

function highlight(id, kind) {
  const now = performance.now();
  changes.set(id, now);
  if (isFlood(changes.size, visible.size)) {
    calmUntil = now + CALM_MS;
    for (const row of rows.values()) delete row.count.dataset.changed;
  }
  if (now >= calmUntil) rows.get(id).count.dataset.changed = kind;
}

export function removeHighlights() {
  const now = performance.now();
  for (const [id, time] of changes) {
    if (now - time < HIGHLIGHT_MS) continue;
    const row = rows.get(id);
    if (row) delete row.count.dataset.changed;
    if (now - time >= FLOOD_WINDOW_MS) changes.delete(id);
  }
}

// MARK: Controls

let requestDraw = () => {};

function drawSort() {
  for (const button of document.querySelectorAll("thead button")) {
    const head = button.parentElement;
    if (button.dataset.sort === view.sort) head.setAttribute("aria-sort", view.order);
    else head.removeAttribute("aria-sort");
  }
}

function viewChanged() {
  matching = null;
  sortedAt = -Infinity;
  drawSort();
  requestDraw();
  if (!modelHasView()) fetchVideos();
}

function toggleSort(sort) {
  if (view.sort === sort) view.order = view.order === "ascending" ? "descending" : "ascending";
  else Object.assign(view, { sort, order: sort === "video" ? "ascending" : "descending" });
  viewChanged();
}

function search() {
  const part = $("search").value.trim().toLowerCase();
  if (part === view.search) return;
  Object.assign(view, { search: part, limit: ROWS_PER_PAGE });
  shouldAnnounceResults = true;
  viewChanged();
}

// Connects the controls. `draw` schedules a redraw of the page.
export function startTable(draw) {
  requestDraw = draw;
  for (const button of document.querySelectorAll("thead button")) {
    button.addEventListener("click", () => toggleSort(button.dataset.sort));
  }
  let typing = 0;
  for (const name of ["input", "change"]) {
    $("search").addEventListener(name, () => {
      clearTimeout(typing);
      typing = setTimeout(search, TYPING_MS);
    });
  }
  $("more").addEventListener("click", () => {
    view.limit = Math.min(MAX_ROWS, view.limit + 2 * ROWS_PER_PAGE);
    viewChanged();
  });
  drawSort();
}
