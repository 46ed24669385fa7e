// What every part of the page uses: the data, numbers as people read them, SVG elements, the chosen time.

const data = JSON.parse(document.getElementById("data").textContent);
const lastFrame = data.s.length - 1;
const TINTS = 8;
const PAPER = { chart: 330, geometry: 416 }; // how wide pictures are on A4 or letter paper, in pixels
const DASHES = ["", "8 3", "3 3", "10 3 3 3", "1.5 3", "14 4", "6 2 1.5 2 1.5 2", "4 6"];

function find(selector, root = document) { return root.querySelector(selector); }

function findAll(selector, root = document) { return [...root.querySelectorAll(selector)]; }

/** Return a number as the rest of the page has it: so many significant digits, fewer before a power of ten. */
function short(value, digits = 4, beforePower = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-3 || size >= 1e5)
    ? value.toExponential(beforePower - 1).replace(/\.?0+e/, "e").replace("e+", "e")
    : String(Number(size >= 1000 && digits < 5 ? Math.round(value) : value.toPrecision(digits)));
  return text.replaceAll("-", "−");
}

/** Return how wide a picture is drawn: as its place on the screen is, or as on paper, so that its texts keep their size. */
function widthOf(plot) {
  const width = chosen.printing ? PAPER[plot.parentElement.className] : plot.clientWidth;
  return Math.max(240, Math.round(width));
}

function set(element, attributes) { for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value); }

/** Add an element to another: of SVG, and of HTML. */
function draw(parent, name, attributes = {}, text = "") {
  return append(parent, document.createElementNS("http://www.w3.org/2000/svg", name), attributes, text);
}

function add(parent, name, className = "", text = "") {
  return append(parent, document.createElement(name), className ? { class: className } : {}, text);
}

function append(parent, element, attributes, text) {
  set(element, attributes);
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

/** A place for a drawing in a figure, with a box of text beside what one points at. */
class Plot {
  constructor(figure, spec, attributes) {
    Object.assign(this, { figure, spec, plot: find(".plot", figure) });
    this.svg = draw(this.plot, "svg", attributes);
    this.tip = add(this.plot, "div", "tip");
    this.tip.hidden = true;
    chosen.listeners.push(() => this.move());
  }

  /** Empty the drawing, and return a group that is cut off at a frame. */
  clear(width, height, frame) {
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren();
    const id = `clip-${this.figure.id}`;
    draw(draw(this.svg, "clipPath", { id }), "rect", frame);
    return () => draw(this.svg, "g", { "clip-path": `url(#${id})` });
  }

  /** Return where a pointer is in the drawing. */
  at(event) {
    const box = this.svg.getBoundingClientRect();
    const scale = this.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  /** Show a text beside a place of the plot, inside the plot as far as it can be. */
  showTip(text, x, y) {
    const { tip, plot } = this;
    tip.textContent = text;
    tip.hidden = false;
    const left = x + 12 + tip.offsetWidth > plot.clientWidth ? x - 12 - tip.offsetWidth : x + 12;
    tip.style.left = `${clamp(left, 0, Math.max(0, plot.clientWidth - tip.offsetWidth))}px`;
    tip.style.top = `${clamp(y, 0, Math.max(0, plot.clientHeight - tip.offsetHeight))}px`;
  }

  /** Draw an axis upwards: labels on the left, and a line across for each of them. */
  ticksUp(ticks, place, left, right, from = -Infinity, to = Infinity) {
    const labels = tickLabels(ticks);
    ticks.forEach((tick, k) => {
      const y = place(tick);
      if (y < from || y > to) return;
      draw(this.svg, "line", { class: "grid", x1: left, x2: right, y1: y, y2: y });
      draw(this.svg, "text", { x: left - 6, y: y + 4, "text-anchor": "end" }, labels[k]);
    });
  }

  /** Draw an axis from left to right: labels that do not touch, below what is drawn for each of them. */
  ticksAcross(ticks, place, y, { from = -Infinity, to, gap = 8, mark }) {
    let free = from;
    const labels = tickLabels(ticks);
    ticks.forEach((tick, k) => {
      const x = place(tick);
      const half = labels[k].length * 3.7;
      if (x - half < free || x + half > to) return;
      free = x + half + gap;
      draw(this.svg, "line", { x1: x, x2: x, ...mark });
      draw(this.svg, "text", { x, y, "text-anchor": "middle" }, labels[k]);
    });
  }
}

/** Return a name so that one written from right to left does not turn round the numbers that follow it. */
function isolated(name) { return /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(name) ? `\u2068${name}\u2069` : name; }

function tint(index) { return index < 0 ? "main" : `t${index % TINTS}`; }

function clamp(value, low, high) { return Math.min(high, Math.max(low, value)); }

/** Return the bytes of a base-64 text as numbers of a type. */
function unpacked(text, Type) { return new Type(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer); }

/** Return which frame s is at, a fraction between shown times. */
function frameAt(s) {
  const found = data.s.findIndex((each) => each >= s);
  const after = found < 0 ? lastFrame : found;
  const before = Math.max(0, after - 1);
  const gap = data.s[after] - data.s[before];
  return gap > 0 ? before + clamp((s - data.s[before]) / gap, 0, 1) : after;
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
