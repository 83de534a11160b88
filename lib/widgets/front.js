// Pictures that can be touched: one front end for all widgets, in a notebook and in the web book.
// `data-set` holds the fields that a click sets, `data-drag` a field to drag, and `data-reveal` the
// name of what is hidden (`data-revealed`) until the pointer or the focus rests on it.

const PARTS = "[data-set], [data-drag], [data-reveal]";
const FORWARD = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
const UP = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };

// Calls `send({field: value})` for what the reader does in `box`; `has(field)` says what can be set.
// Returns `draw(svg)`, which shows a picture and keeps the focus where it was.
function touch(box, send, has = () => true) {
  let held = null; // the handle under the finger
  const partOf = (event) => event.target.closest?.(PARTS);
  const parse = (text) => (text ? JSON.parse(text) : null);
  const dragOf = (part) => parse(part.dataset.drag);
  const keyOf = (part) => part.dataset.set || part.dataset.reveal || dragOf(part)?.field;
  // Parts that set the same fields are one stop of Tab; arrows go on among them.
  const groupOf = (part) =>
    dragOf(part)?.field || Object.keys(parse(part.dataset.set) || { reveal: 0 }).join();
  const groupWith = (part) =>
    [...box.querySelectorAll(PARTS)].filter((other) => groupOf(other) === groupOf(part));

  const reveal = (part) => {
    const focused = document.activeElement;
    const name = part?.dataset.reveal || (box.contains(focused) && focused.dataset?.reveal);
    for (const hidden of box.querySelectorAll("[data-revealed]")) {
      hidden.style.display = hidden.dataset.revealed === name ? "" : "none";
    }
  };

  const set = (changes) => {
    if (Object.keys(changes).every(has)) send(changes);
  };

  const drag = (handle, value) => {
    const [low, high] = [Math.min(...handle.values), Math.max(...handle.values)];
    const rounded = handle.step ? Math.round(value / handle.step) * handle.step : value;
    set({ [handle.field]: Number(Math.min(Math.max(rounded, low), high).toPrecision(12)) });
  };

  // The value at a place of the window: values[i] lies at at[i], straight lines between.
  const valueAt = (handle, event) => {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(handle.matrix);
    const shares = handle.at.slice(1).map((to, i) => {
      const from = handle.at[i];
      return to === from ? 1 : (place[handle.axis] - from) / (to - from);
    });
    const found = shares.findIndex((share) => share < 1); // the piece where the finger is
    const piece = found < 0 ? shares.length - 1 : found;
    const share = Math.min(Math.max(shares[piece], 0), 1);
    const [a, b] = handle.values.slice(piece, piece + 2);
    return handle.log ? a * (b / a) ** share : a + share * (b - a);
  };

  box.addEventListener("pointerover", (event) => held || reveal(partOf(event)));
  box.addEventListener("pointerleave", () => held || reveal(null));
  box.addEventListener("focusin", (event) => reveal(partOf(event)));
  box.addEventListener("focusout", () => reveal(null));
  box.addEventListener("click", (event) => {
    const part = partOf(event);
    if (part?.dataset.set) set(parse(part.dataset.set));
    else if (part?.dataset.reveal) reveal(part);
  });
  box.addEventListener("pointerdown", (event) => {
    const part = partOf(event);
    if (!part?.dataset.drag) return;
    held = { ...dragOf(part), matrix: part.getScreenCTM().inverse() };
    part.focus({ preventScroll: true });
    box.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  box.addEventListener("pointermove", (event) => held && drag(held, valueAt(held, event)));
  for (const end of ["pointerup", "pointercancel"]) {
    box.addEventListener(end, () => (held = null));
  }
  box.addEventListener("keydown", (event) => {
    const part = partOf(event);
    if (!part || event.ctrlKey || event.altKey || event.metaKey) return;
    const handle = dragOf(part);
    if (handle && UP[event.key]) {
      const now = Number(part.getAttribute("aria-valuenow"));
      const by = UP[event.key];
      drag(handle, handle.log ? now * 10 ** (by / 10) : now + by * (handle.step || 1));
    } else if (FORWARD[event.key]) {
      const group = groupWith(part);
      const next = group[group.indexOf(part) + FORWARD[event.key]];
      next?.focus({ preventScroll: true });
      if (next?.dataset.set && next.dataset.set !== part.dataset.set) set(parse(next.dataset.set));
    } else if ((event.key === "Enter" || event.key === " ") && part.dataset.set) {
      set(parse(part.dataset.set));
    } else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab would go to another cell
  });

  return (svg) => {
    const focused = box.contains(document.activeElement) && document.activeElement.closest(PARTS);
    const [key, group] = focused ? [keyOf(focused), groupOf(focused)] : [];
    const place = focused ? groupWith(focused).indexOf(focused) : 0;
    box.innerHTML = svg;
    for (const part of box.querySelectorAll(PARTS)) {
      const fields = Object.keys(parse(part.dataset.set) || {});
      const handle = dragOf(part);
      if ([...fields, ...(handle ? [handle.field] : [])].every(has)) continue;
      if (part.dataset.reveal) part.removeAttribute("data-set");
      else part.remove();
    }
    for (const part of box.querySelectorAll(PARTS)) {
      const group = groupWith(part);
      const stop = group.find((p) => p.getAttribute("aria-pressed") === "true") || group[0];
      part.setAttribute("tabindex", part === stop ? 0 : -1);
    }
    if (focused) {
      const parts = [...box.querySelectorAll(PARTS)];
      const same = parts.filter((part) => keyOf(part) === key);
      // A part that was turned sets another value now: the one in its place has the focus.
      const alike = same.length ? same : parts.filter((part) => groupOf(part) === group);
      (alike[place] || alike[0])?.focus({ preventScroll: true });
    }
    reveal(box.querySelector(PARTS.replaceAll("]", "]:hover")));
  };
}

// What anywidget calls for each place where a picture is shown.
function render({ model, el }) {
  el.classList.add("course-picture");
  const send = (changes) => {
    model.set("touched", { count: (model.get("touched").count || 0) + 1, changes });
    model.save_changes(); // ipywidgets keeps only the newest while the kernel is busy
  };
  const draw = touch(el, send);
  const show = () => draw(model.get("value"));
  model.on("change:value", show);
  model.on("change:stale", () => el.classList.toggle("stale", model.get("stale")));
  model.on("comm_live_update", () => {
    (el.closest(".course-explorer") || el).classList.add("dead");
    const note = document.createElement("p");
    Object.assign(note, { className: "dead-note", textContent: "Without its kernel: run this cell again." });
    note.setAttribute("role", "alert");
    el.prepend(note);
  });
  show();
}

export default { render };
