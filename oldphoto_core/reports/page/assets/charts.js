"use strict";
(() => {
  const { element, run } = window.oldphoto;
  const { charts } = run;
  const place = document.getElementById("charts");
  const W = 320, H = 132, LEFT = 36, BOTTOM = 20, TOP = 8;

  const svg = (name, attributes = {}, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const short = (number) => number >= 1000 ? `${+(number / 1000).toPrecision(2)}k` : `${+number.toPrecision(2)}`;
  const share = (value) => `${+(value * 100).toPrecision(2)}%`;
  const time = (seconds) => seconds < 100 ? `${Math.round(seconds)} s` : seconds < 6000 ? `${Math.round(seconds / 60)} min`
    : `${(seconds / 3600).toFixed(1)} h`;
  const nice = (most) => {
    const power = 10 ** Math.floor(Math.log10(most || 1));
    return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= most);
  };

  const figure = (title, note, drawing) =>
    place.append(element("figure", {}, element("figcaption", {}, element("b", {}, title), element("span", {}, note)), drawing));

  const bars = (title, note, values, told, ticks) => {
    const most = nice(Math.max(...values));
    const drawing = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${title}. ${note}` });
    const height = H - BOTTOM - TOP, width = (W - LEFT) / values.length;
    for (const part of [0, 0.5, 1]) {
      const y = TOP + height * (1 - part);
      drawing.append(svg("line", { class: part ? "rule" : "axis", x1: LEFT, x2: W, y1: y, y2: y }),
        svg("text", { x: LEFT - 6, y: y + 3.5, "text-anchor": "end" }, short(most * part)));
    }
    values.forEach((value, number) => {
      const tall = value ? Math.max(1.5, height * value / most) : 0;
      const bar = svg("rect", { class: "column", x: LEFT + width * number + Math.min(1, width * 0.1), y: TOP + height - tall,
        width: Math.max(0.5, width - Math.min(2, width * 0.2)), height: tall, rx: Math.min(2, width / 4) });
      bar.append(svg("title", {}, told(number, value)));
      drawing.append(bar);
    });
    for (const [part, text, anchor] of ticks) {
      drawing.append(svg("text", { x: LEFT + (W - LEFT) * part, y: H - 5, "text-anchor": anchor }, text));
    }
    figure(title, note, drawing);
  };

  const spans = (count, label) => (number) => `${label(number / count)} to ${label((number + 1) / count)}`;

  const throughput = () => {
    const { seconds, megapixels_per_second: speed, photos_per_minute: photos } = charts.throughput;
    const span = spans(speed.length, (part) => time(part * seconds));
    const mean = seconds ? run.summary.megapixels / seconds : 0;
    bars("Throughput", `megapixels a second; mean ${short(mean)}`, speed,
      (number, value) => `${span(number)}: ${short(value)} MP/s, ${short(photos[number])} photos a minute`,
      [[0, "0", "start"], [1, time(seconds), "end"]]);
  };
  const shares = (title, chart, what, labels) => {
    const { borders, counts, none, unknown } = chart;
    const known = counts.reduce((sum, count) => sum + count, 0) + none;
    const rest = [none && `none in ${none}`, unknown && known && `${unknown} not judged`].filter(Boolean).join(", ");
    if (!known) return figure(title, "", element("p", { class: "nothing" }, `No photo of this run has a figure for its ${what}.`));
    return bars(title, `photos by ${what}${rest ? `; ${rest}` : ""}`, counts,
      (number, value) => `${share(borders[number])} to ${share(borders[number + 1])}: ${value} photos`,
      labels.map((at) => [at / counts.length, share(borders[at]), at === 0 ? "start" : at === counts.length ? "end" : "middle"]));
  };
  const failures = () => {
    const most = Math.max(1, ...charts.failures.map(([, count]) => count));
    const list = element("ul", { class: "reasons" });
    for (const [reason, count] of charts.failures) {
      const line = element("span", { class: "line" });
      line.style.width = `${100 * count / most}%`;
      list.append(element("li", {}, element("span", { class: "reason" }, reason), element("span", { class: "number" }, String(count)), line));
    }
    figure("Reasons of failure", charts.failures.length ? "photos by reason" : "",
      charts.failures.length ? list : element("p", { class: "nothing good" }, "No photo failed."));
  };

  throughput();
  shares("Damage found", charts.coverage, "share of the picture judged damaged", [0, 2, 5, 8, 11]);
  shares("Pixels changed", charts.changed, "share of pixels that differ from the master's", [0, 5, 10, 15, 20]);
  failures();
})();
