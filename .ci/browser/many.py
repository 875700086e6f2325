"""A page with 100,000 videos, which all change while it is open."""

import random
import subprocess
import uuid

from browser.audit import expect_good_layout
from browser.processes import Serve, eventually, expect

VIDEOS = 100_000
# A task of this length would freeze the page on any machine.
LONGEST_TASK_MS = 3000

RECORD_TASKS = """
    window.tasks = [];
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map((task) => task.duration)))
        .observe({ type: 'longtask' });
"""


def run(browser, children, folder, tally):
    serve = Serve(children, folder, tally)
    browser.open(serve.url)
    browser.run(RECORD_TASKS)
    browser.devtools("Performance.enable", timeDomain="threadTicks")
    used = main_thread_seconds(browser)
    generator = random.Random(7)
    videos = [
        str(uuid.UUID(int=generator.getrandbits(128), version=4)) for _ in range(VIDEOS)
    ]
    serve.publish(videos)
    eventually("all videos are shown", lambda: browser.number("plays") == VIDEOS)
    used = main_thread_seconds(browser) - used
    # Also the videos that are not in the table change now.
    command = [tally, "produce", f"--nsqd-tcp-address={serve.nsqd}", "--file=-"]
    lines = "".join(f'{{"video_id":"{video}"}}\n' for video in videos[:20_000])
    producer = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    producer.stdin.write(lines.encode())
    producer.stdin.close()
    check_bounds(browser)
    check_search(browser, generator.choice(videos))
    producer.wait()
    eventually("all plays are shown", lambda: browser.number("plays") == VIDEOS + 20_000)
    longest = max([0, *browser.run("return tasks")])
    expect_good_layout(browser, f"with {VIDEOS} videos")
    expect(longest < LONGEST_TASK_MS, f"a task of the page took {longest} ms")
    browser.expect_no_errors()
    return f"longest task {longest:.0f} ms, {used:.1f} s of the main thread for {VIDEOS} videos"


def main_thread_seconds(browser):
    """The time that the main thread of the page has run; waiting for a processor is not included."""
    metrics = browser.devtools("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


def check_bounds(browser):
    """However often more rows are requested, their number is bounded."""
    sizes = []
    while browser.is_shown("#more"):
        browser.run("document.getElementById('more').click()")
        rows = 100 + 200 * len(sizes) + 200
        eventually("more rows are shown", lambda: len(browser.rows()) >= min(rows, 1000))
        sizes.append(len(browser.rows()))
    expect(sizes[-1] == 1000, f"the numbers of rows are {sizes}")
    elements = browser.run("return document.querySelectorAll('*').length")
    expect(elements < 20_000, f"the page has {elements} elements")
    expect(browser.is_shown("#rest"), "the page does not say how to find the other videos")


def check_search(browser, video):
    browser.type("#search", video)
    eventually(
        "a search finds a video outside of the table",
        lambda: [name for name, _ in browser.rows()] == [video])
    browser.clear("#search")
    eventually("the search is cleared", lambda: len(browser.rows()) >= 100)
