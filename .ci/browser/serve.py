"""`tally serve` from its first play to its stop, with an interruption."""

import re
import shlex
import sqlite3
import subprocess

from browser.audit import expect_good_layout
from browser.processes import Serve, eventually, expect

ENTER, TAB, SPACE = "\ue007", "\ue004", " "
# In descending order, so that an order by GUID differs from the order of the calls.
VIDEOS = [f"{digit}f000000-2fa1-4d3b-a3f5-cf1b2c1e9a7{digit}" for digit in "987654321"]

RECORD_HIGHLIGHTS = """
    window.highlighted = { most: 0, all: new Set() };
    new MutationObserver(() => {
        const rows = [...document.querySelectorAll('#rows tr')]
            .filter((row) => row.querySelector('[data-changed]'));
        highlighted.most = Math.max(highlighted.most, rows.length);
        for (const row of rows) highlighted.all.add(row.querySelector('.video').textContent);
    }).observe(document.getElementById('rows'),
               { attributes: true, subtree: true, attributeFilter: ['data-changed'] });
"""
RECORD_ANNOUNCEMENTS = """
    window.announced = [];
    new MutationObserver(() => announced.push(
        [performance.now(), document.getElementById('announcer').textContent]))
        .observe(document.getElementById('announcer'), { childList: true });
"""


def run(browser, children, folder, tally):
    serve = Serve(children, folder, tally, "--freshness=1s")
    browser.open(serve.url)
    check_empty(browser, serve, tally)
    check_logic(browser)
    check_calls(browser, serve)
    check_highlights(browser, serve)
    check_keyboard(browser)
    check_backlog(browser, serve)
    check_flood(browser, serve, tally)
    expect_good_layout(browser, "while updating")
    check_problem(browser, serve)
    check_disconnection(browser, serve)
    check_stop(browser, serve)
    browser.expect_no_errors()


def check_empty(browser, serve, tally):
    """Without plays, the page shows a command line that works."""
    eventually("the page is live", lambda: browser.text("connection") == "Live")
    eventually("the page says how to start", lambda: browser.is_shown("#start"))
    expect(not browser.is_shown("#videos"), "an empty table is shown")
    expect_good_layout(browser, "without videos")
    line = browser.text("produce")
    expect(
        line.startswith(f"tally produce --nsqd-tcp-address={serve.nsqd} "), f"the line is {line}")
    words = [tally, *shlex.split(line)[1:]]
    producer = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually("the plays of the line are shown", lambda: browser.number("plays") > 20)
    finally:
        producer.kill()
        producer.wait()
    eventually("the command line is hidden", lambda: not browser.is_shown("#start"))
    eventually("the queue is empty", lambda: "nothing waits" in browser.text("queue-note"))


def check_logic(browser):
    for name in ["logic.js", "model.js"]:
        found = browser.run_file(name)
        expect(not found, f"functions of {name}: {found}")


def calls(browser):
    return {kind: browser.number(f"{kind}-calls") for kind in ["immediate", "mixed", "batched"]}


def check_calls(browser, serve):
    """The page counts each kind of call separately, and videos with equal totals keep their order."""
    before = calls(browser)
    for video in VIDEOS[:3]:
        serve.publish([video])
        eventually("the video is shown", lambda: video in dict(browser.rows()))
    order = [name for name, _ in browser.rows() if name in VIDEOS]
    expect(order == VIDEOS[:3], f"videos with equal totals are in the order {order}")
    immediate = calls(browser)["immediate"] - before["immediate"]
    expect(immediate >= 3, f"{immediate} calls are shown as immediate")
    # The 100th play of a video is batched.
    serve.publish([VIDEOS[0]] * 100)
    eventually("the video has 101 plays", lambda: dict(browser.rows())[VIDEOS[0]] == 101)
    before = calls(browser)
    serve.publish([VIDEOS[0]])
    eventually("a batched call is shown", lambda: calls(browser)["batched"] > before["batched"])
    expect(
        re.fullmatch(r"of the promised 1 s|.* later than the promised 1 s", browser.text("longest-note")),
        f"the wait of batched plays is {browser.text('longest-note')}")
    before = calls(browser)
    serve.publish([VIDEOS[0], VIDEOS[1]])
    eventually("a mixed call is shown", lambda: calls(browser)["mixed"] > before["mixed"])
    for name in ["latest-first", "latest-last", "rates-first", "rates-last"]:
        expect(re.search(r"\d\d:\d\d:\d\d", browser.text(name)), f"{name} has no time")
    looks = browser.run(
        "return ['immediate', 'batched'].map((kind) =>"
        " getComputedStyle(document.querySelector(`#latest path.${kind}`)).stroke)")
    expect(looks[0] == "none" and looks[1] != "none", "immediate and batched look alike: {looks}")


def check_highlights(browser, serve):
    browser.run(RECORD_HIGHLIGHTS)
    eventually(
        "old highlights end",
        lambda: browser.run("return document.querySelector('#rows [data-changed]') === null"))
    browser.run("highlighted.most = 0; highlighted.all.clear()")
    serve.publish([VIDEOS[0]])
    changed = eventually(
        "the changed total is highlighted", lambda: browser.run("return [...highlighted.all]"))
    expect(changed == [VIDEOS[0]], f"these videos are highlighted: {changed}")
    eventually(
        "the highlight ends",
        lambda: browser.run("return document.querySelector('#rows [data-changed]') === null"))
    fade = browser.run(
        "return getComputedStyle(document.querySelector('#rows .count span')).transitionDuration")
    expect(fade == "0.6s", f"a highlight fades in {fade}")
    browser.emulate(prefers_reduced_motion="reduce")
    motions = browser.run(
        "return [...document.querySelectorAll('*')].map((element) => getComputedStyle(element))"
        ".filter((style) => style.transitionDuration !== '0s' || style.animationName !== 'none')"
        ".length")
    expect(motions == 0, f"{motions} elements move although motion is reduced")
    browser.emulate(prefers_reduced_motion="no-preference")


def check_keyboard(browser):
    """Every control is reached and used without a pointer, and shows the focus."""
    browser.run("document.activeElement.blur(); window.scrollTo(0, 0)")
    focus = "return document.activeElement.dataset.sort ?? (document.activeElement.id || document.activeElement.className)"
    browser.press(TAB)
    expect(browser.run(focus) == "skip", f"the first stop is {browser.run(focus)}")
    browser.press(ENTER)
    expect(browser.run(focus) == "videos", f"the link leads to {browser.run(focus)}")
    for name in ["search", "video", "plays", "recent"]:
        browser.press(TAB)
        expect(browser.run(focus) == name, f"the focus is on {browser.run(focus)}, not {name}")
        outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle")
        expect(outline == "solid", f"the focus of {name} is invisible")

    def sort():
        return browser.run("return document.querySelector('th.updated').ariaSort")

    browser.press(ENTER)
    eventually("Enter sorts by time", lambda: sort() == "descending")
    browser.press(SPACE)
    eventually("Space reverses the order", lambda: sort() == "ascending")
    buttons = browser.run(
        "return [...document.querySelectorAll('th button')].map((button) =>"
        " getComputedStyle(button, '::after').content.split('\"')[1])")
    expect(buttons == ["↕", "↕", "↑"], f"the sortable columns look like {buttons}")
    browser.click("th.count button")


def check_backlog(browser, serve):
    """The age of the oldest message is visible while messages wait."""
    serve.control("channel/pause?topic=plays&channel=counts")
    serve.publish(VIDEOS[:2])
    eventually(
        "the age of the oldest message grows",
        lambda: re.match(r"oldest \d+\.\d s", browser.text("queue-note"))
        and browser.number("queue") == 2)
    serve.control("channel/unpause?topic=plays&channel=counts")
    eventually("the queue is empty", lambda: "nothing waits" in browser.text("queue-note"))


def check_flood(browser, serve, tally):
    """At hundreds of calls per second the page shows averages, does not flicker, and announces only summaries."""
    browser.run(RECORD_ANNOUNCEMENTS)
    browser.run("highlighted.most = 0")
    subprocess.run(
        [tally, "produce", f"--nsqd-tcp-address={serve.nsqd}", "--plays=1500", "--rate=500"],
        check=True, capture_output=True)
    eventually(
        "the calls are shown by the second",
        lambda: browser.run("return document.getElementById('latest').dataset.unit") == "second")
    most, visible = browser.run(
        "return [highlighted.most, [...document.querySelectorAll('#rows tr')].filter((row) =>"
        " row.getBoundingClientRect().top < innerHeight).length]")
    expect(
        most <= max(4, visible / 3), f"{most} of {visible} visible rows were highlighted at a time")
    announced = browser.run("return announced")
    pauses = [later[0] - sooner[0] for sooner, later in zip(announced, announced[1:])]
    # A timer of a browser may fire a millisecond early.
    expect(all(pause >= 2990 for pause in pauses), f"announced too often: {announced}")


def check_problem(browser, serve):
    """A store that does not work is reported on the page until it works again."""
    with sqlite3.connect(serve.store, isolation_level=None) as store:
        plays = browser.number("plays")
        store.execute("BEGIN IMMEDIATE")
        serve.publish([VIDEOS[4]])
        eventually("the problem is shown", lambda: "in use" in browser.text("problem"))
        expect_good_layout(browser, "with a problem")
        store.execute("ROLLBACK")
    eventually("the problem has ended", lambda: not browser.is_shown("#problem"))
    eventually("the play is counted", lambda: browser.number("plays") > plays)


def check_disconnection(browser, serve):
    """After a loss of the connection the page marks its figures as old, and announces a new run."""
    plays = browser.number("plays")
    color = "return getComputedStyle(document.getElementById('plays')).color"
    fresh = browser.run(color)
    browser.run("announced.length = 0")
    serve.child.kill()
    eventually("the page is disconnected", lambda: browser.text("connection") == "Disconnected")
    as_of = browser.text("as-of")
    expect(re.fullmatch(r"as of \d\d:\d\d:\d\d", as_of), f"the figures are {as_of}")
    expect(as_of in browser.text("stale"), f"the notice is {browser.text('stale')}")
    expect(browser.number("plays") == plays, "the figures are gone")
    expect(browser.run(color) != fresh, "the figures are not grey")
    eventually(
        "the loss is announced",
        lambda: any("connection is lost" in text for _, text in browser.run("return announced")))
    expect_good_layout(browser, "disconnected")
    expect(browser.text("as-of") == as_of, "the time of the old figures changes")
    serve.start()
    eventually("the page is live again", lambda: browser.text("connection") == "Live")
    eventually("the new run is shown", lambda: browser.is_shown("#new-run"))
    expect(re.search(r"\d\d:\d\d:\d\d", browser.text("new-run")), "the new run has no time")
    expect(not browser.is_shown("#stale"), "the figures are still old")
    eventually("the source is shown", lambda: serve.nsqd in browser.text("source"))
    eventually("the total is that of the store", lambda: browser.number("plays") >= plays)
    eventually(
        "the new run is announced",
        lambda: any("new run" in text for _, text in browser.run("return announced")))
    expect_good_layout(browser, "with a new run")
    browser.run("document.getElementById('new-run-dismiss').focus()")
    browser.press(ENTER)
    expect(not browser.is_shown("#new-run"), "the notice stays")


def check_stop(browser, serve):
    serve.child.stop()
    eventually("the page is stopped", lambda: browser.text("connection") == "Stopped")
    text = browser.text("stale")
    expect(
        re.fullmatch(
            r"Stopped: tally serve was stopped\. The figures are as of \d\d:\d\d:\d\d\.", text),
        f"the notice is {text}")
    expect_good_layout(browser, "stopped")
