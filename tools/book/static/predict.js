// Predict, then reveal: the guesses that a chapter asks for at its beginning are fields, and the
// paragraph that answers one shows what the reader wrote. Nothing is stored, nothing is sent.

const ORDINALS = ["first", "second", "third", "fourth"];

function coursePredictions() {
  const asked = document.querySelector("section[id^=Before-you-run], section[id^=before-you-run]");
  const items = asked ? [...asked.querySelectorAll(":scope > ol > li")] : [];
  const answers = [...document.querySelectorAll("article section p")].filter(
    (p) => !asked?.contains(p),
  );
  items.forEach((item, i) => {
    const field = Object.assign(document.createElement("input"), { type: "text" });
    field.setAttribute("aria-label", `Your ${ORDINALS[i]} guess`);
    field.placeholder = "your guess";
    field.autocomplete = "off";
    item.append(field);
    const found = answers.find((p) => new RegExp(`\\b${ORDINALS[i]} guess\\b`, "i").test(p.textContent));
    if (!found) return;
    const shown = Object.assign(document.createElement("p"), { className: "predict", hidden: true });
    found.before(shown);
    field.addEventListener("input", () => {
      shown.textContent = `You guessed: ${field.value.trim()}`;
      shown.hidden = !field.value.trim();
    });
  });
}

document.addEventListener("DOMContentLoaded", coursePredictions);
