// Tests the pure functions of the page of the jobs in the page. Returns what is wrong, as texts.

return import("/jobs-logic.js").then((logic) => {
  const found = [];
  const equal = (name, value, expected) => {
    const [one, other] = [JSON.stringify(value), JSON.stringify(expected)];
    if (one !== other) found.push(`${name} is ${one}, not ${other}`);
  };

  equal("spans", [-5, 0, 8, 1200, 45e3, 1.5e6, 45e6, 180e6, 9000e6, 90 * 3600e6].map(logic.spanText),
    ["0 µs", "0 µs", "8 µs", "1.2 ms", "45 ms", "1.5 s", "45 s", "3 min", "2.5 h", "3.8 d"]);
  equal("memory", [null, 40 << 20, 3 * 2 ** 30].map(logic.memoryText), ["–", "40 MiB", "3.0 GiB"]);
  equal("rates", [0, 0.25, 3, 1234.5].map(logic.rateText), ["0", "0.3", "3.0", "1,235"]);
  const limits = { limit: null, key_limit: null, waiting_for_limit: 0 };
  const limit = { concurrency: 2000, rate_starts: 1, rate_seconds: 60 };
  equal("limits", [limits, { ...limits, limit, waiting_for_limit: 1 }, {
    limit: { concurrency: null, rate_starts: 100, rate_seconds: 0.5 }, key_limit: { concurrency: 1, rate_starts: null, rate_seconds: null },
    waiting_for_limit: 1234,
  }].map(logic.limitText), [
    "", "limit 2,000 at once, 1 start per 1 min · 1 waits for it",
    "limit 100 starts per 500 ms · limit per key 1 at once · 1,234 wait for it"]);
  const job = (state) => logic.timeOf({ state, created: 1, due: 2, started: 3, finished: 4 });
  equal("times", ["scheduled", "available", "running", "completed"].map(job),
    [["due", 2], ["enqueued", 1], ["started", 3], ["ended", 4]]);
  const noon = new Date(2026, 4, 3, 12, 30, 15).getTime();
  equal("times of day and dates", [0, 86_400_000].map((later) => logic.timeText(noon, noon + later)), ["12:30:15", "3 May, 12:30"]);
  equal("JSON", [logic.prettyJSON({ a: 1 }), logic.prettyJSON("not JSON")], ['{\n  "a": 1\n}', "not JSON"]);

  equal("arguments", [logic.argumentsText({ a: [1] }), logic.argumentsText({ $encrypted: { key: "k", text: "eA==" } }), logic.argumentsText(null)],
    ['{\n  "a": [\n    1\n  ]\n}', "encrypted with key 'k'", "null"]);

  equal("a filter", logic.filterFrom("?state=discarded&name=%3Cb%3E&other=1&tag="), { state: "discarded", name: "<b>" });
  equal("its query", logic.queryOf({ name: "<b>&", error: "3" }), "name=%3Cb%3E%26&error=3");
  equal("its body", logic.bodyOf({ queue: "mail", error: "3" }), { queue: "mail", error: 3 });

  const actions = (state) => ["retry", "cancel", "discard", "move"].filter((action) => logic.allows(action, state)).join(" ");
  equal("actions", logic.STATES.map(actions), [
    "retry cancel discard move", "cancel discard move", "cancel", "retry cancel discard move", "retry", "retry", "retry"]);

  equal("columns", logic.octaves([[0, 1], [3, 2], [4, 1], [5, 1], [31, 7]]), [[1, 1], [2, 0], [4, 2], [8, 2], [16, 0], [32, 7]]);
  equal("no column", logic.octaves([]), []);
  const seconds = new Map([[7, "a"]]);
  equal("seconds", logic.secondsUntil(8, 3, seconds), [null, "a", null]);

  const progress = (count, complete, changed) => logic.progressOf({ count, complete, changed, unchanged: 1 });
  equal("progress", [progress(10, true, 4), progress(10, false, 4), progress(2, true, 4)], [0.5, null, 1]);
  equal("previews", [[0, true], [1, true], [1234, false]].map(([count, complete]) => logic.previewText({ count, complete }, "retry").split(". ")[0]),
    ["No job matches the filter.", "This affects 1 job", "This affects at least 1,234 jobs"]);
  return found;
});
