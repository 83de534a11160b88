// Evaluated in a page: what a test wants to know of a widget. `root` is the widget's element.

// Elements that Tab stops at, in the order of the document.
function stops(root) {
  const kinds = "input, select, textarea, button, a[href], [tabindex], [contenteditable=true]";
  const all = root.querySelectorAll(kinds);
  return [...all].filter(
    (e) => (e.tabIndex >= 0 || e.isContentEditable) && !e.disabled && e.getClientRects().length > 0,
  );
}

// The words that stand for a control: its label, its text, or the label beside a slider's handle.
function nameOf(element) {
  const own = element.getAttribute("aria-label") || element.textContent.trim() || element.title;
  if (element.matches("button, svg *")) return own;
  const labels = element.labels ? [...element.labels].map((l) => l.textContent.trim()) : [];
  if (labels.find(Boolean)) return labels.find(Boolean);
  for (let box = element.parentElement; box; box = box.parentElement) {
    const beside = box.querySelector(".widget-label, label");
    if (beside) return beside.textContent.trim();
  }
  return own;
}

function channels(color) {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
}

function luminance([r, g, b]) {
  const [x, y, z] = [r, g, b].map((c) => {
    const s = c / 255;
    return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
}

function contrast(a, b) {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light + 0.05) / (dark + 0.05);
}

// What lies behind a place: the last shape of the picture there, or the nearest background color.
function behind(element) {
  const svg = element.closest("svg");
  if (svg) {
    const box = element.getBoundingClientRect();
    const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
    let color = [255, 255, 255, 255];
    for (const shape of svg.querySelectorAll("rect, circle")) {
      if (shape.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_PRECEDING) break;
      const r = shape.getBoundingClientRect();
      const fill = shape.getAttribute("fill");
      if (fill && fill !== "none" && r.left <= x && x <= r.right && r.top <= y && y <= r.bottom) {
        color = channels(fill);
      }
    }
    return color;
  }
  for (let e = element; e; e = e.parentElement) {
    const color = channels(getComputedStyle(e).backgroundColor);
    if (color[3] === 255) return color;
  }
  return [255, 255, 255, 255];
}

// Texts with less contrast than WCAG 2.2 AA asks: 4.5, or 3 where letters are large.
function faint(root) {
  const found = [];
  for (const element of root.querySelectorAll("*")) {
    const text = [...element.childNodes]
      .filter((n) => n.nodeType === Node.TEXT_NODE)
      .map((n) => n.data.trim())
      .filter(Boolean)
      .join(" ");
    const inactive = element.closest(":disabled, [aria-disabled=true]"); // WCAG leaves these out
    if (!text || inactive || !element.getClientRects().length) continue;
    if (element.matches("title, option, style, script")) continue;
    const style = getComputedStyle(element);
    const color = element.closest("svg") ? element.getAttribute("fill") || style.fill : style.color;
    const ratio = contrast(channels(color), behind(element));
    const size = parseFloat(element.getAttribute("font-size") || style.fontSize);
    const large = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return found;
}

// What sticks out of the widget to the right, and so cannot be seen.
function sticksOut(root) {
  const right = root.getBoundingClientRect().right + 1;
  const parts = root.querySelectorAll("input, select, button, .widget-html-content, svg, img, label");
  return [...parts]
    .filter((e) => e.getClientRects().length && e.getBoundingClientRect().right > right)
    .map((e) => e.outerHTML.slice(0, 100));
}

// The picture as one string; changes exactly when the reader sees another picture. A style that was
// set by a script is written with other spaces than the same one in the source.
function pictureOf(root) {
  const picture = root.querySelector("svg[viewBox]:not(.icon)") || root.querySelector("img");
  if (picture.tagName === "IMG") return picture.src;
  const copy = picture.cloneNode(true);
  for (const part of copy.querySelectorAll("[data-revealed]")) {
    part.setAttribute("style", `display: ${part.style.display}`);
  }
  return copy.outerHTML;
}

// Milliseconds from the next key press to the first frame with another picture, or null after 3 s.
function timeKey(root) {
  const before = pictureOf(root);
  return new Promise((resolve) => {
    document.addEventListener(
      "keydown",
      (event) => {
        const start = event.timeStamp;
        const look = async () => {
          if (pictureOf(root) !== before) {
            const image = root.querySelector("img");
            if (image && !root.querySelector("svg[viewBox]")) await image.decode().catch(() => {});
            requestAnimationFrame(() => resolve(performance.now() - start));
          } else if (performance.now() - start > 3000) resolve(null);
          else requestAnimationFrame(look);
        };
        look();
      },
      { once: true, capture: true },
    );
  });
}

// Rules that axe has too, on the whole page: names of links, buttons and fields, levels of headings,
// heads of tables, what scrolls and cannot be reached, ids used twice, alt texts.
function faults() {
  const found = [];
  const there = (e) => e.getClientRects().length > 0;
  const named = (e) =>
    e.getAttribute("aria-label") || e.textContent.trim() || e.title || e.querySelector("img[alt]:not([alt=''])");
  const note = (rule, e) => found.push(`${rule}: ${e.outerHTML.slice(0, 90)}`);
  const check = (selector, rule, wrong) => {
    for (const e of document.querySelectorAll(selector)) if (there(e) && wrong(e)) note(rule, e);
  };
  check("a[href], button, summary, [role=button], [role=slider]", "no name", (e) => !named(e));
  check("input:not([type=hidden]), select, textarea", "no label", (e) =>
    !(e.getAttribute("aria-label") || e.title || e.placeholder || [...e.labels].some((l) => l.textContent.trim())));
  check("[role=heading]", "no level", (e) => !e.getAttribute("aria-level"));
  check("th", "empty head of a column", (e) => !e.textContent.trim());
  check("img", "no alt text", (e) => !e.hasAttribute("alt"));
  check("pre, .table-wrapper, div.math, .player-picture", "scrolls and has no focus", (e) =>
    e.scrollWidth > e.clientWidth + 1 && e.tabIndex < 0 && !e.querySelector("[tabindex='0'], a, button"));
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) < i))) found.push(`twice: #${id}`);
  if (!document.documentElement.lang) found.push("the page has no language");
  return found;
}

// The height in pixels of the smallest letters of a picture, as they are shown.
function smallest(root) {
  const texts = [...root.querySelectorAll("svg text")].filter((t) => t.getClientRects().length);
  return Math.min(99, ...texts.map((t) => parseFloat(t.getAttribute("font-size")) * t.getScreenCTM().a));
}

// Milliseconds from a click on a spot of this kind to the first frame with another picture.
async function timeClick(picture, kind) {
  const spot = [...picture.querySelectorAll("[data-set]")].find(
    (p) => Object.keys(JSON.parse(p.dataset.set)).join() === kind && p.ariaPressed === "false",
  );
  if (!spot) return null;
  const before = picture.innerHTML;
  const start = performance.now();
  spot.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  while (picture.innerHTML === before) {
    if (performance.now() - start > 3000) return null;
    await new Promise(requestAnimationFrame);
  }
  await new Promise(requestAnimationFrame);
  return performance.now() - start;
}

// Milliseconds from the pointer's coming onto a part to the first frame that shows what it reveals.
async function timeHover(picture) {
  const part = picture.querySelector("[data-reveal]");
  if (!part) return null;
  part.dispatchEvent(new PointerEvent("pointerleave"));
  const hidden = [...picture.querySelectorAll("[data-revealed]")].find(
    (e) => e.dataset.revealed === part.dataset.reveal,
  );
  hidden.style.display = "none";
  await new Promise(requestAnimationFrame);
  const start = performance.now();
  part.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
  while (hidden.style.display === "none") {
    if (performance.now() - start > 3000) return null;
    await new Promise(requestAnimationFrame);
  }
  await new Promise(requestAnimationFrame);
  return performance.now() - start;
}

window.probe = { timeHover, timeClick, faults, smallest, stops, nameOf, faint, sticksOut, pictureOf, timeKey };
