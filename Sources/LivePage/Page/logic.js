// Pure functions for formatting, captions, order, scale and aggregation. They read no clock and no
// document, so the browser test can call them.

// MARK: Formatting

const numbers = new Intl.NumberFormat("en");
const times = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

export const grouped = (number) => numbers.format(number);
export const counted = (count, noun) => `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
// The local time of day, such as 17:10:28, for a time in milliseconds since 1970.
export const clock = (milliseconds) => times.format(milliseconds);
// The local date and time of day, such as 01/12/2026 17:10:28, for a time in milliseconds since 1970.
export const dateAndClock = (milliseconds) => `${new Date(milliseconds).toLocaleDateString("en-GB")} ${clock(milliseconds)}`;

// A duration as [number, unit], with about three digits.
export function duration(microseconds) {
  const seconds = microseconds / 1e6;
  if (seconds < 0.1) return [(microseconds / 1000).toFixed(1), "ms"];
  if (seconds < 0.9995) return [(microseconds / 1000).toFixed(0), "ms"];
  if (seconds < 99.95) return [seconds.toFixed(1), "s"];
  if (seconds < 5_970) return [(seconds / 60).toFixed(0), "min"];
  return [(seconds / 3600).toFixed(1), "h"];
}

export const durationText = (microseconds) => duration(microseconds).join(" ");

// 60 000 → "60 s", 1500 → "1.5 s"
export const secondsText = (milliseconds) => `${numbers.format(milliseconds / 1000)} s`;

// The groups of a GUID, each with its hyphen. The page allows a line break after each group.
export const guidParts = (id) => id.match(/[^-]+-?/g) ?? [];

// MARK: Captions

export function playsCaption({ videos, waiting_videos }) {
  if (videos === 0 && waiting_videos === 0) return "no video yet";
  const waiting = waiting_videos > 0 ? `${grouped(waiting_videos)} unpublished` : "all published";
  return `${counted(videos, "video")}, ${waiting}`;
}

export function callsCaption({ made, ratio_thousandths }) {
  if (made === 0) return "none yet";
  const percent = (ratio_thousandths - 1000) / 10;
  return percent < 0.05 ? "as few as possible" : `${percent.toFixed(1)} % more than necessary`;
}

export function batchedCaption({ worst_batched_us }, freshness_ms) {
  const promise = secondsText(freshness_ms);
  if (worst_batched_us === 0) return `promised within ${promise}`;
  const late = worst_batched_us - freshness_ms * 1000;
  return late > 0 ? `${durationText(late)} later than the promised ${promise}` : `of the promised ${promise}`;
}

// If nsqd does not report the state of the channel, the caption shows the age of the oldest
// received message instead.
export function queueCaption(queue, backlog_ms) {
  if (queue === null) {
    if (backlog_ms === null) return "not reported by this nsqd";
    return backlog_ms > 0 ? `oldest received ${durationText(backlog_ms * 1000)}` : "no received message waits";
  }
  const { depth, in_flight, deferred, oldest_ms } = queue;
  const parts = [];
  if (oldest_ms !== null && depth + in_flight > 0) parts.push(`oldest ${durationText(oldest_ms * 1000)}`);
  if (in_flight > 0) parts.push(`${grouped(in_flight)} in flight`);
  if (deferred > 0) parts.push(`${grouped(deferred)} deferred`);
  return parts.length > 0 ? parts.join(", ") : "nothing waits";
}

// If the oldest message is at least this old, the page shows a backlog.
export const BACKLOG_MS = 5000;
export const isBacklog = (queue, backlog_ms) => ((queue === null ? backlog_ms : queue.oldest_ms) ?? 0) >= BACKLOG_MS;

export function rateCaption(now, peak) {
  if (peak === 0) return "none";
  return now === 0 ? `none now, up to ${grouped(peak)}` : `${grouped(now)} now, up to ${grouped(peak)}`;
}

export function fillCaption({ made, videos }, slots) {
  if (made === 0) return "";
  return `on average ${(videos / made).toFixed(1)} of ${slots} slots used`;
}

// MARK: Order

const keys = {
  plays: (one, other, way) => way * (one.play_count - other.play_count) || one.call - other.call,
  recent: (one, other, way) => way * (one.updated - other.updated || one.call - other.call),
  video: () => 0,
};

// Orders videos as the server does. Videos with equal totals or equal times are ordered by the
// number of the call that published them, and then by the GUID. GUIDs are unique, so no two videos
// compare as equal.
export function comparing({ sort, order }) {
  const way = order === "ascending" ? 1 : -1;
  const idWay = sort === "video" ? way : 1;
  return (one, other) =>
    keys[sort](one, other, way) || idWay * (one.video_id < other.video_id ? -1 : one.video_id > other.video_id ? 1 : 0);
}

// MARK: Scale

// The length of a bar in percent. It grows with the square root of the count: a tenth of the plays
// has a third of the length. Otherwise the bar of the 20th video of a Zipf distribution would be
// invisible.
export function barLength(count, most) {
  return most > 0 ? Math.sqrt(Math.max(0, count) / most) * 100 : 0;
}

// MARK: Latest calls

export const COLUMNS = 48;
// If a second has more calls than this, the chart has a column for each second instead of for each
// call.
export const MAX_CALLS_PER_SECOND = 20;
const AGGREGATION_SECONDS = 10;

export const callKind = ({ immediate, batched }) =>
  batched === 0 ? "immediate" : immediate === 0 ? "batched" : "mixed";

export const callsOf = (second) => second.immediate_calls + second.mixed_calls + second.batched_calls;

// Returns the last `count` seconds up to `last`; null for a second without an entry.
export function lastSeconds(seconds, last, count) {
  return Array.from({ length: count }, (_, index) => seconds.get(last - count + 1 + index) ?? null);
}

// True if a recent second had so many calls that single calls could not be told apart.
export function shouldAggregate(seconds, last) {
  return lastSeconds(seconds, last, AGGREGATION_SECONDS).some((second) => second && callsOf(second) > MAX_CALLS_PER_SECOND);
}

// The columns of the chart if each shows one call, oldest first.
export function callColumns(calls) {
  return calls.slice(-COLUMNS).map(({ number, time, immediate, batched }) =>
    ({ first: time, last: time, calls: 1, number, immediate, batched }));
}

// The columns of the chart if each shows the average call of one second, oldest first.
export function secondColumns(seconds, last) {
  return lastSeconds(seconds, last, COLUMNS).map((second, index) => {
    const time = (last - COLUMNS + 1 + index) * 1000;
    const calls = second ? callsOf(second) : 0;
    return {
      first: time, last: time, calls,
      immediate: calls ? second.immediate_videos / calls : 0,
      batched: calls ? second.batched_videos / calls : 0,
    };
  });
}

// MARK: Highlights

// True if more than a third of the visible rows changed within a second, so that highlights would
// only flicker.
export const isFlood = (changed, visible) => changed > Math.max(4, visible / 3);
