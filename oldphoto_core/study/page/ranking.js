// The ranking: an ordered list that is filled and reordered by buttons, keys and drag.
"use strict";

class Ranking {
  // `items`: [{ name, letter, source }]; `changed(order)` is called at first and after each change
  constructor(list, items, changed) {
    this.list = list;
    this.items = new Map(items.map((item) => [item.name, item]));
    this.changed = changed;
    this.order = [];
    this.held = null;
    this.show();
  }

  get isWhole() {
    return this.order.length === this.items.size;
  }

  place(name, at = this.order.length) {
    const others = this.order.filter((other) => other !== name);
    others.splice(Math.max(0, Math.min(at, others.length)), 0, name);
    if (others.every((other, number) => other === this.order[number]) && others.length === this.order.length) return;
    this.order = others;
    this.show();
  }

  remove(name) {
    this.order = this.order.filter((other) => other !== name);
    this.show();
  }

  toggle(name) {
    if (this.order.includes(name)) this.remove(name);
    else this.place(name);
  }

  show() {
    const rows = this.order.map((name) => this.rows?.get(name) ?? this.row(name));
    this.rows = new Map(this.order.map((name, at) => [name, rows[at]]));
    rows.forEach((row, at) => this.describe(row, at));
    this.arrange(rows);
    this.changed(this.order);
  }

  // The row that is held or focused never leaves the page: it would lose the finger, or the focus.
  arrange(rows) {
    const focused = this.list.contains(document.activeElement) ? document.activeElement.closest("li") : null;
    const fixed = this.rows.get(this.held) ?? focused;
    const at = rows.indexOf(fixed);
    if (at < 0 || fixed.parentNode !== this.list) {
      this.list.replaceChildren(...rows);
      return;
    }
    for (const row of [...this.list.children]) if (!rows.includes(row)) row.remove();
    for (const row of rows.slice(0, at)) this.list.insertBefore(row, fixed);
    this.list.append(...rows.slice(at + 1));
  }

  row(name) {
    const { letter, source } = this.items.get(name);
    const row = document.createElement("li");
    row.dataset.name = name;
    row.tabIndex = 0;
    const image = document.createElement("img");
    image.src = source;
    image.alt = "";
    image.draggable = false;
    const title = document.createElement("span");
    title.className = "letter";
    title.textContent = letter;
    row.append(image, title, this.button("↑", `${letter} is better`, () => this.step(name, -1)),
      this.button("↓", `${letter} is worse`, () => this.step(name, 1)),
      this.button("×", `Take ${letter} out of the ranking`, () => this.remove(name)));
    row.addEventListener("keydown", (event) => this.key(event, name));
    row.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && !event.target.closest("button")) this.follow(event, name);
    });
    Ranking.keepFrom(row);
    return row;
  }

  button(text, label, act) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.setAttribute("aria-label", label);
    button.addEventListener("click", act);
    return button;
  }

  describe(row, at) {
    const { letter } = this.items.get(row.dataset.name);
    row.setAttribute("aria-label", `Result ${letter}, rank ${at + 1} of ${this.items.size}; arrow keys move it, Delete takes it out`);
  }

  step(name, by) {
    this.place(name, this.order.indexOf(name) + by);
  }

  key(event, name) {
    const by = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[event.key];
    if (by !== undefined) this.step(name, by);
    else if (event.key === "Delete" || event.key === "Backspace") this.remove(name);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // A finger that drags is no swipe: a browser would take the next tap for the end of one.
  static keepFrom(element) {
    element.addEventListener("touchmove", (event) => event.cancelable && event.preventDefault(), { passive: false });
  }

  // a drag that began at `event`, on a row of the list or on a result that is not in it yet
  follow(event, name) {
    const start = { x: event.clientX, y: event.clientY };
    let dragging = false;
    const move = (moved) => {
      if (moved.pointerId !== event.pointerId) return;
      dragging ||= Math.hypot(moved.clientX - start.x, moved.clientY - start.y) > 6;
      if (!dragging) return;
      this.held = name;
      moved.preventDefault();
      const box = this.list.parentElement.getBoundingClientRect();
      const inside = moved.clientX > box.left && moved.clientX < box.right && moved.clientY > box.top && moved.clientY < box.bottom;
      if (inside) this.place(name, this.placeAt(moved.clientY, name));
      for (const [other, row] of this.rows) row.classList.toggle("dragged", other === name);
    };
    const end = (ended) => {
      if (ended.pointerId !== event.pointerId) return;
      document.removeEventListener("pointermove", move);
      document.removeEventListener("pointerup", end);
      document.removeEventListener("pointercancel", end);
      this.held = null;
      for (const row of this.rows.values()) row.classList.remove("dragged");
    };
    document.addEventListener("pointermove", move, { passive: false });
    document.addEventListener("pointerup", end);
    document.addEventListener("pointercancel", end);
  }

  // the place in the list that a pointer at this height means
  placeAt(height, name) {
    const others = this.order.filter((other) => other !== name);
    return others.filter((other) => {
      const box = this.rows.get(other).getBoundingClientRect();
      return height > box.top + box.height / 2;
    }).length;
  }
}
