// Tests the pure functions of the pages of topics in the page. Returns what is wrong, as texts.

return import(`${document.documentElement.dataset.base}/topics-logic.js`).then((logic) => {
  const found = [];
  const equal = (name, value, expected) => {
    const [one, other] = [JSON.stringify(value), JSON.stringify(expected)];
    if (one !== other) found.push(`${name} is ${one}, not ${other}`);
  };

  equal("routes", ["/", "/topics", "/topics/a%23b", "/topics/a/b", "/nodes/h:1", "/counter", "/x"].map(logic.routeOf), [
    { view: "topics" }, { view: "topics" }, { view: "topic", topic: "a#b" }, { view: "channel", topic: "a", channel: "b" },
    { view: "node", node: "h:1" }, { view: "counter" }, { view: "topics" }]);
  equal("a path", logic.pathOf("topics", "a#ephemeral", "b"), "/topics/a%23ephemeral/b");
  equal("rates", [null, undefined, 0, 0.25, 1234.5].map(logic.perSecond), ["–", "–", "0", "0.3", "1,235"]);
  equal("slots", logic.slotsUntil(8, 3, [[7, 1], [2, 9]]), [null, [7, 1], null]);
  equal("filled slots", logic.filled([null, 1, null, null, null, 2], 2), [null, 1, 1, 1, null, 2]);
  equal("a line", logic.linePath([0, 2, null, 2], 2, 40, false), "M0 39.00H1V2.00H2M3 2.00H4");
  equal("an area", logic.linePath([2, null], 2, 40, true), "M0 41V2.00H1V41H0z");
  equal("no line", logic.linePath([null], 0, 40, true), "");
  equal("a query", logic.messageQuery({ node: "h:1", state: "", contains: "a b", after: null, min_age: "1.5" }), "node=h%3A1&contains=a+b&min_age_ms=90000");
  equal("states", [{ state: "ready" }, { state: "deferred", time_left_ms: 5000 }, { state: "in_flight", time_left_ms: 5000, client: { client_id: "w", remote_address: "h:2" } }].map(logic.stateText),
    ["ready", "deferred, due in 5 s", "in flight to w at h:2, 5 s left"]);
  equal("an operation", logic.operationText({ action: "delete", state: "running", messages: 2000, examined: 1000, selected: 10, changed: 9 }),
    "delete: running: 1,000 of 2,000 messages examined, 9 of 10 selected changed");
  const client = (finished) => ({ node: "n", address: "a", finished });
  equal("client rates", [...logic.clientRates([client(10)], [client(30), { node: "n", address: "b", finished: 1 }], 4)], [["n a", 5], ["n b", null]]);
  equal("a client after a restart", [...logic.clientRates([client(10)], [client(3)], 1)], [["n a", 0]]);
  return found;
});
