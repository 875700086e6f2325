// The page in three parts: a model that hears events, a picture of it drawn at most once a frame,
// and what a person does. Everything that comes from outside is put in as text.

const $ = (id) => document.getElementById(id);
const grouped = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const one = (count, word) => `${grouped.format(count)} ${word}${count === 1 ? "" : "s"}`;

const SECONDS = 120;
const LEAST_SECONDS = 30;
const COLUMNS = 48;
const ROWS_AT_ONCE = 100;
const MOST_ROWS = 1000;
// More videos than this are not kept, unless they are to be seen.
const MOST_VIDEOS = 4000;
const LIT_MS = 450;
const SETTLE_MS = 600;
const ASK_AGAIN_MS = 2000;
const ANNOUNCE_MS = 20000;

// What is known.
const model = {
  settings: { source: "", videos_per_call: 20 },
  statistics: null,
  videos: new Map(),
  plays: 0,
  calls: [],
  seconds: new Map(),
  clockAhead: 0,
  // How many of the most played a state names.
  given: 0,
};

// What the person wants to see.
const view = { sort: "plays", order: "descending", search: "", limit: ROWS_AT_ONCE };
// How many videos match, if the server was asked; what is known here need not be all.
let matching = null;

// MARK: Hearing

function heardState(state) {
  model.settings = state.settings;
  model.videos = new Map();
  model.seconds = new Map();
  model.calls = [];
  model.given = state.videos.length;
  for (const video of state.videos) model.videos.set(video.video_id, video);
  heardStatistics(state.statistics);
  $("source").textContent = state.settings.source;
  settledAt = 0;
  if (!isClosed()) ask();
}

function heardStatistics(statistics) {
  model.statistics = statistics;
  model.plays = statistics.plays;
  model.clockAhead = statistics.time - Date.now();
  for (const second of statistics.seconds) model.seconds.set(second.second, second);
  const first = statistics.time / 1000 - SECONDS - 5;
  for (const second of model.seconds.keys()) if (second < first) model.seconds.delete(second);
  drawSoon();
}

function heardCall(call) {
  for (const { video_id, play_count, immediate } of call.videos) {
    const before = model.videos.get(video_id);
    if (before) model.plays += play_count - before.play_count;
    model.videos.set(video_id, {
      video_id, play_count, immediate, call: call.number, updated: call.time,
    });
    light(video_id, immediate);
  }
  model.calls.push({
    number: call.number,
    immediate: call.videos.filter((video) => video.immediate).length,
    videos: call.videos.length,
  });
  if (model.calls.length > 4 * COLUMNS) model.calls.splice(0, model.calls.length - COLUMNS);
  if (model.statistics) model.statistics.calls.made += 1;
  if (model.videos.size > 2 * MOST_VIDEOS) forget();
  hasChanged = true;
  drawSoon();
}

// Keeps the most played and what is on the screen.
function forget() {
  const most = [...model.videos.values()].sort((a, b) => b.play_count - a.play_count);
  const kept = new Map(most.slice(0, MOST_VIDEOS).map((video) => [video.video_id, video]));
  for (const id of rows.keys()) if (model.videos.has(id)) kept.set(id, model.videos.get(id));
  model.videos = kept;
}

// MARK: Connection

const states = {
  connecting: "Connecting", live: "Live", lost: "Connection lost, trying again", ended: "Stopped",
};

function connectionIs(state) {
  const sign = $("connection");
  if (sign.dataset.state === state) return;
  sign.dataset.state = state;
  sign.firstElementChild.textContent = states[state];
  announce(states[state]);
}

function connect() {
  const events = new EventSource("/events");
  const hear = (name, heard) => events.addEventListener(name, (event) => heard(JSON.parse(event.data)));
  hear("state", heardState);
  hear("call", heardCall);
  hear("statistics", heardStatistics);
  hear("end", () => connectionIs("ended"));
  events.onopen = () => connectionIs("live");
  events.onerror = () => {
    if ($("connection").dataset.state !== "ended") connectionIs("lost");
    // The browser tries again by itself, unless the answer was none that it can read.
    if (events.readyState !== EventSource.CLOSED) return;
    setTimeout(connect, 3000);
  };
}

// MARK: Asking

// Whether the rows in view can be told from what is known: if that is every video, or if those in
// view are the most played, among which a video can only come by a change, of which we hear.
function isClosed() {
  const all = model.statistics === null || model.videos.size >= model.statistics.videos;
  const isByPlays = view.sort === "plays" && view.order === "descending";
  return all || (isByPlays && view.search === "" && view.limit <= model.given);
}

let asking = null;
let askedAt = 0;

async function ask() {
  asking?.abort();
  const asked = (asking = new AbortController());
  askedAt = performance.now();
  const { sort, order, search, limit } = view;
  const query = new URLSearchParams({ sort, order, search, top: limit });
  try {
    const answer = await fetch(`/api/videos?${query}`, { signal: asked.signal });
    if (!answer.ok) return;
    const found = await answer.json();
    for (const video of found.videos) {
      const known = model.videos.get(video.video_id);
      if (!known || known.updated <= video.updated) model.videos.set(video.video_id, video);
    }
    matching = found.matching;
    settledAt = 0;
    drawSoon();
  } catch {
    // A newer question took its place, or the server is gone, which the event source notices.
  }
}

// MARK: Drawing

let isDrawing = false;
let hasChanged = false;
let settledAt = 0;

function drawSoon() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame((now) => {
    isDrawing = false;
    drawFigures();
    drawLatest();
    drawRows(now);
  });
}

function put(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text;
}

function duration(microseconds) {
  if (microseconds >= 1e6) return [(microseconds / 1e6).toFixed(1), "s"];
  return [(microseconds / 1000).toFixed(microseconds < 1e5 ? 1 : 0), "ms"];
}

function drawFigures() {
  const now = model.statistics;
  if (!now) return;
  put("plays", grouped.format(model.plays));
  put("plays-note", `${one(now.videos, "video")}, ${grouped.format(now.waiting_videos)} not due yet`);
  put("calls", grouped.format(now.calls.made));
  put("calls-note", `${(now.calls.ratio_thousandths / 1000).toFixed(3)} × the least that would do`);
  put("room", grouped.format(now.calls.empty_slots));
  drawDuration("slowest", now.worst_immediate_us, now.calls.immediate > 0);
  const late = duration(now.worst_lateness_us).join(" ");
  put("slowest-note", now.worst_lateness_us > 0 ? `others at most ${late} late` : "none of the others late");
  put("queue", now.queue ? grouped.format(now.queue.depth) : "–");
  put("queue-note", now.queue
    ? `${grouped.format(now.queue.in_flight)} in flight, ${grouped.format(now.queue.deferred)} deferred`
    : "not known for this broker");
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
  const paths = { room: "", batched: "", immediate: "" };
  const latest = model.calls.slice(-COLUMNS);
  for (let column = 0; column < COLUMNS; column += 1) {
    const call = latest[column - COLUMNS + latest.length] ?? { immediate: 0, videos: 0 };
    for (let row = 0; row < model.settings.videos_per_call; row += 1) {
      const kind = row < call.immediate ? "immediate" : row < call.videos ? "batched" : "room";
      paths[kind] += cell(column, row);
    }
  }
  for (const [kind, path] of Object.entries(paths)) {
    $("latest").querySelector(`path.${kind}`).setAttribute("d", path);
  }
}

// Every second, so that time passes when nothing comes.
function drawCharts() {
  if (!model.statistics) return;
  // The last second of which all has been heard.
  const last = Math.floor((Date.now() + model.clockAhead) / 1000) - 2;
  const none = { plays: 0, immediate_calls: 0, batched_calls: 0 };
  // The picture grows with what there is to see, up to two minutes.
  const width = Math.min(SECONDS, Math.max(LEAST_SECONDS, last - Math.min(...model.seconds.keys()) + 2));
  const seconds = Array.from({ length: width }, (_, index) => model.seconds.get(last - width + 1 + index) ?? none);
  put("pace-title", width < 100 ? `Each second, for ${width} seconds` : "Each second, for two minutes");
  for (const id of ["plays-chart", "calls-chart"]) $(id).setAttribute("viewBox", `0 0 ${width} 40`);
  const most = (of) => Math.max(1, ...seconds.map(of));

  const plays = most((second) => second.plays);
  const levels = seconds.map((second) => (39 - (second.plays / plays) * 37).toFixed(2));
  const points = levels.map((level, x) => `${x + 0.5} ${level}`);
  chart("plays-chart", "plays",
    `M-1 41V${levels[0]}L${points.join("L")}L${width + 1} ${levels.at(-1)}V41z`);
  tell("plays", seconds.at(-1).plays, plays);

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
  tell("calls", seconds.at(-1).immediate_calls + seconds.at(-1).batched_calls, calls);
}

const chart = (id, kind, path) => $(id).querySelector(`path.${kind}`).setAttribute("d", path);

function tell(what, now, most) {
  put(`${what}-now`, `${grouped.format(now)} now, ${grouped.format(most)} at most`);
  $(`${what}-chart`).setAttribute("aria-label",
    `${what} a second: ${now} now, ${most} at most`);
}

// MARK: Rows

const rows = new Map();

const orders = {
  plays: (a, b) => a.play_count - b.play_count,
  recent: (a, b) => a.updated - b.updated,
  video: () => 0,
};

// As the server sorts: where all is even, by name.
function inOrder(videos) {
  const by = orders[view.sort];
  const way = view.order === "ascending" ? 1 : -1;
  const name = view.sort === "video" ? way : 1;
  return videos.sort((a, b) => way * by(a, b) || name * (a.video_id < b.video_id ? -1 : 1));
}

// Totals change at once; the order settles now and then, or nobody could read it.
function drawRows(now) {
  const isClosedNow = isClosed();
  if (hasChanged && !isClosedNow && now - askedAt > ASK_AGAIN_MS) {
    hasChanged = false;
    ask();
  }
  if (now - settledAt >= SETTLE_MS) {
    settledAt = now;
    settle(isClosedNow);
  } else {
    for (const [id, row] of rows) fill(row, model.videos.get(id));
  }
}

function settle(isClosedNow) {
  const found = inOrder([...model.videos.values()].filter((video) => video.video_id.includes(view.search)));
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
  const all = isClosedNow && view.search !== "" ? found.length
    : view.search === "" ? model.statistics?.videos ?? 0 : matching ?? found.length;
  drawShown(shown.length, all);
}

// A person has asked for other videos, and is told how many there are.
let isToSay = false;

function drawShown(shown, all) {
  if (!model.statistics) return;
  const found = view.search === "" ? one(all, "video") : `${one(all, "video")} with “${view.search}”`;
  put("shown", shown < all ? `${grouped.format(shown)} of ${found}` : found);
  if (isToSay) announce($("shown").textContent);
  isToSay = false;
  $("more").hidden = shown >= all || shown < view.limit || view.limit >= MOST_ROWS;
  $("empty").hidden = shown > 0;
  put("empty", view.search === "" ? "No video has been published yet." : "No video’s GUID holds that.");
}

function makeRow(id) {
  const element = document.createElement("tr");
  const cell = (name, kind = "td") => {
    const cell = element.appendChild(document.createElement(kind));
    cell.className = name;
    return cell;
  };
  const head = cell("video", "th");
  head.scope = "row";
  head.textContent = id;
  const count = cell("count");
  const share = cell("share");
  share.setAttribute("aria-hidden", "true");
  const row = {
    element, count,
    bar: share.appendChild(document.createElement("div")),
    way: cell("way").appendChild(document.createElement("span")),
    call: cell("call"), updated: cell("updated"), shown: null,
  };
  rows.set(id, row);
  if (lit.has(id)) element.dataset.lit = lit.get(id).way;
  return row;
}

function fill(row, video) {
  if (!video || row.shown === video) return;
  row.shown = video;
  const way = video.updated === 0 ? "earlier" : video.immediate ? "immediate" : "batched";
  row.count.textContent = grouped.format(video.play_count);
  row.way.textContent = way;
  row.way.className = way;
  row.call.textContent = video.call === 0 ? "" : grouped.format(video.call);
  row.updated.textContent = video.updated === 0 ? "" : clock.format(video.updated);
}

// MARK: Light

const lit = new Map();

function light(id, immediate) {
  const way = immediate ? "immediate" : "batched";
  lit.set(id, { way, since: performance.now() });
  const row = rows.get(id);
  if (row) row.element.dataset.lit = way;
}

function dim() {
  const before = performance.now() - LIT_MS;
  for (const [id, { since }] of lit) {
    if (since > before) continue;
    lit.delete(id);
    const row = rows.get(id);
    if (row) delete row.element.dataset.lit;
  }
}

// MARK: What a person does

function drawSort() {
  for (const button of document.querySelectorAll("thead button")) {
    const head = button.parentElement;
    if (button.dataset.sort === view.sort) head.setAttribute("aria-sort", view.order);
    else head.removeAttribute("aria-sort");
  }
}

function viewChanged() {
  matching = null;
  settledAt = 0;
  drawSort();
  drawSoon();
  if (!isClosed()) ask();
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
for (const sign of ["input", "change"]) {
  $("search").addEventListener(sign, () => {
    clearTimeout(typing);
    typing = setTimeout(search, 150);
  });
}

function search() {
  const part = $("search").value.trim().toLowerCase();
  if (part === view.search) return;
  Object.assign(view, { search: part, limit: ROWS_AT_ONCE });
  isToSay = true;
  viewChanged();
}

$("more").addEventListener("click", () => {
  view.limit = Math.min(MOST_ROWS, view.limit + 2 * ROWS_AT_ONCE);
  viewChanged();
});

// MARK: For those who listen

let announcedAt = 0;

function announce(text) {
  announcedAt = performance.now();
  $("announcer").textContent = text;
}

// A sentence now and then, and none while nothing changes.
let announcedPlays = 0;
function announceFigures() {
  if (!model.statistics || performance.now() - announcedAt < ANNOUNCE_MS) return;
  if (model.plays === announcedPlays) return;
  announcedPlays = model.plays;
  announce(`${one(model.plays, "play")} of ${one(model.statistics.videos, "video")} in ${one(model.statistics.calls.made, "call")}`);
}

drawSort();
drawLatest();
connect();
setInterval(dim, 100);
setInterval(() => { drawCharts(); announceFigures(); drawSoon(); }, 1000);
