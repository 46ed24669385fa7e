// The event log: marks on axes, and the list with its filter and pages.

const PAGE = 50;
const SIDES = { 0: "to truncated", 1: "to untruncated" };

/** Return where marks of events stand, crossings and the other kinds: of each one, or where there are any if not all are listed. */
function eventPlaces(at) {
  const { rows, total, counts, crossings } = data.events;
  const places = [new Set(), new Set()];
  if (rows.length === total) {
    for (const [s, kind] of rows) places[crossings.includes(kind) ? 0 : 1].add(at(Number(s)));
  } else {
    counts.forEach((pair, frame) => pair.forEach((many, group) => { if (many) places[group].add(at(data.s[frame])); }));
  }
  return places.map((each) => [...each]);
}

/** Draw the marks of events from a height downwards. */
function drawRug(svg, at, y) {
  eventPlaces(at).forEach((places, group) =>
    draw(svg, "path", { class: group ? "rug tall" : "rug", d: places.map((x) => `M${x} ${y}v${group ? 12 : 7}`).join("") }));
}

class EventLog {
  constructor(root) {
    this.rows = data.events.rows;
    if (!this.rows.length) { root.replaceChildren(); return; }
    root.hidden = false;
    Object.assign(this, { first: 0, kind: -1, body: find("tbody", root), told: find(".range", root) });
    const select = find("select", root);
    for (const kind of [...new Set(this.rows.map((row) => row[1]))].sort((a, b) => a - b)) {
      add(select, "option", "", data.events.kinds[kind]).value = String(kind);
    }
    select.addEventListener("change", () => { Object.assign(this, { kind: Number(select.value), first: 0 }); this.show(); });
    [this.back, this.forth] = findAll("button", root);
    for (const [button, step] of [[this.back, -PAGE], [this.forth, PAGE]]) {
      button.addEventListener("click", () => { this.first += step; this.show(); });
    }
    this.show();
  }

  show() {
    const mine = this.kind < 0 ? this.rows : this.rows.filter((row) => row[1] === this.kind);
    this.first = clamp(this.first, 0, Math.max(0, mine.length - 1));
    const page = mine.slice(this.first, this.first + PAGE);
    this.body.replaceChildren();
    for (const [s, kind, layer, point, coordinate, cluster, side] of page) {
      const row = add(this.body, "tr");
      add(row, "th", "number", s.replaceAll("-", "−")).scope = "row";
      add(row, "td", "", data.events.kinds[kind]);
      for (const index of [layer, point, coordinate]) add(row, "td", "number", index < 0 ? "–" : String(index));
      add(row, "td", "", cluster < 0 ? "–" : data.names[cluster]);
      add(row, "td", "", SIDES[side] ?? "–");
    }
    this.back.disabled = this.first === 0;
    this.forth.disabled = this.first + PAGE >= mine.length;
    this.told.textContent = `${this.first + 1} to ${this.first + page.length} of ${mine.length}${mine.length < data.events.total ? ` (all kinds: ${data.events.total} in the run)` : ""}`;
  }
}
