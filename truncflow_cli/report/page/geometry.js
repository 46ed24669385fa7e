// The geometry at the chosen time: points, orthants, what the points are mapped to, labels.

const STATES = ["untruncated", "truncated in some coordinate", "wholly truncated", "pinned to a face"];
const NEAR = 16; // pixels within which a point is pointed at
const MOST_NOTES = 8; // apexes or labels that are named
const LANE = 28; // the height of a line's lane where there are many of them
const EDGES = { left: 46, right: 10, top: 8, bottom: 26 };

class Geometry {
  constructor(figure, spec) {
    Object.assign(this, { figure, spec, plot: find(".plot", figure), output: find(".told", figure), what: figure.dataset.what });
    this.count = spec.numbers.length;
    this.images = unpacked(spec.images.bytes, Uint16Array);
    this.states = unpacked(spec.states, Uint8Array);
    this.points = spec.points === null ? null : unpacked(spec.points, Float32Array);
    this.apexes = unpacked(spec.apexes, Float32Array);
    this.edges = unpacked(spec.edges, Float32Array);
    this.lanes = [...new Set(spec.cluster)].sort((a, b) => a - b);
    this.picked = -1;
    this.turn = 0;
    this.tilt = 0;
    this.svg = draw(this.plot, "svg", { role: "img", "aria-label": `${find("h3", figure).textContent} at the chosen s; told below` });
    this.tip = add(this.plot, "div", "tip");
    this.tip.hidden = true;
    for (const swatch of findAll(".swatch", figure)) {
      const cluster = Number(swatch.dataset.cluster);
      draw(swatch, "path", { d: glyph(cluster, 13, 6, 5), class: `fill ${tint(cluster)}` });
    }
    this.listen();
    chosen.listeners.push(() => this.move());
  }

  listen() {
    this.pick = find(".pick", this.figure);
    this.orthants = find(".orthants", this.figure);
    this.lines = find(".lines", this.figure);
    this.pick.addEventListener("input", () => { this.picked = this.indexOf(this.pick.value); this.move(); this.speak(); });
    for (const box of [this.orthants, this.lines]) box?.addEventListener("change", () => this.move());
    for (const key of ["turn", "tilt"]) {
      this[`${key}Input`] = find(`.${key}`, this.figure);
      this[`${key}Input`]?.addEventListener("input", (event) => { this[key] = Number(event.target.value); this.move(); });
    }
    this.plot.addEventListener("pointermove", (event) => {
      if (event.buttons && this.spec.dims === 3 && this.grip) this.drag(event);
      else this.tell(event);
    });
    this.plot.addEventListener("pointerdown", (event) => { this.grip = event; this.moved = 0; });
    this.plot.addEventListener("pointerup", (event) => {
      if (this.grip && this.moved < 4) this.choosePoint(this.nearest(event));
      this.grip = null;
    });
    for (const kind of ["pointerleave", "pointercancel"]) this.plot.addEventListener(kind, () => { this.grip = null; this.tip.hidden = true; });
  }

  /** Return the place among the drawn points of the one with this number, or the nearest number. */
  indexOf(text) {
    if (String(text).trim() === "" || !Number.isFinite(Number(text))) return -1;
    const off = this.spec.numbers.map((number) => Math.abs(number - Number(text)));
    return off.indexOf(Math.min(...off));
  }

  speak() { if (this.picked >= 0) document.getElementById("spoken").textContent = this.told(); }

  choosePoint(index) {
    this.picked = index;
    this.pick.value = index < 0 ? "" : String(this.spec.numbers[index]);
    this.move();
  }

  drag(event) {
    const [dx, dy] = [event.clientX - this.grip.clientX, event.clientY - this.grip.clientY];
    this.moved += Math.abs(dx) + Math.abs(dy);
    this.grip = event;
    this.tip.hidden = true;
    this.turn = ((this.turn + dx * 0.5 + 540) % 360) - 180;
    this.tilt = clamp(this.tilt + dy * 0.5, -90, 90);
    this.turnInput.value = String(this.turn);
    this.tiltInput.value = String(this.tilt);
    this.move();
  }

  layout() {
    const width = widthOf(this.plot);
    const { dims } = this.spec;
    this.margin = dims === 3 ? { left: 8, right: 8, top: 8, bottom: 8 } : EDGES;
    this.fit(width);
    if (dims === 2) {
      this.margin = { ...EDGES, left: Math.max(EDGES.left, roomFor(tickLabels(this.heights()))) };
      this.fit(width);
    }
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    this.svg.replaceChildren();
    const clip = `clip-geometry-${this.spec.key}`;
    draw(draw(this.svg, "clipPath", { id: clip }), "rect", { x: this.margin.left, y: this.margin.top, width: this.across, height: this.up });
    if (dims < 3) this.axes();
    this.scene = draw(this.svg, "g", { "clip-path": `url(#${clip})` });
    this.move();
  }

  /** Choose height and scale for a width and the margins. */
  fit(width) {
    const { dims, low, high } = this.spec;
    const across = width - this.margin.left - this.margin.right;
    const [wide, tall] = [high[0] - low[0], (high[1] ?? 0) - (low[1] ?? 0)];
    let up = across * 0.85;
    if (dims === 1) up = clamp(56 * this.lanes.length, 110, Math.max(420, Math.min(LANE * this.lanes.length, 40 * LANE)));
    else if (dims === 2 && wide > 0) up = clamp(across * ((tall || wide) / wide), across * 0.5, across);
    const height = Math.round(up + this.margin.top + this.margin.bottom);
    Object.assign(this, { width, height, across, up });
    this.unit = dims === 3 ? Math.min(across, up) / (2.1 * (this.spec.reach || 1))
      : dims === 1 ? across / (1.1 * (wide || 1))
        : Math.min(across / (1.1 * (wide || tall || 1)), up / (1.1 * (tall || wide || 1)));
    this.middle = low.map((value, k) => (value + high[k]) / 2);
  }

  axes() {
    const { left, top } = this.margin;
    const bottom = top + this.up;
    const span = this.across / this.unit;
    const start = this.middle[0] - span / 2;
    let free = left;
    const ticks = roundTicks(start, start + span, Math.max(2, Math.floor(this.across / 50)));
    const labels = tickLabels(ticks);
    for (const [k, tick] of ticks.entries()) {
      const x = this.screen([tick, this.middle[1] ?? 0])[0];
      const half = labels[k].length * 3.7;
      if (x - half < free || x + half > this.width - this.margin.right - 10 - 7 * this.spec.axes[0].length) continue;
      free = x + half + 8;
      draw(this.svg, "line", { class: "grid", x1: x, x2: x, y1: top, y2: bottom });
      draw(this.svg, "text", { x, y: bottom + 16, "text-anchor": "middle" }, labels[k]);
    }
    draw(this.svg, "text", { x: this.width - this.margin.right, y: bottom + 16, "text-anchor": "end" }, this.spec.axes[0]);
    if (this.spec.dims === 2) {
      const heights = this.heights();
      const texts = tickLabels(heights);
      for (const [k, tick] of heights.entries()) {
        const y = this.screen([this.middle[0], tick])[1];
        if (y < top + 26 || y > bottom - 4) continue;
        draw(this.svg, "line", { class: "grid", y1: y, y2: y, x1: left, x2: this.width - this.margin.right });
        draw(this.svg, "text", { x: left - 6, y: y + 4, "text-anchor": "end" }, texts[k]);
      }
      draw(this.svg, "text", { x: left - 6, y: top + 12, "text-anchor": "end" }, this.spec.axes[1]);
    }
    draw(this.svg, "path", { class: "axis", d: `M${left} ${top}V${bottom}H${this.width - this.margin.right}` });
  }

  /** Return the ticks of the vertical axis. */
  heights() {
    const tall = this.up / this.unit;
    const base = this.middle[1] - tall / 2;
    return roundTicks(base, base + tall, Math.max(2, Math.floor(this.up / 50)));
  }

  /** Return the place on the screen of a point of K coordinates; on a line, that of a cluster's lane. */
  screen(point, cluster = 0) {
    const { left, top } = this.margin;
    const from = point.map((value, k) => value - (this.middle[k] ?? 0));
    const [a, b] = this.flat(from);
    const x = left + this.across / 2 + a * this.unit;
    if (this.spec.dims === 1) return [x, this.lane(cluster)];
    return [x, top + this.up / 2 - b * this.unit];
  }

  lane(cluster) { return this.margin.top + ((this.lanes.indexOf(cluster) + 0.4) * this.up) / this.lanes.length; }

  /** Return what lies right and up of a vector, as the picture is turned. */
  flat(vector) {
    if (this.spec.dims < 3) return vector;
    const [right, up] = this.rows;
    return [right, up].map((row) => row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2]);
  }

  rotate() {
    const [a, b, c] = this.spec.basis;
    const [turn, tilt] = [(this.turn * Math.PI) / 180, (this.tilt * Math.PI) / 180];
    const mix = (u, p, v, q) => u.map((value, k) => p * value + q * v[k]);
    const right = mix(a, Math.cos(turn), c, Math.sin(turn));
    const towards = mix(c, Math.cos(turn), a, -Math.sin(turn));
    this.rows = [right, mix(b, Math.cos(tilt), towards, -Math.sin(tilt))];
  }

  image(index, frame = chosen.frame) {
    const { dims, images } = this.spec;
    const from = (frame * this.count + index) * dims;
    return Array.from({ length: dims }, (_, k) => images.low[k] + images.step[k] * this.images[from + k]);
  }

  point(index) { return Array.from(this.points.slice(index * this.spec.dims, (index + 1) * this.spec.dims)); }

  state(index) { return this.states[chosen.frame * this.count + index]; }

  move() {
    if (!this.scene) return;
    if (this.spec.dims === 3) this.rotate();
    this.scene.replaceChildren();
    this.taken = this.anchors();
    this.places = [];
    if (this.orthants?.checked) for (let layer = 0; layer < this.spec.layers; layer += 1) this.orthant(layer);
    this.swarm();
    this.spec.labels.forEach((label, k) => {
      const [x, y] = this.screen(label, k);
      draw(this.scene, "path", { d: star(x, y, 9), class: `star ${tint(k)}` });
      if (this.spec.labels.length <= MOST_NOTES) this.note(x, y, this.points === null ? "y" : "ỹ", String(k), 6);
    });
    if (this.orthants?.checked) this.apexNotes();
    if (this.spec.dims === 3) this.triad();
    this.ring();
    this.output.textContent = this.told();
  }

  swarm() {
    const groups = new Map();
    this.spec.cluster.forEach((cluster, index) => {
      const key = cluster % TINTS;
      if (!groups.has(key)) groups.set(key, { line: "", trail: "", fill: "", hollow: "", pinned: "", image: "" });
      const paths = groups.get(key);
      let [x, y] = this.screen(this.image(index), cluster);
      if (this.spec.dims === 1 && this.points !== null) y += 14;
      this.places.push([index, x, y]);
      if (this.points === null) paths.fill += glyph(cluster, x, y, 3.2);
      else this.original(paths, index, cluster, x, y);
      if (this.spec.trails && this.points === null) paths.trail += this.trail(index, cluster);
    });
    for (const kind of ["trail", "line", "hollow", "fill", "pinned", "image"]) {
      for (const [key, paths] of groups) {
        if (paths[kind]) draw(this.scene, "path", { d: paths[kind], class: `${kind === "image" ? "fill" : kind} ${tint(key)}` });
      }
    }
  }

  /** Add a point that stays, and its image at (x, y), to the paths of its cluster. */
  original(paths, index, cluster, x, y) {
    const [px, py] = this.screen(this.point(index), cluster);
    const state = this.state(index);
    this.places.push([index, px, py]);
    if (state > 0 && this.lines.checked) paths.line += `M${rounded(px)} ${rounded(py)}L${rounded(x)} ${rounded(y)}`;
    if (state > 0) paths.image += dot(x, y, 2);
    paths[state === 3 ? "pinned" : state > 0 ? "hollow" : "fill"] += glyph(cluster, px, py, 3.2);
  }

  trail(index, cluster) {
    const places = [];
    for (let frame = 0; frame <= chosen.frame; frame += 1) places.push(this.screen(this.image(index, frame), cluster).map(rounded).join(" "));
    return `M${places.join("L")}`;
  }

  vector(array, from) { return Array.from(array.slice(from, from + this.spec.dims)); }

  apex(layer) { return this.vector(this.apexes, (chosen.frame * this.spec.layers + layer) * this.spec.dims); }

  orthant(layer) {
    const { dims, layers, edgesEach, own, solid } = this.spec;
    const apex = this.screen(this.apex(layer), layer);
    const far = Math.hypot(apex[0] - this.width / 2, apex[1] - this.height / 2) + this.width + this.height;
    const look = own ? tint(layer) : "plain";
    const dash = own ? {} : { "stroke-dasharray": DASHES[layer % DASHES.length] };
    const edges = Array.from({ length: edgesEach }, (_, k) =>
      this.flat(this.vector(this.edges, ((chosen.frame * layers + layer) * edgesEach + k) * dims)));
    if (dims === 1) { this.halfLine(layer, apex[0], Math.sign(edges[0][0]) * far, look, dash); return; }
    const end = ([a, b]) => [apex[0] + far * a, apex[1] - far * b];
    const polygon = (corners) => `M${corners.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}`;
    if (solid) {
      for (let k = 0; k < edgesEach; k += 1) {
        for (let m = k + 1; m < edgesEach; m += 1) {
          const sum = [edges[k][0] + edges[m][0], edges[k][1] + edges[m][1]];
          draw(this.scene, "path", { class: `orthant ${look}${dims === 3 ? " deep" : ""}`, d: `${polygon([apex, end(edges[k]), end(sum), end(edges[m])])}z` });
        }
      }
    }
    for (const edge of edges) {
      if (Math.hypot(...edge) > 1e-6) draw(this.scene, "path", { class: `edge ${look}`, ...dash, d: polygon([apex, end(edge)]) });
    }
    draw(this.scene, "circle", { class: `apex ${look}`, cx: apex[0], cy: apex[1], r: 4 });
  }

  halfLine(layer, x, far, look, dash) {
    const step = this.up / this.lanes.length;
    const [top, tall] = this.spec.own ? [this.lane(layer) - 0.4 * step, step] : [this.margin.top, this.up];
    draw(this.scene, "rect", { class: `orthant ${look}`, x: Math.min(x, x + far), y: top, width: Math.abs(far), height: tall });
    draw(this.scene, "path", { class: `edge ${look}`, ...dash, d: `M${x} ${top}v${tall}` });
  }

  apexNotes() {
    if (this.spec.layers > MOST_NOTES) return;
    for (let layer = 0; layer < this.spec.layers; layer += 1) {
      const [x, y] = this.screen(this.apex(layer), layer);
      this.note(x, y, "−β", `(${layer})`, -6);
    }
  }

  /** Return the places of stars and apexes, where nothing is to be written. */
  anchors() {
    const places = this.spec.labels.map((label, k) => this.screen(label, k));
    if (this.orthants?.checked) for (let layer = 0; layer < this.spec.layers; layer += 1) places.push(this.screen(this.apex(layer), layer));
    return places.map(([x, y]) => [x - 7, y - 7, x + 7, y + 7]);
  }

  /** Write a short text with a raised or lowered part beside a place, where nothing else is written. */
  note(x, y, text, part, shift) {
    const [wide, tall] = [11 * text.length + 7 * part.length, 20];
    for (const [dx, dy] of [[9, -6], [9, 18], [-9 - wide, -6], [-9 - wide, 18]]) {
      const box = [x + dx, y + dy - tall + 4, x + dx + wide, y + dy + 4];
      const { left, right, top, bottom } = this.margin;
      const inside = box[0] >= left && box[2] <= this.width - right && box[1] >= top && box[3] <= this.height - bottom;
      if (!inside || this.taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) continue;
      this.taken.push(box);
      const element = draw(this.scene, "text", { class: "note", x: x + dx, y: y + dy }, text);
      const small = document.createElementNS("http://www.w3.org/2000/svg", "tspan");
      small.setAttribute("dy", shift < 0 ? -5 : 4);
      small.setAttribute("font-size", "11");
      small.textContent = part;
      element.append(small);
      return;
    }
  }

  /** Draw the directions of the coordinates in a corner. */
  triad() {
    const [x, y] = [this.margin.left + 46, this.height - this.margin.bottom - 46];
    this.spec.axes.forEach((name, k) => {
      const [a, b] = this.flat([0, 1, 2].map((m) => (m === k ? 1 : 0)));
      draw(this.scene, "path", { class: "axis", d: `M${x} ${y}L${x + 30 * a} ${y - 30 * b}` });
      if (Math.hypot(a, b) > 0.2) this.note(x + 30 * a, y - 30 * b, "", name, 4);
    });
  }

  ring() {
    if (this.picked < 0) return;
    const cluster = this.spec.cluster[this.picked];
    for (const [index, x, y] of this.places) {
      if (index === this.picked) draw(this.scene, "circle", { class: `ring ${tint(cluster)}`, cx: x, cy: y, r: 7 });
    }
  }

  /** Return what the picture shows at the chosen time, of the chosen point or of the clusters. */
  told() {
    const start = `At s = ${short(data.s[chosen.frame])}: `;
    if (this.picked >= 0) return start + this.about(this.picked);
    if (this.points === null) return `${start}choose a ${this.what} by its number, or point at it, for its values.`;
    if (this.orthants === null) return `${start}lines lead from the points to −β of their cluster.`;
    const parts = this.lanes.slice(0, 6).map((cluster) => {
      const mine = this.spec.cluster.map((other, index) => (other === cluster ? this.state(index) : -1));
      const cut = mine.filter((state) => state > 0).length;
      const pinned = mine.filter((state) => state === 3).length;
      const total = mine.filter((state) => state >= 0).length;
      return `${this.called(cluster)}: ${cut} of ${total} drawn points truncated${pinned ? `, ${pinned} pinned` : ""}`;
    });
    return `${start}${parts.join("; ")}${this.lanes.length > 6 ? "; …" : "."}`;
  }

  called(cluster) { return isolated(data.names[cluster] ?? `cluster ${cluster}`); }

  about(index) {
    const cluster = this.spec.cluster[index];
    const text = (point) => `(${point.map(short).join(", ")})${this.spec.solid ? "" : " along the axes drawn"}`;
    const who = this.what === "cluster" ? this.called(cluster) : `point ${this.spec.numbers[index]} of ${this.called(cluster)}`;
    if (this.points === null) return `${who}: image ${text(this.image(index))}, label ${text(this.spec.labels[cluster])}`;
    return `${who}: x = ${text(this.point(index))}, ${STATES[this.state(index)]}, image ${text(this.image(index))}`;
  }

  nearest(event) {
    const box = this.svg.getBoundingClientRect();
    const scale = this.width / box.width;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    let found = -1;
    let least = NEAR;
    for (const [index, px, py] of this.places) {
      const off = Math.hypot(px - x, py - y);
      if (off < least) [found, least] = [index, off];
    }
    return found;
  }

  tell(event) {
    const index = this.nearest(event);
    if (index < 0) { this.tip.hidden = true; return; }
    const box = this.plot.getBoundingClientRect();
    showTip(this.tip, this.about(index), event.clientX - box.left, event.clientY - box.top + 14, this.plot);
  }
}
