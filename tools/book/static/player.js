// Shows the pictures of a widget that `make book` computed before: controls, and what is touched in
// the picture (lib/widgets/front.js), choose among them. `#qkv?scale=0&head=6` leads to one of them.
// A page without scripts keeps the still picture above the player.

const IN_SIGHT = 4; // controls; the rest is folded

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const coursePlayers = {
  waiting: {}, // elements that wait for their data, by the widget's name
  built: {}, // functions that go to {field: text}, by the widget's name

  start() {
    const seen = new IntersectionObserver(
      (entries) => {
        for (const { isIntersecting, target } of entries) {
          if (isIntersecting) this.load(target);
        }
      },
      { rootMargin: "600px" },
    );
    for (const box of document.querySelectorAll("[data-player]")) {
      seen.observe(box);
    }
    window.addEventListener("hashchange", () => this.follow());
    this.follow();
  },

  load(box) {
    const name = box.dataset.player;
    if (this.waiting[name]) return;
    this.waiting[name] = box;
    const script = make("script", {
      src: `${document.documentElement.dataset.content_root}_static/widgets/${name}.js`,
      onerror: () => box.remove(), // the still picture stays
    });
    document.head.append(script);
  },

  // An address such as #qkv?scale=0&head=6.
  follow() {
    const [name, query] = decodeURIComponent(location.hash.slice(1)).split("?");
    const box = query && document.querySelector(`[data-player="${CSS.escape(name)}"]`);
    if (!box) return;
    box.scrollIntoView();
    if (this.built[name]) this.built[name](Object.fromEntries(new URLSearchParams(query)));
    else this.load(box);
  },

  // Called by the data script; `packed` is JSON, compressed with gzip, in base64.
  async receive(name, packed) {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    this.build(this.waiting[name], name, await new Response(stream).json());
    this.follow();
  },

  build(box, name, data) {
    const controls = data.controls;
    const rows = controls.map((control, i) => this.control(control, `player-${name}-${i}`));
    const rowOf = (field) => rows[controls.findIndex((control) => control.field === field)];
    const picture = make("div", { className: "player-picture course-picture" });
    const caption = make("p", { id: `player-${name}-caption` });
    caption.setAttribute("role", "status"); // read aloud when it changes
    picture.setAttribute("role", "group");
    picture.setAttribute("aria-label", `picture of ${name}`);
    picture.setAttribute("aria-describedby", caption.id);
    picture.tabIndex = 0; // it scrolls sideways on a phone
    picture.style.maxWidth = `${data.width}px`;

    let shown = -1;
    const show = () => {
      let place = 0;
      controls.forEach((control, i) => {
        place = place * control.values.length + rows[i].value();
      });
      if (place === shown) return;
      shown = place;
      const [image, text] = data.frames[place];
      draw(data.pictures[image].map((shape) => data.shapes[shape]).join(""));
      caption.textContent = data.captions[text];
    };
    const go = (changes) => {
      for (const [field, value] of Object.entries(changes)) {
        const control = controls.find((one) => one.field === field);
        if (control) rowOf(field).set(this.nearest(control.raw, value));
      }
      show();
    };
    const draw = courseFront.touch(picture, go, (field) => Boolean(rowOf(field)));
    const reset = () => {
      rows.forEach((row) => row.reset());
      show();
    };
    const panel = make("div", { className: "player-panel" });
    panel.append(...rows.slice(0, IN_SIGHT).map((row) => row.element));
    panel.append(make("button", { type: "button", textContent: "Reset", onclick: reset }));
    if (rows.length > IN_SIGHT) {
      const more = make("summary", { textContent: `More (${rows.length - IN_SIGHT})` });
      const folded = make("div", { className: "player-more" });
      folded.append(...rows.slice(IN_SIGHT).map((row) => row.element));
      panel.append(make("details", {}, more, folded));
    }
    panel.addEventListener("input", show);
    const stage = make("div", { className: "player-stage" }, picture, caption);
    const tasks = make("div", { className: "player-tasks" });
    tasks.append(...data.tasks.map((task) => this.task(task, caption, reset, go)));
    box.append(stage, panel, tasks);
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", `A widget to move: ${name}`);
    show();
    this.hideStill(box);
    this.built[name] = (changes) => go(changes);
    box.dataset.ready = "true";
  },

  // The place of the value that comes nearest; texts and lists must be the same.
  nearest(values, value) {
    const same = values.findIndex((one) => JSON.stringify(one) === JSON.stringify(value));
    const named = values.findIndex((one) => String(one) === String(value));
    if (same >= 0 || named >= 0) return same >= 0 ? same : named;
    const distance = values.map((one) => Math.abs(Number(one) - Number(value)));
    const least = Math.min(...distance.filter((d) => !Number.isNaN(d)));
    return distance.indexOf(least); // -1 where none is a number
  },

  // A question, a field for a guess, and a button that moves the widget once a guess is written.
  task(task, caption, reset, go) {
    const guess = make("input", { type: "text" });
    const button = make("button", { type: "button", textContent: "Show", disabled: true });
    const answer = make("span", { className: "player-answer" });
    answer.setAttribute("role", "status");
    guess.addEventListener("input", () => (button.disabled = !guess.value.trim()));
    button.addEventListener("click", () => {
      reset();
      go(task.moves);
      answer.textContent = `You wrote: “${guess.value.trim()}”. ${caption.textContent}`;
    });
    const label = make("label", {}, `${task.question} `, guess);
    return make("div", { className: "player-task" }, label, button, answer);
  },

  // One control: its element, its place among the values, and how to set it.
  control(control, id) {
    const label = make("label", { htmlFor: id, textContent: control.label });
    const note = make("span", {
      id: `${id}-note`,
      className: "player-note",
      textContent: control.explain,
    });
    const parts = { slider: this.slider, toggle: this.toggle, choice: this.choice };
    const made = parts[control.kind](control);
    made.input.id = id;
    made.input.setAttribute("aria-describedby", note.id);
    const element = make("div", { className: "player-control" }, label, ...made.elements, note);
    const set = (place) => place >= 0 && made.set(place);
    set(control.start);
    return { element, value: made.value, set, reset: () => set(control.start) };
  },

  slider(control) {
    const input = make("input", { type: "range", min: 0, max: control.values.length - 1, step: 1 });
    const shown = make("output");
    const say = () => {
      shown.textContent = control.values[input.value];
      input.setAttribute("aria-valuetext", control.values[input.value]);
    };
    const set = (place) => {
      input.value = place;
      say();
    };
    input.addEventListener("input", say);
    return { input, elements: [shown, input], value: () => Number(input.value), set };
  },

  toggle(control) {
    const input = make("input", { type: "checkbox" });
    const on = control.values.indexOf("on");
    const set = (place) => (input.checked = place === on);
    return { input, elements: [input], value: () => (input.checked ? on : 1 - on), set };
  },

  choice(control) {
    const input = make("select");
    control.values.forEach((text) => input.add(new Option(text)));
    const set = (place) => (input.selectedIndex = place);
    return { input, elements: [input], value: () => input.selectedIndex, set };
  },

  // The still picture is the output just before the player.
  hideStill(box) {
    const outputs = box.closest(".cell_output");
    const stills = outputs ? outputs.querySelectorAll("img") : [];
    const still = stills[stills.length - 1];
    if (!still || box.contains(still)) return;
    still.hidden = true;
    const link = still.closest("a"); // of the picture alone: without it, a link to nothing
    if (link) link.hidden = true;
  },
};

document.addEventListener("DOMContentLoaded", () => coursePlayers.start());
