// The data that the page shows, which the server's events change. No function here touches the
// document.

const SECONDS = 120;
const CALLS = 100;
// Videos beyond this number are removed from the model, except those in the table.
const MAX_VIDEOS = 4000;

export const model = {
  // The run (from the start of the server's page to its stop) as `id` and `started`; null before
  // the first `state` event.
  run: null,
  settings: { source: "", videos_per_call: 20, freshness_ms: 60_000, produce_command: null },
  statistics: null,
  verdict: null,
  videos: new Map(),
  plays: 0,
  // The latest calls, oldest first: `number`, `time`, and the numbers of `immediate` and `batched` videos.
  calls: [],
  // The statistics of the last two minutes by second.
  seconds: new Map(),
  // The server's clock minus the browser's clock, in milliseconds.
  clockOffset: 0,
  // The number of videos in the last `state` event, which contains the most played ones.
  videosInState: 0,
};

// The time on the server's clock, in milliseconds since 1970.
export const serverTime = () => Date.now() + model.clockOffset;

// Applies a `state` event. Returns true if it belongs to another run than the previous one.
export function applyState(state) {
  const isNewRun = model.run !== null && model.run.id !== state.run.id;
  model.run = state.run;
  model.settings = state.settings;
  model.verdict = state.verdict;
  model.videos = new Map(state.videos.map((video) => [video.video_id, video]));
  model.videosInState = state.videos.length;
  model.seconds = new Map();
  model.calls = state.latest_calls;
  applyStatistics(state.statistics);
  return isNewRun;
}

export function applyStatistics(statistics) {
  model.statistics = statistics;
  model.plays = statistics.plays;
  model.clockOffset = statistics.time - Date.now();
  for (const second of statistics.seconds) model.seconds.set(second.second, second);
  const first = statistics.time / 1000 - SECONDS - 5;
  for (const second of model.seconds.keys()) if (second < first) model.seconds.delete(second);
}

// Applies a call. `changed` is called with each video whose total has changed.
export function applyCall(call, changed) {
  let immediateVideos = 0;
  for (const { video_id, play_count, immediate } of call.videos) {
    const before = model.videos.get(video_id);
    if (before) model.plays += play_count - before.play_count;
    if (immediate) immediateVideos += 1;
    const video = { video_id, play_count, immediate, call: call.number, updated: call.time };
    model.videos.set(video_id, video);
    if (before?.play_count !== play_count) changed(video);
  }
  const batched = call.videos.length - immediateVideos;
  model.calls.push({ number: call.number, time: call.time, immediate: immediateVideos, batched });
  if (model.calls.length > 2 * CALLS) model.calls.splice(0, model.calls.length - CALLS);
  if (model.statistics) {
    model.statistics.calls.made += 1;
    model.statistics.calls.videos += call.videos.length;
  }
}

// Bounds the memory of the model: keeps the most played videos, and those for which `isShown`
// returns true.
export function removeVideos(isShown) {
  if (model.videos.size <= 2 * MAX_VIDEOS) return;
  const most = [...model.videos.values()].sort((a, b) => b.play_count - a.play_count);
  model.videos = new Map(
    most.filter((video, index) => index < MAX_VIDEOS || isShown(video.video_id)).map((video) => [video.video_id, video]));
}

// Adds videos from a response of the API, except those that a later call has changed.
export function addVideos(videos) {
  for (const video of videos) {
    const known = model.videos.get(video.video_id);
    if (!known || known.updated <= video.updated) model.videos.set(video.video_id, video);
  }
}
