"""Checks of layout and contrast that apply to every state of the page."""

from browser.processes import expect

WIDTHS = [390, 820, 1280]


def expect_good_layout(browser, state):
    """Checks the page in each width, light and dark."""
    for width in WIDTHS:
        for scheme in ["light", "dark"]:
            browser.emulate(width, prefers_color_scheme=scheme)
            found = browser.run_file("audit.js")
            expect(not found, f"{state}, {width} pixels wide, {scheme}: {found}")
    browser.emulate(1280, prefers_color_scheme="light")
