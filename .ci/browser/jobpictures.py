"""The pictures of the page of background jobs, for the guide."""

import random

from browser.jobs import request, states
from browser.processes import Child, Serve, eventually

QUEUES = {"send-report": "mail", "resize-image": "media", "index-article": "search"}
PERFORM = """#!/bin/sh
case "$(cat)" in
*timeout*) sleep 1; echo "connection to mx3.example.org:25 timed out after 30000 ms" >&2; exit 1 ;;
*broken*) echo "unsupported image: marker 0x17 at byte $TALLY_JOB_ID" >&2; exit 1 ;;
*long*) sleep 40 ;;
*) sleep 0.$((TALLY_JOB_ID % 7)) ;;
esac
"""


def take(browser, children, folder, tally, take_both, root, guide):
    store = f"{folder}/jobs.sqlite"
    serve = Serve(children, folder, tally, f"--jobs={store}", "--api-address=none")
    program = f"{folder}/perform"
    with open(program, "w") as file:
        file.write(PERFORM)
    worker = Child(
        folder, "worker", tally, "jobs", "work", f"--store={store}",
        f"--nsqd-tcp-address={serve.nsqd}", *[f"--queue={queue}" for queue in QUEUES.values()],
        "--concurrency=6", "--", "/bin/sh", program)
    children.append(worker)
    request(serve, "/api/jobs", [job(number) for number in range(900)])
    browser.open(f"http://{serve.page}/jobs")
    eventually("most jobs are performed", lambda: states(browser).get("completed", 0) > 500, 200)
    take_both(browser, root, guide / "jobs-page{}.png", 1280, 1040)
    browser.click("#error-rows td:nth-child(3) button")
    eventually("a failed job is listed", lambda: browser.is_shown("#rows th button"))
    browser.click("#rows th button")
    eventually("its attempts are shown", lambda: browser.is_shown("#timeline li"))
    take_both(browser, root, guide / "jobs-page-phone{}.png", 390, 900)
    worker.stop()
    serve.child.stop()


def job(number):
    generator = random.Random(number)
    name = generator.choice(list(QUEUES))
    arguments = {"user": generator.randrange(10_000)}
    if name == "send-report" and number % 4 == 0:
        arguments["mode"] = "timeout"
    if name == "resize-image" and number % 9 == 0:
        arguments["mode"] = "broken"
    if number % 90 == 0:
        arguments["mode"] = "long"
    made = {
        "name": name, "queue": QUEUES[name], "arguments": arguments, "retry_delay_seconds": 5,
        "max_attempts": generator.choice([1, 3, 20]),
    }
    if number % 15 == 0:
        made["delay_seconds"] = 600 + number
    return made
