// The list of photos: rows of one page of the queue, filters, search. Keys come in by textContent alone.
import { get, query } from "./api.js";

const NAMES = { open: "Open", accepted: "Accepted", rejected: "Rejected", "sent back": "Sent back", all: "All", warnings: "Warnings", damaged: "Too damaged", failed: "Failed" };
const element = (tag, values = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), values);
  made.append(...children);
  return made;
};
export const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

export class Queue {
  constructor(open) {
    this.open = open;
    this.filter = "open";
    this.rows = [];
    this.next = "";
    this.taken = {};
    this.current = "";
    this.turn = 0;
    this.list = document.getElementById("rows");
    this.search = document.getElementById("search");
    document.getElementById("page-next").addEventListener("click", () => this.load(this.next));
    document.getElementById("page-first").addEventListener("click", () => this.load());
    let typing;
    this.search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => this.load(), 150); });
  }
  async load(after = "") {
    const mine = ++this.turn;
    this.list.setAttribute("aria-busy", "true");
    const page = await get("/api/queue", { filter: this.filter, search: this.search.value, after });
    if (mine !== this.turn) return page;
    this.rows = page.rows;
    this.next = page.next;
    this.page = page;
    this.show();
    this.list.setAttribute("aria-busy", "false");
    return page;
  }
  show() {
    const { page } = this, shown = document.activeElement?.dataset?.key;
    document.getElementById("filters").replaceChildren(...Object.entries(NAMES).map(([name, text]) => {
      const button = element("button", { type: "button", ariaPressed: String(name === this.filter) }, `${text} `, element("b", { textContent: page.counts[name].toLocaleString("en") }));
      button.dataset.filter = name;
      button.addEventListener("click", () => { this.filter = name; this.load(); });
      return button;
    }));
    document.getElementById("count").textContent = page.found
      ? `${(page.begin + 1).toLocaleString("en")} to ${(page.begin + page.rows.length).toLocaleString("en")} of ${page.found.toLocaleString("en")}` : "No photo is of this kind.";
    document.getElementById("page-next").disabled = !page.next;
    document.getElementById("page-first").disabled = !page.begin;
    this.list.replaceChildren(...this.rows.map((row) => this.row(row)));
    this.mark();
    if (shown) this.button(shown)?.focus();
  }
  row(row) {
    const image = element("img", { alt: "", loading: "lazy", width: 96, height: 48, src: `/api/thumbnail?${query({ key: row.key })}` });
    image.addEventListener("error", () => { image.hidden = true; });
    const why = [row.reason, row.doubt > 0.005 && `doubt ${percent(row.doubt)}`, row.mask_coverage > 0 && `damage ${percent(row.mask_coverage)}`, row.tone_warning && "tone"].filter(Boolean).join(" · ");
    const button = element("button", { type: "button" }, element("span", { className: "thumb" }, image), element("span", { className: "name", textContent: row.key }),
      element("span", { className: "why", textContent: why }), element("span", { className: "mark" }));
    button.dataset.key = row.key;
    button.addEventListener("click", () => this.open(row.key));
    return element("li", {}, button);
  }
  button(key) { return [...this.list.querySelectorAll("button")].find((button) => button.dataset.key === key); }
  // states, what others look at, and which photo is open
  mark() {
    for (const button of this.list.querySelectorAll("button")) {
      const { key } = button.dataset, row = this.rows.find((each) => each.key === key), other = this.taken[key];
      button.setAttribute("aria-current", String(key === this.current));
      button.dataset.state = row.state;
      button.querySelector(".mark").textContent = [row.state === "open" ? "" : row.state, other !== undefined && `with ${other || "somebody"}`].filter(Boolean).join(", ");
    }
  }
  decided(key, state) {
    const row = this.rows.find((each) => each.key === key);
    if (row) row.state = state;
    this.mark();
  }
  // the key that comes after this one and is open and with nobody else; loads the next page where this one ends
  async after(key, step = 1) {
    const at = this.rows.findIndex((row) => row.key === key);
    if (at < 0 && this.rows.length) return this.rows[0].key;
    for (let place = at + step; place >= 0 && place < this.rows.length; place += step) {
      const row = this.rows[place];
      if (this.filter !== "open" || step < 0 || (row.state === "open" && !(row.key in this.taken))) return row.key;
    }
    if (step < 0 || !this.next) return "";
    await this.load(this.next);
    return this.rows[0]?.key ?? "";
  }
}
export { element };
