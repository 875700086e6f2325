"""One window of chromium, controlled by WebDriver."""

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from base64 import b64decode
from pathlib import Path

from browser.processes import TIMEOUT_SECONDS, expect, fail

SCRIPTS = Path(__file__).parent


class Browser:
    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}/session"
        options = {
            "args": [
                "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                "--hide-scrollbars", "--window-size=1280,1160",
            ]
        }
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        session = self.request("POST", "", {"capabilities": {"alwaysMatch": capabilities}})
        self.base += "/" + session["sessionId"]

    def request(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        http_request = urllib.request.Request(
            self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(http_request, timeout=TIMEOUT_SECONDS) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            fail(f"{method} {path}: {json.load(error)['value']['message']}")

    def open(self, url):
        self.request("POST", "/url", {"url": url})

    def reload(self):
        self.request("POST", "/refresh", {})

    def run(self, script, *arguments):
        return self.request("POST", "/execute/sync", {"script": script, "args": arguments})

    def run_file(self, name, *arguments):
        """Runs a file of this folder, which returns a promise."""
        script = (SCRIPTS / name).read_text()
        return self.request("POST", "/execute/sync", {"script": script, "args": arguments})

    def devtools(self, command, **parameters):
        return self.request("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def emulate(self, width=None, height=1000, **media):
        """Sets the size of the window in CSS pixels, and media features."""
        if width is not None:
            self.devtools(
                "Emulation.setDeviceMetricsOverride", width=width, height=height,
                deviceScaleFactor=1, mobile=False)
        if media:
            features = [
                {"name": name.replace("_", "-"), "value": value} for name, value in media.items()
            ]
            self.devtools("Emulation.setEmulatedMedia", features=features)

    def find(self, selector):
        found = self.request("POST", "/element", {"using": "css selector", "value": selector})
        return "/element/" + next(iter(found.values()))

    def click(self, selector):
        self.request("POST", self.find(selector) + "/click", {})

    def type(self, selector, text):
        self.request("POST", self.find(selector) + "/value", {"text": text})

    def clear(self, selector):
        self.request("POST", self.find(selector) + "/clear", {})

    def press(self, key):
        """Presses a key as a user does who has only the keyboard."""
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self.request(
            "POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def errors(self):
        log = self.request("POST", "/se/log", {"type": "browser"})
        # The browser reports the end of the event stream, which the tests cause.
        return [
            entry["message"] for entry in log
            if entry["level"] == "SEVERE" and "/events" not in entry["message"]
        ]

    def picture(self, path):
        Path(path).write_bytes(b64decode(self.request("GET", "/screenshot")))
        if shutil.which("pngquant"):
            command = ["pngquant", "--force", "--skip-if-larger", "--ext=.png", "--nofs", "--speed=1"]
            # The status 98 means that the picture would be larger.
            subprocess.run([*command, str(path)], check=False)

    def close(self):
        self.request("DELETE", "")

    # The content of the page.

    def text(self, name):
        return self.run("return document.getElementById(arguments[0]).textContent", name)

    def number(self, name):
        digits = self.text(name).replace(",", "")
        return int(digits) if digits.isdigit() else 0

    def is_shown(self, selector):
        return self.run(
            "return document.querySelector(arguments[0])?.checkVisibility() ?? false", selector)

    def rows(self):
        return self.run(
            "return [...document.querySelectorAll('#rows tr')].map((row) =>"
            "[row.querySelector('.video').textContent,"
            " Number(row.querySelector('.count').textContent.replaceAll(',', ''))])")

    def expect_no_errors(self):
        errors = self.errors()
        expect(not errors, f"errors in the browser: {errors}")
