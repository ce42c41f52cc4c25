"use strict";
(() => {
  const store = window.oldphoto;
  const { element, percent } = store;
  const [viewer, stage, picture, before, after, mask, split, handle, empty, file] =
    ["viewer", "stage", "picture", "before", "after", "mask", "split", "handle", "empty", "file"].map((id) => document.getElementById(id));
  const [maskButton, fit, details] = ["mask-button", "zoom-fit", "details"].map((id) => document.getElementById(id));
  const MOST = 12;
  const view = { place: 0, zoom: 1, x: 0, y: 0, mask: false, turn: 0, ratio: 1 };

  const paint = () => {
    const box = stage.getBoundingClientRect();
    const width = Math.min(box.width, box.height * view.ratio), height = width / view.ratio;
    const reach = (side, whole) => Math.max(0, (side * view.zoom - whole) / 2);
    view.x = Math.max(-reach(width, box.width), Math.min(reach(width, box.width), view.x));
    view.y = Math.max(-reach(height, box.height), Math.min(reach(height, box.height), view.y));
    picture.style.width = `${width}px`;
    picture.style.height = `${height}px`;
    picture.style.transform = `translate(calc(-50% + ${view.x}px), calc(-50% + ${view.y}px)) scale(${view.zoom})`;
    picture.style.setProperty("--zoom", view.zoom);
    picture.style.setProperty("--split", `${split.value}%`);
    // "before" and "after" stand in the corners of what is to be seen of the picture
    const inset = (side, whole) => `${Math.max(0, (whole - side * view.zoom) / 2) + 12}px`;
    stage.style.setProperty("--inset-x", inset(width, box.width));
    stage.style.setProperty("--inset-y", inset(height, box.height));
    fit.textContent = `${Math.round(view.zoom * 100)}%`;
    stage.classList.toggle("zoomed", view.zoom > 1);
  };
  const zoom = (factor, x = 0, y = 0) => {
    const next = Math.max(1, Math.min(MOST, view.zoom * factor));
    const grown = next / view.zoom;
    view.x = x - (x - view.x) * grown;
    view.y = y - (y - view.y) * grown;
    view.zoom = next;
    paint();
  };
  const whole = () => { Object.assign(view, { zoom: 1, x: 0, y: 0 }); paint(); };
  const showMask = (on) => {
    view.mask = on;
    maskButton.setAttribute("aria-pressed", String(on));
    mask.hidden = !on || maskButton.disabled;
  };

  const told = (photo) => {
    const facts = [["Status", photo.reason ? `${photo.status}: ${photo.reason}` : photo.status], ["Why", photo.detail],
      ["Pixels changed", photo.changed !== undefined && percent(photo.changed)], ["Damage found", photo.mask !== undefined && percent(photo.mask)],
      ["Doubt about it", photo.doubt !== undefined && percent(photo.doubt)], ["Doubtful", photo.doubtful],
      ["Restored as", photo.colour && `${photo.colour}${photo.residual === undefined ? "" : `, residual ${photo.residual.toFixed(2)}`}`], ["Look at", photo.warning], ["Review", photo.reviewed],
      ["Size", photo.megapixels && `${photo.megapixels.toFixed(2)} MP`], ["Time", photo.seconds && `${photo.seconds.toFixed(1)} s`]];
    details.replaceChildren(...facts.filter(([, text]) => text).map(([name, text]) => element("div", {}, element("dt", {}, name), element("dd", {}, text))));
  };
  const load = async (place) => {
    const mine = ++view.turn;
    const photo = await store.gallery.photo(place);
    if (mine !== view.turn || !photo) return;
    view.place = place;
    const has = (kind) => (photo.has || "").includes(kind);
    const pair = has("a");
    document.getElementById("viewer-key").textContent = photo.key;
    document.getElementById("viewer-place").textContent = `${(place + 1).toLocaleString("en")} of ${store.gallery.length.toLocaleString("en")}`;
    document.getElementById("previous").disabled = place === 0;
    document.getElementById("next").disabled = place === store.gallery.length - 1;
    stage.classList.toggle("pair", pair);
    split.disabled = !pair;
    picture.hidden = !has("b");
    empty.hidden = has("b");
    empty.textContent = photo.status === "skipped" ? "Skipped in this run, and no earlier run left a thumbnail of it."
      : "There is no thumbnail: no picture could be made of it.";
    for (const [image, kind, ending] of [[before, "b", "before.jpg"], [after, "a", "after.jpg"], [mask, "m", "mask.png"]]) {
      image.removeAttribute("src");
      if (has(kind)) image.src = `${photo.thumb}-${ending}`;
    }
    after.hidden = !pair;
    maskButton.disabled = !has("m");
    showMask(view.mask);
    file.hidden = !photo.output;
    if (photo.output) file.href = photo.output; else file.removeAttribute("href");
    told(photo);
    Object.assign(view, { zoom: 1, x: 0, y: 0 });
    paint();
  };
  const step = (by) => {
    const place = view.place + by;
    if (place >= 0 && place < store.gallery.length) load(place);
  };

  store.view = async (place) => {
    split.value = 50;
    if (!viewer.open) viewer.showModal();
    document.documentElement.classList.add("viewing");
    document.getElementById("viewer-close").focus();
    await load(place);
  };
  before.addEventListener("load", () => { view.ratio = before.naturalWidth / before.naturalHeight; paint(); });
  before.addEventListener("error", () => { picture.hidden = true; empty.hidden = false; empty.textContent = "Its thumbnail is gone."; });
  split.addEventListener("input", paint);
  addEventListener("resize", () => viewer.open && paint());
  viewer.addEventListener("close", () => {
    document.documentElement.classList.remove("viewing");
    store.gallery.focus(view.place);
  });
  const press = (id, action) => document.getElementById(id).addEventListener("click", action);
  press("viewer-close", () => viewer.close());
  press("previous", () => step(-1));
  press("next", () => step(1));
  press("mask-button", () => showMask(!view.mask));
  press("zoom-in", () => zoom(1.5));
  press("zoom-out", () => zoom(1 / 1.5));
  press("zoom-fit", whole);
  viewer.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const slides = event.target === split && event.key.startsWith("Arrow");
    const does = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), m: () => maskButton.disabled || showMask(!view.mask),
      "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: whole }[event.key];
    if (!does || slides) return;
    event.preventDefault();
    does();
  });

  // one finger slides, or moves what is zoomed unless it takes the handle; two fingers zoom
  const fingers = new Map();
  let grip = "";
  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 };
  };
  const spread = () => {
    const [one, two] = [...fingers.values()];
    return { wide: Math.hypot(one.x - two.x, one.y - two.y) || 1, x: (one.x + two.x) / 2, y: (one.y + two.y) / 2 };
  };
  const slide = (event) => {
    const box = picture.getBoundingClientRect();
    split.value = 100 * (event.clientX - box.left) / box.width;
    paint();
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button") || event.button) return;
    fingers.set(event.pointerId, at(event));
    stage.setPointerCapture(event.pointerId);
    const box = handle.getBoundingClientRect();
    const near = Math.abs(event.clientX - box.left - box.width / 2) < 24;
    grip = !split.disabled && (view.zoom === 1 || near) ? "slide" : "move";
    if (fingers.size === 1 && grip === "slide") slide(event);
  });
  stage.addEventListener("pointermove", (event) => {
    const old = fingers.get(event.pointerId);
    if (!old) return;
    const now = at(event), was = fingers.size === 2 && spread();
    fingers.set(event.pointerId, now);
    if (fingers.size === 2) {
      const is = spread();
      view.x += is.x - was.x;
      view.y += is.y - was.y;
      zoom(is.wide / was.wide, is.x, is.y);
    } else if (grip === "slide") {
      slide(event);
    } else {
      view.x += now.x - old.x;
      view.y += now.y - old.y;
      paint();
    }
  });
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, (event) => { fingers.delete(event.pointerId); grip = fingers.size ? "move" : ""; });
  }
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { x, y } = at(event);
    zoom(Math.exp(-event.deltaY / 300), x, y);
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => {
    if (event.target.closest("button")) return;
    const { x, y } = at(event);
    if (view.zoom > 1) whole(); else zoom(3, x, y);
  });
})();
