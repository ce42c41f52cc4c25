// Pictures that zoom and move together. Position and size are shares of a picture, so panes of any size agree.
"use strict";

class Zoom {
  static MOST = 8;

  constructor(root, label) {
    this.root = root;
    this.label = label;
    this.pointers = new Map();
    root.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    root.addEventListener("pointerdown", (event) => this.press(event));
    root.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      root.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    }
    // a finger that moves pictures is no swipe: a browser would take the next tap for the end of one
    root.addEventListener("touchmove", (event) => {
      if (event.cancelable && (this.scale > 1 || event.touches.length > 1)) event.preventDefault();
    }, { passive: false });
    root.addEventListener("dblclick", (event) => this.by(this.scale > 1 ? 0 : 3, this.at(event)));
    this.fit();
  }

  fit() {
    this.scale = 1;
    this.x = 0.5;
    this.y = 0.5;
    this.show();
  }

  // `at`: the place of a pane that stays where it is, in shares from its top left corner
  by(factor, at = { x: 0.5, y: 0.5 }) {
    const scale = Math.min(Zoom.MOST, Math.max(1, this.scale * factor));
    this.x += (at.x - 0.5) * (1 / this.scale - 1 / scale);
    this.y += (at.y - 0.5) * (1 / this.scale - 1 / scale);
    this.scale = scale;
    this.show();
  }

  move(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.show();
  }

  // x, y: the share of the picture in the middle of a pane
  show() {
    const half = 0.5 / this.scale;
    this.x = Math.min(1 - half, Math.max(half, this.x));
    this.y = Math.min(1 - half, Math.max(half, this.y));
    for (const image of this.root.querySelectorAll("img")) {
      const left = (0.5 - this.x * this.scale) * 100;
      const top = (0.5 - this.y * this.scale) * 100;
      image.style.transform = `translate(${left}%, ${top}%) scale(${this.scale})`;
    }
    this.root.classList.toggle("zoomed", this.scale > 1);
    this.label.textContent = `${Math.round(100 * this.scale)}%`;
  }

  at(event) {
    const pane = event.target.closest(".picture");
    if (!pane) return undefined;
    const box = pane.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height, box };
  }

  wheel(event) {
    const at = this.at(event);
    if (!at) return;
    event.preventDefault();
    this.by(Math.exp(-Math.sign(event.deltaY) * 0.2), at);
  }

  press(event) {
    const at = this.at(event);
    if (!at || event.button !== 0) return;
    this.pointers.set(event.pointerId, at);
    event.target.setPointerCapture(event.pointerId);
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = {
      x: (event.clientX - before.box.left) / before.box.width,
      y: (event.clientY - before.box.top) / before.box.height,
      box: before.box,
    };
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    if (others.length) {
      const apart = (at) => Math.hypot(at.x - others[0].x, at.y - others[0].y);
      if (apart(before) > 0.01) this.by(apart(now) / apart(before), { x: (now.x + others[0].x) / 2, y: (now.y + others[0].y) / 2 });
    } else {
      this.move((before.x - now.x) / this.scale, (before.y - now.y) / this.scale);
    }
    this.pointers.set(event.pointerId, now);
  }

  // whether the key was one of ours
  key(name) {
    const step = 0.1 / this.scale;
    const keys = {
      "+": () => this.by(1.5), "=": () => this.by(1.5), "-": () => this.by(1 / 1.5), 0: () => this.fit(),
      ArrowLeft: () => this.move(-step, 0), ArrowRight: () => this.move(step, 0),
      ArrowUp: () => this.move(0, -step), ArrowDown: () => this.move(0, step),
    };
    if (!(name in keys)) return false;
    keys[name]();
    return true;
  }
}
