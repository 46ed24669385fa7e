// The geometry at the chosen time: points, orthants, what the points are mapped to, labels.

const STATES = ["untruncated", "truncated in some coordinate", "wholly truncated", "pinned to a face"];
const NEAR = 16; // pixels within which a point is pointed at
const MOST_NOTES = 8; // apexes or labels that are named
const LANE = 28; // the height of a line's lane where there are many of them
const EDGES = { left: 46, right: 10, top: 8, bottom: 26 };

class Geometry extends Plot {
  constructor(figure, spec) {
    super(figure, spec, { role: "img", "aria-label": `${find("h3", figure).textContent} at the chosen s; told below` });
    Object.assign(this, { output: find(".told", figure), what: figure.dataset.what, picked: -1, turn: 0, tilt: 0 });
    this.count = spec.numbers.length;
    this.images = unpacked(spec.images.bytes, Uint16Array);
    this.states = unpacked(spec.states, Uint8Array);
    for (const key of ["points", "apexes", "edges"]) this[key] = spec[key] === null ? null : unpacked(spec[key], Float32Array);
    this.lanes = [...new Set(spec.cluster)].sort((a, b) => a - b);
    for (const swatch of findAll(".swatch", figure)) {
      const cluster = Number(swatch.dataset.cluster);
      draw(swatch, "path", { d: glyph(cluster, 13, 6, 5), class: `fill ${tint(cluster)}` });
    }
    this.listen();
  }

  listen() {
    for (const key of ["pick", "orthants", "lines", "turn", "tilt"]) {
      const control = find(`.${key}`, this.figure);
      this[key === "turn" || key === "tilt" ? `${key}Input` : key] = control;
      control?.addEventListener("input", () => {
        if (key === "pick") this.picked = this.indexOf(control.value);
        else if (control.type === "range") this[key] = Number(control.value);
        this.move();
        if (key === "pick" && this.picked >= 0) document.getElementById("spoken").textContent = this.told();
      });
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
    const frame = { x: this.margin.left, y: this.margin.top, width: this.across, height: this.up };
    const inFrame = this.clear(width, this.height, frame);
    if (dims < 3) this.axes();
    this.scene = inFrame();
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
    const right = this.width - this.margin.right;
    this.ticksAcross(roundTicks(start, start + span, Math.max(2, Math.floor(this.across / 50))),
      (tick) => this.screen([tick, this.middle[1] ?? 0])[0], bottom + 16,
      { from: left, to: right - 10 - 7 * this.spec.axes[0].length, mark: { class: "grid", y1: top, y2: bottom } });
    draw(this.svg, "text", { x: right, y: bottom + 16, "text-anchor": "end" }, this.spec.axes[0]);
    if (this.spec.dims === 2) {
      this.ticksUp(this.heights(), (tick) => this.screen([this.middle[0], tick])[1], left, right, top + 26, bottom - 4);
      draw(this.svg, "text", { x: left - 6, y: top + 12, "text-anchor": "end" }, this.spec.axes[1]);
    }
    draw(this.svg, "path", { class: "axis", d: `M${left} ${top}V${bottom}H${right}` });
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
    const [a, b] = this.flat(point.map((value, k) => value - (this.middle[k] ?? 0)));
    return [left + this.across / 2 + a * this.unit, this.spec.dims === 1 ? this.lane(cluster) : top + this.up / 2 - b * this.unit];
  }

  lane(cluster) { return this.margin.top + ((this.lanes.indexOf(cluster) + 0.4) * this.up) / this.lanes.length; }

  /** Return what lies right and up of a vector, as the picture is turned. */
  flat(vector) {
    if (this.spec.dims < 3) return vector;
    return this.rows.map((row) => row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2]);
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

  /** Return the K coordinates that stand at a place of packed ones. */
  vector(array, place) { return Array.from(array.slice(place * this.spec.dims, (place + 1) * this.spec.dims)); }

  point(index) { return this.vector(this.points, index); }

  apex(layer) { return this.vector(this.apexes, chosen.frame * this.spec.layers + layer); }

  /** Return the layers whose orthants are drawn. */
  drawn() { return this.orthants?.checked ? Array.from({ length: this.spec.layers }, (_, layer) => layer) : []; }

  state(index) { return this.states[chosen.frame * this.count + index]; }

  move() {
    if (!this.scene) return;
    if (this.spec.dims === 3) this.rotate();
    this.scene.replaceChildren();
    this.taken = this.anchors();
    this.places = [];
    for (const layer of this.drawn()) this.orthant(layer);
    this.swarm();
    this.spec.labels.forEach((label, k) => {
      const [x, y] = this.screen(label, k);
      draw(this.scene, "path", { d: star(x, y, 9), class: `star ${tint(k)}` });
      if (this.spec.labels.length <= MOST_NOTES) this.note(x, y, this.points === null ? "y" : "ỹ", String(k), 6);
    });
    for (const layer of this.spec.layers > MOST_NOTES ? [] : this.drawn()) this.note(...this.screen(this.apex(layer), layer), "−β", `(${layer})`, -6);
    if (this.spec.dims === 3) this.triad();
    for (const [index, cx, cy] of this.places) if (index === this.picked) draw(this.scene, "circle", { class: "ring", cx, cy, r: 7 });
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
    const places = Array.from({ length: chosen.frame + 1 }, (_, frame) => this.screen(this.image(index, frame), cluster));
    return `M${places.map((place) => place.map(rounded).join(" ")).join("L")}`;
  }

  orthant(layer) {
    const { dims, layers, edgesEach, own, solid } = this.spec;
    const apex = this.screen(this.apex(layer), layer);
    const far = Math.hypot(apex[0] - this.width / 2, apex[1] - this.height / 2) + this.width + this.height;
    const look = own ? tint(layer) : "plain";
    const dash = own ? {} : { "stroke-dasharray": DASHES[layer % DASHES.length] };
    const edges = Array.from({ length: edgesEach }, (_, k) =>
      this.flat(this.vector(this.edges, (chosen.frame * layers + layer) * edgesEach + k)));
    if (dims === 1) { this.halfLine(layer, apex[0], Math.sign(edges[0][0]) * far, look, dash); return; }
    const end = ([a, b]) => [apex[0] + far * a, apex[1] - far * b];
    const polygon = (corners) => `M${corners.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}`;
    if (solid) {
      edges.forEach((one, k) => edges.slice(k + 1).forEach((other) => {
        const corners = [apex, end(one), end([one[0] + other[0], one[1] + other[1]]), end(other)];
        draw(this.scene, "path", { class: `orthant ${look}${dims === 3 ? " deep" : ""}`, d: `${polygon(corners)}z` });
      }));
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

  /** Return the places of stars and apexes, where nothing is to be written. */
  anchors() {
    const places = this.spec.labels.map((label, k) => this.screen(label, k));
    for (const layer of this.drawn()) places.push(this.screen(this.apex(layer), layer));
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
      draw(draw(this.scene, "text", { class: "note", x: x + dx, y: y + dy }, text), "tspan", { dy: shift < 0 ? -5 : 4, "font-size": 11 }, part);
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

  /** Return what the picture shows at the chosen time, of the chosen point or of the clusters. */
  told() {
    const start = `At s = ${short(data.s[chosen.frame])}: `;
    if (this.picked >= 0) return start + this.about(this.picked);
    if (this.points === null) return `${start}choose a ${this.what} by its number, or point at it, for its values.`;
    if (this.orthants === null) return `${start}lines lead from the points to −β of their cluster.`;
    const parts = this.lanes.slice(0, 6).map((cluster) => {
      const mine = this.spec.cluster.map((other, index) => (other === cluster ? this.state(index) : -1)).filter((state) => state >= 0);
      const [cut, pinned] = [1, 3].map((least) => mine.filter((state) => state >= least).length);
      return `${this.called(cluster)}: ${cut} of ${mine.length} drawn points truncated${pinned ? `, ${pinned} pinned` : ""}`;
    });
    return `${start}${parts.join("; ")}${this.lanes.length > 6 ? "; …" : "."}`;
  }

  called(cluster) { return isolated(data.names[cluster] ?? `cluster ${cluster}`); }

  about(index) {
    const cluster = this.spec.cluster[index];
    const text = (point) => `(${point.map((value) => short(value)).join(", ")})${this.spec.solid ? "" : " along the axes drawn"}`;
    const who = this.what === "cluster" ? this.called(cluster) : `point ${this.spec.numbers[index]} of ${this.called(cluster)}`;
    if (this.points === null) return `${who}: image ${text(this.image(index))}, label ${text(this.spec.labels[cluster])}`;
    return `${who}: x = ${text(this.point(index))}, ${STATES[this.state(index)]}, image ${text(this.image(index))}`;
  }

  nearest(event) {
    const [x, y] = this.at(event);
    const off = this.places.map(([, px, py]) => Math.hypot(px - x, py - y));
    const least = off.reduce((a, b) => Math.min(a, b), NEAR);
    return least < NEAR ? this.places[off.indexOf(least)][0] : -1;
  }

  tell(event) {
    const index = this.nearest(event);
    if (index < 0) { this.tip.hidden = true; return; }
    const box = this.plot.getBoundingClientRect();
    this.showTip(this.about(index), event.clientX - box.left, event.clientY - box.top + 14);
  }
}
