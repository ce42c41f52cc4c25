// One participant: a photo at a time, until all are ranked. Everything here is text and pictures, never markup.
"use strict";

(() => {
  const base = location.pathname.replace(/\/+$/, "");
  const element = (id) => document.getElementById(id);
  const zoom = new Zoom(element("panes"), element("zoom-fit"));
  let state = null;
  let ranking = null;
  let sending = false;

  const letterOf = (number) => String.fromCharCode(65 + number);
  const source = (name, place) => `${base}/pictures/${place}/${name}`;

  async function ask(path, options) {
    const reply = await fetch(`${base}/${path}`, { cache: "no-store", ...options });
    return { status: reply.status, content: await reply.json() };
  }

  async function load() {
    try {
      const { status, content } = await ask("state");
      if (status !== 200) throw new Error(content.error);
      element("trouble").textContent = "";
      show(content);
    } catch {
      element("trouble").textContent = "The study does not answer. Reload this page in a while; nothing is lost.";
    }
  }

  function show(next) {
    state = next;
    const over = state.done === state.total;
    element("where").textContent = over ? `All ${state.total} ranked` : `Photo ${state.done + 1} of ${state.total}`;
    element("progress").max = state.total;
    element("progress").value = state.done;
    element("task").hidden = over;
    element("thanks").hidden = !over;
    if (over) return;
    const items = state.results.map((name, number) => ({ name, letter: letterOf(number), source: source(name, state.place) }));
    element("panes").replaceChildren(pane(source(state.original, state.place), "The photo as it is"), ...items.map(resultPane));
    element("submit").textContent = state.done + 1 === state.total ? "Finish" : "Next photo";
    element("message").textContent = "";
    zoom.fit();
    ranking = new Ranking(element("ranking"), items, ranked);
    for (const name of state.next ?? []) new Image().src = source(name, state.place + 1);
  }

  function pane(address, title) {
    const figure = document.createElement("figure");
    const picture = document.createElement("div");
    picture.className = "picture";
    picture.style.aspectRatio = `${state.width} / ${state.height}`;
    const image = document.createElement("img");
    image.src = address;
    image.alt = title;
    image.draggable = false;
    picture.append(image);
    figure.append(picture);
    const caption = document.createElement("figcaption");
    caption.textContent = title;
    figure.append(caption);
    return figure;
  }

  function resultPane(item) {
    const figure = pane(item.source, `Result ${item.letter}`);
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.name = item.name;
    button.setAttribute("aria-keyshortcuts", item.letter);
    button.addEventListener("click", () => ranking.toggle(item.name));
    button.addEventListener("pointerdown", (event) => ranking.follow(event, item.name));
    Ranking.keepFrom(button);
    figure.querySelector("figcaption").replaceChildren(button);
    return figure;
  }

  function ranked(order) {
    for (const button of element("panes").querySelectorAll("figcaption button")) {
      const at = order.indexOf(button.dataset.name);
      const letter = button.getAttribute("aria-keyshortcuts");
      button.textContent = at < 0 ? letter : `${letter} · rank ${at + 1}`;
      button.setAttribute("aria-label", at < 0 ? `Result ${letter}: rank it next` : `Result ${letter}, rank ${at + 1}: take it out`);
      button.setAttribute("aria-pressed", String(at >= 0));
    }
    const missing = state.results.length - order.length;
    element("missing").textContent = missing ? `${missing} not ranked yet` : "All are ranked.";
    element("submit").disabled = missing > 0 || sending;
  }

  async function submit() {
    if (sending || !ranking.isWhole) return;
    sending = true;
    element("submit").disabled = true;
    element("message").textContent = "";
    const body = JSON.stringify({ place: state.place, ranking: ranking.order });
    let message = "";
    let next = null;
    try {
      const { status, content } = await ask("answers", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      if (status === 200) next = content;
      else {
        message = content.error;
        next = content.state ?? null;
      }
    } catch {
      message = "The study does not answer. Your ranking is still here: send it again in a while.";
    }
    sending = false;
    if (next) {
      show(next);
      element("title").focus();
      scrollTo(0, 0);
    }
    element("message").textContent = message;
    element("submit").disabled = !ranking.isWhole;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !ranking || element("task").hidden) return;
    const number = event.key.length === 1 ? event.key.toUpperCase().charCodeAt(0) - 65 : -1;
    if (number >= 0 && number < state.results.length) ranking.toggle(state.results[number]);
    else if (event.key.startsWith("Arrow") && document.activeElement !== element("panes")) return;
    else if (!zoom.key(event.key)) return;
    event.preventDefault();
  });
  element("submit").addEventListener("click", submit);
  element("zoom-in").addEventListener("click", () => zoom.by(1.5));
  element("zoom-out").addEventListener("click", () => zoom.by(1 / 1.5));
  element("zoom-fit").addEventListener("click", () => zoom.fit());
  // a page that the browser kept may be older than what was answered since
  window.addEventListener("pageshow", (event) => event.persisted && load());
  try {
    localStorage.setItem("oldphoto-study", base);
  } catch {
    // without storage the link alone leads back
  }
  load();
})();
