// Mouse, pen and touch on the stage: moving, sliding, painting, protecting. Two fingers always move and zoom.
export class Tools {
  constructor(stage, changed) {
    this.stage = stage;
    this.changed = changed;
    this.name = "look";
    this.size = 12;
    this.fingers = new Map();
    this.last = null;
    this.doing = "";
    const { canvas } = stage;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.up(event));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("dblclick", (event) => this.name === "look" && this.double(event));
  }
  // CSS pixels from the middle of the canvas, and the place in the scan
  at(event) {
    const box = this.stage.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    return { x: x - box.width / 2, y: y - box.height / 2, share: x / box.width, place: this.stage.place(x, y) };
  }
  down(event) {
    const { stage } = this;
    if (!stage.photo?.size || event.button > 0) return;
    stage.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, this.at(event));
    if (this.fingers.size > 1) return this.cancel();
    const now = this.at(event);
    const can = this.can(this.name);
    if (this.name === "look" || !can) {
      const both = stage.photo.pictures.length > 1 && stage.shown === "both";
      this.doing = both && Math.abs(now.share - stage.split) * stage.box.width < 24 ? "slide" : "move";
    } else if (this.name === "protect") {
      this.corner = now.place;
      this.doing = "protect";
    } else if (this.name === "component") {
      const [x, y] = now.place.map(Math.floor);
      if (stage.mask.get(x, y)) {
        stage.mask.begin();
        stage.mask.erase(x, y, event.shiftKey);
        stage.mask.end();
        this.changed();
      }
    } else {
      stage.mask.begin();
      this.doing = this.name;
      const from = event.shiftKey && this.last ? this.last : now.place;
      this.stroke(from, now.place);
    }
  }
  moved(event) {
    const { stage } = this, old = this.fingers.get(event.pointerId);
    if (!old) return;
    const was = this.spread(), now = this.at(event);
    this.fingers.set(event.pointerId, now);
    if (this.fingers.size > 1) {
      const is = this.spread();
      stage.move(is.x - was.x, is.y - was.y);
      stage.zoomTo(stage.view.scale * is.wide / was.wide, is.x, is.y);
    } else if (this.doing === "slide") {
      stage.split = Math.max(0, Math.min(1, now.share));
      stage.draw();
      this.changed("split");
    } else if (this.doing === "move") {
      stage.move(now.x - old.x, now.y - old.y);
    } else if (this.doing === "protect") {
      stage.sketch = this.region(this.corner, now.place);
      stage.draw();
    } else if (this.doing) {
      // all the places that the pen went through since the last event
      for (const each of event.getCoalescedEvents?.() ?? [event]) this.stroke(this.last, this.at(each).place);
    }
  }
  up(event) {
    const { stage } = this;
    if (!this.fingers.delete(event.pointerId)) return;
    if (this.doing === "protect" && !this.fingers.size) {
      const now = this.at(event), found = stage.protected.findIndex(([l, t, w, h]) => now.place[0] >= l && now.place[0] < l + w && now.place[1] >= t && now.place[1] < t + h);
      if (stage.sketch) stage.protected = [...stage.protected, stage.sketch];
      else if (found >= 0) stage.protected = stage.protected.filter((_, at) => at !== found);
      stage.sketch = null;
      this.changed("protected");
    } else if (["paint", "erase"].includes(this.doing)) {
      stage.mask.end();
      this.changed();
    }
    if (!this.fingers.size) this.doing = "";
  }
  // a second finger: what the first one began was the beginning of a pinch
  cancel() {
    if (["paint", "erase"].includes(this.doing)) {
      this.stage.mask.end();
      this.stage.mask.undo();
      this.changed();
    }
    this.stage.sketch = null;
    this.doing = "move";
  }
  // another photo or page takes the place of this one: what is being drawn ends here
  stop() {
    if (["paint", "erase"].includes(this.doing)) this.stage.mask?.end();
    this.stage.sketch = null;
    this.doing = "";
    this.fingers.clear();
    this.last = null;
  }
  // regions are protected on the first page of a file alone
  can(name) { return name === "look" || (name === "protect" ? this.stage.photo?.page === 1 && this.stage.photo.correctable : Boolean(this.stage.mask)); }
  stroke(from, to) {
    this.stage.mask.line(...from, ...to, this.size / 2, this.doing === "paint" ? 1 : 0);
    this.last = to;
    this.stage.draw();
  }
  region([x0, y0], [x1, y1]) {
    const [width, height] = this.stage.photo.size, cut = (at, side) => Math.max(0, Math.min(side, at));
    const left = Math.floor(cut(Math.min(x0, x1), width)), top = Math.floor(cut(Math.min(y0, y1), height));
    const right = Math.ceil(cut(Math.max(x0, x1), width)), bottom = Math.ceil(cut(Math.max(y0, y1), height));
    return right - left > 1 && bottom - top > 1 ? [left, top, right - left, bottom - top] : null;
  }
  spread() {
    const [one, two = one] = [...this.fingers.values()];
    return { wide: Math.hypot(one.x - two.x, one.y - two.y) || 1, x: (one.x + two.x) / 2, y: (one.y + two.y) / 2 };
  }
  wheel(event) {
    event.preventDefault();
    if (!this.stage.photo?.size) return;
    const { x, y } = this.at(event);
    this.stage.zoomTo(this.stage.view.scale * Math.exp(-event.deltaY / 300), x, y);
  }
  double(event) {
    const { stage } = this, { x, y } = this.at(event);
    if (stage.photo?.size) if (stage.fitted) stage.zoomTo(stage.one, x, y); else stage.fit();
  }
}
