"""Losses of the connection, with and without a close, after which the page continues with the same run."""

from browser.processes import Serve, eventually, expect
from browser.relay import Relay
from browser.serve import VIDEOS

CALLS = "return document.getElementById('latest').getAttribute('aria-label')"


def run(browser, children, folder, tally):
    serve = Serve(children, folder, tally)
    relay = Relay(serve.page)
    browser.open(relay.url)
    eventually("the page is live", lambda: browser.text("connection") == "Live")
    for count, video in enumerate(VIDEOS[:3]):
        serve.publish([video])
        eventually("the video is shown", lambda: len(browser.rows()) == count + 1)
    expect("3 calls" in browser.run(CALLS), f"the chart has {browser.run(CALLS)}")
    first = browser.text("latest-first")
    times = table_times(browser)
    for count, end in enumerate([relay.interrupt, relay.silence], start=4):
        end()
        eventually("the page is disconnected", lambda: browser.text("connection") == "Disconnected")
        serve.publish([VIDEOS[count - 1]])
        relay.restore()
        eventually("the page is live again", lambda: browser.text("connection") == "Live")
        eventually("the play meanwhile is shown", lambda: browser.number("plays") == count)
        eventually("the call meanwhile is shown", lambda: f"{count} calls" in browser.run(CALLS))
    expect(browser.text("latest-first") == first, "the first call is not the same")
    expect(table_times(browser)[:3] == times, "the times of the table are not the same")
    expect(not browser.is_shown("#new-run"), "the same run is shown as a new one")
    expect(not browser.is_shown("#stale"), "the figures are still old")
    serve.child.stop()
    browser.expect_no_errors()


def table_times(browser):
    return browser.run(
        "return [...document.querySelectorAll('#rows .updated')].map((cell) => cell.textContent)")
