// What is known of a photo, beside its pictures. Texts come in by textContent alone.
import { element, percent } from "./queue.js";

export const SAID = { accept: "accepted", reject: "rejected", redo: "sent back" };

function decided({ verdict, reviewer, time, note }) {
  return `${SAID[verdict]} by ${reviewer}, ${time.slice(0, 16).replace("T", " ")} UTC${note ? `: ${note}` : ""}`;
}
// `page`: what is to be said of the page that is shown
export function showFacts(photo, page) {
  const share = (value) => value !== undefined && percent(value);
  const facts = [["Page", page], ["Damage", share(photo.mask_coverage)], ["Doubt", share(photo.doubt)], ["Changed", share(photo.changed_share)],
    ["Size", photo.size && `${photo.size[0]} × ${photo.size[1]}`], ["Why", photo.detail], ["Look at", photo.tone_warning],
    ["Run", photo.run_id], ["Last decision", photo.decision && decided(photo.decision)]];
  const rows = facts.filter(([, text]) => text).map(([name, text]) => element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: text })));
  document.getElementById("facts").replaceChildren(...rows);
}
