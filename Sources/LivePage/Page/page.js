// Functions on the document that every part of the page uses.

export const $ = (id) => document.getElementById(id);

export function setText(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text;
}

// MARK: Screen readers

// At most one announcement in this time; the last one of several is read.
const PAUSE_MS = 3000;
let announcedAt = -Infinity;
let pending = 0;

export function announce(text) {
  clearTimeout(pending);
  const wait = announcedAt + PAUSE_MS - performance.now();
  if (wait > 0) {
    pending = setTimeout(announce, wait, text);
    return;
  }
  announcedAt = performance.now();
  $("announcer").textContent = text;
}

// The time since the last announcement, in milliseconds.
export const silence = () => performance.now() - announcedAt;
