// Pictures side by side: zoomed and moved together, and one laid over the other. Without this file they just stand there.
"use strict";

const LARGEST = 8; // times as large as the lens
const ZOOM = 1.25; // by one press of a button or a key
const MOVE = 0.1; // share of the lens, by one press of an arrow key
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** Lenses that show the same place at the same scale. Places are shares of a lens, so lenses may differ in size. */
class Lenses {
  constructor(root) {
    this.lenses = [...root.querySelectorAll(".lens")];
    this.images = this.lenses.flatMap((lens) => [...lens.querySelectorAll("img")]);
    this.shown = root.querySelector("output");
    this.fingers = new Map();
    for (const lens of this.lenses) this.listen(lens);
    const tools = root.querySelector(".lens-tools");
    tools.hidden = false;
    tools.addEventListener("click", (event) => this.press(event.target.dataset.zoom));
    this.reset();
  }

  listen(lens) {
    lens.tabIndex = 0;
    lens.setAttribute("role", "group");
    lens.setAttribute("aria-label", `${lens.dataset.name}: arrow keys move it, + and − zoom, 0 resets`);
    lens.addEventListener("wheel", (event) => this.wheel(event, lens), { passive: false });
    lens.addEventListener("keydown", (event) => this.key(event));
    lens.addEventListener("pointerdown", (event) => this.touch(event, lens));
    lens.addEventListener("pointermove", (event) => this.drag(event, lens));
    for (const ending of ["pointerup", "pointercancel"]) {
      lens.addEventListener(ending, (event) => this.fingers.delete(event.pointerId));
    }
  }

  reset() {
    [this.scale, this.x, this.y] = [1, 0, 0];
    this.move(0, 0);
  }

  /** Scale about a place of the lens, which stays where it is. Says whether anything changed. */
  zoom(factor, x = 0.5, y = 0.5) {
    const scale = Math.min(LARGEST, Math.max(1, this.scale * factor));
    if (scale === this.scale) return false;
    const grown = scale / this.scale;
    this.scale = scale;
    this.move((x - this.x) * (1 - grown), (y - this.y) * (1 - grown));
    return true;
  }

  /** Move by shares of the lens, as far as the pictures still fill it. */
  move(across, down) {
    const inside = (place) => Math.min(0, Math.max(1 - this.scale, place));
    this.x = inside(this.x + across);
    this.y = inside(this.y + down);
    for (const image of this.images) {
      image.style.transform = `translate(${100 * this.x}%, ${100 * this.y}%) scale(${this.scale})`;
    }
    for (const lens of this.lenses) lens.classList.toggle("zoomed", this.scale > 1);
    this.shown.value = `${Math.round(100 * this.scale)} %`;
  }

  press(what) {
    if (what === "reset") this.reset();
    else if (what) this.zoom(what === "in" ? ZOOM : 1 / ZOOM);
  }

  /** Zoom where the pointer is; at the smallest size a wheel that turns back scrolls the page. */
  wheel(event, lens) {
    const [x, y] = place(event, lens);
    if (this.zoom(Math.exp(-Math.sign(event.deltaY) * 0.15), x, y)) event.preventDefault();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = !event.shiftKey && ARROWS[event.key];
    if (arrow && this.scale > 1) this.move(MOVE * arrow[0], MOVE * arrow[1]);
    else if (event.key === "+" || event.key === "=") this.zoom(ZOOM);
    else if (event.key === "-") this.zoom(1 / ZOOM);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
  }

  touch(event, lens) {
    if (event.button) return;
    lens.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, place(event, lens));
  }

  drag(event, lens) {
    const before = this.fingers.get(event.pointerId);
    if (!before) return;
    const now = place(event, lens);
    const [other] = [...this.fingers].filter(([finger]) => finger !== event.pointerId).map(([, where]) => where);
    this.fingers.set(event.pointerId, now);
    if (other) {
      const middle = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2];
      const apart = (one) => Math.max(0.02, Math.hypot(one[0] - other[0], one[1] - other[1]));
      this.zoom(apart(now) / apart(before), ...middle);
    } else {
      this.move(now[0] - before[0], now[1] - before[1]);
    }
  }
}

/** Where an event happened, in shares of the lens. */
function place(event, lens) {
  const box = lens.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

/** One portrait on the other: more or less transparent, or as a curtain that is drawn across. */
function overlay(figure) {
  const [top, line] = [figure.querySelector(".top"), figure.querySelector(".line")];
  const slider = figure.querySelector("input[type=range]");
  const show = () => {
    const curtain = figure.querySelector("input[name=overlay]:checked").value === "curtain";
    top.style.opacity = curtain ? 1 : slider.value / 100;
    top.style.clipPath = curtain ? `inset(0 ${100 - slider.value}% 0 0)` : "none";
    line.hidden = !curtain;
    line.style.left = `${slider.value}%`;
    slider.setAttribute("aria-valuetext", `${slider.value} % sketch`);
  };
  figure.addEventListener("input", show);
  figure.hidden = false;
  show();
}

/** The neighbouring candidates by keys, unless somebody writes. */
function turn(event) {
  if (!event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select")) return;
  const link = document.querySelector(`a[aria-keyshortcuts="Shift+${event.key}"]`);
  if (link) link.click();
}

document.addEventListener("keydown", turn);
for (const hint of document.querySelectorAll("[data-keys]")) hint.hidden = false;
document.querySelectorAll(".laid-over").forEach(overlay);
document.querySelectorAll(".pictures").forEach((pictures) => new Lenses(pictures));
