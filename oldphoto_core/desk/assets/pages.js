// Pages of a multi-page photo: which one is shown, and the corrected masks of the others until a decision is sent.
import { Mask } from "./mask.js";

const byId = (id) => document.getElementById(id);

export class Pages {
  // `turn` is given the number of the page that is asked for
  constructor(turn) {
    this.painted = new Map();
    this.chooser = byId("page-number");
    byId("page-before").addEventListener("click", () => turn(this.asked - 1));
    byId("page-behind").addEventListener("click", () => turn(this.asked + 1));
    this.chooser.addEventListener("change", () => turn(this.asked));
  }
  get asked() { return Math.round(Number(this.chooser.value)); }

  // what was corrected on a page, before another one takes its place; bits are an eighth of a mask's bytes
  keep(photo, mask) {
    if (mask?.dirty) this.painted.set(photo.page, { size: String(photo.size), bits: mask.bits() });
  }
  // the mask that was kept of a page, or null; steps of undo are not kept. Throws where it no longer fits
  take(photo) {
    const kept = this.painted.get(photo.page);
    this.painted.delete(photo.page);
    if (!kept) return null;
    if (kept.size !== String(photo.size)) throw new Error("the page has another size by now, and what was corrected on it is gone: open it again");
    const mask = new Mask(...photo.size, kept.bits);
    mask.dirty = true;
    return mask;
  }
  drop() { this.painted.clear(); }

  // numbers of the pages that are corrected and not sent, rising
  unsent(photo, mask) {
    const numbers = new Set(this.painted.keys());
    if (mask?.dirty) numbers.add(photo.page);
    return [...numbers].sort((one, other) => one - other);
  }
  bits(photo, mask, numbers) {
    return numbers.map((number) => (number === photo.page && mask?.dirty ? mask.bits() : this.painted.get(number).bits));
  }

  show(photo) {
    byId("pager").hidden = photo.pages === 1;
    this.chooser.max = photo.pages;
    this.chooser.value = photo.page;
    byId("page-count").textContent = photo.pages.toLocaleString("en");
    byId("page-before").disabled = photo.page === 1;
    byId("page-behind").disabled = photo.page === photo.pages;
  }
  // what a reviewer must know of this page, beside its number
  about(photo) {
    if (photo.pages === 1) return "";
    return [`${photo.page} of ${photo.pages}`, photo.copied && "the run copies this page: its mask has no effect",
      photo.correctable && !photo.masks && "the run kept no masks: pages that are not painted count as undamaged",
      photo.page === 1 ? "regions can be protected on this page alone" : "regions can be protected on the first page alone"].filter(Boolean).join("; ");
  }
}
