// The first page with open access: begin, or go on with the link that this browser used last.
"use strict";

(() => {
  const KEPT = "oldphoto-study";
  const message = document.getElementById("message");
  const begin = document.getElementById("begin");

  begin.addEventListener("click", async () => {
    begin.disabled = true;
    message.textContent = "";
    try {
      const reply = await fetch("/begin", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
      const content = await reply.json();
      if (reply.ok) {
        // replaced, so that going back does not lead to a second beginning
        location.replace(content.link);
        return;
      }
      message.textContent = content.error;
    } catch {
      message.textContent = "The study does not answer. Try again.";
    }
    begin.disabled = false;
  });

  async function offerToContinue() {
    const link = localStorage.getItem(KEPT) || "";
    if (!/^\/p\/[\w-]+$/.test(link)) return;
    const reply = await fetch(`${link}/state`);
    if (!reply.ok) return;
    document.getElementById("continue-link").href = link;
    document.getElementById("continue").hidden = false;
    begin.textContent = "Begin as somebody else";
    begin.classList.remove("strong");
  }

  offerToContinue().catch(() => {});
})();
