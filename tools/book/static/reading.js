// Aids for reading: a button that copies a cell, and Tab stops where something scrolls sideways.

function copyButton(box) {
  const code = box.querySelector("pre");
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "copy", textContent: "Copy" });
  button.setAttribute("aria-label", "Copy this cell's code");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  box.append(button);
}

// What scrolls must be reached by keyboard, and only that, and must be seen to scroll.
function markScrolling() {
  const boxes = "pre, .table-wrapper, div.math, :has(> img.wide)";
  for (const box of document.querySelectorAll(boxes)) {
    const scrolls = box.scrollWidth > box.clientWidth + 1;
    box.classList.toggle("scrolls", scrolls);
    if (scrolls) {
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", box.matches("pre") ? "code or output" : "wide content");
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
    }
  }
}

// Figures whose letters a phone would shrink below 7 pixels: drawings have CSS pixels, others half.
function markWide(image) {
  const { naturalWidth: width, naturalHeight: height } = image;
  const limit = image.src.endsWith(".svg") ? 500 : 1000;
  image.classList.toggle("wide", width > limit && width > 1.3 * height);
  markScrolling();
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".cell_input .highlight").forEach(copyButton);
  for (const image of document.querySelectorAll("article img")) {
    if (image.complete && image.naturalWidth) markWide(image);
    image.addEventListener("load", () => markWide(image));
  }
  markScrolling();
  window.addEventListener("resize", markScrolling);
});
