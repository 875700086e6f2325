// The page in three parts: a model that the server's events change, a view that is drawn at most
// once per frame, and the controls. All data from the server is inserted as text, never as HTML.

const $ = (id) => document.getElementById(id);
const grouped = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const counted = (count, noun) => `${grouped.format(count)} ${noun}${count === 1 ? "" : "s"}`;

const SECONDS = 120;
const MIN_SECONDS = 30;
const COLUMNS = 48;
const ROWS_PER_PAGE = 100;
const MAX_ROWS = 1000;
// Videos beyond this number are removed from the model, except those in the table.
const MAX_VIDEOS = 4000;
const HIGHLIGHT_MS = 450;
const SORT_MS = 600;
const FETCH_MS = 2000;
const ANNOUNCE_MS = 20000;

// The state that the server has sent.
const model = {
  settings: { source: "", videos_per_call: 20 },
  statistics: null,
  videos: new Map(),
  plays: 0,
  calls: [],
  seconds: new Map(),
  // The server's clock minus the browser's clock, in milliseconds.
  clockOffset: 0,
  // The number of videos, the most played first, in the last `state` event.
  videosInState: 0,
};

// The order, filter and size of the table.
const view = { sort: "plays", order: "descending", search: "", limit: ROWS_PER_PAGE };
// The number of matching videos that the server reported, because the model may not have all
// videos.
let matching = null;

// MARK: Events

function applyState(state) {
  model.settings = state.settings;
  model.videos = new Map();
  model.seconds = new Map();
  model.calls = [];
  model.videosInState = state.videos.length;
  for (const video of state.videos) model.videos.set(video.video_id, video);
  applyStatistics(state.statistics);
  $("source").textContent = state.settings.source;
  applyVerdict(state.verdict);
  sortedAt = 0;
  if (!modelHasView()) fetchVideos();
}

// Shows the verdict of a run that has ended; null hides it.
function applyVerdict(verdict) {
  $("verdict").hidden = verdict === null;
  if (verdict === null) return;
  $("verdict").dataset.verdict = verdict.verdict;
  $("verdict-title").textContent = `Verdict: ${verdict.verdict}`;
  $("verdict-rules").replaceChildren(...verdict.rules.map(({ rule, holds, detail }) => {
    const item = document.createElement("li");
    item.className = holds ? "holds" : "broken";
    item.textContent = `${holds ? "holds" : "BROKEN"}: ${rule} (${detail})`;
    return item;
  }));
  announce($("verdict-title").textContent);
}

function applyStatistics(statistics) {
  model.statistics = statistics;
  model.plays = statistics.plays;
  model.clockOffset = statistics.time - Date.now();
  for (const second of statistics.seconds) model.seconds.set(second.second, second);
  const first = statistics.time / 1000 - SECONDS - 5;
  for (const second of model.seconds.keys()) if (second < first) model.seconds.delete(second);
  scheduleDraw();
}

function applyCall(call) {
  for (const { video_id, play_count, immediate } of call.videos) {
    const before = model.videos.get(video_id);
    if (before) model.plays += play_count - before.play_count;
    model.videos.set(video_id, {
      video_id, play_count, immediate, call: call.number, updated: call.time,
    });
    highlight(video_id, immediate);
  }
  model.calls.push({
    number: call.number,
    immediate: call.videos.filter((video) => video.immediate).length,
    videos: call.videos.length,
  });
  if (model.calls.length > 4 * COLUMNS) model.calls.splice(0, model.calls.length - COLUMNS);
  if (model.statistics) model.statistics.calls.made += 1;
  if (model.videos.size > 2 * MAX_VIDEOS) removeVideos();
  hasChanged = true;
  scheduleDraw();
}

// Removes all videos from the model except the most played ones and the ones in the table.
function removeVideos() {
  const most = [...model.videos.values()].sort((a, b) => b.play_count - a.play_count);
  const kept = new Map(most.slice(0, MAX_VIDEOS).map((video) => [video.video_id, video]));
  for (const id of rows.keys()) if (model.videos.has(id)) kept.set(id, model.videos.get(id));
  model.videos = kept;
}

// MARK: Connection

const states = {
  connecting: "Connecting", live: "Live", lost: "Connection lost, reconnecting", ended: "Stopped",
};

function setConnection(state) {
  const element = $("connection");
  if (element.dataset.state === state) return;
  element.dataset.state = state;
  element.firstElementChild.textContent = states[state];
  announce(states[state]);
}

function connect() {
  const events = new EventSource("/events");
  const on = (name, apply) => events.addEventListener(name, (event) => apply(JSON.parse(event.data)));
  on("state", applyState);
  on("call", applyCall);
  on("statistics", applyStatistics);
  on("verdict", applyVerdict);
  on("end", () => setConnection("ended"));
  events.onopen = () => setConnection("live");
  events.onerror = () => {
    if ($("connection").dataset.state !== "ended") setConnection("lost");
    // The browser reconnects automatically, except after a response that is not an event stream.
    if (events.readyState !== EventSource.CLOSED) return;
    setTimeout(connect, 3000);
  };
}

// MARK: Queries

// Returns true if the model has all rows of the current view: the model has every video, or the
// view shows the most played videos. Only a call can add a video to the most played ones, and the
// server sends every call.
function modelHasView() {
  const all = model.statistics === null || model.videos.size >= model.statistics.videos;
  const isByPlays = view.sort === "plays" && view.order === "descending";
  return all || (isByPlays && view.search === "" && view.limit <= model.videosInState);
}

let pendingFetch = null;
let fetchedAt = 0;

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
    for (const video of found.videos) {
      const known = model.videos.get(video.video_id);
      if (!known || known.updated <= video.updated) model.videos.set(video.video_id, video);
    }
    matching = found.matching;
    sortedAt = 0;
    scheduleDraw();
  } catch {
    // A newer query replaced this one, or the connection is lost, which the event source reports.
  }
}

// MARK: Drawing

let isDrawing = false;
let hasChanged = false;
let sortedAt = 0;

function scheduleDraw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame((now) => {
    isDrawing = false;
    drawStatistics();
    drawLatest();
    drawRows(now);
  });
}

function setText(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text;
}

function duration(microseconds) {
  if (microseconds >= 1e6) return [(microseconds / 1e6).toFixed(1), "s"];
  return [(microseconds / 1000).toFixed(microseconds < 1e5 ? 1 : 0), "ms"];
}

function drawStatistics() {
  const now = model.statistics;
  if (!now) return;
  setText("plays", grouped.format(model.plays));
  setText("plays-note", `${counted(now.videos, "video")}, ${grouped.format(now.waiting_videos)} to be published`);
  setText("calls", grouped.format(now.calls.made));
  setText("calls-note", `${(now.calls.ratio_thousandths / 1000).toFixed(3)} × the minimum`);
  setText("unused", grouped.format(now.calls.empty_slots));
  drawDuration("slowest", now.worst_immediate_us, now.calls.immediate > 0);
  const late = duration(now.worst_lateness_us).join(" ");
  setText("slowest-note", now.worst_lateness_us > 0 ? `other plays at most ${late} late` : "no other play was late");
  setText("queue", now.queue ? grouped.format(now.queue.depth) : "–");
  setText("queue-note", now.queue
    ? `${grouped.format(now.queue.in_flight)} in flight, ${grouped.format(now.queue.deferred)} deferred`
    : "unknown for this broker");
}

function drawDuration(id, microseconds, isKnown) {
  const [number, unit] = isKnown ? duration(microseconds) : ["–", ""];
  const element = $(id);
  if (element.dataset.text === number + unit) return;
  element.dataset.text = number + unit;
  const small = document.createElement("small");
  small.textContent = unit;
  element.replaceChildren(number, small);
}

const box = (x, y, width, height) => `M${x} ${y}h${width}v${height}h${-width}z`;

function drawLatest() {
  const size = 160 / model.settings.videos_per_call;
  const gap = Math.min(1.5, size / 4);
  const cell = (column, row) => box(column * 10, 160 - (row + 1) * size, 10 - 1.5, size - gap);
  const paths = { unused: "", batched: "", immediate: "" };
  const latest = model.calls.slice(-COLUMNS);
  for (let column = 0; column < COLUMNS; column += 1) {
    const call = latest[column - COLUMNS + latest.length] ?? { immediate: 0, videos: 0 };
    for (let row = 0; row < model.settings.videos_per_call; row += 1) {
      const kind = row < call.immediate ? "immediate" : row < call.videos ? "batched" : "unused";
      paths[kind] += cell(column, row);
    }
  }
  for (const [kind, path] of Object.entries(paths)) {
    $("latest").querySelector(`path.${kind}`).setAttribute("d", path);
  }
}

// Runs once per second, so that the charts move even without events.
function drawCharts() {
  if (!model.statistics) return;
  // The last second whose statistics are complete.
  const last = Math.floor((Date.now() + model.clockOffset) / 1000) - 2;
  const none = { plays: 0, immediate_calls: 0, batched_calls: 0 };
  // The time range of the charts starts short and grows to two minutes.
  const width = Math.min(SECONDS, Math.max(MIN_SECONDS, last - Math.min(...model.seconds.keys()) + 2));
  const seconds = Array.from({ length: width }, (_, index) => model.seconds.get(last - width + 1 + index) ?? none);
  setText("rates-title", width < 100 ? `Per second, last ${width} seconds` : "Per second, last two minutes");
  for (const id of ["plays-chart", "calls-chart"]) $(id).setAttribute("viewBox", `0 0 ${width} 40`);
  const most = (of) => Math.max(1, ...seconds.map(of));

  const plays = most((second) => second.plays);
  const levels = seconds.map((second) => (39 - (second.plays / plays) * 37).toFixed(2));
  const points = levels.map((level, x) => `${x + 0.5} ${level}`);
  chart("plays-chart", "plays",
    `M-1 41V${levels[0]}L${points.join("L")}L${width + 1} ${levels.at(-1)}V41z`);
  setRate("plays", seconds.at(-1).plays, plays);

  const calls = most((second) => second.immediate_calls + second.batched_calls);
  const bars = { immediate: "", batched: "" };
  seconds.forEach((second, x) => {
    const immediate = (second.immediate_calls / calls) * 38;
    const batched = (second.batched_calls / calls) * 38;
    if (immediate > 0) bars.immediate += box(x + 0.12, 40 - immediate, 0.76, immediate);
    if (batched > 0) bars.batched += box(x + 0.12, 40 - immediate - batched, 0.76, batched);
  });
  chart("calls-chart", "immediate", bars.immediate);
  chart("calls-chart", "batched", bars.batched);
  setRate("calls", seconds.at(-1).immediate_calls + seconds.at(-1).batched_calls, calls);
}

const chart = (id, kind, path) => $(id).querySelector(`path.${kind}`).setAttribute("d", path);

function setRate(name, now, peak) {
  setText(`${name}-now`, `${grouped.format(now)} now, peak ${grouped.format(peak)}`);
  $(`${name}-chart`).setAttribute("aria-label",
    `${name} per second: ${now} now, peak ${peak}`);
}

// MARK: Rows

const rows = new Map();

const orders = {
  plays: (a, b) => a.play_count - b.play_count,
  recent: (a, b) => a.updated - b.updated,
  video: () => 0,
};

// Sorts like the server: videos with equal keys are ordered by their IDs.
function sorted(videos) {
  const by = orders[view.sort];
  const direction = view.order === "ascending" ? 1 : -1;
  const idDirection = view.sort === "video" ? direction : 1;
  return videos.sort((a, b) => direction * by(a, b) || idDirection * (a.video_id < b.video_id ? -1 : 1));
}

// Totals are drawn at once. The order changes less often, so that the table stays readable.
function drawRows(now) {
  const isComplete = modelHasView();
  if (hasChanged && !isComplete && now - fetchedAt > FETCH_MS) {
    hasChanged = false;
    fetchVideos();
  }
  if (now - sortedAt >= SORT_MS) {
    sortedAt = now;
    sortRows(isComplete);
  } else {
    for (const [id, row] of rows) fill(row, model.videos.get(id));
  }
}

function sortRows(isComplete) {
  const found = sorted([...model.videos.values()].filter((video) => video.video_id.includes(view.search)));
  const shown = found.slice(0, view.limit);
  const most = Math.max(1, ...shown.map((video) => video.play_count));
  const body = $("rows");
  const seen = new Set(shown.map((video) => video.video_id));
  for (const [id, row] of rows) {
    if (seen.has(id)) continue;
    row.element.remove();
    rows.delete(id);
  }
  let place = body.firstElementChild;
  for (const video of shown) {
    const row = rows.get(video.video_id) ?? makeRow(video.video_id);
    fill(row, video);
    row.bar.style.width = `${(100 * video.play_count) / most}%`;
    if (row.element === place) place = place.nextElementSibling;
    else body.insertBefore(row.element, place);
  }
  const all = isComplete && view.search !== "" ? found.length
    : view.search === "" ? model.statistics?.videos ?? 0 : matching ?? found.length;
  drawShown(shown.length, all);
}

// True after the search changed, until screen readers announce the number of results.
let shouldAnnounceResults = false;

function drawShown(shown, all) {
  if (!model.statistics) return;
  const found = view.search === "" ? counted(all, "video") : `${counted(all, "video")} matching “${view.search}”`;
  setText("shown", shown < all ? `${grouped.format(shown)} of ${found}` : found);
  if (shouldAnnounceResults) announce($("shown").textContent);
  shouldAnnounceResults = false;
  $("more").hidden = shown >= all || shown < view.limit || view.limit >= MAX_ROWS;
  $("empty").hidden = shown > 0;
  setText("empty", view.search === "" ? "No video has been published yet." : `No video matches “${view.search}”.`);
}

function makeRow(id) {
  const element = document.createElement("tr");
  const cell = (name, tag = "td") => {
    const cell = element.appendChild(document.createElement(tag));
    cell.className = name;
    return cell;
  };
  const head = cell("video", "th");
  head.scope = "row";
  head.textContent = id;
  const count = cell("count");
  const bar = cell("bar");
  bar.setAttribute("aria-hidden", "true");
  const row = {
    element, count,
    bar: bar.appendChild(document.createElement("div")),
    kind: cell("kind").appendChild(document.createElement("span")),
    call: cell("call"), updated: cell("updated"), shown: null,
  };
  rows.set(id, row);
  if (highlights.has(id)) element.dataset.highlight = highlights.get(id).kind;
  return row;
}

function fill(row, video) {
  if (!video || row.shown === video) return;
  row.shown = video;
  const kind = video.updated === 0 ? "earlier" : video.immediate ? "immediate" : "batched";
  row.count.textContent = grouped.format(video.play_count);
  row.kind.textContent = kind;
  row.kind.className = kind;
  row.call.textContent = video.call === 0 ? "" : grouped.format(video.call);
  row.updated.textContent = video.updated === 0 ? "" : clock.format(video.updated);
}

// MARK: Highlights

const highlights = new Map();

function highlight(id, immediate) {
  const kind = immediate ? "immediate" : "batched";
  highlights.set(id, { kind, since: performance.now() });
  const row = rows.get(id);
  if (row) row.element.dataset.highlight = kind;
}

function removeHighlights() {
  const before = performance.now() - HIGHLIGHT_MS;
  for (const [id, { since }] of highlights) {
    if (since > before) continue;
    highlights.delete(id);
    const row = rows.get(id);
    if (row) delete row.element.dataset.highlight;
  }
}

// MARK: Controls

function drawSort() {
  for (const button of document.querySelectorAll("thead button")) {
    const head = button.parentElement;
    if (button.dataset.sort === view.sort) head.setAttribute("aria-sort", view.order);
    else head.removeAttribute("aria-sort");
  }
}

function viewChanged() {
  matching = null;
  sortedAt = 0;
  drawSort();
  scheduleDraw();
  if (!modelHasView()) fetchVideos();
}

for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const { sort } = button.dataset;
    if (view.sort === sort) view.order = view.order === "ascending" ? "descending" : "ascending";
    else Object.assign(view, { sort, order: sort === "video" ? "ascending" : "descending" });
    viewChanged();
  });
}

let typing = 0;
for (const name of ["input", "change"]) {
  $("search").addEventListener(name, () => {
    clearTimeout(typing);
    typing = setTimeout(search, 150);
  });
}

function search() {
  const part = $("search").value.trim().toLowerCase();
  if (part === view.search) return;
  Object.assign(view, { search: part, limit: ROWS_PER_PAGE });
  shouldAnnounceResults = true;
  viewChanged();
}

$("more").addEventListener("click", () => {
  view.limit = Math.min(MAX_ROWS, view.limit + 2 * ROWS_PER_PAGE);
  viewChanged();
});

// MARK: Screen readers

let announcedAt = 0;

function announce(text) {
  announcedAt = performance.now();
  $("announcer").textContent = text;
}

// Announces the totals every 20 seconds while they change.
let announcedPlays = 0;
function announceStatistics() {
  if (!model.statistics || performance.now() - announcedAt < ANNOUNCE_MS) return;
  if (model.plays === announcedPlays) return;
  announcedPlays = model.plays;
  announce(`${counted(model.plays, "play")} of ${counted(model.statistics.videos, "video")} in ${counted(model.statistics.calls.made, "call")}`);
}

drawSort();
drawLatest();
connect();
setInterval(removeHighlights, 100);
setInterval(() => { drawCharts(); announceStatistics(); scheduleDraw(); }, 1000);
