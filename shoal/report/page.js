"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const config = { responsive: true, displayModeBar: false }; // drag zooms, a double click goes back

  // A chart in a closed <details> is drawn when it is first seen: fast to open, and its width is known then.
  function draw(place) {
    if (place.dataset.drawn || place.closest("details:not([open])")) return;
    const narrow = place.clientWidth < 640;
    const chart = charts[(narrow && place.dataset.narrow) || place.dataset.chart];
    chart.layout.dragmode = narrow ? false : "zoom"; // a finger scrolls the page
    place.dataset.drawn = "yes";
    place.style.minHeight = chart.layout.height + "px";
    Plotly.newPlot(place, chart.data, chart.layout, config);
  }
  const drawAll = () => document.querySelectorAll(".plot").forEach(draw);

  document.querySelectorAll("details").forEach((fold) => fold.addEventListener("toggle", drawAll));
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
    drawAll();
    document.querySelectorAll(".plot").forEach((place) => Plotly.Plots.resize(place));
  });
  drawAll();
})();
