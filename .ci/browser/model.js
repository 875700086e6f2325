// Tests the state of the page in the page, with an instance that the server's events do not change.
// Returns what is wrong, as texts.

return import("/model.js?test").then(({ model, ...change }) => {
  const found = [];
  const equal = (name, value, expected) => {
    const [one, other] = [JSON.stringify(value), JSON.stringify(expected)];
    if (one !== other) found.push(`${name} is ${one}, not ${other}`);
  };
  const statistics = (fields = {}) => ({ time: Date.now(), plays: 0, calls: { made: 0, videos: 0 }, seconds: [], ...fields });
  const state = (id, fields = {}) => ({
    run: { id, started: 5 }, settings: { source: id }, verdict: null, videos: [], latest_calls: [],
    statistics: statistics(), ...fields });
  const video = (video_id, play_count, updated = 0) => ({ video_id, play_count, immediate: false, call: 1, updated });
  const call = (number, ...videos) => ({
    number, time: 1000 * number,
    videos: videos.map(([video_id, play_count, immediate = true]) => ({ video_id, play_count, immediate })) });

  // Runs and states.
  equal("new runs", ["a", "a", "b", "a", "a"].map((id) => change.applyState(state(id))), [false, false, true, true, false]);
  change.applyState(state("c", { verdict: { verdict: "pass" }, videos: [video("v", 5), video("w", 3)], latest_calls: [{ number: 7 }],
    statistics: statistics({ plays: 8, seconds: [{ second: Math.floor(Date.now() / 1000) }] }) }));
  equal("the run", [model.run.id, model.settings.source, model.verdict], ["c", "c", { verdict: "pass" }]);
  equal("the videos", [[...model.videos.keys()], model.videosInState, model.plays], [["v", "w"], 2, 8]);
  equal("the calls", [model.calls, model.seconds.size], [[{ number: 7 }], 1]);
  change.applyState(state("c"));
  equal("the next state", [model.verdict, model.videos.size, model.videosInState, model.plays, model.calls, model.seconds.size], [null, 0, 0, 0, [], 0]);

  // The clock and the seconds.
  change.applyStatistics(statistics({ time: Date.now() + 90_000 }));
  equal("the server's clock", Math.abs(change.serverTime() - Date.now() - 90_000) < 1000, true);
  const seconds = (...list) => list.map((second) => ({ second, plays: second }));
  change.applyStatistics(statistics({ time: 1_000_000, seconds: seconds(874, 875, 900, 1000) }));
  equal("the seconds", [...model.seconds.keys()], [875, 900, 1000]);
  change.applyStatistics(statistics({ time: 1_010_000, seconds: [{ second: 1000, plays: 1 }] }));
  equal("the seconds 10 s later", [...model.seconds.values()].map((second) => second.plays), [900, 1]);

  // Calls.
  const changed = [];
  const apply = (one) => change.applyCall(one, ({ video_id, play_count }) => changed.push(`${video_id}${play_count}`));
  change.applyState(state("d", { videos: [video("v", 5)], statistics: statistics({ plays: 5 }) }));
  apply(call(1, ["v", 7], ["w", 2, false]));
  apply(call(2, ["v", 7]));
  equal("the changed totals", changed, ["v7", "w2"]);
  // The plays of an unknown video are in the next statistics.
  equal("the plays", model.plays, 7);
  equal("a video", model.videos.get("v"), { video_id: "v", play_count: 7, immediate: true, call: 2, updated: 2000 });
  equal("the new calls", model.calls, [
    { number: 1, time: 1000, immediate: 1, batched: 1 }, { number: 2, time: 2000, immediate: 1, batched: 0 }]);
  equal("the numbers of calls and videos", model.statistics.calls, { made: 2, videos: 3 });
  for (let number = 3; number <= 200; number += 1) apply(call(number, ["v", number]));
  equal("200 calls", [model.calls.length, model.calls[0].number], [200, 1]);
  apply(call(201, ["v", 201]));
  equal("the calls after the 201st", [model.calls.length, model.calls[0].number, model.calls.at(-1).number], [100, 102, 201]);

  // The number of videos.
  const many = (count) => Array.from({ length: count }, (_, index) => video(`v${index}`, index + 1));
  change.applyState(state("e", { videos: many(8_000) }));
  change.removeVideos(() => false);
  equal("8,000 videos", model.videos.size, 8_000);
  change.applyState(state("e", { videos: many(8_001) }));
  change.removeVideos((id) => id === "v0");
  equal("the most played videos and the shown one",
    [model.videos.size, ["v0", "v1", "v4000", "v4001", "v8000"].map((id) => model.videos.has(id))],
    [4_001, [true, false, false, true, true]]);

  // Rows of the API.
  change.applyState(state("f", { videos: [video("v", 5, 20)] }));
  change.addVideos([video("v", 4, 19), video("w", 1, 3)]);
  equal("an older row", [model.videos.get("v").play_count, model.videos.get("w").play_count], [5, 1]);
  change.addVideos([video("v", 6, 20)]);
  equal("a row of the same time", model.videos.get("v").play_count, 6);
  return found;
});
