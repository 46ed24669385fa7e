// Puts the parts together: pictures, player, list of events; sizes, the axis of s.

const charts = data.charts.map((spec) => new Chart(document.getElementById(`chart-${spec.key}`), spec));
const geometries = data.panels.map((spec) => new Geometry(document.getElementById(`geometry-${spec.key}`), spec));
const player = new Player();
const eventLog = new EventLog(document.getElementById("log"));

function layoutAll() {
  for (const picture of [...charts, ...geometries, player]) picture.layout();
}

player.axis.addEventListener("click", () => {
  chosen.logarithmic = !chosen.logarithmic;
  layoutAll();
});

for (const [event, printing] of [["beforeprint", true], ["afterprint", false]]) {
  addEventListener(event, () => { chosen.printing = printing; layoutAll(); });
}

let laidOutFor = 0;
new ResizeObserver(() => {
  const width = document.body.clientWidth;
  if (width !== laidOutFor && !matchMedia("print").matches) {
    laidOutFor = width;
    layoutAll();
  }
}).observe(document.body);
laidOutFor = document.body.clientWidth;
layoutAll();
