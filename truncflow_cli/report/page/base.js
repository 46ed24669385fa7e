// What every part of the page uses: the data, numbers as people read them, SVG elements, the chosen time.

const data = JSON.parse(document.getElementById("data").textContent);
const lastFrame = data.s.length - 1;
const TINTS = 8;
const PAPER = { chart: 330, geometry: 416 }; // how wide pictures are on A4 or letter paper, in pixels
const DASHES = ["", "8 3", "3 3", "10 3 3 3", "1.5 3", "14 4", "6 2 1.5 2 1.5 2", "4 6"];

function find(selector, root = document) { return root.querySelector(selector); }

function findAll(selector, root = document) { return [...root.querySelectorAll(selector)]; }

/** Return a number with four significant digits, as the rest of the page has it. */
function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  let text;
  if (value === 0) text = "0";
  else if (size >= 1e-3 && size < 1e5) text = String(size >= 1000 ? Math.round(value) : Number(value.toPrecision(4)));
  else text = value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  return text.replaceAll("-", "−");
}

/** Return how wide a picture is drawn: as its place on the screen is, or as on paper, so that its texts keep their size. */
function widthOf(plot) {
  const width = chosen.printing ? PAPER[plot.parentElement.className] : plot.clientWidth;
  return Math.max(240, Math.round(width));
}

/** Add an SVG element to another. */
function draw(parent, name, attributes = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

/** Add an HTML element to another. */
function add(parent, name, className = "", text = "") {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

/** Return a name so that one written from right to left does not turn round the numbers that follow it. */
function isolated(name) { return /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(name) ? `\u2068${name}\u2069` : name; }

function tint(index) { return index < 0 ? "main" : `t${index % TINTS}`; }

function clamp(value, low, high) { return Math.min(high, Math.max(low, value)); }

/** Return the bytes of a base-64 text as numbers of a type. */
function unpacked(text, Type) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let k = 0; k < binary.length; k += 1) bytes[k] = binary.charCodeAt(k);
  return new Type(bytes.buffer);
}

/** Return the first place in ascending values that is not below a number. */
function firstNotBelow(values, number) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Return the shown time nearest to s. */
function nearestFrame(s) {
  const after = clamp(firstNotBelow(data.s, s), 0, lastFrame);
  return after > 0 && s - data.s[after - 1] < data.s[after] - s ? after - 1 : after;
}

// The chosen time: parts of the page say what they do when it changes.
const chosen = { frame: 0, logarithmic: data.logarithmic, printing: false, listeners: [] };

function choose(frame) {
  const next = clamp(Math.round(frame), 0, lastFrame);
  if (next === chosen.frame) return;
  chosen.frame = next;
  for (const listener of chosen.listeners) listener();
}

/** Return the frame that a key leads to, or null if the key is another. */
function frameAfterKey(key) {
  const page = Math.max(1, Math.round(lastFrame / 10));
  const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -page, PageUp: page };
  if (key in steps) return chosen.frame + steps[key];
  return { Home: 0, End: lastFrame }[key] ?? null;
}

// How s becomes a place on a horizontal axis, from 0 to 1; on a logarithmic one what is before s[1] is at its left end.
function place(s) {
  const first = data.s[0];
  const end = data.s[lastFrame];
  if (!(end > first)) return 0.5;
  if (!chosen.logarithmic) return (s - first) / (end - first);
  const low = firstPositive();
  return clamp(Math.log(Math.max(s, low) / low) / Math.log(end / low), 0, 1);
}

function timeAt(share) {
  const first = data.s[0];
  const end = data.s[lastFrame];
  if (!chosen.logarithmic) return first + share * (end - first);
  const low = firstPositive();
  return share <= 0 ? first : low * (end / low) ** share;
}

function firstPositive() { return data.s.find((s) => s > 0) ?? 1; }

function canBeLogarithmic() { return lastFrame > 1 && data.s[0] >= 0 && data.s[lastFrame] > firstPositive(); }
