// Functions on the document that all pages use.

export const $ = (id) => document.getElementById(id);

// Sets the text of an element, or of the element with an ID.
export function setText(target, text) {
  const shown = typeof target === "string" ? $(target) : target;
  if (shown.textContent !== text) shown.textContent = text;
}

// Sets the path of a kind in the chart with an ID.
export function setPath(id, kind, path) {
  const shown = $(id).querySelector(`path.${kind}`);
  if (shown.getAttribute("d") !== path) shown.setAttribute("d", path);
}

// MARK: Screen readers

// At most one text is announced in this time; of several texts, only the last one.
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

// MARK: Elements

export function element(tag, name) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  return made;
}

export function button(text, act, name) {
  const made = element("button", name);
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", act);
  return made;
}

// A cell of a table, with the name of its column for narrow windows.
export function cell(column, name) {
  const made = element("td", name);
  made.dataset.name = column;
  return made;
}

// Makes the children of `parent` show `items` in this order. A child whose key is still present is
// reused, so that it does not lose the focus.
export function reuse(parent, items, keyOf, make, fill) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    const child = known.get(key) ?? make(item);
    known.delete(key);
    child.dataset.key = key;
    fill(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const child of known.values()) child.remove();
}
