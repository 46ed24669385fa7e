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
    const labels = ticks.map((tick) => short(tick, Math.max(6, digits), digits));
    if (new Set(labels).size === ticks.length || digits === 15) return labels;
  }
}

/** Return the room that labels of a vertical axis take, in pixels. */
function roomFor(labels) { return 8 + 7.2 * Math.max(0, ...labels.map((label) => label.length)); }

class Scale {
  constructor(values, logarithmic) {
    this.logarithmic = logarithmic;
    const finite = values.filter((value) => value !== null && (!logarithmic || value > 0));
    let most = finite.length ? finite.reduce((a, b) => Math.max(a, b)) : 1;
    const seen = logarithmic ? finite.filter((value) => value >= FLOOR * most) : finite;
    let least = seen.length ? seen.reduce((a, b) => Math.min(a, b)) : logarithmic ? 0.1 : 0;
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
  }

  /** Return the height of a value, from 0 to 1, or null where it has none. */
  height(value) {
    if (value === null) return null;
    if (!this.logarithmic) return (value - this.low) / (this.high - this.low);
    return value > 0 ? Math.log(value / this.low) / Math.log(this.high / this.low) : null;
  }

  ticks(count) { return (this.logarithmic ? powerTicks : roundTicks)(this.low, this.high, count); }
}

class Chart extends Plot {
  constructor(figure, spec) {
    super(figure, spec, { "aria-hidden": "true" });
    this.button = find(".scale", figure);
    this.cells = findAll(".now", figure);
    this.shown = spec.curves.map((curve) =>
      curve.values.map((v) => (v === null ? null : spec.magnitude ? Math.abs(v) : v)));
    this.own = this.shown.filter((values, k) => !spec.curves[k].bound || spec.magnitude).flat();
    this.logarithmic = spec.logarithmic && this.own.some((value) => value > 0);
    set(this.plot, { tabindex: 0, role: "slider", "aria-label": `${spec.title} against s`, "aria-valuemin": 0, "aria-valuemax": lastFrame });
    this.listen();
    for (const swatch of findAll(".swatch", figure)) {
      draw(swatch, "line", { x1: 0, x2: 26, y1: 6, y2: 6, ...this.look(spec.curves[Number(swatch.dataset.curve)]) });
    }
  }

  look(curve) {
    if (curve.bound) return { class: "curve bound" };
    const dash = curve.tint < 0 ? "" : DASHES[curve.tint % DASHES.length];
    return { class: `curve stroke ${tint(curve.tint)}`, ...(dash ? { "stroke-dasharray": dash } : {}) };
  }

  listen() {
    this.button.hidden = !this.own.some((value) => value > 0) || this.own.some((value) => value < 0);
    this.button.addEventListener("click", () => { this.logarithmic = !this.logarithmic; this.layout(); });
    const follow = (event) => {
      const frame = Math.round(frameAt(timeAt(clamp((this.at(event)[0] - this.left) / this.across, 0, 1))));
      if (event.buttons || event.type === "pointerdown") choose(frame);
      this.tell(frame);
    };
    for (const kind of ["pointermove", "pointerdown"]) this.plot.addEventListener(kind, follow);
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
    const left = Math.max(MARGIN.left, roomFor(tickLabels(this.ticks)));
    Object.assign(this, { width, height, left, across: width - left - MARGIN.right, up });
    this.button.setAttribute("aria-pressed", String(this.logarithmic));
    const frame = { x: this.left - 4, y: MARGIN.top - 4, width: this.across + 8, height: this.up + 8 };
    const inFrame = this.clear(width, height, frame);
    this.axes();
    const curves = inFrame();
    const wide = lastFrame === 0 ? { "stroke-linecap": "round", "stroke-width": 6 } : {};
    this.spec.curves.forEach((curve, k) => draw(curves, "path", { d: this.path(this.shown[k]), ...this.look(curve), ...wide }));
    drawRug(this.svg, (s) => this.x(s).toFixed(1), MARGIN.top + this.up + 5);
    if (this.spec.marks) this.marks(curves);
    const upright = { y1: MARGIN.top, y2: MARGIN.top + this.up };
    this.line = draw(this.svg, "line", { class: "now", ...upright });
    this.pointer = draw(this.svg, "line", { class: "axis", ...upright, "stroke-dasharray": "2 3", visibility: "hidden" });
    this.dots = this.spec.curves.map((curve) => draw(this.svg, "circle", { r: 3.5, class: `fill ${curve.bound ? "plain" : tint(curve.tint)}` }));
    this.move();
  }

  axes() {
    const bottom = MARGIN.top + this.up;
    const right = this.width - MARGIN.right;
    this.ticksUp(this.ticks, (tick) => this.y(tick), this.left, right);
    draw(this.svg, "path", { class: "axis", d: `M${this.left} ${MARGIN.top}V${bottom}H${right}` });
    this.ticksAcross(this.timeTicks(), (s) => this.x(s), bottom + 30, { to: right - 10, mark: { class: "axis", y1: bottom, y2: bottom + 4 } });
    draw(this.svg, "text", { x: right, y: bottom + 30, "text-anchor": "end", "font-style": "italic" }, "s");
  }

  timeTicks() {
    const count = Math.max(2, Math.floor(this.across / 50));
    if (lastFrame === 0 || !(data.s[lastFrame] > data.s[0])) return [data.s[0]];
    if (!chosen.logarithmic) return roundTicks(data.s[0], data.s[lastFrame], count);
    return powerTicks(firstPositive(), data.s[lastFrame], count);
  }

  path(values) {
    const heights = values.map((value) => this.y(value));
    return heights.map((y, k) => {
      if (y === null) return "";
      const [first, last] = [(heights[k - 1] ?? null) === null, (heights[k + 1] ?? null) === null];
      return `${first ? "M" : "L"}${this.x(data.s[k]).toFixed(1)} ${clamp(y, -1e4, 1e4).toFixed(1)}${first && last ? "h.01" : ""}`; // a lone value is a dot
    }).join("");
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
    set(this.line, { x1: x, x2: x });
    this.spec.curves.forEach((curve, k) => {
      const y = this.y(this.shown[k][chosen.frame]);
      const away = y === null || y < MARGIN.top - 4 || y > MARGIN.top + this.up + 4;
      set(this.dots[k], { cx: x, cy: y ?? 0, visibility: away ? "hidden" : "visible" });
      this.cells[k].textContent = short(curve.values[chosen.frame]);
    });
    set(this.plot, { "aria-valuenow": chosen.frame, "aria-valuetext": this.sentence(chosen.frame, "; ") });
  }

  sentence(frame, between) {
    return [`s = ${short(data.s[frame])}`,
      ...this.spec.curves.map((curve) => `${isolated(curve.name)} ${short(curve.values[frame])}`)].join(between);
  }

  /** Show the values at a frame beside the pointer. */
  tell(frame) {
    const x = this.x(data.s[frame]);
    set(this.pointer, { x1: x, x2: x, visibility: "visible" });
    this.showTip(this.sentence(frame, "\n"), (x * this.plot.clientWidth) / this.width, 12);
  }
}

/** Return a value between shown times, linear in between. */
function valueAt(values, s) {
  const frame = frameAt(s);
  const [before, after] = [values[Math.floor(frame)], values[Math.ceil(frame)]];
  return before === null || after === null ? after : before + (frame % 1) * (after - before);
}
