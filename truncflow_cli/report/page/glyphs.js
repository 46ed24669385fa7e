// Signs for points and labels, as pieces of SVG paths; clusters differ in shape as well as in colour.

const SHAPES = [
  (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  (x, y, r) => `M${x - 0.9 * r} ${y - 0.9 * r}h${1.8 * r}v${1.8 * r}h${-1.8 * r}z`,
  (x, y, r) => `M${x} ${y - 1.2 * r}l${1.1 * r} ${2 * r}h${-2.2 * r}z`,
  (x, y, r) => `M${x} ${y - 1.3 * r}l${1.2 * r} ${1.3 * r}l${-1.2 * r} ${1.3 * r}l${-1.2 * r} ${-1.3 * r}z`,
];

function rounded(value) { return Math.round(clamp(value, -1e5, 1e5) * 10) / 10; }

function glyph(cluster, x, y, r) { return SHAPES[cluster % SHAPES.length](rounded(x), rounded(y), r); }

function dot(x, y, r) { return SHAPES[0](rounded(x), rounded(y), r); }

function star(x, y, r) {
  const corners = Array.from({ length: 10 }, (_, k) => {
    const [angle, reach] = [(Math.PI * k) / 5 - Math.PI / 2, k % 2 ? 0.45 * r : r];
    return `${rounded(x + reach * Math.cos(angle))} ${rounded(y + reach * Math.sin(angle))}`;
  });
  return `M${corners.join("L")}z`;
}
