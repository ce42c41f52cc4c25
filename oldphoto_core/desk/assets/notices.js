// What the page says: one line about the last action, and notices that stand as long as their reason.
const byId = (id) => document.getElementById(id);
const notices = { away: "", working: "", problems: "" };

export const say = (text, wrong = false) => { byId("said").textContent = text; byId("said").classList.toggle("wrong", wrong); };
function notice(what, text) {
  notices[what] = text;
  const all = Object.values(notices).filter(Boolean).join(" ");
  byId("notice").textContent = all;
  byId("notice").hidden = !all;
}
export const away = (now) => notice("away", now ? "The server does not answer; trying again. Nothing that was said to be stored is lost." : "");
export function told(news) {
  notice("working", news.working.length ? `Run ${news.working.join(", ")} is under way or was stopped: its results show as they come.` : "");
  notice("problems", news.problems.length ? `Not read: ${news.problems.join("; ")}` : "");
}
