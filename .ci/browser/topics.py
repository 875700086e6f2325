"""The pages of nsqadmin: empty, with topics, all actions, many topics, failing and disconnected."""

import json
import math
import socket
import struct
import time
import urllib.parse
import urllib.request

from browser.audit import expect_good_layout
from browser.processes import TIMEOUT_SECONDS, Child, eventually, expect

ENTER, TAB, ESCAPE = "\ue007", "\ue004", "\ue00c"
MANY = 300
PICTURED_SECONDS = 95


class Cluster:
    """Two nsqds, an nsqlookupd and an nsqadmin below a base path."""

    def __init__(self, children, folder, tally):
        self.children, self.folder, self.tally = children, folder, tally
        lookupd = self.start(
            "lookupd", "nsqlookupd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
            "--broadcast-address=127.0.0.1")
        tcp = lookupd.wait_for_output(r"TCP: listening on ([\d.:]+)").group(1)
        self.lookupd = lookupd.wait_for_output(r"HTTP: listening on ([\d.:]+)").group(1)
        self.nodes, self.tcp = [], []
        for number in range(2):
            nsqd = self.start(
                f"nsqd{number}", "nsqd", "--memory-only", "--tcp-address=127.0.0.1:0",
                "--http-address=127.0.0.1:0", "--broadcast-address=127.0.0.1",
                f"--lookupd-tcp-address={tcp}", "--e2e-processing-latency-percentile=1.0,0.5")
            self.nodes.append(nsqd.wait_for_output(r"HTTP: listening on ([\d.:]+)").group(1))
            self.tcp.append(nsqd.wait_for_output(r"TCP: listening on ([\d.:]+)").group(1))
        self.address = "127.0.0.1:0"
        self.start_admin()

    def start(self, name, *words):
        child = Child(self.folder, f"topics-{name}{len(self.children)}", self.tally, *words)
        self.children.append(child)
        return child

    def start_admin(self, *flags):
        self.admin = self.start(
            "admin", "nsqadmin", f"--http-address={self.address}", "--base-path=/queues",
            f"--lookupd-http-address={self.lookupd}", *flags)
        self.address = self.admin.wait_for_output(r"HTTP: listening on ([\d.:]+)").group(1)

    def url(self, path):
        return f"http://{self.address}/queues{path}"

    def control(self, node, action, body=b""):
        """Sends a request to an nsqd, such as `topic/pause?topic=plays`."""
        request = urllib.request.Request(
            f"http://{self.nodes[node]}/{action}", body, method="POST")
        urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS).close()

    def delete(self, topic):
        """Deletes a topic of the first nsqd, also at the nsqlookupd, which would show it as one without a node."""
        for server in [self.nodes[0], self.lookupd]:
            request = urllib.request.Request(
                f"http://{server}/topic/delete?topic={topic}", b"", method="POST")
            urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS).close()

    def fail(self, node, topic, channel, count):
        """Requeues the messages of a channel until `count` messages have failed."""
        host, port = self.tcp[node].split(":")
        place = urllib.parse.urlencode({"topic": topic, "channel": channel})
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_SECONDS) as client:
            client.sendall(f"  V2SUB {topic} {channel}\nRDY {count}\n".encode())
            stream = client.makefile("rb")
            requeued = 0
            while requeued < count:
                size, kind = struct.unpack(">II", stream.read(8))
                frame = stream.read(size - 4)
                if kind == 2:
                    client.sendall(b"REQ " + frame[10:26] + b" 0\n")
                    requeued += 1
            url = f"http://{self.nodes[node]}/failed?{place}"
            eventually("the messages fail", lambda: len(json.load(
                urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS))["messages"]) == count)


def run(browser, children, folder, tally):
    cluster = Cluster(children, folder, tally)
    check_empty(browser, cluster)
    check_creation(browser)
    check_publishing(browser, cluster)
    check_consumers(browser, cluster)
    check_pauses(browser)
    check_messages(browser, cluster)
    check_failed_messages(browser, cluster)
    check_navigation(browser, cluster)
    check_keyboard(browser, cluster)
    check_many(browser, cluster)
    check_reused_rows(browser, cluster)
    check_deletion(browser, cluster)
    check_failing_node(browser, cluster)
    check_disconnection(browser, cluster)
    errors = [error for error in browser.errors() if "Failed to load resource" not in error]
    expect(not errors, f"errors in the browser: {errors}")


def cells(browser, selector):
    return browser.run(
        "return [...document.querySelectorAll(arguments[0])].map((cell) => cell.textContent)",
        selector)


def figures(browser):
    """The figures of the shown view by their labels."""
    return dict(browser.run(
        "return [...document.querySelectorAll('#figures li')].map((item) =>"
        "[...item.children].map((part) => part.textContent))"))


def confirm(browser, button):
    eventually("the dialog is open", lambda: browser.is_shown("#confirm"))
    expect(browser.text("confirm-yes") == button, f"the button is {browser.text('confirm-yes')}")
    browser.click("#confirm-yes")
    eventually("the dialog closes", lambda: not browser.is_shown("#confirm"))


def action(browser, number):
    browser.click(f"#view-actions button:nth-child({number})")


def check_empty(browser, cluster):
    browser.open(cluster.url("/topics"))
    eventually("the page is live", lambda: browser.text("connection") == "Live")
    eventually("it tells that there is no topic", lambda: "no topic yet" in browser.text("none"))
    found = browser.run_file("topics-logic.js")
    expect(not found, f"{found}")
    expect_good_layout(browser, "nsqadmin without topics")


def check_creation(browser):
    browser.click("#create")
    browser.type("#form-topic", "bad name")
    browser.click("#confirm-yes")
    eventually("the refusal is shown", lambda: "INVALID_TOPIC" in browser.text("confirm-error"))
    expect_good_layout(browser, "nsqadmin with a form")
    browser.clear("#form-topic")
    browser.type("#form-topic", "forgotten")
    confirm(browser, "Create")
    eventually("the topic is listed", lambda: cells(browser, "#topic-rows th a") == ["forgotten"])
    expect(cells(browser, "#topic-rows .badge") == ["no node"], "the topic has a node")


def check_publishing(browser, cluster):
    for node in range(2):
        cluster.control(node, "topic/create?topic=plays")
        cluster.control(node, "channel/create?topic=plays&channel=counts")
    eventually("the topic is listed", lambda: "plays" in cells(browser, "#topic-rows th a"))
    browser.click("#topic-rows tr:nth-child(2) th a")
    eventually("the topic is shown", lambda: browser.text("title") == "plays")
    expect(browser.run("return location.pathname") == "/queues/topics/plays", "another address")
    eventually("its nodes are shown", lambda: len(cells(browser, "#node-rows th a")) == 2)
    action(browser, 2)
    browser.type("#form-message", "one message")
    confirm(browser, "Publish")
    eventually("the message waits", lambda: figures(browser)["Waiting"] == "1")
    eventually("the log has it", lambda: any(
        text.startswith("publish to topic plays") for text in cells(browser, "#log-rows span")))
    action(browser, 3)
    browser.type("#form-channel", "archive")
    confirm(browser, "Create")
    eventually("the channel is listed", lambda: cells(browser, "#channel-rows th a") == ["archive", "counts"])
    expect_good_layout(browser, "a topic")


def check_consumers(browser, cluster):
    tail = cluster.start(
        "tail", "nsq_tail", f"--lookupd-http-address={cluster.lookupd}", "--topic=plays",
        "--channel=counts")
    browser.click("#channel-rows tr:nth-child(2) th a")
    eventually("the channel is shown", lambda: browser.text("title") == "counts")
    eventually("its consumers are shown", lambda: len(cells(browser, "#client-rows tr")) == 2)
    for number in range(50):
        cluster.control(number % 2, "pub?topic=plays", b"text")
    eventually("all is finished", lambda: figures(browser)["Waiting"] == "0")
    eventually("the rates are drawn", lambda: browser.run(
        "return document.querySelector('#rates path.finished').getAttribute('d')?.length > 0"))
    eventually("the percentiles are shown", lambda: len(cells(browser, "#latency li")) == 2)
    expect_good_layout(browser, "a channel")
    tail.stop()
    eventually("no consumer is left", lambda: browser.is_shown("#no-client"))


def check_pauses(browser):
    action(browser, 1)
    eventually("the channel is paused", lambda: browser.is_shown("#title-badge"))
    expect(cells(browser, "#view-actions button")[0] == "Unpause", "it cannot be unpaused")
    browser.click("#subtitle a")
    eventually("the topic is shown", lambda: browser.text("title") == "plays")
    eventually("its channel is paused", lambda: cells(browser, "#channel-rows .badge") == ["", "paused"])
    browser.run("history.back()")
    eventually("the channel is shown", lambda: browser.text("title") == "counts")
    eventually("its actions are shown", lambda: browser.is_shown("#view-actions button"))
    action(browser, 1)
    eventually("the channel is not paused", lambda: not browser.is_shown("#title-badge"))
    browser.click("#subtitle a")
    eventually("the archive has messages", lambda: figures(browser)["Waiting"] != "0")
    browser.click("#channel-rows tr:nth-child(1) th a")
    eventually("the archive is shown", lambda: browser.text("title") == "archive")
    eventually("its actions are shown", lambda: browser.is_shown("#view-actions button"))
    action(browser, 2)
    confirm(browser, "Empty")
    eventually("the archive is empty", lambda: figures(browser)["Waiting"] == "0")


def check_messages(browser, cluster):
    """Shows and changes the messages of the shown channel at the first node."""
    def bodies():
        return cells(browser, "#message-rows pre")

    def show(text):
        browser.clear("#message-text")
        browser.type("#message-text", text)
        browser.click("#message-show")

    for text in [b"needle one", b"needle two", b'{"hay":1}']:
        cluster.control(0, "pub?topic=plays", text)
    eventually("the messages wait", lambda: figures(browser)["Waiting"] == "3")
    browser.run("document.getElementById('message-node').value = arguments[0]", cluster.nodes[0])
    expect(bodies() == [], "messages are shown before they are requested")
    browser.click("#message-show")
    eventually("the messages are shown", lambda: bodies() == ["needle one", "needle two", '{"hay":1}'])
    expect_good_layout(browser, "a channel with messages")
    show("needle")
    eventually("two messages are selected", lambda: bodies() == ["needle one", "needle two"])
    browser.click("#message-rows tr:nth-child(1) .actions button:nth-child(1)")
    confirm(browser, "Delete")
    eventually("one message is left", lambda: bodies() == ["needle two"])
    browser.click("#message-all button:nth-child(1)")
    eventually("the number is asked", lambda: browser.text("confirm-title") == "Delete 1 message?")
    confirm(browser, "Delete")
    eventually("it is deleted", lambda: bodies() == [])
    browser.clear("#message-text")
    browser.click("#message-show")
    eventually("the other message is left", lambda: bodies() == ['{"hay":1}'])
    browser.click("#message-rows tr:nth-child(1) .actions button:nth-child(3)")
    confirm(browser, "Defer")
    eventually("it is deferred", lambda: any(
        text.startswith("deferred, due in") for text in cells(browser, "#message-rows td")))
    eventually("the log has it", lambda: any(
        text.startswith("defer message ") for text in cells(browser, "#log-rows span")))
    for channel in ["archive", "counts"]:
        cluster.control(0, f"channel/empty?topic=plays&channel={channel}")


def check_failed_messages(browser, cluster):
    """Shows, retries and discards the failed messages of the shown channel at the first node."""
    def bodies():
        return cells(browser, "#failed-rows pre")

    def show():
        browser.run("document.getElementById('failed-node').value = arguments[0]", cluster.nodes[0])
        browser.click("#failed-show")

    show()
    eventually("it tells that there is none", lambda: browser.is_shown("#failed-none"))
    channel = browser.text("title")
    cluster.control(0, f"channel/max-attempts?topic=plays&channel={channel}&attempts=1")
    for text in [b"first", b"second <b>", b"third"]:
        cluster.control(0, "pub?topic=plays", text)
    cluster.fail(0, "plays", channel, 3)
    show()
    eventually("they are shown", lambda: bodies() == ["first", "second <b>", "third"])
    expect_good_layout(browser, "a channel with failed messages")
    browser.click("#failed-rows tr:nth-child(1) .actions button:nth-child(1)")
    confirm(browser, "Retry")
    eventually("it is retried", lambda: bodies() == ["second <b>", "third"])
    eventually("it waits again", lambda: figures(browser)["Waiting"] == "1")
    browser.click("#failed-rows tr:nth-child(1) .actions button:nth-child(2)")
    confirm(browser, "Discard")
    eventually("it is discarded", lambda: bodies() == ["third"])
    browser.click("#failed-all button:nth-child(1)")
    confirm(browser, "Retry")
    eventually("all are retried", lambda: browser.is_shown("#failed-none"))
    expect(browser.text("failed-progress-text") == "1 failed message retried", browser.text("failed-progress-text"))
    eventually("the log has it", lambda: any(
        text.startswith("retry failed messages of channel") for text in cells(browser, "#log-rows span")))
    cluster.delete(f"plays.{channel}.failed")
    for queue in ["archive", "counts"]:
        cluster.control(0, f"channel/empty?topic=plays&channel={queue}")


def check_navigation(browser, cluster):
    """All pages are reached by links and by bookmarks."""
    for view in ["topics", "nodes", "counter", "lookup"]:
        browser.click(f"#pages [data-view={view}]")
        eventually(f"{view} is current", lambda view=view: cells(
            browser, "#pages [aria-current]") == [view.title()])
        browser.open(cluster.url(f"/{view}"))
        eventually("the page is live", lambda: browser.text("connection") == "Live")
        eventually("it has its title", lambda view=view: browser.text("title") == view.title())
    eventually("the nsqlookupd is shown", lambda: cells(browser, "#lookup-rows li") == [cluster.lookupd])
    eventually("a topic has no node", lambda: cells(browser, "#inactive-rows th") == ["forgotten"])
    expect_good_layout(browser, "nsqlookupds")
    browser.open(cluster.url(f"/nodes/{cluster.nodes[0]}"))
    eventually("the node is shown", lambda: cells(browser, "#node-topic-rows th a") == ["plays"])
    expect_good_layout(browser, "a node")
    browser.open(cluster.url("/nodes"))
    eventually("the nodes are shown", lambda: len(cells(browser, "#node-rows th a")) == 2)
    expect_good_layout(browser, "all nodes")
    browser.open(cluster.url("/topics/unknown"))
    eventually("it tells that there is none", lambda: "no topic unknown" in browser.text("missing"))


def check_keyboard(browser, cluster):
    browser.open(cluster.url("/topics"))
    eventually("the topics are listed", lambda: len(cells(browser, "#topic-rows tr")) == 2)
    browser.run("document.body.tabIndex = -1; document.body.focus(); window.scrollTo(0, 0)")
    browser.press(TAB)
    focus = "return document.activeElement.className || document.activeElement.id"
    expect(browser.run(focus) == "skip", f"the first stop is {browser.run(focus)}")
    browser.press("/")
    eventually("the search has the focus", lambda: browser.run(focus) == "search")
    browser.run("document.querySelector('#topic-rows tr:nth-child(2) th a').focus()")
    browser.press(ENTER)
    eventually("Enter opens a topic", lambda: browser.text("title") == "plays")
    eventually("its actions are shown", lambda: browser.is_shown("#view-actions button"))
    browser.run("document.querySelector('#view-actions button:last-child').focus()")
    browser.press(ENTER)
    eventually("Enter opens a dialog", lambda: browser.is_shown("#confirm"))
    browser.press(ESCAPE)
    eventually("Escape closes it", lambda: not browser.is_shown("#confirm"))


def check_many(browser, cluster):
    """Pages and a search through many topics."""
    for number in range(MANY):
        cluster.control(number % 2, f"topic/create?topic=tenant-{number:03}")
    browser.open(cluster.url("/topics"))
    eventually("all topics are counted", lambda: f"{MANY + 2:,} topics" in browser.text("shown"))
    first = cells(browser, "#topic-rows th a")
    expect(len(first) == 50, f"{len(first)} topics are on a page")
    browser.click("#further")
    eventually("the next topics are shown", lambda: cells(browser, "#topic-rows th a")[0] > first[-1])
    browser.click("#first")
    eventually("the first topics are shown", lambda: cells(browser, "#topic-rows th a") == first)
    browser.type("#search", "tenant-12")
    eventually("ten topics match", lambda: len(cells(browser, "#topic-rows tr")) == 10)
    browser.reload()
    eventually("the search is in the address", lambda: len(cells(browser, "#topic-rows tr")) == 10)
    browser.clear("#search")
    browser.type("#search", "nothing")
    eventually("nothing matches", lambda: "No topic matches" in browser.text("none"))
    expect_good_layout(browser, "many topics")


def check_reused_rows(browser, cluster):
    """The actions of a node are those of the shown topic, also after another one was shown."""
    names = ["rows-1", "rows-2"]
    for name in names:
        cluster.control(0, f"topic/create?topic={name}")
    browser.open(cluster.url("/topics"))
    for name in names:
        browser.type("#search", name)
        eventually("the topic is listed", lambda name=name: cells(browser, "#topic-rows th a") == [name])
        browser.click("#topic-rows th a")
        eventually("the topic is shown", lambda name=name: browser.text("title") == name)
        eventually("its node is shown", lambda: browser.is_shown("#node-rows .actions button"))
        browser.click("#node-rows .actions button")
        eventually("the dialog is open", lambda: browser.is_shown("#confirm"))
        expect(f"for topic {name}?" in browser.text("confirm-title"), browser.text("confirm-title"))
        browser.click("#confirm-no")
        eventually("the dialog closes", lambda: not browser.is_shown("#confirm"))
        browser.click("#pages [data-view=topics]")
        eventually("the list is shown", lambda: browser.text("title") == "Topics")
        browser.clear("#search")
    for name in names:
        cluster.control(0, f"topic/delete?topic={name}")


def check_deletion(browser, cluster):
    browser.open(cluster.url("/topics/plays"))
    eventually("the nodes are shown", lambda: len(cells(browser, "#node-rows th a")) == 2)
    browser.click("#node-rows tr:nth-child(1) .actions button")
    confirm(browser, "Tombstone")
    eventually("one node is left", lambda: len(cells(browser, "#node-rows th a")) == 1)
    browser.click("#view-actions button:last-child")
    confirm(browser, "Delete")
    eventually("the list is shown", lambda: browser.text("title") == "Topics")
    eventually("the topic is deleted", lambda: "plays" not in cells(browser, "#topic-rows th a"))
    browser.open(cluster.url("/lookup"))
    eventually("a topic has no node", lambda: "forgotten" in cells(browser, "#inactive-rows th"))
    browser.click("#inactive-rows tr:nth-child(1) button")
    confirm(browser, "Delete")
    eventually("it is in the log", lambda: "delete topic forgotten" in cells(browser, "#log-rows span"))


def check_failing_node(browser, cluster):
    browser.open(cluster.url("/nodes"))
    eventually("the nodes are shown", lambda: len(cells(browser, "#node-rows th a")) == 2)
    # Its connection to the nsqlookupd stays open.
    node = next(child for child in cluster.children if "topics-nsqd0" in str(child.path))
    node.process.send_signal(19)
    eventually("the warning is shown", lambda: browser.is_shown("#warnings"))
    eventually("the node is marked", lambda: "no response" in cells(browser, "#node-rows .badge"))
    expect_good_layout(browser, "a node that fails")
    node.process.send_signal(18)
    eventually("the warning ends", lambda: not browser.is_shown("#warnings"))


def check_disconnection(browser, cluster):
    cluster.admin.kill()
    eventually("the page is disconnected", lambda: browser.text("connection") == "Disconnected")
    expect_good_layout(browser, "nsqadmin disconnected")
    cluster.start_admin("--admin-user=ada")
    eventually("the page is live again", lambda: browser.text("connection") == "Live")
    browser.open(cluster.url("/topics"))
    eventually("the page is read only", lambda: "read only" in browser.text("source"))
    expect(not browser.is_shown("#create"), "a topic can be created")
    cluster.admin.stop()
    eventually("the page shows the end", lambda: browser.text("connection") == "Stopped")


def picture(browser, children, folder, tally, take_both, root, guide):
    """Takes the pictures of the guide."""
    cluster = Cluster(children, folder, tally)
    for name in ["billing", "emails", "invoices", "plays", "search-index", "thumbnails", "webhooks"]:
        for node in range(2):
            query = urllib.parse.urlencode({"topic": name})
            cluster.control(node, f"topic/create?{query}")
            cluster.control(node, f"channel/create?{query}&channel=counts")
    cluster.control(0, "channel/pause?topic=emails&channel=counts")
    browser.open(cluster.url("/topics"))
    cluster.start(
        "tail", "nsq_tail", f"--lookupd-http-address={cluster.lookupd}", "--topic=plays",
        "--channel=counts")
    # The rates vary, and the messages arrive over most of the shortest time that a chart shows.
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < PICTURED_SECONDS:
        for number in range(int(24 + 16 * math.sin(passed / 9))):
            name = ["plays", "plays", "emails", "webhooks"][number % 4]
            cluster.control(number // 4 % 2, f"pub?topic={name}", b"text")
        time.sleep(0.1)
    take_both(browser, root, guide / "topics-page{}.png", 1280, 860)
    browser.open(cluster.url("/topics/plays/counts"))
    eventually("its consumers are shown", lambda: len(cells(browser, "#client-rows tr")) == 2)
    take_both(browser, root, guide / "topics-page-phone{}.png", 390, 900)
