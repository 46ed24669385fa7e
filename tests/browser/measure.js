// What a page looks like, as numbers: texts over one another, texts cut off, contrast.

function visible(element) {
  if (element.closest(".unseen, .skip, [hidden], details:not([open]) > :not(summary)")) return false;
  const style = getComputedStyle(element);
  return style.visibility !== "hidden" && style.display !== "none" && Number(style.opacity) > 0;
}

/** Return every piece of text that is seen: its element, words and boxes, a line each. */
function texts() {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.parentElement;
    if (!node.data.trim() || ["SCRIPT", "STYLE", "OPTION", "NOSCRIPT"].includes(element.tagName) || !visible(element)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const frame = element.closest(".wide")?.getBoundingClientRect();
    for (const box of range.getClientRects()) {
      if (box.width < 1 || (frame && (box.right > frame.right + 1 || box.left < frame.left - 1))) continue;
      const slack = 0.22 * box.height;
      found.push({ element, words: node.data.trim().slice(0, 40), left: box.left + 1, right: box.right - 1, top: box.top + slack, bottom: box.bottom - slack });
    }
  }
  return found;
}

function overlaps() {
  const all = texts().sort((a, b) => a.top - b.top);
  const found = [];
  for (let i = 0; i < all.length; i += 1) {
    for (let j = i + 1; j < all.length && all[j].top < all[i].bottom; j += 1) {
      const [a, b] = [all[i], all[j]];
      if (a.element === b.element && !(a.element instanceof SVGElement)) continue;
      if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - b.top > 1) {
        if (a.element.contains(b.element) && b.element.tagName === "tspan") continue;
        found.push(`"${a.words}" and "${b.words}"`);
      }
    }
  }
  return found;
}

/** Return texts that stand out of their drawing, their card or the window. */
function cutOff() {
  return texts().filter(({ element, left, right, top, bottom }) => {
    const box = (element.closest("svg, figure, .card, table, pre") ?? document.body).getBoundingClientRect();
    return left < box.left - 2 || right > box.right + 2 || top < box.top - 2 || bottom > box.bottom + 2;
  }).map(({ words }) => words);
}

/** Return axes on which two places are called the same, or on which there are too few names to read a value off. */
function misread() {
  return [...document.querySelectorAll(".plot > svg")].flatMap((svg) => {
    const names = [...svg.querySelectorAll(":scope > text[text-anchor=end]:not([font-style])")].map((text) => text.textContent);
    const numbers = names.filter((name) => !name.includes("["));
    const same = new Set(numbers).size < numbers.length || (svg.closest(".chart") && numbers.length < 2);
    return same ? [`${svg.closest("figure").id}: ${numbers}`] : [];
  });
}

/** Return numbers that are told after a name and yet stand before it. */
function turned() {
  return [...document.querySelectorAll(".geometry .told")].flatMap(({ firstChild: node }) => {
    const at = (from, to) => { const range = document.createRange(); range.setStart(node, from); range.setEnd(node, to); return range.getBoundingClientRect(); };
    const names = JSON.parse(document.getElementById("data").textContent).names.filter((name) => node.data.includes(`${name}`));
    return names.filter((name) => {
      const from = node.data.indexOf(name);
      const number = from + name.length + node.data.slice(from + name.length).search(/\d/);
      const [a, b] = [at(from, from + name.length), at(number, number + 1)];
      return a.top < b.bottom && b.top < a.bottom && a.height < 2 * b.height && b.left < a.right - 1;
    });
  });
}

/** Return labels of which the frame of a geometry cuts off a part. */
function clipped() {
  return [...document.querySelectorAll(".geometry svg .star")].filter((star) => {
    const [box, frame] = [star.getBBox(), star.ownerSVGElement.querySelector("clipPath rect").getBBox()];
    return box.y < frame.y - 0.5 || box.y + box.height > frame.y + frame.height + 0.5;
  }).map((star) => star.getAttribute("class"));
}

function sideways() {
  const root = document.documentElement;
  return root.scrollWidth > root.clientWidth ? [`${root.scrollWidth} > ${root.clientWidth}`] : [];
}

function parts(color) {
  const numbers = color.match(/[\d.]+/g).map(Number);
  return color.startsWith("color(srgb") ? [...numbers.slice(0, 3).map((n) => 255 * n), numbers[3] ?? 1] : [...numbers.slice(0, 3), numbers[3] ?? 1];
}

function luminance(color) {
  const [r, g, b] = color.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function ground(element) {
  for (let at = element; at; at = at.parentElement) {
    const color = parts(getComputedStyle(at).backgroundColor);
    if (color[3] === 1) return color;
  }
  return [255, 255, 255, 1];
}

/** Return texts and curves whose contrast to what is behind them is below WCAG's AA (4.5, and 3 for large texts and curves). */
function faint() {
  const found = [];
  const check = (element, color, least, words) => {
    const [a, b] = [luminance(parts(color).slice(0, 3)), luminance(ground(element).slice(0, 3))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < least) found.push(`${words}: ${contrast.toFixed(2)}`);
  };
  for (const { element, words } of texts()) {
    if (element.closest(":disabled")) continue;
    const style = getComputedStyle(element);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    check(element, element instanceof SVGElement ? style.fill : style.color, large ? 3 : 4.5, words);
  }
  for (const curve of document.querySelectorAll(".curve, .axis, .edge")) check(curve, getComputedStyle(curve).stroke, 3, curve.getAttribute("class"));
  for (const sign of document.querySelectorAll(".fill")) check(sign, getComputedStyle(sign).fill, 3, sign.getAttribute("class"));
  return [...new Set(found)];
}

function isDark() { return luminance(ground(document.body).slice(0, 3)) < 0.2; }
