// The page: opens photos, keeps what was corrected, sends decisions, listens to keys.
import { Refused, bytes, get, onAway, picture, post, put } from "./api.js";
import { Mask } from "./mask.js";
import { Queue, element, percent } from "./queue.js";
import { Stage } from "./stage.js";
import { Tools } from "./tools.js";

const byId = (id) => document.getElementById(id);
const SAID = { accept: "accepted", reject: "rejected", redo: "sent back" };
const ACTIVITY_MS = 5000;
const who = crypto.randomUUID?.() ?? String(Math.random()).slice(2);
const stage = new Stage(byId("canvas"));
const tools = new Tools(stage, (what) => changed(what));
const queue = new Queue((key) => open(key));
let photo = null, turn = 0, protectedChanged = false, busy = false, blinking = 0;

// --- what is said -----------------------------------------------------------------------------------------------
const say = (text, wrong = false) => { byId("said").textContent = text; byId("said").classList.toggle("wrong", wrong); };
const notices = { away: "", working: "", problems: "" };
function notice(what, text) {
  notices[what] = text;
  const all = Object.values(notices).filter(Boolean).join(" ");
  byId("notice").textContent = all;
  byId("notice").hidden = !all;
}
onAway((away) => notice("away", away ? "The server does not answer; trying again. Nothing that was said to be stored is lost." : ""));
function told(news) {
  notice("working", news.working.length ? `Run ${news.working.join(", ")} is under way or was stopped: its results show as they come.` : "");
  notice("problems", news.problems.length ? `Not read: ${news.problems.join("; ")}` : "");
}

// --- one photo --------------------------------------------------------------------------------------------------
async function open(key) {
  const mine = ++turn;
  if (photo && unsaved() && photo.key !== key && !confirm("What you corrected on this photo was not sent with a decision. Leave it?")) return;
  queue.current = key;
  queue.mark();
  queue.button(key)?.scrollIntoView({ block: "nearest" });
  document.body.classList.add("looking");
  byId("key").textContent = key;
  byId("state").textContent = "opening";
  try {
    const opened = await get("/api/photo", { key });
    if (mine !== turn) return;
    photo = opened;
    protectedChanged = false;
    stage.open(opened);
    stage.protected = (opened.decision?.protected ?? []).map((region) => [...region]);
    byId("note").value = "";
    byId("mode").value = opened.mode;
    byId("strength").value = Math.round(100 * (opened.decision?.strength ?? opened.strength));
    show();
    activity();
    if (opened.size && opened.pages === 1) await loadMask(mine);
  } catch (error) {
    if (mine === turn) { photo = null; stage.photo = null; stage.draw(); byId("state").textContent = ""; say(error.message, true); }
  }
}
async function loadMask(mine = turn) {
  const [width, height] = photo.size, opened = photo;
  try {
    const bits = await bytes("/api/mask", { id: opened.id });
    if (mine !== turn) return;
    stage.mask = new Mask(width, height, bits);
  } catch (error) {
    if (mine !== turn) return;
    photo.problems.push(`mask: ${error.message}`);
    show();
  }
  stage.draw();
  enable();
}
const unsaved = () => Boolean(stage.mask?.dirty) || protectedChanged;
function changed(what) {
  if (what === "split") byId("split").value = Math.round(100 * stage.split);
  else if (what === "protected") protectedChanged = true;
  else stage.preview = null;
  stage.draw();
  show();
}
function show() {
  const last = photo.decision, both = photo.pictures.length > 1;
  byId("state").textContent = [photo.status === "failed" ? `failed: ${photo.reason}` : photo.state, unsaved() && "corrected, not sent yet"].filter(Boolean).join("; ");
  const facts = [["Damage", photo.mask_coverage !== undefined && percent(photo.mask_coverage)], ["Doubt", photo.doubt !== undefined && percent(photo.doubt)],
    ["Changed", photo.changed_share !== undefined && percent(photo.changed_share)], ["Size", photo.size && `${photo.size[0]} × ${photo.size[1]}`], ["Why", photo.detail], ["Look at", photo.tone_warning],
    ["Run", photo.run_id], ["Last decision", last && `${SAID[last.verdict]} by ${last.reviewer}, ${last.time.slice(0, 16).replace("T", " ")} UTC${last.note ? `: ${last.note}` : ""}`],
    ["Pages", photo.pages > 1 && `${photo.pages}; the first one is shown. Their masks are not corrected here, but as a TIFF with a mask for each page, in reviews/masks`]];
  byId("facts").replaceChildren(...facts.filter(([, text]) => text).map(([name, text]) => element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: text }))));
  byId("problems").textContent = photo.problems.join("; ");
  byId("problems").hidden = !photo.problems.length;
  byId("empty").textContent = "No picture of this photo can be shown.";
  byId("empty").hidden = Boolean(photo.size);
  byId("tag-before").hidden = byId("tag-after").hidden = !both || stage.shown !== "both";
  byId("split").disabled = !both;
  enable();
}
function enable() {
  for (const button of document.querySelectorAll("[data-tool]")) {
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
    const made = await send(verdict, reviewer, id.slice(0, 60));
    say(`${key}: ${SAID[verdict]}`);
    photo.decision = made.decision;
    photo.state = made.state;
    if (stage.mask) stage.mask.dirty = false;
    protectedChanged = false;
    queue.decided(key, made.state);
    const next = await queue.after(key);
    if (next && next !== key) await open(next); else { show(); await queue.load(); if (!queue.rows.length) say(`${key}: ${SAID[verdict]}. That was the last one here.`); }
  } catch (error) {
    say(error.message, true);
    if (["DecidedMeanwhile", "NotWhatWasSeen"].includes(error.kind)) await refresh(key);
  } finally {
    busy = false;
  }
}
// a server that was started anew has forgotten the photo, not what was decided: open it there and go on
async function send(verdict, reviewer, id) {
  try {
    const mask = stage.mask?.dirty ? (await put("/api/mask", { id: photo.id }, stage.mask.bits())).sha256 : photo.decision?.mask ?? "";
    return await post("/api/decide", { key: photo.key, verdict, reviewer, note: byId("note").value, seen: photo.output_sha256, after: photo.decision?.number ?? 0, mask, protected: stage.protected, strength: strength() === photo.strength ? null : strength(), id });
  } catch (error) {
    if (!(error instanceof Refused) || error.kind !== "SourceMissing") throw error;
    const again = await get("/api/photo", { key: photo.key });
    if (again.output_sha256 !== photo.output_sha256 || String(again.size) !== String(photo.size)) throw error;
    photo.id = again.id;
    return send(verdict, reviewer, id);
  }
}
const strength = () => byId("strength").value / 100;
// what others decided, without losing what was corrected here
async function refresh(key) {
  const now = await get("/api/photo", { key });
  if (photo?.key !== key) return;
  const mine = turn, kept = unsaved() && String(now.size) === String(photo.size) ? [stage.mask, stage.protected] : null;
  if (now.id === photo.id) stage.photo = now; else stage.open(now);
  photo = now;
  if (kept) [stage.mask, stage.protected] = kept;
  else {
    stage.protected = (now.decision?.protected ?? []).map((region) => [...region]);
    protectedChanged = false;
    if (now.size && now.pages === 1) await loadMask(mine);
  }
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
  const [left, top, right, bottom] = stage.sight, [width, height] = photo.size, side = Math.min(512, photo.preview.largest), { context } = photo.preview;
  const w = Math.min(side, right - left), h = Math.min(side, bottom - top), x = Math.round((left + right - w) / 2), y = Math.round((top + bottom - h) / 2);
  const [l, t, r, b] = [Math.max(0, x - context), Math.max(0, y - context), Math.min(width, x + w + context), Math.min(height, y + h + context)];
  byId("preview-state").textContent = "restoring";
  const mine = turn;
  try {
    const image = await picture("/api/preview", { id: photo.id, left: x, top: y, width: w, height: h, mode: byId("mode").value, tone: byId("tone").value / 100, strength: strength() }, stage.mask.bits(l, t, r - l, b - t));
    if (mine !== turn) return;
    stage.preview = { image, left: x, top: y };
    if (stage.shown === "before") stage.shown = "both";
    byId("preview-state").textContent = `${w} × ${h} pixels`;
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
on("revert", async () => { stage.protected = (photo.decision?.protected ?? []).map((region) => [...region]); protectedChanged = false; await loadMask(); show(); });
on("preview", preview);
on("to-queue", () => document.body.classList.remove("looking"));
on("reviewer", () => localStorage.setItem("reviewer", byId("reviewer").value), "change");

const KEYS = {
  a: () => decide("accept"), r: () => decide("redo"), x: () => decide("reject"), j: () => step(1), k: () => step(-1),
  ArrowDown: () => step(1), ArrowUp: () => step(-1), ArrowLeft: () => slide(-0.05), ArrowRight: () => slide(0.05),
  b: () => byId("blink").disabled || blink(!blinking), m: masked, 0: () => stage.fit(), 1: actual, "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5),
  p: () => tool("paint"), e: () => tool("erase"), c: () => tool("component"), g: () => tool("protect"), l: () => tool("look"),
  "[": () => size(Math.floor(tools.size / 1.3)), "]": () => size(Math.ceil(tools.size * 1.3)), z: undo, v: preview,
  "/": () => byId("search").focus(), n: () => byId("note").focus(), Escape: () => { stage.preview = null; tool("look"); },
};
addEventListener("keydown", (event) => {
  const typing = event.target.matches("textarea, select, input:not([type=range])");
  if (typing && event.key === "Escape") event.target.blur();
  const undoes = event.key === "z" && (event.ctrlKey || event.metaKey);
  if (typing || event.altKey || ((event.ctrlKey || event.metaKey) && !undoes)) return;
  if (event.target.matches("input[type=range]") && event.key.startsWith("Arrow")) return;
  const does = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!does) return;
  event.preventDefault();
  does();
});
addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); });

// --- begin ------------------------------------------------------------------------------------------------------
window.desk = { stage, tools, queue, get photo() { return photo; }, get busy() { return busy; } };
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
