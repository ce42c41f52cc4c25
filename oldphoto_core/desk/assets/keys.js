// Keys of the keyboard, unless somebody types text.
export function listen(actions) {
  addEventListener("keydown", (event) => {
    const typing = event.target.matches("textarea, select, input:not([type=range])");
    if (typing && event.key === "Escape") event.target.blur();
    const undoes = event.key === "z" && (event.ctrlKey || event.metaKey);
    if (typing || event.altKey || ((event.ctrlKey || event.metaKey) && !undoes)) return;
    if (event.target.matches("input[type=range]") && event.key.startsWith("Arrow")) return;
    const does = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!does) return;
    event.preventDefault();
    does();
  });
}
