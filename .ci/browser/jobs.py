"""The page of background jobs: empty, with jobs, failing, disconnected and stopped."""

import json
import re
import sqlite3
import urllib.request
from pathlib import Path

from browser.audit import expect_good_layout
from browser.processes import TIMEOUT_SECONDS, Child, Serve, eventually, expect

ENTER, TAB, ESCAPE = "\ue007", "\ue004", "\ue00c"
# Texts that do harm if a page inserts them as markup or runs them.
HOSTILE = {
    "name": "<img src=x onerror=\"window.hacked=1\">",
    "tag": "<b onclick='window.hacked=1'>x</b>",
    "key": "\"><svg onload=\"window.hacked=1\">",
    "arguments": {"html": "</script><script>window.hacked=1</script>", "url": "javascript:window.hacked=1"},
    "error": "<iframe srcdoc='<script>parent.hacked=1</script>'></iframe>",
}
PERFORM = f"""#!/bin/sh
case "$(cat)" in
*html*) printf '%s' "{HOSTILE['error']}" >&2; exit 1 ;;
*fail*) echo "no route to host $TALLY_JOB_ID" >&2; exit 1 ;;
*slow*) sleep 30 ;;
esac
"""


def run(browser, children, folder, tally):
    store = f"{folder}/jobs.sqlite"
    serve = Serve(children, folder, tally, f"--jobs={store}", "--api-address=none")
    page = f"http://{serve.page}/jobs"
    check_empty(browser, serve, page)
    check_logic(browser)
    worker = start_worker(children, folder, tally, serve, store)
    enqueue(serve)
    check_overview(browser)
    check_hostile_texts(browser)
    check_filter(browser)
    check_one_job(browser)
    check_keyboard(browser)
    check_all_matching(browser, serve)
    check_queue(browser, serve)
    expect_good_layout(browser, "with jobs")
    worker.stop()
    check_problem(browser, store)
    check_disconnection(browser, serve)
    # The browser reports the requests that the scenario makes fail.
    errors = [error for error in browser.errors() if "Failed to load resource" not in error]
    expect(not errors, f"errors in the browser: {errors}")


def request(serve, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    http_request = urllib.request.Request(f"http://{serve.page}{path}", data)
    with urllib.request.urlopen(http_request, timeout=TIMEOUT_SECONDS) as answer:
        return json.load(answer)


def start_worker(children, folder, tally, serve, store):
    program = f"{folder}/perform"
    Path(program).write_text(PERFORM)
    Path(program).chmod(0o755)
    worker = Child(
        folder, "worker", tally, "jobs", "work", f"--store={store}",
        f"--nsqd-tcp-address={serve.nsqd}", "--queue=mail", "--queue=media", "--concurrency=4",
        "--stop-timeout=1s", "--", program)
    children.append(worker)
    return worker


def enqueue(serve):
    jobs = [{"name": "send", "queue": "mail", "arguments": {"user": user}} for user in range(60)]
    jobs += [
        {"name": "resize", "queue": "media", "max_attempts": 1, "arguments": {"fail": number}}
        for number in range(9)
    ]
    jobs += [{"name": "resize", "queue": "media", "arguments": {"slow": 1}, "tags": ["slow"]}]
    jobs += [{"name": "later", "queue": "mail", "delay_seconds": 3600}]
    jobs += [{"name": "idle", "queue": "unused"}] * 120
    jobs.append({
        "name": HOSTILE["name"], "queue": "mail", "max_attempts": 1, "tags": [HOSTILE["tag"]],
        "unique_key": HOSTILE["key"], "arguments": HOSTILE["arguments"],
    })
    request(serve, "/api/jobs", jobs)


def check_empty(browser, serve, page):
    """Both pages lead to each other, and the page without jobs shows a command line that works."""
    browser.open(f"http://{serve.page}/videos")
    eventually("the link to the jobs is shown", lambda: browser.is_shown("#pages a[href='/jobs']"))
    browser.click("#pages a[href='/jobs']")
    eventually("the page is live", lambda: browser.text("connection") == "Live")
    eventually("the page says how to start", lambda: browser.is_shown("#start"))
    expect(browser.is_shown("#videos-link"), "the link to the videos is hidden")
    line = browser.text("enqueue")
    expect(f"{page.removesuffix('/jobs')}/api/jobs" in line, f"the line is {line}")
    expect_good_layout(browser, "without jobs")
    body = re.search("'(.*)'", line).group(1)
    request(serve, "/api/jobs", json.loads(body))
    eventually("the job is shown", lambda: states(browser)["available"] == 1)
    expect(not browser.is_shown("#start"), "the command line is still shown")
    eventually("the missing worker is named", lambda: browser.is_shown("#queues"))


def check_logic(browser):
    found = browser.run_file("jobs-logic.js")
    expect(not found, f"functions of jobs-logic.js: {found}")


def states(browser):
    pairs = browser.run(
        "return [...document.querySelectorAll('#states li')].map((item) =>"
        " [item.querySelector('.label').textContent,"
        "  Number(item.querySelector('.number').textContent.replaceAll(',', ''))])")
    return {"available": 0, **dict(pairs)}


def cells(browser, selector):
    return browser.run(
        "return [...document.querySelectorAll(arguments[0])].map((cell) => cell.textContent)",
        selector)


def check_overview(browser):
    eventually("the jobs complete", lambda: states(browser).get("completed", 0) >= 60)
    eventually("jobs are discarded", lambda: states(browser)["discarded"] == 10)
    eventually("a job runs", lambda: states(browser)["running"] == 1)
    queues = cells(browser, "#queue-rows th button")
    expect(queues == ["default", "mail", "media", "unused"], f"the queues are {queues}")
    eventually(
        "the worker and its job are shown",
        lambda: any("resize" in text for text in cells(browser, "#worker-rows .running-jobs")))
    memory = cells(browser, "#worker-rows td:nth-child(4)")
    expect(re.fullmatch(r"\d+ MiB", memory[0]), f"the memory is {memory}")
    errors = cells(browser, "#error-rows td:nth-child(3)")
    expect("no route to host #" in errors[0], f"the errors are {errors}")
    counts = cells(browser, "#error-rows td:first-child")
    expect(counts == ["9", "1"], f"the numbers of failed jobs are {counts}")
    path = "return document.querySelector('#throughput path.completed').getAttribute('d') ?? ''"
    eventually("the throughput is drawn", lambda: browser.run(path).count("M") >= 1)
    label = "return document.getElementById('duration-histogram').getAttribute('aria-label')"
    eventually("the durations are drawn", lambda: "below" in browser.run(label))


def check_hostile_texts(browser):
    """Names, arguments, tags, keys and errors appear as text, and nothing of them runs."""
    name = HOSTILE["name"]
    browser.run("document.getElementById('filter-text').focus()")
    browser.type("#filter-text", "onerror")
    eventually("the job is found", lambda: cells(browser, "#rows td:nth-child(3)") == [
        f"{name} · {HOSTILE['tag']}"])
    browser.click("#rows th button")
    eventually("its error is shown", lambda: cells(browser, "#timeline pre")[-1:] and HOSTILE["error"] in (
        cells(browser, "#timeline pre")[0]))
    expect(name in browser.text("detail-title"), "the title has no name")
    expect("</script>" in browser.text("detail-arguments"), "the arguments are not shown")
    fields = cells(browser, "#detail-fields dd")
    expect(HOSTILE["key"] in fields, f"the fields are {fields}")
    expect_good_layout(browser, "with hostile texts in a dialog")
    browser.press(ESCAPE)
    found = browser.run(
        "return [window.hacked ?? null, document.querySelectorAll("
        "'main img, main svg:not(figure svg), dialog img, iframe, main script').length]")
    expect(found == [None, 0], f"markup of a job was inserted: {found}")
    browser.click("#filter-clear")
    eventually("the filter is empty", lambda: len(cells(browser, "#rows tr")) == 50)


def check_filter(browser):
    browser.click("#states li:nth-child(6) button")
    eventually(
        "the discarded jobs are listed",
        lambda: set(cells(browser, "#rows .badge")) == {"discarded"})
    url = browser.run("return location.search")
    expect(url == "?state=discarded", f"the address has {url}")
    browser.reload()
    eventually(
        "the filter is applied after a reload",
        lambda: set(cells(browser, "#rows .badge")) == {"discarded"})
    browser.click("#filter-clear")
    browser.run("document.getElementById('filter-name').focus()")
    eventually(
        "the names are completed",
        lambda: "resize" in browser.run(
            "return [...document.querySelectorAll('#names option')].map((option) => option.value)"))
    browser.type("#filter-name", "idle")
    eventually("jobs with a name are listed", lambda: set(cells(browser, "#rows td:nth-child(3)")) == {"idle"})
    first = cells(browser, "#rows th")
    browser.click("#older")
    eventually("older jobs are listed", lambda: cells(browser, "#rows th")[0] < first[-1])
    browser.click("#newest")
    eventually("the newest jobs are listed", lambda: cells(browser, "#rows th") == first)
    browser.type("#filter-tag", "nothing")
    eventually("no job matches", lambda: browser.is_shown("#none"))
    browser.click("#filter-clear")
    browser.click("#error-rows td:nth-child(3) button")
    eventually("jobs with one error are listed", lambda: len(cells(browser, "#rows tr")) == 9)
    expect(browser.is_shown("#filter-error-clear"), "the error is no part of the filter")
    browser.click("#filter-error-clear")
    eventually("all jobs are listed", lambda: len(cells(browser, "#rows tr")) == 50)


def check_one_job(browser):
    """One job is opened, changed and closed; refusals are shown."""
    browser.click("#worker-rows .running-jobs button")
    eventually("the running attempt is shown", lambda: "running" in cells(browser, "#timeline .badge"))
    disabled = browser.run(
        "return [...document.querySelectorAll('#detail-actions button:disabled')]"
        ".map((button) => button.dataset.action)")
    expect(disabled == ["retry", "discard", "move"], f"a running job has the actions {disabled}")
    browser.click("#detail-actions [data-action=cancel]")
    eventually(
        "the job is cancelled", lambda: "cancelled" in cells(browser, "#detail-fields dd")[0])
    eventually("the action is in the log", lambda: any(
        text.startswith("cancel job") for text in cells(browser, "#log-rows span")))
    browser.click("#detail-close")
    browser.run("document.getElementById('filter-name').focus()")
    browser.type("#filter-name", "later")
    eventually("the scheduled job is listed", lambda: len(cells(browser, "#rows tr")) == 1)
    browser.click("#rows th button")
    browser.clear("#detail-queue")
    browser.type("#detail-queue", "not a queue")
    browser.click("#detail-actions [data-action=move]")
    eventually("the refusal is shown", lambda: "invalid queue name" in browser.text("detail-error"))
    browser.clear("#detail-queue")
    browser.type("#detail-queue", "unused")
    browser.click("#detail-actions [data-action=move]")
    eventually("the job is moved", lambda: "unused" in cells(browser, "#detail-fields dd"))
    browser.click("#detail-close")
    browser.click("#filter-clear")


def check_keyboard(browser):
    # Without this, Tab would continue after the element that was clicked last.
    browser.run("document.body.tabIndex = -1; document.body.focus(); window.scrollTo(0, 0)")
    browser.press(TAB)
    focus = "return document.activeElement.className || document.activeElement.id"
    expect(browser.run(focus) == "skip", f"the first stop is {browser.run(focus)}")
    browser.press(ENTER)
    expect(browser.run(focus) == "jobs", f"the link leads to {browser.run(focus)}")
    browser.run("document.querySelector('#rows th button').focus()")
    browser.press(ENTER)
    eventually("Enter opens a job", lambda: browser.is_shown("#detail"))
    outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle")
    expect(outline == "solid", f"the focus in the dialog is {outline}")
    browser.press(ESCAPE)
    eventually("Escape closes it", lambda: not browser.is_shown("#detail"))
    expect(
        browser.run("return document.activeElement.closest('#rows') !== null"),
        "the focus does not return to the row")


def check_all_matching(browser, serve):
    """All jobs of a filter are changed in the background after a preview."""
    browser.run("document.querySelectorAll('#queue-rows th button')[3].click()")
    eventually("the queue is listed", lambda: set(cells(browser, "#rows td:nth-child(4)")) == {"unused"})
    browser.click("#all-actions [data-action=discard]")
    eventually("the number is shown", lambda: "121 jobs" in browser.text("confirm-text"))
    expect_good_layout(browser, "with a question")
    before = states(browser)["discarded"]
    browser.click("#confirm-yes")
    eventually("the jobs are discarded", lambda: states(browser)["discarded"] == before + 121)
    eventually("the progress is shown", lambda: any(
        "finished, 121 jobs changed" in text for text in cells(browser, "#operations li")))
    eventually("the change is in the log", lambda: any(
        "discard jobs in queue unused: 121 jobs changed" in text
        for text in cells(browser, "#log-rows span")))
    browser.click("#filter-clear")


def check_queue(browser, serve):
    browser.click("#queue-rows tr:nth-child(2) .actions button")
    eventually("the queue is paused", lambda: browser.is_shown("#queue-rows tr:nth-child(2) .badge"))
    request(serve, "/api/queues/mail/resume", {})
    eventually("the queue is resumed", lambda: not browser.is_shown("#queue-rows tr:nth-child(2) .badge"))
    request(serve, "/api/queues/mail/limit", {"concurrency": 3, "rate_starts": 100, "rate_seconds": 60})
    limits = "return document.querySelector('#queue-rows tr:nth-child(2) .limits').textContent"
    eventually("the limit is shown", lambda: browser.run(limits) == "limit 3 at once, 100 starts per 1 min")


def check_problem(browser, store):
    """A store that cannot be read is shown, and so is its recovery."""
    with sqlite3.connect(store, isolation_level=None) as database:
        database.execute("ALTER TABLE nsq_jobs_error RENAME TO nsq_jobs_away")
        eventually("the problem is shown", lambda: "cannot be read" in browser.text("problem"))
        expect_good_layout(browser, "with a problem")
        database.execute("ALTER TABLE nsq_jobs_away RENAME TO nsq_jobs_error")
    eventually("the problem ends", lambda: not browser.is_shown("#problem"))


def check_disconnection(browser, serve):
    serve.child.kill()
    eventually("the page is disconnected", lambda: browser.text("connection") == "Disconnected")
    expect("as of" in browser.text("as-of"), "the figures have no time")
    expect_good_layout(browser, "disconnected")
    browser.click("#queue-rows .actions button")
    eventually("the failed change is shown", lambda: "not known whether" in browser.text("refusal"))
    serve.start()
    eventually("the page is live again", lambda: browser.text("connection") == "Live")
    serve.child.stop()
    eventually("the page shows the end", lambda: browser.text("connection") == "Stopped")
    expect("tally was stopped" in browser.text("stale"), f"the reason is {browser.text('stale')}")
