// The photo on a canvas: tiles of both pictures, the mask, protected regions and the preview, at any zoom, upright.
const TURNS = {
  1: [1, 0, 0, 1], 2: [-1, 0, 0, 1], 3: [-1, 0, 0, -1], 4: [1, 0, 0, -1],
  5: [0, 1, 1, 0], 6: [0, 1, -1, 0], 7: [0, -1, -1, 0], 8: [0, -1, 1, 0],
};
const MOST_TILES = 300, MOST_ZOOM = 16;

export class Stage {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.tiles = new Map();
    this.photo = null;
    this.mask = null;
    this.protected = [];
    this.preview = null;
    this.sketch = null;
    this.split = 0.5;
    this.shown = "both";
    this.showMask = false;
    this.view = { scale: 1, x: 0, y: 0 };
    this.drawn = 0;
    this.waiting = false;
    this.lost = () => {};  // called where a tile could not be had
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
  }

  open(photo) {
    this.photo = photo;
    this.tiles.clear();
    this.mask = this.preview = this.sketch = null;
    this.fit();
  }
  get ratio() { return window.devicePixelRatio || 1; }
  get box() { return { width: this.canvas.clientWidth, height: this.canvas.clientHeight }; }
  get turned() { return this.photo?.orientation >= 5; }
  get fitting() {
    const [width, height] = this.turned ? [this.photo.size[1], this.photo.size[0]] : this.photo.size;
    return Math.min(this.box.width / width, this.box.height / height);
  }
  get one() { return 1 / this.ratio; }

  resize() {
    this.canvas.width = Math.round(this.box.width * this.ratio);
    this.canvas.height = Math.round(this.box.height * this.ratio);
    if (this.photo?.size && this.fitted) this.fit(); else this.draw();
  }
  fit() {
    if (!this.photo?.size) return this.draw();
    this.view = { scale: Math.min(this.fitting, 4 * this.one), x: 0, y: 0 };
    this.fitted = true;
    this.draw();
  }
  zoomTo(scale, x = 0, y = 0) {
    const next = Math.max(Math.min(this.fitting, this.one), Math.min(MOST_ZOOM * this.one, scale)), grown = next / this.view.scale;
    this.view = { scale: next, x: x - (x - this.view.x) * grown, y: y - (y - this.view.y) * grown };
    this.fitted = false;
    this.keepIn();
  }
  move(x, y) {
    this.view.x += x;
    this.view.y += y;
    this.fitted = false;
    this.keepIn();
  }
  keepIn() {
    const [width, height] = this.turned ? [this.photo.size[1], this.photo.size[0]] : this.photo.size;
    const reach = (side, whole) => Math.max(0, (side * this.view.scale - whole) / 2) + whole / 3;
    this.view.x = Math.max(-reach(width, this.box.width), Math.min(reach(width, this.box.width), this.view.x));
    this.view.y = Math.max(-reach(height, this.box.height), Math.min(reach(height, this.box.height), this.view.y));
    this.draw();
  }

  // from pixels of the scan as it is stored to CSS pixels of the canvas
  get matrix() {
    const [width, height] = this.photo.size, { scale, x, y } = this.view, [a, b, c, d] = TURNS[this.photo.orientation] || TURNS[1];
    // whole pixels of the screen, so that 1:1 is sharp
    const snap = (at) => Math.round(at * this.ratio) / this.ratio;
    const middle = new DOMMatrix([scale * a, scale * b, scale * c, scale * d, 0, 0]).translate(-width / 2, -height / 2);
    return new DOMMatrix([middle.a, middle.b, middle.c, middle.d, snap(middle.e + this.box.width / 2 + x), snap(middle.f + this.box.height / 2 + y)]);
  }
  // the place in the scan under a place of the canvas
  place(x, y) {
    const at = this.matrix.inverse().transformPoint(new DOMPoint(x, y));
    return [at.x, at.y];
  }
  // what of the scan can be seen: left, top, right, bottom in whole pixels
  get sight() {
    const corners = [[0, 0], [this.box.width, 0], [0, this.box.height], [this.box.width, this.box.height]].map(([x, y]) => this.place(x, y));
    const [width, height] = this.photo.size, xs = corners.map(([x]) => x), ys = corners.map(([, y]) => y);
    return [Math.max(0, Math.floor(Math.min(...xs))), Math.max(0, Math.floor(Math.min(...ys))), Math.min(width, Math.ceil(Math.max(...xs))), Math.min(height, Math.ceil(Math.max(...ys)))];
  }
  get level() {
    const wanted = Math.floor(Math.log2(1 / (this.view.scale * this.ratio)) + 1e-9);
    return Math.max(0, Math.min(this.levels - 1, wanted));
  }
  get levels() {
    return 1 + Math.max(0, Math.ceil(Math.log2(Math.max(...this.photo.size) / this.photo.tile)));
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.paint(); });
  }
  paint() {
    const { context, ratio, box } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.complete = true;
    if (!this.photo?.size) return;
    const edge = Math.round(box.width * this.split * ratio), both = this.photo.pictures.length > 1;
    const sides = !both ? [[this.photo.pictures[0], 0, this.canvas.width]]
      : this.shown === "both" ? [["before", 0, edge], ["after", edge, this.canvas.width]] : [[this.shown, 0, this.canvas.width]];
    for (const [which, from, to] of sides) {
      context.save();
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.beginPath();
      context.rect(from, 0, to - from, this.canvas.height);
      context.clip();
      this.orient();
      this.picture(which);
      if (this.preview && which !== "before") this.overlayPreview();
      context.restore();
    }
    this.orient();
    if (this.showMask && this.mask) this.overlayMask();
    this.regions();
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (both && this.shown === "both") {
      context.fillStyle = "#fff";
      context.fillRect(edge - ratio, 0, 2 * ratio, this.canvas.height);
    }
    this.drawn++;
  }
  orient() {
    const m = this.matrix, r = this.ratio;
    this.context.setTransform(m.a * r, m.b * r, m.c * r, m.d * r, m.e * r, m.f * r);
    this.context.imageSmoothingEnabled = this.view.scale * r < 2;
  }
  // coarse tiles first, under the fine ones that are not there yet
  picture(which) {
    const fine = this.level;
    for (let level = this.levels - 1; level >= fine; level -= level === this.levels - 1 ? Math.max(1, level - fine) : 1) {
      for (const [column, row, ...at] of this.inSight(level)) {
        const image = this.tile(which, level, column, row);
        if (image) this.context.drawImage(image, ...at); else this.complete = false;
      }
    }
  }
  *inSight(level) {
    const factor = 2 ** level, side = this.photo.tile * factor, [left, top, right, bottom] = this.sight, [width, height] = this.photo.size;
    for (let row = Math.floor(top / side); row * side < bottom; row++) {
      for (let column = Math.floor(left / side); column * side < right; column++) {
        const w = Math.min(this.photo.tile, Math.ceil(width / factor) - column * this.photo.tile), h = Math.min(this.photo.tile, Math.ceil(height / factor) - row * this.photo.tile);
        yield [column, row, column * side, row * side, w * factor, h * factor];
      }
    }
  }
  tile(which, level, column, row) {
    const name = `/tiles/${this.photo.id}/${which}/${level}/${column}_${row}.jpg`;
    let image = this.tiles.get(name);
    if (!image) {
      if (this.tiles.size > MOST_TILES) this.tiles.delete(this.tiles.keys().next().value);
      image = new Image();
      image.addEventListener("load", () => this.draw());
      image.addEventListener("error", () => { this.lost(); setTimeout(() => { this.tiles.delete(name); this.draw(); }, 1000); });
      image.src = name;
      this.tiles.set(name, image);
    }
    return image.complete && image.naturalWidth ? image : null;
  }
  overlayMask() {
    const { context } = this, level = Math.min(this.level, this.mask.levels.length - 1);
    context.save();
    context.globalAlpha = 0.6;
    context.imageSmoothingEnabled = false;
    for (const [column, row, ...at] of this.inSight(level)) {
      const image = this.mask.picture(level, column, row);
      if (image) context.drawImage(image, ...at);
    }
    context.restore();
  }
  overlayPreview() {
    const { image, left, top } = this.preview;
    this.context.drawImage(image, left, top);
  }
  regions() {
    const { context } = this, thin = 2 / this.view.scale;
    context.lineWidth = thin;
    const here = this.photo.page === 1 ? this.protected : [];
    for (const [left, top, width, height] of [...here, ...(this.sketch ? [this.sketch] : [])]) {
      context.strokeStyle = "#000";
      context.strokeRect(left - thin, top - thin, width + 2 * thin, height + 2 * thin);
      context.strokeStyle = "#5fd38d";
      context.strokeRect(left, top, width, height);
    }
    if (this.preview) {
      context.strokeStyle = "#ffd166";
      context.strokeRect(this.preview.left, this.preview.top, this.preview.image.width, this.preview.image.height);
    }
  }
}
