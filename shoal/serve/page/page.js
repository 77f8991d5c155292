"use strict";
// Listens to the service and shows it: a state every second, happenings at once.
(() => {
  const at = (id) => document.getElementById(id);
  const KEPT_POINTS = 600, KEPT_HAPPENINGS = 300, SOON_S = 10, SHOWN_S = 10;
  let points = [], happenings = [], state = null, connected = false;

  // The device that a happening is about: its own name, or that of one of its units; none if it is about a plan.
  const deviceOf = (subject) => (subject.includes(" ") ? null : state?.devices.find((it) => it.name === subject.split("/")[0])?.name);
  const ends = (it) => (it.kind === "lost" || it.kind === "left") && deviceOf(it.subject);

  // A loss that the running plan felt is followed by a switch of plans soon; the time between is that of the decision, not of the first answer after it.
  function losses() {
    return happenings.filter(ends).map((it) => {
      const next = happenings.find((other) => other.number > it.number && other.kind === "switched" && other.time_s - it.time_s < SOON_S);
      return { ...it, until_s: next?.time_s, text: next ? `${it.subject}: switched after ${show.seconds(next.time_s - it.time_s)}` : it.subject };
    });
  }

  function drawCharts() {
    if (!state) return;
    const lost = losses(), switches = happenings.filter((it) => it.kind === "switched").map((it) => it.time_s);
    // A service that cannot switch stays lost until it is ready again.
    const open = lost.map((it) => (it.until_s === undefined && state.ready ? { ...it, until_s: it.time_s } : it));
    const now_s = state.time_s;
    charts.draw(at("latency"), points, now_s, [["p50", "p50"], ["p99", "p99"]], open, switches, show.seconds);
    charts.draw(at("throughput"), points, now_s, [["rate", "rate"], ["queued", "queued"]], open, switches, show.digits);
  }

  function drawStatus() {
    const ready = connected && state?.ready && !state.draining;
    const words = !connected ? "no connection" : state?.draining ? "ending" : state?.ready ? "serving" : "not ready";
    show.text(at("status"), words);
    at("status").className = `pill ${ready ? "good" : "bad"}`;
  }

  function drawState() {
    const latency = (name) => (state.latency_s[name] === undefined ? "–" : show.seconds(state.latency_s[name]));
    show.text(at("rate"), `${show.digits(state.throughput_items_per_s)} /s`);
    show.text(at("p50"), latency("p50"));
    show.text(at("p99"), latency("p99"));
    show.text(at("flight"), `${state.in_flight} of ${state.window}`);
    show.text(at("queue"), `${state.queued} of ${state.queue_limit}`);
    show.text(at("energy"), state.energy_j_per_item === null ? "–" : show.joules(state.energy_j_per_item));
    show.text(at("facts"), `epoch ${state.epoch} · since ${show.clock(state.began_s)} · ${state.answered} answered, ` +
      `${state.resent} begun again, ${state.failed} failed, ${state.refused} refused`);
    const recent = happenings.filter((it) => ends(it) && state.time_s - it.time_s < SHOWN_S);
    show.fleet(state.devices, new Map(recent.map((it) => [deviceOf(it.subject), it])));
    show.pipeline(state);
    show.standbys(state.standbys);
    drawStatus();
    drawRecoveries();
    drawCharts();
  }

  function entry(it) {
    const row = show.make("li", it.kind), words = show.make("span", "", it.text);
    row.dataset.number = it.number;
    const when = show.make("time", "", show.clock(it.time_s));
    when.dateTime = new Date(it.time_s * 1000).toISOString();
    const what = show.make("span");
    what.append(show.make("b", "", it.kind));
    words.prepend(show.make("b", "", `${it.subject} `));
    row.append(when, what, words);
    return row;
  }

  function drawRecoveries() {
    for (const it of losses()) {
      const row = at("log").querySelector(`[data-number="${it.number}"]`);
      if (!row || it.until_s === undefined || row.querySelector(".recovered")) continue;
      row.lastChild.append(show.make("span", "recovered done", ` · switched ${show.seconds(it.until_s - it.time_s)} after it was noticed`));
    }
  }

  function happened(it) {
    if (happenings.some((other) => other.number === it.number)) return;
    happenings.push(it);
    at("log").prepend(entry(it));
    if (happenings.length > KEPT_HAPPENINGS) {
      happenings.shift();
      at("log").lastChild.remove();
    }
    if (state) drawState();
  }

  const source = new EventSource("v1/events");
  source.addEventListener("open", () => { connected = true; drawStatus(); });
  source.addEventListener("error", () => { connected = false; drawStatus(); });
  source.addEventListener("history", (event) => { points = JSON.parse(event.data); });
  source.addEventListener("happening", (event) => happened(JSON.parse(event.data)));
  source.addEventListener("state", (event) => {
    const came = JSON.parse(event.data);
    if (state && came.began_s !== state.began_s) location.reload(); // another service: its numbers begin anew
    state = came;
    if (!points.length || points[points.length - 1].time_s < state.time_s)
      points.push({ time_s: state.time_s, p50: state.latency_s.p50 ?? null, p99: state.latency_s.p99 ?? null,
        rate: state.throughput_items_per_s, queued: state.queued });
    if (points.length > KEPT_POINTS) points.shift();
    drawState();
    at("log").setAttribute("aria-live", "polite"); // what was before is not read out
  });
  new ResizeObserver(drawCharts).observe(at("latency"));
})();
