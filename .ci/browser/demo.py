"""A run of `tally demo --live`, from its first plays to its verdict and its stop."""

import json
import re
import subprocess
from datetime import datetime, timedelta

from browser.audit import expect_good_layout
from browser.processes import TIMEOUT_SECONDS, Child, Serve, eventually, expect

PLAYS, OVER_SECONDS = 6_000, 15
HISTORY = """
    const path = (name) => document.querySelector(`#latest path.${name}`).getAttribute('d') ?? '';
    return { label: document.getElementById('latest').getAttribute('aria-label'),
             calls: (path('immediate') + path('batched')).split('M').length - 1,
             first: document.getElementById('latest-first').textContent,
             seconds: document.querySelector('#calls-chart path.immediate').getAttribute('d') ?? '',
             times: [...document.querySelectorAll('#rows .updated')]
                 .filter((cell) => /^\\d\\d:\\d\\d:\\d\\d$/.test(cell.textContent)).length }
"""


def run(browser, children, folder, tally):
    store = f"{folder}/demo.sqlite"
    demo = Child(
        folder, "demo", tally, "demo", "--live", f"--plays={PLAYS}", f"--over={OVER_SECONDS}s",
        "--json", "--tcp-address=127.0.0.1:0", "--page-address=127.0.0.1:0", f"--store={store}")
    children.append(demo)
    browser.open(demo.wait_for_output(r"http://\S+/videos").group(0))
    check_updates(browser)
    check_history_after_reload(browser)
    sort_and_search(browser)
    browser.run("window.wasNotReloaded = true")
    verdict = check_verdict(browser, demo, tally, store)
    expect_good_layout(browser, "with a verdict")
    check_stop(browser, demo)
    expect(browser.run("return window.wasNotReloaded === true"), "the page was reloaded")
    browser.expect_no_errors()
    run_that_fails(browser, children, folder, tally)
    return f"{verdict['plays_counted']} plays in {verdict['calls']} calls"


def run_that_fails(browser, children, folder, tally):
    """A demo whose plays do not arrive ends with the verdict "fail", and the page shows the reason."""
    nsqd = Serve(children, folder, tally, "--page-address=none")
    for action in ["create", "pause"]:
        nsqd.control(f"topic/{action}?topic=paused")
    demo = Child(
        folder, "failing", tally, "demo", "--live", "--plays=100", "--over=1s", "--topic=paused",
        f"--nsqd-tcp-address={nsqd.nsqd}", "--max-standstill=2s", "--page-address=127.0.0.1:0")
    children.append(demo)
    browser.open(demo.wait_for_output(r"http://\S+/videos").group(0))
    eventually("the run fails", lambda: browser.text("verdict-title") == "Verdict: fail")
    reason = browser.run("return document.getElementById('verdict').innerText")
    expect("no progress for" in reason, f"the reason is {reason}")
    expect(
        re.search(r"\d of \d+ rules are broken", browser.text("verdict-reason")),
        f"the summary is {browser.text('verdict-reason')}")
    expect_good_layout(browser, "with a verdict of fail")
    demo.stop()
    nsqd.child.stop()


def check_updates(browser):
    """Checks the page while plays arrive."""
    eventually("the page is live", lambda: browser.text("connection") == "Live")
    seen = set()

    def changes():
        seen.add((browser.number("plays"), tuple(map(tuple, browser.rows()[:5]))))
        return len({plays for plays, _ in seen}) >= 8

    eventually("the counts change", changes)
    eventually(
        "immediate and batched videos are shown",
        lambda: browser.run(
            "return ['immediate', 'batched'].every((kind) =>"
            " document.querySelector(`#rows .kind .${kind}`) !== null)"))
    eventually(
        "the calls of a busy run are shown by the second",
        lambda: browser.run("return document.getElementById('latest').dataset.unit") == "second")
    widths = browser.run(
        "return [...document.querySelectorAll('#rows .bar div')].map((bar) => bar.offsetWidth)")
    expect(widths[19] >= 20, f"the bar of the 20th video has {widths[19]} of {widths[0]} pixels")


def check_history_after_reload(browser):
    eventually("some seconds are shown", lambda: browser.run(HISTORY)["seconds"].count("M") >= 3)
    browser.reload()
    history = eventually(
        "the latest calls are shown after a reload",
        lambda: (found := browser.run(HISTORY))["calls"] > 0 and found["times"] > 10 and found)
    expect(
        history["seconds"].count("M") >= 3, f"the seconds before the reload are gone: {history}")


def sort_and_search(browser):
    def is_sorted():
        names = [name for name, _ in browser.rows()]
        return len(names) > 10 and names == sorted(names)

    browser.click("th.video button")
    eventually("the videos are sorted by name", is_sorted)
    sorts = browser.run(
        "return [...document.querySelectorAll('thead th')].map((th) => th.ariaSort)")
    expect(
        sorts.count("ascending") == 1 and sorts[0] == "ascending", f"aria-sort is {sorts}")
    part = browser.rows()[0][0][:8]
    browser.type("#search", part)
    eventually(
        f"a search for {part} finds it",
        lambda: [name[:8] for name, _ in browser.rows()] == [part])
    browser.clear("#search")
    browser.click("th.count button")
    eventually("the search is cleared", lambda: len(browser.rows()) > 10)


def check_verdict(browser, demo, tally, store):
    """Compares the page with the verdict at the end of the run, also after a reload."""
    eventually(
        "the demo ends", lambda: demo.output.endswith("\n"), OVER_SECONDS + TIMEOUT_SECONDS)
    verdict = json.loads(demo.output)
    table = subprocess.run(
        [tally, "counts", f"--store={store}", "--json"], check=True, capture_output=True)
    videos = json.loads(table.stdout)["videos"]
    expected = {video["video_id"]: video["play_count"] for video in videos}
    broken = [rule for rule in verdict["rules"] if not rule["holds"]]
    expect(not broken, f"broken rules: {broken}")

    def check():
        title = f"Verdict: {verdict['verdict']}"
        eventually("the verdict is shown", lambda: browser.text("verdict-title") == title)
        eventually("the reason is shown", lambda: browser.text("verdict-reason") == (
            f"All {len(verdict['rules'])} rules hold."))
        eventually("the last totals are shown", lambda: dict(browser.rows()) == expected)
        eventually("the run is shown as ended", lambda: browser.text("connection") == "Run ended")
        for name, key in [("plays", "plays_counted"), ("calls", "calls")]:
            expect(
                browser.number(name) == verdict[key],
                f"the page shows {browser.number(name)} {name}, the verdict has {verdict[key]}")
        rules = browser.run(
            "return [...document.querySelectorAll('#verdict-rules li')].map((li) => li.innerText)")
        expect(len(rules) == len(verdict["rules"]), f"the rules are {rules}")

    check()
    ended = browser.text("as-of")
    at = datetime.strptime(ended, "at %H:%M:%S") + timedelta(seconds=1)

    def history_at_end():
        return browser.text("rates-last") == f"{at:%H:%M:%S}" and browser.run(HISTORY)

    history = eventually("the charts end with the run", history_at_end)
    browser.reload()
    check()
    expect(browser.text("as-of") == ended, f"the run ended {ended}, not {browser.text('as-of')}")
    again = eventually("the charts end with the run after a reload", history_at_end)
    expect(again == history, f"after a reload the history is {again}, not {history}")
    browser.run("window.wasNotReloaded = true")
    return verdict


def check_stop(browser, demo):
    demo.stop()
    eventually("the page shows the end", lambda: browser.text("connection") == "Stopped")
    reason = browser.text("stale")
    expect("the demo has ended" in reason, f"the reason is {reason}")
