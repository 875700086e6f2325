// Tests the pure functions of the page in the page. Returns what is wrong, as texts.

return import("/logic.js").then((logic) => {
  const found = [];
  const equal = (name, value, expected) => {
    const [one, other] = [JSON.stringify(value), JSON.stringify(expected)];
    if (one !== other) found.push(`${name} is ${one}, not ${other}`);
  };

  equal("durations", [0, 420, 99_940, 290_000, 999_600, 58_900_000, 150e6, 7_200e6].map(logic.durationText),
    ["0.0 ms", "0.4 ms", "99.9 ms", "290 ms", "1.0 s", "58.9 s", "3 min", "2.0 h"]);
  equal("the groups of a GUID", logic.guidParts("1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70"),
    ["1b4e28ba-", "2fa1-", "4d3b-", "a3f5-", "cf1b2c1e9a70"]);
  equal("no group", logic.guidParts(""), []);

  equal("plays", [[0, 0], [1, 0], [1200, 5]].map(([videos, waiting_videos]) => logic.playsCaption({ videos, waiting_videos })),
    ["no video yet", "1 video, all published", "1,200 videos, 5 unpublished"]);
  equal("calls", [[0, 1000], [9, 1000], [9, 1012]].map(([made, ratio_thousandths]) => logic.callsCaption({ made, ratio_thousandths })),
    ["none yet", "as few as possible", "1.2 % more than necessary"]);
  equal("batched plays", [0, 58_900_000, 62_100_000].map((worst_batched_us) => logic.batchedCaption({ worst_batched_us }, 60_000)),
    ["promised within 60 s", "of the promised 60 s", "2.1 s later than the promised 60 s"]);
  const queue = (depth, in_flight, deferred, oldest_ms) => logic.queueCaption({ depth, in_flight, deferred, oldest_ms });
  equal("the queue", [null, 0, 3_200].map((age) => logic.queueCaption(null, age)).concat([queue(0, 0, 0, null), queue(6, 2, 0, 3_200), queue(0, 0, 4, null)]),
    ["not reported by this nsqd", "no received message waits", "oldest received 3.2 s", "nothing waits", "oldest 3.2 s, 2 in flight", "4 deferred"]);
  equal("rates", [[0, 0], [0, 240], [167, 1240]].map(([now, peak]) => logic.rateCaption(now, peak)),
    ["none", "none now, up to 240", "167 now, up to 1,240"]);
  equal("a backlog", [[null, null], [null, 6_000], [{ oldest_ms: null }, null], [{ oldest_ms: 4_999 }, null], [{ oldest_ms: 5_000 }, null]]
    .map(([queue, age]) => logic.isBacklog(queue, age)),
    [false, true, false, false, true]);

  const video = (video_id, play_count, call, updated = call) => ({ video_id, play_count, call, updated });
  const order = (sort, order, videos) =>
    [videos, videos.toReversed()].map((list) => list.toSorted(logic.comparing({ sort, order })).map((one) => one.video_id).join(""));
  const videos = [video("a", 5, 9), video("b", 5, 3), video("c", 7, 4), video("d", 5, 3), video("e", 7, 1, 9)];
  equal("by plays", order("plays", "descending", videos), ["ecbda", "ecbda"]);
  equal("by plays, ascending", order("plays", "ascending", videos), ["bdaec", "bdaec"]);
  equal("by time", order("recent", "descending", videos), ["aecbd", "aecbd"]);
  equal("by time, ascending", order("recent", "ascending", videos), ["bdcea", "bdcea"]);
  equal("by video, descending", order("video", "descending", videos), ["edcba", "edcba"]);

  equal("bars", [[0, 0], [0, 9], [1, 100], [25, 100], [100, 100]].map(([count, most]) => logic.barLength(count, most)), [0, 0, 10, 50, 100]);
  equal("kinds", [[1, 0], [0, 2], [3, 4]].map(([immediate, batched]) => logic.callKind({ immediate, batched })),
    ["immediate", "batched", "mixed"]);

  const second = (second, calls) =>
    ({ second, plays: 9, immediate_calls: calls, mixed_calls: 1, batched_calls: 0, immediate_videos: calls + 1, batched_videos: 19 });
  const seconds = new Map([second(100, 3), second(103, 19), second(104, 20)].map((entry) => [entry.second, entry]));
  equal("an idle second", logic.shouldAggregate(seconds, 103), false);
  equal("a busy second", logic.shouldAggregate(seconds, 104), true);
  equal("a busy second 9 s ago", logic.shouldAggregate(seconds, 113), true);
  equal("a busy second 10 s ago", logic.shouldAggregate(seconds, 114), false);
  const columns = logic.secondColumns(seconds, 104);
  equal("the number of columns", columns.length, logic.COLUMNS);
  equal("the last columns", columns.slice(-2), [
    { first: 103_000, last: 103_000, calls: 20, immediate: 1, batched: 0.95 },
    { first: 104_000, last: 104_000, calls: 21, immediate: 1, batched: 19 / 21 }]);
  equal("a column without calls", columns.at(-3), { first: 102_000, last: 102_000, calls: 0, immediate: 0, batched: 0 });
  const calls = Array.from({ length: 60 }, (_, index) => ({ number: index + 1, time: 5, immediate: 1, batched: 2 }));
  equal("the calls shown", logic.callColumns(calls).map((column) => column.number), calls.slice(12).map((call) => call.number));

  equal("a flood", [[4, 10], [5, 10], [33, 100], [34, 100]].map(([changed, visible]) => logic.isFlood(changed, visible)),
    [false, true, false, true]);
  return found;
});
