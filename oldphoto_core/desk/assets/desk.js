// The page: opens photos, keeps what was corrected, sends decisions.
import { Refused, bytes, get, onAway, post, put } from "./api.js";
import { SAID, showFacts } from "./facts.js";
import { listen } from "./keys.js";
import { Mask } from "./mask.js";
import { away, say, told } from "./notices.js";
import { Pages } from "./pages.js";
import { previewed } from "./preview.js";
import { Queue } from "./queue.js";
import { Stage } from "./stage.js";
import { Tools } from "./tools.js";

const byId = (id) => document.getElementById(id);
const ACTIVITY_MS = 5000;
const who = crypto.randomUUID?.() ?? String(Math.random()).slice(2);
const stage = new Stage(byId("canvas"));
const tools = new Tools(stage, (what) => changed(what));
const queue = new Queue((key) => open(key));
const pages = new Pages((page) => turnTo(page));
let photo = null, turn = 0, protectedChanged = false, busy = false, blinking = 0, finding = false;
onAway(away);
// the server keeps the tiles of a few photos: it makes these again
stage.lost = async () => {
  if (!photo || finding) return;
  finding = true;
  await get("/api/photo", { key: photo.key, page: photo.page }).catch(() => null);
  setTimeout(() => { finding = false; }, ACTIVITY_MS);
};

// --- one photo --------------------------------------------------------------------------------------------------
// another page of the same photo: what was corrected on this one is kept
async function open(key, page = photo?.key === key ? photo.page : 1) {
  const same = photo?.key === key;
  if (photo && unsaved() && !same && !confirm("What you corrected on this photo was not sent with a decision. Leave it?")) return;
  const mine = ++turn;
  queue.current = key;
  queue.mark();
  queue.button(key)?.scrollIntoView({ block: "nearest" });
  document.body.classList.add("looking");
  byId("key").textContent = key;
  byId("state").textContent = "opening";
  try {
    const opened = await get("/api/photo", { key, page });
    if (mine !== turn) return;
    tools.stop();
    if (same) pages.keep(photo, stage.mask); else begin(opened);
    if (same && opened.decision && opened.decision.number !== (photo.decision?.number ?? 0)) say(`${opened.decision.reviewer} decided about this photo meanwhile.`, true);
    photo = opened;
    stage.open(opened);
    if (!protectedChanged) stage.protected = storedRegions();
    show();
    activity();
    if (opened.correctable) await loadMask(mine);
  } catch (error) {
    if (mine !== turn) return;
    say(error.message, true);
    if (same) return stay(mine);
    photo = stage.photo = null;
    stage.draw();
    byId("state").textContent = "";
  }
}
// another page could not be had: this one goes on
async function stay(mine) {
  show();
  if (photo.correctable && !stage.mask) await loadMask(mine);
}
function begin(opened) {
  pages.drop();
  protectedChanged = false;
  byId("others").hidden = true;  // it was about the photo before
  byId("note").value = "";
  byId("mode").value = opened.mode;
  byId("strength").value = Math.round(100 * (opened.decision?.strength ?? opened.strength));
}
async function turnTo(page) {
  if (!photo || busy) return;
  if (page >= 1 && page <= photo.pages && page !== photo.page) { pages.chooser.value = page; await open(photo.key, page); } else pages.show(photo);
}
const storedRegions = () => (photo.decision?.protected ?? []).map((region) => [...region]);
// the mask that was kept, or is stored; one that was painted on meanwhile stays, unless it is to be `dropped`
async function loadMask(mine = turn, dropped = false) {
  const [width, height] = photo.size, opened = photo;
  try {
    const kept = pages.take(opened), bits = kept ? null : await bytes("/api/mask", { id: opened.id });
    if (mine !== turn || (stage.mask?.dirty && !dropped)) return;
    stage.mask = kept ?? new Mask(width, height, bits);
  } catch (error) {
    if (mine !== turn) return;
    photo.problems.push(`mask: ${error.message}`);
    show();
  }
  stage.draw();
  show();
}
const unsent = () => (photo ? pages.unsent(photo, stage.mask) : []);
const unsaved = () => protectedChanged || unsent().length > 0;
function changed(what) {
  if (what === "split") byId("split").value = Math.round(100 * stage.split);
  else if (what === "protected") protectedChanged = true;
  else stage.preview = null;
  stage.draw();
  show();
}
function show() {
  const both = photo.pictures.length > 1;
  const corrected = photo.pages > 1 && unsent().length ? `page ${unsent().join(", ")} corrected, not sent yet` : unsaved() && "corrected, not sent yet";
  byId("state").textContent = [photo.status === "failed" ? `failed: ${photo.reason}` : photo.state, corrected].filter(Boolean).join("; ");
  showFacts(photo, pages.about(photo));
  pages.show(photo);
  byId("problems").textContent = photo.problems.join("; ");
  byId("problems").hidden = !photo.problems.length;
  byId("empty").textContent = "No picture of this photo can be shown.";
  byId("empty").hidden = Boolean(photo.size);
  byId("tag-before").hidden = byId("tag-after").hidden = !both || stage.shown !== "both";
  byId("split").disabled = !both;
  enable();
}
function enable() {
  for (const button of document.querySelectorAll("button[data-tool]")) {
    button.disabled = !tools.can(button.dataset.tool);
    button.setAttribute("aria-pressed", String(button.dataset.tool === tools.name));
  }
  byId("show-mask").setAttribute("aria-pressed", String(stage.showMask));
  byId("show-mask").disabled = byId("revert").disabled = !stage.mask;
  byId("undo").disabled = !stage.mask?.steps.length;
  byId("preview").disabled = !photo?.pictures.includes("before") || !stage.mask;
  byId("blink").disabled = !photo || photo.pictures.length < 2;
}

// --- decisions --------------------------------------------------------------------------------------------------
async function decide(verdict) {
  if (!photo || busy) return;
  const reviewer = byId("reviewer").value.trim();
  if (!reviewer) { say("Give your name first: it stands in the decision.", true); byId("reviewer").focus(); return; }
  busy = true;
  say("storing");
  const { key } = photo, id = who + Math.random().toString(36).slice(2);
  try {
    const made = await send(photo, verdict, reviewer, id.slice(0, 60));
    say(`${key}: ${SAID[verdict]}`);
    queue.decided(key, made.state);
    if (photo?.key !== key) return;
    photo.decision = made.decision;
    photo.state = made.state;
    if (stage.mask) stage.mask.dirty = false;
    pages.drop();
    protectedChanged = false;
    const next = await queue.after(key);
    if (next && next !== key) await open(next); else { show(); await queue.load(); if (!queue.rows.length) say(`${key}: ${SAID[verdict]}. That was the last one here.`); }
  } catch (error) {
    say(error.message, true);
    if (["DecidedMeanwhile", "NotWhatWasSeen"].includes(error.kind)) await refresh(key);
  } finally {
    busy = false;
  }
}
// about the photo as it is shown now, whatever is opened meanwhile
async function send(shown, verdict, reviewer, id) {
  const base = shown.decision?.mask ?? "", numbers = unsent(), bits = pages.bits(shown, stage.mask, numbers);
  const decision = { key: shown.key, verdict, reviewer, note: byId("note").value, seen: shown.output_sha256, after: shown.decision?.number ?? 0,
    protected: stage.protected, strength: strength() === shown.strength ? null : strength(), id };
  const mask = numbers.length ? await store(shown, { pages: numbers.join(","), base }, bits) : base;
  return post("/api/decide", { ...decision, mask });
}
// a server that was started anew has forgotten the photo, not what was decided: open it there and go on
async function store(shown, asked, bits, tries = 3) {
  try {
    return (await put("/api/mask", { id: shown.id, ...asked }, bits)).sha256;
  } catch (error) {
    if (!(error instanceof Refused) || error.kind !== "SourceMissing" || tries < 2) throw error;
    const again = await get("/api/photo", { key: shown.key, page: shown.page });
    if (again.output_sha256 !== shown.output_sha256 || String(again.size) !== String(shown.size)) throw error;
    shown.id = again.id;
    return store(shown, asked, bits, tries - 1);
  }
}
const strength = () => byId("strength").value / 100;
// what others decided, without losing what was corrected here
async function refresh(key) {
  const { page } = photo, mine = turn, now = await get("/api/photo", { key, page });
  if (mine !== turn || photo?.key !== key) return;
  const kept = stage.mask?.dirty && String(now.size) === String(photo.size) ? stage.mask : null;
  if (now.id === photo.id) stage.photo = now; else stage.open(now);
  photo = now;
  if (!protectedChanged) stage.protected = storedRegions();
  stage.mask = kept ?? stage.mask;
  if (!kept && now.correctable) await loadMask(mine);
  stage.draw();
  show();
  queue.decided(key, now.state);
}
async function activity() {
  try {
    const news = await get("/api/activity", { key: photo?.key ?? "", who, reviewer: byId("reviewer").value });
    told(news);
    queue.taken = news.taken;
    queue.mark();
    const other = photo && news.taken[photo.key];
    byId("others").hidden = other === undefined || other === null;
    byId("others").textContent = other === undefined ? "" : `${other || "Somebody"} looks at this photo, too.`;
    if (photo && !busy && news.number !== (photo.decision?.number ?? 0)) await refresh(photo.key);
    if (activity.decided !== undefined && activity.decided !== news.decided && !busy && queue.page?.begin === 0) await queue.load();
    activity.decided = news.decided;
  } catch (error) {
    if (error.kind !== "Away") say(error.message, true);
  }
}

// --- preview ----------------------------------------------------------------------------------------------------
async function preview() {
  if (byId("preview").disabled) return;
  byId("preview-state").textContent = "restoring";
  const mine = turn;
  try {
    const made = await previewed(stage, photo, { mode: byId("mode").value, tone: byId("tone").value / 100, strength: strength() });
    if (mine !== turn) return;
    stage.preview = made;
    if (stage.shown === "before") stage.shown = "both";
    byId("preview-state").textContent = `${made.image.width} × ${made.image.height} pixels`;
    stage.draw();
  } catch (error) {
    byId("preview-state").textContent = error.message;
  }
}

// --- controls ---------------------------------------------------------------------------------------------------
const on = (id, does, event = "click") => byId(id).addEventListener(event, does);
function tool(name) {
  if (!tools.can(name)) return;
  tools.name = name;
  if (["paint", "erase", "component"].includes(name)) stage.showMask = true;
  stage.canvas.dataset.tool = name;
  stage.draw();
  enable();
}
function size(value) {
  tools.size = Math.max(1, Math.min(200, value));
  byId("size").value = byId("size-shown").value = tools.size;
}
function blink(onNow) {
  clearInterval(blinking);
  blinking = 0;
  stage.shown = "both";
  if (onNow) {
    stage.shown = "before";
    blinking = setInterval(() => { stage.shown = stage.shown === "before" ? "after" : "before"; stage.draw(); }, 700);
  }
  byId("blink").setAttribute("aria-pressed", String(onNow));
  if (photo) show();
  stage.draw();
}
function masked() { if (stage.mask) { stage.showMask = !stage.showMask; stage.draw(); enable(); } }
function undo() { if (stage.mask?.undo()) changed(); }
function slide(by) { stage.split = Math.max(0, Math.min(1, stage.split + by)); changed("split"); }
async function step(by) { const next = await queue.after(photo?.key ?? "", by); if (next) await open(next); }
const zoom = (factor) => photo?.size && stage.zoomTo(stage.view.scale * factor);
const actual = () => photo?.size && stage.zoomTo(stage.one);

for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => tool(button.dataset.tool));
for (const button of document.querySelectorAll("[data-verdict]")) button.addEventListener("click", () => decide(button.dataset.verdict));
on("split", () => { stage.split = byId("split").value / 100; stage.draw(); }, "input");
on("size", () => size(Number(byId("size").value)), "input");
for (const id of ["mode", "tone", "strength"]) on(id, () => stage.preview && preview(), "change");
on("blink", () => blink(!blinking));
on("zoom-in", () => zoom(1.5));
on("zoom-out", () => zoom(1 / 1.5));
on("zoom-fit", () => stage.fit());
on("zoom-one", actual);
on("show-mask", masked);
on("undo", undo);
on("revert", async () => {
  if (photo.page === 1) { stage.protected = storedRegions(); protectedChanged = false; }
  await loadMask(turn, true);
});
on("preview", preview);
on("to-queue", () => document.body.classList.remove("looking"));
on("reviewer", () => localStorage.setItem("reviewer", byId("reviewer").value), "change");

listen({
  PageUp: () => turnTo(pages.asked - 1), PageDown: () => turnTo(pages.asked + 1), ",": () => turnTo(pages.asked - 1), ".": () => turnTo(pages.asked + 1),
  a: () => decide("accept"), r: () => decide("redo"), x: () => decide("reject"), j: () => step(1), k: () => step(-1),
  ArrowDown: () => step(1), ArrowUp: () => step(-1), ArrowLeft: () => slide(-0.05), ArrowRight: () => slide(0.05),
  b: () => byId("blink").disabled || blink(!blinking), m: masked, 0: () => stage.fit(), 1: actual, "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5),
  p: () => tool("paint"), e: () => tool("erase"), c: () => tool("component"), g: () => tool("protect"), l: () => tool("look"),
  "[": () => size(Math.floor(tools.size / 1.3)), "]": () => size(Math.ceil(tools.size * 1.3)), z: undo, v: preview,
  "/": () => byId("search").focus(), n: () => byId("note").focus(), Escape: () => { stage.preview = null; tool("look"); },
});
addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); });

// --- begin ------------------------------------------------------------------------------------------------------
window.desk = { stage, tools, queue, pages, get photo() { return photo; }, get busy() { return busy; } };
(async () => {
  const page = await queue.load().catch((error) => { say(error.message, true); return null; });
  if (!page) return;
  byId("target").textContent = page.target;
  byId("reviewer").value ||= localStorage.getItem("reviewer") || page.reviewer;
  told(page);
  enable();
  if (!queue.current && queue.rows.length && matchMedia("(min-width: 760px)").matches) await open(queue.rows[0].key);
  setInterval(activity, ACTIVITY_MS);
})();
