// Landmarks on a sketch: five points that are dragged, or moved with the arrow keys. The numbers beside the picture are
// the form's own fields; the points only show and change them.
"use strict";

class Landmarks {
  constructor(root) {
    this.root = root;
    this.width = Number(root.dataset.width);
    this.height = Number(root.dataset.height);
    this.stage = root.querySelector(".stage");
    this.points = [...root.querySelectorAll(".point")];
    this.fields = [...root.querySelectorAll("input[type=number]")];
    this.reset = root.querySelector(".reset");
    this.told = root.querySelector(".moved");
    this.loupe = root.querySelector(".loupe");
    this.start = root.querySelector("input[type=hidden]").value.split(",").map(Number);
    this.step = Math.max(1, Math.round(Math.max(this.width, this.height) / 500));
    this.points.forEach((point, index) => this.listen(point, index));
    this.fields.forEach((field, place) => field.addEventListener("input", () => this.show(place >> 1)));
    this.reset.addEventListener("click", () => this.goBack());
  }

  listen(point, index) {
    point.addEventListener("keydown", (event) => this.press(event, index));
    point.addEventListener("focus", () => this.magnify(index));
    point.addEventListener("pointerdown", (event) => {
      const [x, y] = this.at(index), from = this.where(event);
      this.hold = { index, x: x - from.x, y: y - from.y }; // the point stays where it was grasped
      point.setPointerCapture(event.pointerId);
      point.focus({ preventScroll: true });
      event.preventDefault();
    });
    point.addEventListener("pointermove", (event) => {
      if (this.hold?.index !== index) return;
      const to = this.where(event);
      this.move(index, to.x + this.hold.x, to.y + this.hold.y);
    });
    for (const end of ["pointerup", "pointercancel"]) point.addEventListener(end, () => (this.hold = null));
  }

  /** Where the pointer is, in pixels of the picture. */
  where(event) {
    return new DOMPoint(event.clientX, event.clientY).matrixTransform(this.stage.getScreenCTM().inverse());
  }

  at(index) {
    return [Number(this.fields[2 * index].value), Number(this.fields[2 * index + 1].value)];
  }

  press(event, index) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    const far = this.step * (event.shiftKey ? 10 : 1), [x, y] = this.at(index);
    this.move(index, x + way[0] * far, y + way[1] * far);
  }

  move(index, x, y) {
    const within = (value, most) => Math.round(10 * Math.min(Math.max(value, 0), most)) / 10;
    this.fields[2 * index].value = within(x, this.width);
    this.fields[2 * index + 1].value = within(y, this.height);
    this.show(index);
  }

  goBack() {
    this.fields.forEach((field, place) => (field.value = this.start[place]));
    this.points.forEach((_, index) => this.show(index));
  }

  /** Put a point where its numbers say. */
  show(index) {
    const [x, y] = this.at(index), point = this.points[index];
    point.setAttribute("transform", `translate(${x} ${y})`);
    point.setAttribute("aria-valuenow", x);
    point.setAttribute("aria-valuetext", `x ${x}, y ${y}`);
    const moved = this.fields.some((field, place) => Number(field.value) !== this.start[place]);
    this.reset.disabled = !moved;
    this.told.textContent = moved ? "placed by hand" : `as ${this.told.dataset.source}`;
    this.magnify(index);
  }

  magnify(index) {
    const [x, y] = this.at(index), reach = Math.max(this.width, this.height) / 16;
    this.loupe.setAttribute("viewBox", `${x - reach} ${y - reach} ${2 * reach} ${2 * reach}`);
    this.loupe.classList.add("shown");
  }
}

const seen = new WeakSet();
htmx.onLoad((part) => {
  const found = [...part.querySelectorAll("fieldset.landmarks"), ...(part.matches?.("fieldset.landmarks") ? [part] : [])];
  for (const root of found) {
    if (!seen.has(root) && root.querySelector(".stage")) new Landmarks(root);
    seen.add(root);
  }
});
