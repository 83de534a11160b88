// Shows the pictures of a widget that `make book` computed before: controls choose among them.
// A page without scripts keeps the still picture above the player.

const coursePlayers = {
  waiting: {}, // elements that wait for their data, by the widget's name

  start() {
    for (const box of document.querySelectorAll("[data-player]")) {
      const name = box.dataset.player;
      this.waiting[name] = box;
      const script = document.createElement("script");
      script.src = `${document.documentElement.dataset.content_root}_static/widgets/${name}.js`;
      script.onerror = () => box.remove(); // the still picture stays
      document.head.append(script);
    }
  },

  // Called by the data script; `packed` is JSON, compressed with gzip, in base64.
  async receive(name, packed) {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    this.build(this.waiting[name], name, await new Response(stream).json());
  },

  build(box, name, data) {
    const rows = data.controls.map((control, i) => this.control(control, `player-${name}-${i}`));
    const picture = document.createElement("div");
    picture.className = "player-picture";
    picture.style.maxWidth = `${data.width}px`;
    picture.setAttribute("role", "img");
    const caption = document.createElement("p");
    caption.id = `player-${name}-caption`;
    caption.setAttribute("role", "status"); // read aloud when it changes
    picture.setAttribute("aria-labelledby", caption.id);

    let shown = -1;
    const show = () => {
      let place = 0;
      data.controls.forEach((control, i) => {
        place = place * control.values.length + rows[i].value();
      });
      if (place === shown) return;
      shown = place;
      const [image, text] = data.frames[place];
      picture.innerHTML = data.pictures[image].map((shape) => data.shapes[shape]).join("");
      caption.textContent = data.captions[text];
    };
    for (const row of rows) {
      row.element.addEventListener("input", show);
      box.append(row.element);
    }
    const reset = document.createElement("button");
    reset.type = "button";
    reset.textContent = "Reset";
    reset.addEventListener("click", () => {
      rows.forEach((row) => row.reset());
      show();
    });
    box.append(reset, picture, caption);
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", `A widget to move: ${name}`);
    show();
    this.hideStill(box);
    box.dataset.ready = "true";
  },

  // One control: its element, its place among the values, and how to set it back.
  control(control, id) {
    const row = document.createElement("div");
    row.className = "player-control";
    const label = document.createElement("label");
    label.htmlFor = id;
    label.textContent = control.label;
    const note = document.createElement("span");
    note.id = `${id}-note`;
    note.className = "player-note";
    note.textContent = control.explain;
    const parts = { slider: this.slider, toggle: this.toggle, choice: this.choice };
    const made = parts[control.kind](control);
    made.input.id = id;
    made.input.setAttribute("aria-describedby", note.id);
    row.append(label, ...made.elements, note);
    made.reset();
    return { element: row, value: made.value, reset: made.reset };
  },

  slider(control) {
    const input = document.createElement("input");
    const shown = document.createElement("output");
    Object.assign(input, { type: "range", min: 0, max: control.values.length - 1, step: 1 });
    const say = () => {
      shown.textContent = control.values[input.value];
      input.setAttribute("aria-valuetext", control.values[input.value]);
    };
    const reset = () => {
      input.value = control.start;
      say();
    };
    input.addEventListener("input", say);
    return { input, elements: [input, shown], value: () => Number(input.value), reset };
  },

  toggle(control) {
    const input = document.createElement("input");
    input.type = "checkbox";
    const on = control.values.indexOf("on");
    return {
      input,
      elements: [input],
      value: () => (input.checked ? on : 1 - on),
      reset: () => {
        input.checked = control.start === on;
      },
    };
  },

  choice(control) {
    const input = document.createElement("select");
    control.values.forEach((text) => input.add(new Option(text)));
    return {
      input,
      elements: [input],
      value: () => input.selectedIndex,
      reset: () => {
        input.selectedIndex = control.start;
      },
    };
  },

  // The still picture is the output just before the player.
  hideStill(box) {
    const outputs = box.closest(".cell_output");
    const stills = outputs ? outputs.querySelectorAll("img") : [];
    const still = stills[stills.length - 1];
    if (still && !box.contains(still)) still.hidden = true;
  },
};

document.addEventListener("DOMContentLoaded", () => coursePlayers.start());
