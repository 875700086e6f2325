"""The pictures of README and guide."""

import subprocess
from pathlib import Path

from browser import jobpictures, topics
from browser.processes import Child, eventually, expect

README = Path("Fixtures/page")
GUIDE = Path("Sources/tally/tally.docc")
# Some videos have more than 100 plays before the pictured run, so that its calls are of all kinds.
EARLIER_PLAYS = 4_500
PLAYS, OVER_SECONDS = 450, 45
# The maximum size of a picture, so that a clone of the repository stays small.
MAX_BYTES = 150_000


def take(browser, children, folder, tally, pictures):
    """Takes the pictures in the folder `pictures` of the paths that README and guide have."""
    root = Path(pictures)
    command = [
        tally, "demo", f"--store={folder}/pictured.sqlite", "--tcp-address=127.0.0.1:0"
    ]
    subprocess.run(
        [*command, f"--plays={EARLIER_PLAYS}", "--json"], check=True, capture_output=True)
    demo = Child(
        folder, "pictured", *command, "--live", f"--plays={PLAYS}", f"--over={OVER_SECONDS}s",
        "--page-address=127.0.0.1:0")
    children.append(demo)
    browser.open(demo.wait_for_output(r"http://\S+/videos").group(0))
    eventually(
        "most of the plays are shown",
        lambda: browser.number("plays") > EARLIER_PLAYS + 0.7 * PLAYS, OVER_SECONDS + 45)
    take_both(browser, root, README / "videos-{}.png", 1280, 1000)
    take_both(browser, root, GUIDE / "live-page-phone{}.png", 390, 1180)
    eventually(
        "the verdict is shown", lambda: browser.text("verdict-title") == "Verdict: pass",
        OVER_SECONDS + 45)
    browser.click("#verdict summary")
    take_both(browser, root, GUIDE / "live-page-verdict{}.png", 820, 760)
    demo.stop()
    jobpictures.take(browser, children, folder, tally, take_both, root, GUIDE)
    topics.picture(browser, children, folder, tally, take_both, root, GUIDE)


def take_both(browser, root, name, width, height):
    """Takes a picture in light and dark. The names in the guide are those that DocC recognizes."""
    for scheme in ["light", "dark"]:
        is_for_readme = name.is_relative_to(README)
        suffix = scheme if is_for_readme else {"light": "", "dark": "~dark"}[scheme]
        path = root / str(name).format(suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        browser.emulate(width, height, prefers_color_scheme=scheme)
        settle(browser)
        browser.picture(path)
        size = path.stat().st_size
        expect(size < MAX_BYTES, f"{path} has {size} bytes; install pngquant")
        print(f"{path}: {size} bytes")


def settle(browser):
    """Waits until the page is drawn in its new size."""
    browser.run(
        "return new Promise((drawn) =>"
        " requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(drawn, 100))))")
