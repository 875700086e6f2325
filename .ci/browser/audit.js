// Returns the violations of the layout and of WCAG AA contrast in the page as it is shown, as texts.

const found = [];

// MARK: Contrast

const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

const known = new Map();

// Red, green and blue from 0 to 255 and alpha from 0 to 1 of a CSS colour.
function channels(color) {
  if (!known.has(color)) known.set(color, measure(color));
  return known.get(color);
}

function measure(color) {
  context.clearRect(0, 0, 1, 1);
  context.fillStyle = color;
  context.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
  return [red, green, blue, alpha / 255];
}

const over = (top, bottom) => [0, 1, 2].map((i) => top[i] * top[3] + bottom[i] * (1 - top[3])).concat(1);

function background(element) {
  const layers = [];
  for (let at = element; at; at = at.parentElement) layers.push(channels(getComputedStyle(at).backgroundColor));
  return layers.reverse().reduce((bottom, top) => over(top, bottom), [255, 255, 255, 1]);
}

function luminance(color) {
  const [red, green, blue] = color.map((value) =>
    value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [darker, lighter] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

function expectContrast(name, color, behind, least) {
  const ratio = contrast(over(channels(color), behind), behind);
  if (ratio < least) found.push(`${name} has a contrast of ${ratio.toFixed(2)}, not ${least}`);
}

function isVisible(element) {
  const box = element.getBoundingClientRect();
  return element.checkVisibility() && box.width > 1 && box.bottom > 0 && !element.closest(".hidden");
}

// Two totals are highlighted, so that their contrast is measured too.
const highlighted = [...document.querySelectorAll("#rows .count span")].slice(0, 2);
highlighted.forEach((total, index) => { total.dataset.changed = ["immediate", "batched"][index]; });

for (const element of document.querySelectorAll("body *")) {
  const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "");
  if (!hasText || !isVisible(element)) continue;
  const style = getComputedStyle(element);
  const size = parseFloat(style.fontSize);
  const isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  const name = `“${element.textContent.trim().slice(0, 30)}”`;
  expectContrast(name, style.color, background(element), isLarge ? 3 : 4.5);
  for (let at = element; at; at = at.parentElement) {
    const { opacity, filter } = getComputedStyle(at);
    if (opacity !== "1" || filter !== "none") found.push(`${name} has an opacity or a filter`);
  }
}

for (const total of highlighted) delete total.dataset.changed;

const parts = [
  ["#search", "borderTopColor"], ["path.immediate", "fill"], ["path.batched", "stroke"], ["path.plays", "stroke"],
  [".legend .batched", "borderTopColor", "::before"], [".legend .immediate", "backgroundColor", "::before"],
];
for (const [selector, property, pseudo] of parts) {
  const element = document.querySelector(selector);
  if (!element || !isVisible(element) || document.documentElement.hasAttribute("data-stale")) continue;
  expectContrast(`${selector} ${property}`, getComputedStyle(element, pseudo)[property], background(element.parentElement), 3);
}
if (document.documentElement.hasAttribute("data-stale")) {
  const swatches = [...document.querySelectorAll(".legend li, .kind span")].slice(0, 10);
  if (swatches.some((swatch) => getComputedStyle(swatch, "::before").filter !== "grayscale(1)")) found.push("a swatch is not grey");
}
const search = document.querySelector("#search, #filter-text");
if (isVisible(search)) {
  expectContrast("the placeholder", getComputedStyle(search, "::placeholder").color, background(search), 4.5);
}

// MARK: Layout

if (document.documentElement.scrollWidth > innerWidth) {
  found.push(`the page is ${document.documentElement.scrollWidth} pixels wide in a window of ${innerWidth}`);
}
for (const element of document.querySelectorAll("main *, header *")) {
  if (!isVisible(element)) continue;
  const box = element.getBoundingClientRect();
  if (box.right > innerWidth + 1 || box.left < -1) found.push(`${element.className || element.id || element.tagName} leaves the window`);
}
// A GUID breaks only after a hyphen.
for (const head of [...document.querySelectorAll("tbody .video")].slice(0, 20)) {
  for (const node of head.childNodes) {
    if (node.nodeType !== 3) continue;
    const range = document.createRange();
    range.selectNode(node);
    if (range.getClientRects().length > 1) found.push(`the group ${node.data} has several lines`);
  }
}
const row = document.querySelector("#rows tr");
if (row && document.querySelector("#videos") && isVisible(document.querySelector("#videos"))) {
  for (const name of ["video", "count", "kind", "call", "updated"]) {
    if (!isVisible(row.querySelector(`.${name}`))) found.push(`the column ${name} is hidden`);
    if (!isVisible(document.querySelector(`thead .${name}`))) found.push(`the header ${name} is hidden`);
  }
}
for (const selector of [".number", "tbody .count", "tbody .call", "tbody .updated"]) {
  const element = document.querySelector(selector);
  if (element && getComputedStyle(element).fontVariantNumeric !== "tabular-nums") found.push(`${selector} has proportional digits`);
}
return [...new Set(found)];
