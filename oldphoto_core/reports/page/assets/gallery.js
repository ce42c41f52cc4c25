"use strict";
(() => {
  const store = window.oldphoto;
  const { element, percent } = store;
  const PAGE = 48;
  const FILTERS = [
    ["all", "All", () => true],
    ["restored", "Restored", (photo) => photo.status === "restored"],
    ["failed", "Failed", (photo) => photo.status === "failed"],
    ["damaged", "Too damaged", (photo) => photo.reason === "too damaged"],
    ["skipped", "Skipped", (photo) => photo.status === "skipped"],
    ["warned", "Look at", (photo) => Boolean(photo.warning)],
    ["changed", "Most changed", (photo) => photo.changed > 0],
    ["doubtful", "Doubtful", (photo) => Boolean(photo.doubtful)],
    ["doubt", "Least sure", (photo) => photo.doubt > 0],
    ...("reviewed" in document.body.dataset ? [
      ["accepted", "Accepted", (photo) => photo.review === "accepted"],
      ["rejected", "Rejected", (photo) => photo.review === "rejected"],
      ["sent back", "Sent back", (photo) => photo.review === "sent back"],
      ["open", "Not looked at", (photo) => photo.review === "open" || (photo.output && !photo.review)],
    ] : []),
  ];
  // filters that put the photo with the most of what they are named after first
  const SORTED = ["changed", "doubt"];
  const [filters, search, count, grid, pages] = ["filters", "search", "count", "grid", "pages"].map((id) => document.getElementById(id));
  const state = { filter: "all", query: "", page: 0, shown: [], turn: 0 };

  const chosen = async (turn) => {
    const everything = Array.from({ length: store.count }, (_, index) => index);
    const query = state.query.trim().toLowerCase();
    if (state.filter === "all" && !query) return everything;
    await store.loadAll((done) => {
      if (turn === state.turn && done < store.count) count.textContent = `Looking through ${done.toLocaleString("en")} of ${store.count.toLocaleString("en")} photos …`;
    });
    const keep = FILTERS.find(([name]) => name === state.filter)[2];
    const found = everything.filter((index) => {
      const photo = store.at(index);
      return photo && keep(photo) && (!query || photo.key.toLowerCase().includes(query));
    });
    const most = SORTED.includes(state.filter) && state.filter;
    return most ? found.sort((a, b) => store.at(b)[most] - store.at(a)[most] || a - b) : found;
  };

  const badge = (photo) => {
    if (photo.status === "restored") return element("span", { class: "badge restored" }, `${percent(photo.changed)} changed`);
    return element("span", { class: `badge ${photo.status}` }, photo.reason || photo.status);
  };
  const reviewBadge = ({ review }) => review && review !== "open"
    ? [element("span", { class: `badge review ${review.replace(" ", "-")}` }, review)] : [];
  const card = (index, place) => {
    const photo = store.at(index);
    const frame = element("span", { class: "frame" });
    if (photo && photo.thumb && photo.has.includes("s")) {
      const pair = photo.has.includes("a");
      const image = element("img", { src: `${photo.thumb}-small.jpg`, alt: "", loading: "lazy", decoding: "async" });
      const half = element("span", { class: pair ? "half pair" : "half" }, image);
      image.addEventListener("load", () => {
        const ratio = image.naturalWidth / (pair ? 2 : 1) / image.naturalHeight;
        half.style.aspectRatio = String(ratio);
        half.classList.add("ready", ratio > 4 / 3 ? "wide" : "tall");
      });
      image.addEventListener("error", () => half.replaceWith(element("span", { class: "blank" }, "thumbnail is gone")));
      frame.append(half);
    } else if (photo && photo.status === "failed" && photo.detail) {
      frame.append(element("span", { class: "why" }, photo.detail));
    } else {
      frame.append(element("span", { class: "blank" }, "no thumbnail"));
    }
    const name = photo ? photo.key : `photo ${index + 1}: its data file is missing`;
    const button = element("button", { type: "button", class: "card", "data-place": place, title: name }, frame,
      element("span", { class: "name" }, element("bdi", {}, name)));
    if (photo) button.append(badge(photo), ...reviewBadge(photo));
    else button.disabled = true;
    return element("li", {}, button);
  };
  const pager = (number) => {
    const button = (text, page, label, now) => {
      const made = element("button", { type: "button", "aria-label": label }, text);
      if (now) made.setAttribute("aria-current", "page");
      made.disabled = page < 0 || page >= number;
      made.addEventListener("click", () => turn(page, true));
      return made;
    };
    if (number < 2) return pages.replaceChildren();
    const near = [...new Set([0, number - 1, state.page - 1, state.page, state.page + 1])].filter((page) => page >= 0 && page < number).sort((a, b) => a - b);
    const steps = near.flatMap((page, at) => [...(at && page - near[at - 1] > 1 ? [element("span", { "aria-hidden": "true" }, "…")] : []),
      button(String(page + 1), page, `Page ${page + 1} of ${number}`, page === state.page)]);
    return pages.replaceChildren(button("‹", state.page - 1, "Previous page"), ...steps, button("›", state.page + 1, "Next page"));
  };

  const show = async () => {
    const mine = ++state.turn;
    grid.setAttribute("aria-busy", "true");
    const found = await chosen(mine);
    if (mine !== state.turn) return;
    state.shown = found;
    const number = Math.ceil(found.length / PAGE);
    state.page = Math.max(0, Math.min(state.page, number - 1));
    const first = state.page * PAGE;
    const visible = found.slice(first, first + PAGE);
    await store.load(visible);
    if (mine !== state.turn) return;
    grid.replaceChildren(...visible.map((index, at) => card(index, first + at)));
    count.textContent = found.length ? `${(first + 1).toLocaleString("en")} to ${(first + visible.length).toLocaleString("en")} of ${found.length.toLocaleString("en")}`
      : "No photo is of this kind.";
    pager(number);
    grid.setAttribute("aria-busy", "false");
  };
  const turn = async (page, scroll) => {
    state.page = page;
    await show();
    if (scroll) document.getElementById("gallery").scrollIntoView();
  };

  for (const [name, text] of FILTERS) {
    const button = element("button", { type: "button", "aria-pressed": String(name === state.filter), "data-filter": name }, text);
    button.addEventListener("click", () => {
      state.filter = name;
      for (const other of filters.children) other.setAttribute("aria-pressed", String(other === button));
      turn(0);
    });
    filters.append(button);
  }
  let typing;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    state.turn += 1;  // a turn that is still under way would show what is not asked for any more
    grid.setAttribute("aria-busy", "true");
    typing = setTimeout(() => { state.query = search.value; turn(0); }, 150);
  });
  grid.addEventListener("click", (event) => {
    const button = event.target.closest(".card");
    if (button) store.view(Number(button.dataset.place));
  });
  // arrows walk over the cards as they lie on the screen
  grid.addEventListener("keydown", (event) => {
    const cards = [...grid.querySelectorAll(".card:enabled")];
    const at = cards.indexOf(document.activeElement);
    const across = cards.filter((other) => other.offsetTop === cards[0].offsetTop).length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
    if (at < 0 || !step) return;
    event.preventDefault();
    cards[Math.max(0, Math.min(cards.length - 1, at + step))].focus();
  });

  store.gallery = {
    get length() { return state.shown.length; },
    photo: async (place) => { await store.load([state.shown[place]]); return store.at(state.shown[place]); },
    focus: async (place) => {
      if (Math.floor(place / PAGE) !== state.page) await turn(Math.floor(place / PAGE));
      grid.querySelector(`[data-place="${place}"]`)?.focus();
    },
  };
  show();
})();
