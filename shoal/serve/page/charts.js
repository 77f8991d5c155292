"use strict";
// Lines over the latest minutes, with a mark where a device was lost and a band until items went another way.
const charts = (() => {
  const NS = "http://www.w3.org/2000/svg";
  const LEFT = 54, RIGHT = 8, TOP = 16, BOTTOM = 20, MOST_MINUTES = 5, MOST_WORDS = 36;

  function add(parent, kind, attributes, text) {
    const made = document.createElementNS(NS, kind);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  // The least of 1, 2, 2.5, 4, 5 × 10^n that is at least `figure`.
  function rounded(figure) {
    const power = 10 ** Math.floor(Math.log10(figure));
    return [1, 2, 2.5, 4, 5, 10].find((each) => each * power >= figure * 0.999) * power;
  }

  // One path; a gap of more than five seconds, or a missing figure, interrupts it.
  function line(points, key, x, y) {
    let text = "", last = -Infinity;
    for (const point of points) {
      const figure = point[key];
      if (figure === null || figure === undefined) { last = -Infinity; continue; }
      text += (point.time_s - last > 5 ? "M" : "L") + x(point.time_s).toFixed(1) + " " + y(figure).toFixed(1);
      last = point.time_s;
    }
    return text;
  }

  // `series`: [key, class]; `losses`: [{time_s, until_s, text}]; `switches`: [time_s]; `label`: figure → text.
  function draw(svg, points, now_s, series, losses, switches, label) {
    const width = svg.clientWidth || 400, height = svg.clientHeight || 190;
    const minutes = Math.min(MOST_MINUTES, Math.max(1, Math.ceil((now_s - (points[0]?.time_s ?? now_s)) / 60)));
    const span_s = minutes * 60, from_s = now_s - span_s;
    const seen = points.filter((point) => point.time_s >= from_s);
    const figures = seen.flatMap((point) => series.map(([key]) => point[key] ?? 0));
    const top = rounded(Math.max(...figures, 1e-3) * 1.08);
    const x = (time_s) => LEFT + (Math.max(time_s, from_s) - from_s) / span_s * (width - LEFT - RIGHT);
    const y = (figure) => height - BOTTOM - Math.min(figure, top) / top * (height - TOP - BOTTOM);
    const kept = document.createDocumentFragment();
    for (const share of [0, 0.5, 1]) {
      add(kept, "line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(top * share), y2: y(top * share) });
      add(kept, "text", { x: LEFT - 6, y: y(top * share) + 4, "text-anchor": "end" }, label(top * share));
    }
    const step_s = minutes === 1 ? 15 : 60;
    for (let back_s = 0; back_s < span_s; back_s += step_s) {
      const words = back_s === 0 ? "now" : minutes === 1 ? `−${back_s} s` : `−${back_s / 60} min`;
      add(kept, "text", { x: x(now_s - back_s), y: height - 5, "text-anchor": back_s ? "middle" : "end" }, words);
    }
    for (const time_s of switches.filter((each) => each >= from_s))
      add(kept, "line", { class: "switch", x1: x(time_s), x2: x(time_s), y1: TOP, y2: height - BOTTOM });
    for (const loss of losses.filter((each) => (each.until_s ?? now_s) >= from_s)) {
      const begins = x(loss.time_s), ends = x(loss.until_s ?? now_s);
      add(kept, "rect", { class: "band", x: begins, y: TOP, width: Math.max(0, ends - begins), height: height - TOP - BOTTOM });
      add(kept, "line", { class: "marker", x1: begins, x2: begins, y1: TOP, y2: height - BOTTOM });
      const right = begins > width * 0.6;
      add(kept, "text", { class: "marked", x: begins + (right ? -4 : 4), y: TOP - 4, "text-anchor": right ? "end" : "start" },
        loss.text.length > MOST_WORDS ? `${loss.text.slice(0, MOST_WORDS)}…` : loss.text);
    }
    for (const [key, kind] of series) add(kept, "path", { class: kind, d: line(seen, key, x, y) });
    svg.replaceChildren(kept);
  }

  return { draw };
})();
