"""Child processes of the browser test, and waiting for what they do."""

import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

# The timeout is generous, because continuous integration may share its processors.
TIMEOUT_SECONDS = 45


def fail(reason):
    sys.exit(f"live page test: {reason}")


def expect(condition, reason):
    if not condition:
        fail(reason)


def eventually(expectation, poll, timeout=TIMEOUT_SECONDS):
    """Calls `poll` until its result is true, and returns the result."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if found := poll():
            return found
        time.sleep(0.05)
    fail(f"not within {timeout} s: {expectation}")


class Child:
    """A child process whose output goes to files."""

    def __init__(self, folder, name, *command):
        self.path = Path(folder, name)
        with open(self.path, "wb") as errors, open(f"{self.path}.out", "wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=errors)

    def wait_for_output(self, pattern):
        def poll():
            text = self.path.read_text(errors="replace") + self.output
            if found := re.search(pattern, text):
                return found
            if self.process.poll() is not None:
                fail(f"{self.process.args[0]} exited with {self.process.returncode}: {text}")

        return eventually(f"{self.process.args[0]} prints {pattern}", poll)

    @property
    def output(self):
        return Path(f"{self.path}.out").read_text(errors="replace")

    def stop(self):
        """Ends the process as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        return eventually(f"{self.path.name} exits", lambda: self.process.poll() is not None)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Serve:
    """`tally serve`, which can be started again at the same addresses."""

    def __init__(self, children, folder, tally, *flags):
        self.children, self.folder, self.tally, self.flags = children, folder, tally, flags
        self.store = f"{folder}/serve{len(children)}.sqlite"
        self.nsqd = self.page = "127.0.0.1:0"
        self.start()

    def start(self):
        name = f"serve{len(self.children)}"
        self.child = Child(
            self.folder, name, self.tally, "serve", f"--tcp-address={self.nsqd}",
            f"--page-address={self.page}", "--http-address=127.0.0.1:0",
            f"--store={self.store}", *self.flags)
        self.children.append(self.child)
        if "--page-address=none" not in self.flags:
            self.page = self.child.wait_for_output(r"http://([\d.:]+)/videos").group(1)
        self.nsqd = self.child.wait_for_output(r"TCP: listening on ([\d.:]+)").group(1)
        self.http = self.child.wait_for_output(r"HTTP: listening on ([\d.:]+)").group(1)

    @property
    def url(self):
        return f"http://{self.page}/videos"

    def control(self, action):
        """Sends a request to the broker's HTTP API, such as `topic/pause?topic=plays`."""
        request = urllib.request.Request(f"http://{self.http}/{action}", b"", method="POST")
        urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS).close()

    def publish(self, videos):
        """Publishes one play of each of the videos."""
        lines = "".join(f'{{"video_id":"{video}"}}\n' for video in videos)
        subprocess.run(
            [self.tally, "produce", f"--nsqd-tcp-address={self.nsqd}", "--file=-"], check=True,
            input=lines.encode(), capture_output=True, timeout=TIMEOUT_SECONDS)
