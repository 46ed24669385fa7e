// Curves against s: axes, events, a line at the chosen time, values where one points.

const MARGIN = { left: 58, right: 14, top: 10, bottom: 36 };
const FLOOR = 1e-32; // nothing below this share of the largest value is drawn on a logarithmic axis

/** Return round numbers that cut [low, high] into about `count` parts; more where there would not be three. */
function roundTicks(low, high, count) {
  for (let parts = Math.max(1, count); ; parts += 1) {
    const rough = (high - low) / parts;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((m) => m >= rough * 0.999);
    const ticks = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1) ticks.push(k === 0 ? 0 : k * step);
    if (ticks.length > 2 || parts > 2 * count) return ticks;
  }
}

/** Return powers of ten in [low, high], at most about `count`; round numbers where there are not two. */
function powerTicks(low, high, count) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  if (last - first < 1) return roundTicks(low, high, count).filter((tick) => tick > 0);
  const step = Math.max(1, Math.ceil((last - first) / count));
  const ticks = [];
  for (let k = first; k <= last; k += step) ticks.push(10 ** k);
  return ticks;
}

/** Return the texts of ticks, with as many digits as it takes to tell them apart. */
function tickLabels(ticks) {
  for (let digits = 3; ; digits += 1) {
    const labels = ticks.map((tick) => tickLabel(tick, digits));
    if (new Set(labels).size === ticks.length || digits === 15) return labels;
  }
}

function tickLabel(value, digits) {
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-3 || size >= 1e5)
    ? value.toExponential(digits - 1).replace(/\.?0+e/, "e").replace("e+", "e")
    : String(Number(value.toPrecision(Math.max(6, digits))));
  return text.replaceAll("-", "−");
}

/** Return the room that labels of a vertical axis take, in pixels. */
function roomFor(labels) { return 8 + 7.2 * Math.max(0, ...labels.map((label) => label.length)); }

class Scale {
  constructor(values, logarithmic) {
    const finite = values.filter((value) => value !== null && (!logarithmic || value > 0));
    const largest = finite.length ? finite.reduce((a, b) => Math.max(a, b)) : 1;
    const seen = logarithmic ? finite.filter((value) => value >= FLOOR * largest) : finite;
    let least = seen.length ? seen.reduce((a, b) => Math.min(a, b)) : logarithmic ? 0.1 : 0;
    let most = largest;
    if (logarithmic) {
      if (most / least < 1.2) { least /= 2; most *= 2; }
      this.low = least / (most / least) ** 0.04;
      this.high = most * (most / least) ** 0.04;
    } else {
      if (least > 0 && least < 0.6 * most) least = 0;
      const room = most - least > 1e-9 * Math.abs(most) ? most - least : Math.abs(most) || 1;
      this.low = least === 0 ? 0 : least - 0.06 * room;
      this.high = most + 0.06 * room;
    }
    this.logarithmic = logarithmic;
  }

  /** Return the height of a value, from 0 to 1, or null where it has none. */
  height(value) {
    if (value === null) return null;
    if (!this.logarithmic) return (value - this.low) / (this.high - this.low);
    return value > 0 ? Math.log(value / this.low) / Math.log(this.high / this.low) : null;
  }

  ticks(count) {
    return this.logarithmic ? powerTicks(this.low, this.high, count) : roundTicks(this.low, this.high, count);
  }
}

class Chart {
  constructor(figure, spec) {
    this.figure = figure;
    this.spec = spec;
    this.plot = find(".plot", figure);
    this.button = find(".scale", figure);
    this.cells = findAll(".now", figure);
    this.shown = spec.curves.map((curve) =>
      curve.values.map((v) => (v === null ? null : spec.magnitude ? Math.abs(v) : v)));
    this.own = this.shown.filter((values, k) => !spec.curves[k].bound || spec.magnitude).flat();
    this.logarithmic = spec.logarithmic && this.own.some((value) => value > 0);
    this.plot.tabIndex = 0;
    for (const [key, value] of Object.entries({ role: "slider", "aria-label": `${spec.title} against s`,
      "aria-valuemin": 0, "aria-valuemax": lastFrame })) this.plot.setAttribute(key, value);
    this.svg = draw(this.plot, "svg", { "aria-hidden": "true" });
    this.tip = add(this.plot, "div", "tip");
    this.tip.hidden = true;
    this.listen();
    for (const swatch of findAll(".swatch", figure)) {
      const curve = spec.curves[Number(swatch.dataset.curve)];
      draw(swatch, "line", { x1: 0, x2: 26, y1: 6, y2: 6, ...this.look(curve) });
    }
    chosen.listeners.push(() => this.move());
  }

  look(curve) {
    if (curve.bound) return { class: "curve bound" };
    const dash = curve.tint < 0 ? "" : DASHES[curve.tint % DASHES.length];
    return { class: `curve stroke ${tint(curve.tint)}`, ...(dash ? { "stroke-dasharray": dash } : {}) };
  }

  listen() {
    this.button.hidden = !this.own.some((value) => value > 0) || this.own.some((value) => value < 0);
    this.button.addEventListener("click", () => { this.logarithmic = !this.logarithmic; this.layout(); });
    const at = (event) => {
      const box = this.svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) * this.width) / box.width;
      return nearestFrame(timeAt(clamp((x - this.left) / this.across, 0, 1)));
    };
    this.plot.addEventListener("pointermove", (event) => {
      const frame = at(event);
      if (event.buttons) choose(frame);
      this.tell(frame);
    });
    this.plot.addEventListener("pointerdown", (event) => { choose(at(event)); this.tell(at(event)); });
    this.plot.addEventListener("pointerleave", () => { this.tip.hidden = true; this.pointer.setAttribute("visibility", "hidden"); });
    this.plot.addEventListener("keydown", (event) => {
      const frame = frameAfterKey(event.key);
      if (frame === null || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      choose(frame);
    });
  }

  x(s) { return this.left + place(s) * this.across; }

  y(value) {
    const height = this.scale.height(value);
    return height === null ? null : MARGIN.top + (1 - height) * this.up;
  }

  layout() {
    const width = widthOf(this.plot);
    const height = clamp(Math.round(width * 0.5), 170, 270);
    const up = height - MARGIN.top - MARGIN.bottom;
    this.scale = new Scale(this.own, this.logarithmic);
    this.ticks = this.scale.ticks(Math.max(2, Math.floor(up / 42)));
    this.labels = tickLabels(this.ticks);
    const left = Math.max(MARGIN.left, roomFor(this.labels));
    Object.assign(this, { width, height, left, across: width - left - MARGIN.right, up });
    this.button.setAttribute("aria-pressed", String(this.logarithmic));
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren();
    this.axes();
    const clip = `clip-${this.spec.key}`;
    draw(draw(this.svg, "clipPath", { id: clip }), "rect",
      { x: this.left - 4, y: MARGIN.top - 4, width: this.across + 8, height: this.up + 8 });
    const curves = draw(this.svg, "g", { "clip-path": `url(#${clip})` });
    this.spec.curves.forEach((curve, k) => {
      const path = this.path(this.shown[k]);
      draw(curves, "path", { d: path, ...this.look(curve), ...(lastFrame === 0 ? { "stroke-linecap": "round", "stroke-width": 6 } : {}) });
    });
    this.rug();
    if (this.spec.marks) this.marks(curves);
    this.line = draw(this.svg, "line", { class: "now", y1: MARGIN.top, y2: MARGIN.top + this.up });
    this.pointer = draw(this.svg, "line", { class: "axis", y1: MARGIN.top, y2: MARGIN.top + this.up, "stroke-dasharray": "2 3", visibility: "hidden" });
    this.dots = this.spec.curves.map((curve) => draw(this.svg, "circle", { r: 3.5, class: `fill ${curve.bound ? "plain" : tint(curve.tint)}` }));
    this.move();
  }

  axes() {
    const bottom = MARGIN.top + this.up;
    this.ticks.forEach((tick, k) => {
      const y = this.y(tick);
      draw(this.svg, "line", { class: "grid", x1: this.left, x2: this.width - MARGIN.right, y1: y, y2: y });
      draw(this.svg, "text", { x: this.left - 6, y: y + 4, "text-anchor": "end" }, this.labels[k]);
    });
    draw(this.svg, "path", { class: "axis", d: `M${this.left} ${MARGIN.top}V${bottom}H${this.width - MARGIN.right}` });
    let free = -Infinity;
    const times = this.timeTicks();
    const labels = tickLabels(times);
    for (const [k, tick] of times.entries()) {
      const label = labels[k];
      const half = label.length * 3.7;
      const x = this.x(tick);
      if (x - half < free || x + half > this.width - MARGIN.right - 10) continue;
      free = x + half + 8;
      draw(this.svg, "line", { class: "axis", x1: x, x2: x, y1: bottom, y2: bottom + 4 });
      draw(this.svg, "text", { x, y: bottom + 30, "text-anchor": "middle" }, label);
    }
    draw(this.svg, "text", { x: this.width - MARGIN.right, y: bottom + 30, "text-anchor": "end", "font-style": "italic" }, "s");
  }

  timeTicks() {
    const count = Math.max(2, Math.floor(this.across / 50));
    if (lastFrame === 0 || !(data.s[lastFrame] > data.s[0])) return [data.s[0]];
    if (!chosen.logarithmic) return roundTicks(data.s[0], data.s[lastFrame], count);
    return powerTicks(firstPositive(), data.s[lastFrame], count);
  }

  path(values) {
    let path = "";
    let pen = "M";
    values.forEach((value, k) => {
      const y = this.y(value);
      if (y === null) { pen = "M"; return; }
      path += `${pen}${this.x(data.s[k]).toFixed(1)} ${clamp(y, -1e4, 1e4).toFixed(1)}`;
      if (pen === "M" && (k === values.length - 1 || this.y(values[k + 1]) === null)) path += "h.01"; // a lone value is a dot
      pen = "L";
    });
    return path;
  }

  rug() {
    const bottom = MARGIN.top + this.up;
    const [small, tall] = eventPlaces((s) => this.x(s).toFixed(1));
    draw(this.svg, "path", { class: "rug", d: small.map((x) => `M${x} ${bottom + 5}v7`).join("") });
    draw(this.svg, "path", { class: "rug tall", d: tall.map((x) => `M${x} ${bottom + 5}v12`).join("") });
  }

  /** Mark events on the curves of their clusters, not closer to one another than can be told apart. */
  marks(parent) {
    this.spec.curves.forEach((curve, k) => {
      if (curve.tint < 0 || curve.bound) return;
      let previous = -Infinity;
      for (const [s, kind, , , , cluster] of data.events.rows) {
        const x = this.x(Number(s));
        if (cluster !== curve.tint || !data.events.crossings.includes(kind) || x < previous + 4) continue;
        previous = x;
        const y = this.y(valueAt(this.shown[k], Number(s)));
        if (y !== null) draw(parent, "circle", { cx: x, cy: y, r: 2.2, class: `fill ${tint(curve.tint)}` });
      }
    });
  }

  move() {
    if (!this.line) return;
    const x = this.x(data.s[chosen.frame]);
    this.line.setAttribute("x1", x);
    this.line.setAttribute("x2", x);
    this.spec.curves.forEach((curve, k) => {
      const y = this.y(this.shown[k][chosen.frame]);
      this.dots[k].setAttribute("visibility", y === null || y < MARGIN.top - 4 || y > MARGIN.top + this.up + 4 ? "hidden" : "visible");
      this.dots[k].setAttribute("cx", x);
      this.dots[k].setAttribute("cy", y ?? 0);
      this.cells[k].textContent = short(curve.values[chosen.frame]);
    });
    this.plot.setAttribute("aria-valuenow", chosen.frame);
    this.plot.setAttribute("aria-valuetext", this.sentence(chosen.frame, "; "));
  }

  sentence(frame, between) {
    return [`s = ${short(data.s[frame])}`,
      ...this.spec.curves.map((curve) => `${isolated(curve.name)} ${short(curve.values[frame])}`)].join(between);
  }

  /** Show the values at a frame beside the pointer. */
  tell(frame) {
    const x = this.x(data.s[frame]);
    this.pointer.setAttribute("x1", x);
    this.pointer.setAttribute("x2", x);
    this.pointer.setAttribute("visibility", "visible");
    showTip(this.tip, this.sentence(frame, "\n"), (x * this.plot.clientWidth) / this.width, 12, this.plot);
  }
}

/** Show a text in a box beside a place of a plot, inside the plot as far as it can be. */
function showTip(tip, text, x, y, plot) {
  tip.textContent = text;
  tip.hidden = false;
  const left = x + 12 + tip.offsetWidth > plot.clientWidth ? x - 12 - tip.offsetWidth : x + 12;
  tip.style.left = `${clamp(left, 0, Math.max(0, plot.clientWidth - tip.offsetWidth))}px`;
  tip.style.top = `${clamp(y, 0, Math.max(0, plot.clientHeight - tip.offsetHeight))}px`;
}

/** Return a value between shown times, linear in between. */
function valueAt(values, s) {
  const after = clamp(firstNotBelow(data.s, s), 0, lastFrame);
  const before = Math.max(0, after - 1);
  if (values[after] === null || values[before] === null || after === before) return values[after];
  const share = (s - data.s[before]) / (data.s[after] - data.s[before]);
  return data.s[after] > data.s[before] ? values[before] + clamp(share, 0, 1) * (values[after] - values[before]) : values[after];
}
