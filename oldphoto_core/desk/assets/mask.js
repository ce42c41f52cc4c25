// A mask of damage at full resolution: a byte a pixel, 1 = damaged, and smaller levels in which one damaged pixel marks its place.
const TILE = 512, MOST_TILES = 400;
const RED = [230, 30, 30, 255];

export class Mask {
  constructor(width, height, bits) {
    this.width = width;
    this.height = height;
    this.levels = [{ width, height, data: unpacked(bits, width, height) }];
    for (let w = width, h = height; Math.max(w, h) > TILE;) {
      w = Math.ceil(w / 2);
      h = Math.ceil(h / 2);
      this.levels.push({ width: w, height: h, data: new Uint8Array(w * h) });
    }
    this.steps = [];
    this.step = null;
    this.pictures = new Map();
    this.dirty = false;
    this.spread(0, 0, width, height);
  }

  // bits, most significant first, each row filled up to whole bytes; of the whole mask, or of a part of it
  bits(left = 0, top = 0, width = this.width, height = this.height) {
    const row = Math.ceil(width / 8), out = new Uint8Array(row * height), { data } = this.levels[0];
    for (let y = 0; y < height; y++) {
      const from = (top + y) * this.width + left;
      for (let x = 0; x < width; x++) if (data[from + x]) out[y * row + (x >> 3)] |= 128 >> (x & 7);
    }
    return out;
  }

  get(x, y) { return x >= 0 && y >= 0 && x < this.width && y < this.height ? this.levels[0].data[y * this.width + x] : 0; }

  // everything between begin and end is one step of undo
  begin() { this.step = new Map(); }
  end() {
    if (this.step?.size) this.steps.push(this.step);
    this.step = null;
    while (this.steps.reduce((sum, step) => sum + step.size, 0) > MOST_TILES) this.steps.shift();
  }
  undo() {
    const step = this.steps.pop();
    for (const [name, saved] of step || []) {
      const [column, row] = name.split(",").map(Number);
      const left = column * TILE, top = row * TILE, width = Math.min(TILE, this.width - left);
      for (let y = 0; y * width < saved.length; y++) {
        this.levels[0].data.set(saved.subarray(y * width, (y + 1) * width), (top + y) * this.width + left);
      }
      this.spread(left, top, Math.min(left + TILE, this.width), Math.min(top + TILE, this.height));
    }
    return Boolean(step);
  }

  // a line of round stamps; coordinates are of the scan, so pixel (3, 5) has its middle at 3.5, 5.5
  line(x0, y0, x1, y1, radius, value) {
    const far = Math.hypot(x1 - x0, y1 - y0), pause = Math.max(0.5, radius / 3), count = Math.ceil(far / pause);
    const box = this.clip(Math.min(x0, x1) - radius - 1, Math.min(y0, y1) - radius - 1, Math.max(x0, x1) + radius + 1, Math.max(y0, y1) + radius + 1);
    if (!box) return;
    this.save(...box);
    for (let at = 0; at <= count; at++) {
      const share = count ? at / count : 0;
      this.stamp(x0 + (x1 - x0) * share, y0 + (y1 - y0) * share, radius, value);
    }
    this.changed(...box);
  }
  stamp(x, y, radius, value) {
    const { data } = this.levels[0], middle = Math.floor(y);
    for (let row = Math.max(0, Math.floor(y - radius)); row <= Math.min(this.height - 1, Math.floor(y + radius)); row++) {
      const rest = radius * radius - (row + 0.5 - y) ** 2;
      let from = Math.ceil(x - Math.sqrt(Math.max(0, rest)) - 0.5), to = Math.floor(x + Math.sqrt(Math.max(0, rest)) - 0.5);
      if (rest < 0 || from > to) {
        if (row !== middle) continue;
        from = to = Math.floor(x);
      }
      from = Math.max(0, from);
      to = Math.min(this.width - 1, to);
      if (from <= to) data.fill(value, row * this.width + from, row * this.width + to + 1);
    }
  }

  // the connected mark at a place, as runs [row, from, to]; `seen` remembers what was visited
  component(x, y, seen = null) {
    const { data } = this.levels[0], { width, height } = this, runs = [], waiting = [[x, y]];
    const done = seen || new Set();
    const known = (at) => (seen ? seen[at] : done.has(at));
    const note = (at) => { if (seen) seen[at] = 1; else done.add(at); };
    let pixels = 0;
    while (waiting.length) {
      const [px, py] = waiting.pop();
      if (!data[py * width + px] || known(py * width + px)) continue;
      let from = px, to = px;
      while (from > 0 && data[py * width + from - 1]) from--;
      while (to < width - 1 && data[py * width + to + 1]) to++;
      for (let at = from; at <= to; at++) note(py * width + at);
      runs.push([py, from, to]);
      pixels += to - from + 1;
      for (const row of [py - 1, py + 1]) {
        if (row < 0 || row >= height) continue;
        for (let at = Math.max(0, from - 1); at <= Math.min(width - 1, to + 1); at++) {
          if (data[row * width + at] && !known(row * width + at)) waiting.push([at, row]);
        }
      }
    }
    return { runs, pixels };
  }
  // erase the mark at a place, or with `all` every mark that is no larger
  erase(x, y, all) {
    const chosen = this.component(x, y);
    if (!all) return this.erased(chosen.runs);
    const { data } = this.levels[0], seen = new Uint8Array(data.length), runs = [];
    for (let at = 0; at < data.length; at++) {
      if (!data[at] || seen[at]) continue;
      const one = this.component(at % this.width, Math.floor(at / this.width), seen);
      if (one.pixels <= chosen.pixels) runs.push(...one.runs);
    }
    return this.erased(runs);
  }
  erased(runs) {
    const box = [this.width, this.height, 0, 0];
    for (const [row, from, to] of runs) {
      this.save(from, row, to + 1, row + 1);
      this.levels[0].data.fill(0, row * this.width + from, row * this.width + to + 1);
      box[0] = Math.min(box[0], from);
      box[1] = Math.min(box[1], row);
      box[2] = Math.max(box[2], to + 1);
      box[3] = Math.max(box[3], row + 1);
    }
    if (runs.length) this.changed(...box);
    return runs.length;
  }

  clip(left, top, right, bottom) {
    const box = [Math.max(0, Math.floor(left)), Math.max(0, Math.floor(top)), Math.min(this.width, Math.ceil(right)), Math.min(this.height, Math.ceil(bottom))];
    return box[0] < box[2] && box[1] < box[3] ? box : null;
  }
  save(left, top, right, bottom) {
    if (!this.step) return;
    for (let row = Math.floor(top / TILE); row * TILE < bottom; row++) {
      for (let column = Math.floor(left / TILE); column * TILE < right; column++) {
        const name = `${column},${row}`;
        if (this.step.has(name)) continue;
        const x = column * TILE, width = Math.min(TILE, this.width - x), height = Math.min(TILE, this.height - row * TILE);
        const saved = new Uint8Array(width * height);
        for (let y = 0; y < height; y++) {
          const from = (row * TILE + y) * this.width + x;
          saved.set(this.levels[0].data.subarray(from, from + width), y * width);
        }
        this.step.set(name, saved);
      }
    }
  }
  changed(left, top, right, bottom) {
    this.dirty = true;
    this.spread(left, top, right, bottom);
  }
  // bring the smaller levels and the pictures up to date after a change in a box
  spread(left, top, right, bottom) {
    for (let number = 0; number < this.levels.length; number++) {
      if (number) {
        [left, top, right, bottom] = [left >> 1, top >> 1, (right + 1) >> 1, (bottom + 1) >> 1];
        halve(this.levels[number - 1], this.levels[number], left, top, right, bottom);
      }
      for (let row = Math.floor(top / TILE); row * TILE < bottom; row++) {
        for (let column = Math.floor(left / TILE); column * TILE < right; column++) this.pictures.delete(`${number},${column},${row}`);
      }
    }
  }

  // a tile of a level as a canvas, or null where nothing is marked in it
  picture(number, column, row) {
    const name = `${number},${column},${row}`;
    if (this.pictures.has(name)) return this.pictures.get(name);
    const level = this.levels[number], width = Math.min(TILE, level.width - column * TILE), height = Math.min(TILE, level.height - row * TILE);
    const image = new ImageData(width, height);
    let any = false;
    for (let y = 0; y < height; y++) {
      const from = (row * TILE + y) * level.width + column * TILE;
      for (let x = 0; x < width; x++) {
        if (!level.data[from + x]) continue;
        image.data.set(RED, 4 * (y * width + x));
        any = true;
      }
    }
    let drawn = null;
    if (any) {
      drawn = new OffscreenCanvas(width, height);
      drawn.getContext("2d").putImageData(image, 0, 0);
    }
    this.pictures.set(name, drawn);
    return drawn;
  }
}

function unpacked(bits, width, height) {
  const row = Math.ceil(width / 8), data = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let at = 0; at < row; at++) {
      const byte = bits[y * row + at];
      if (!byte) continue;
      for (let bit = 0; bit < 8 && 8 * at + bit < width; bit++) if (byte & (128 >> bit)) data[y * width + 8 * at + bit] = 1;
    }
  }
  return data;
}

function halve(large, small, left, top, right, bottom) {
  for (let y = top; y < Math.min(bottom, small.height); y++) {
    const one = 2 * y * large.width, two = 2 * y + 1 < large.height ? one + large.width : one;
    for (let x = left; x < Math.min(right, small.width); x++) {
      const from = 2 * x, to = from + 1 < large.width ? from + 1 : from;
      small.data[y * small.width + x] = large.data[one + from] | large.data[one + to] | large.data[two + from] | large.data[two + to];
    }
  }
}
