"use strict";
// What each device is and does, as cards that stay in place and change in place.
const show = (() => {
  const text = (node, words) => { if (node.textContent !== words) node.textContent = words; };
  const clock = (time_s) => new Date(time_s * 1000).toLocaleTimeString("en-GB");
  const percent = (share) => `${Math.round(share * 100)} %`;
  const digits = (figure) => (figure >= 100 || figure === 0 ? figure.toFixed(0) : figure >= 10 ? figure.toFixed(1) : figure.toFixed(2));
  const seconds = (s) => (s < 1 ? `${digits(s * 1000)} ms` : `${digits(s)} s`);
  const joules = (j) => (j < 1 ? `${digits(j * 1000)} mJ` : j < 1000 ? `${digits(j)} J` : `${digits(j / 1000)} kJ`);
  const bytes = (b) => (b < 2 ** 30 ? `${digits(b / 2 ** 20)} MiB` : `${digits(b / 2 ** 30)} GiB`);

  function make(kind, className, words) {
    const made = document.createElement(kind);
    if (className) made.className = className;
    if (words !== undefined) made.textContent = words;
    return made;
  }

  // Children of `parent` by key, in order; `fill` makes and changes them.
  function keep(parent, items, key, fill) {
    const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
    const wanted = items.map((item) => {
      const name = String(key(item)), node = known.get(name) ?? make("li");
      node.dataset.key = name;
      fill(node, item);
      return node;
    });
    if (wanted.length !== parent.children.length || wanted.some((node, index) => parent.children[index] !== node))
      parent.replaceChildren(...wanted);
  }

  function gauge(parent, name, share, words, hot) {
    let row = [...parent.querySelectorAll(":scope > .gauge")].find((each) => each.dataset.name === name);
    if (!row) {
      row = make("div", "gauge");
      row.dataset.name = name;
      const track = make("span", "track");
      track.append(make("span", "fill"));
      row.append(make("span", "", name), track, make("span"));
      parent.append(row);
    }
    row.classList.toggle("hot", Boolean(hot));
    const known = share !== null && share !== undefined;
    row.querySelector(".fill").style.width = known ? `${Math.min(100, Math.max(0, share * 100))}%` : "0";
    row.querySelector(".track").hidden = share === undefined;
    text(row.lastElementChild, words);
  }

  // `lost`: what happened to it a moment ago, also if it has come back since.
  function device(card, it, lost) {
    if (!card.children.length) {
      card.append(make("h3"), make("p", "board"), make("p", "why"), make("div", "gauges"), make("div", "runs"));
      card.firstChild.append(make("b"), make("span"));
    }
    const [head, board, why, gauges, runs] = card.children;
    card.className = `device${it.present && !lost ? "" : " gone"}`;
    text(head.children[0], it.name);
    text(head.children[1], it.present ? (lost ? `✕ failed ${clock(lost.time_s)}` : "there") : `✕ gone ${clock(it.since_s)}`);
    text(board, it.board);
    const usual = it.present ? `since ${clock(it.since_s)}${it.why ? ` · ${it.why}` : ""}` : it.why || "no reason known";
    text(why, lost?.text || usual);
    why.title = it.why;
    const memory = it.memory_bytes, limit = it.memory_limit_bytes;
    gauge(gauges, "CPU", it.cpu_share, it.cpu_share === null ? "–" : percent(it.cpu_share));
    gauge(gauges, "memory", memory !== null && limit ? memory / limit : null,
      `${memory === null ? "–" : bytes(memory)}${limit ? ` of ${bytes(limit)}` : ""}`, memory !== null && limit && memory / limit > 0.9);
    gauge(gauges, "temperature", it.temperature_c === null ? null : it.temperature_c / 100,
      it.temperature_c === null ? "–" : `${it.temperature_c.toFixed(0)} °C`, it.temperature_c > 75);
    gauge(gauges, "energy", undefined, joules(it.energy_j));
    for (const row of [...runs.children])
      if (row.className === "none" ? it.units.length : !it.units.some((unit) => unit.unit === row.dataset.name)) row.remove();
    if (!it.units.length && !runs.children.length) runs.append(make("p", "none", "runs nothing in this plan"));
    for (const unit of it.units)
      gauge(runs, unit.unit, unit.busy_share, `${unit.busy_share === null ? "–" : percent(unit.busy_share)} · ${bytes(unit.weights_bytes)}`);
  }

  function fleet(devices, recent) {
    keep(document.getElementById("fleet"), devices, (it) => it.name, (card, it) => device(card, it, recent.get(it.name)));
    const there = devices.filter((it) => it.present).length;
    text(document.getElementById("there"), `${there} of ${devices.length} devices are there. Bars of units: share of the time they work, and their weights.`);
  }

  function pipeline(state) {
    const gone = new Set(state.devices.filter((it) => !it.present).map((it) => it.name));
    const units = new Map(state.devices.flatMap((it) => it.units).map((unit) => [unit.unit, unit]));
    const stages = state.pipeline.map((name, index) => ({ name, index }));
    keep(document.getElementById("pipeline"), stages, (it) => `${it.index} ${it.name}`, (node, it) => {
      if (!node.children.length) node.append(make("span"));
      node.className = gone.has(it.name.split("/")[0]) ? "gone" : "";
      const count = units.get(it.name)?.segments;
      text(node.firstChild, count ? `${it.name} · ${count} segment${count > 1 ? "s" : ""}` : it.name);
    });
    text(document.getElementById("pipeline-lead"),
      `Epoch ${state.epoch}: ${state.in_flight} items on their way through it, at most ${state.window} at once; ${state.queued} wait.`);
  }

  function standbys(found) {
    keep(document.getElementById("standbys"), Object.entries(found), ([loss]) => loss, (node, [loss, plan]) => {
      if (!node.children.length) node.append(make("b"), make("span"));
      text(node.firstChild, `without ${loss}: `);
      text(node.lastChild, plan);
    });
    if (!Object.keys(found).length) document.getElementById("standbys").replaceChildren(make("li", "", "nothing yet"));
  }

  return { text, clock, digits, seconds, joules, make, fleet, pipeline, standbys };
})();
