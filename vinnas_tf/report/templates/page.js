"use strict";
// What the page does: charts, tips, sliders, tables that sort. All text is set as text, so nothing of it is markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Charts ---------------------------------------------------------------------------------------------------------
  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
  const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
  const picked = {}; // By chart, the point that a slider shows.

  function colours() {
    const style = getComputedStyle(document.documentElement);
    return new Proxy({}, { get: (_, name) => style.getPropertyValue(`--${name}`).trim() });
  }

  function traces(chart, colour) {
    const found = chart.series.map((series, number) => {
      const alone = series.x.length === 1;
      const marked = number > 0 && alone;
      const beside = number === 0 && chart.names.length > 0;
      const mode = [series.line && !alone ? "lines" : "", alone || series.x.length <= 40 || !series.line ? "markers" : "", beside ? "text" : ""];
      return {
        type: "scatter",
        name: escaped(series.name),
        x: series.x,
        y: series.y,
        mode: mode.filter(Boolean).join("+"),
        text: beside ? chart.names.map(escaped) : undefined,
        textposition: series.x.map((_, place) => ["top center", "bottom center"][place % 2]),
        cliponaxis: !beside,
        hovertext: series.labels.length ? series.labels.map(escaped) : undefined,
        hoverinfo: series.labels.length ? "text" : "x+y+name",
        line: { color: colour[series.colour], width: 2, dash: DASHES[number % DASHES.length] },
        marker: { color: colour[series.colour], size: marked ? 12 : 6, symbol: marked ? "diamond" : "circle" },
        error_y: series.error.length ? { type: "data", array: series.error, color: colour[series.colour], thickness: 1, width: 3 } : undefined,
      };
    });
    if (chart.key in picked) {
      const [x, y] = picked[chart.key];
      found.push({
        type: "scatter", name: "chosen by the slider", x: [x], y: [y], mode: "markers", hoverinfo: "skip",
        marker: { color: "rgba(0,0,0,0)", size: 18, line: { color: colour.ink, width: 2.5 } },
      });
    }
    return found;
  }

  // The x axis: each epoch where there are few; logarithmic where sizes are far apart, with ticks at 1, 2 and 5 times the
  // powers of ten, for Plotly's own leave most of them without their size.
  function ticks(chart) {
    const places = chart.series.flatMap((series) => series.x);
    const [least, most] = [Math.min(...places), Math.max(...places)];
    if (!chart.log_x || most < 3 * least) {
      return { tickformat: ",", ...(chart.x === "epoch" && most - least <= 10 ? { dtick: 1 } : {}) };
    }
    const found = [];
    for (let power = Math.floor(Math.log10(least)); power <= Math.log10(most); power += 1) {
      found.push(...[1, 2, 5].map((digit) => digit * 10 ** power));
    }
    const inside = found.filter((value) => value >= least / 1.5 && value <= most * 1.5);
    return { type: "log", tickvals: inside, ticktext: inside.map((value) => value.toLocaleString("en")) };
  }

  function layout(chart, colour) {
    const axis = { gridcolor: colour.line, linecolor: colour.line, zerolinecolor: colour.line, automargin: true, fixedrange: true };
    const several = chart.series.length > 1 || chart.key in picked;
    return {
      font: { family: "inherit", size: 12, color: colour.ink },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 48, r: 16, t: 12, b: 40 },
      xaxis: { ...axis, title: { text: escaped(chart.x) }, ...ticks(chart) },
      yaxis: { ...axis, title: { text: escaped(chart.y) } },
      showlegend: several,
      legend: { orientation: "h", y: -0.22, yanchor: "top", x: 0 },
      dragmode: false,
      hoverlabel: { bgcolor: colour.ink, bordercolor: colour.ink, font: { color: colour.paper } },
    };
  }

  function draw(element) {
    const chart = data.charts[element.dataset.chart];
    const colour = colours();
    return Plotly.react(element, traces(chart, colour), layout(chart, colour), { displayModeBar: false, responsive: true });
  }
  const drawAll = () => all(".chart").forEach(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  // Tips -----------------------------------------------------------------------------------------------------------
  const tip = document.getElementById("tip");
  const hide = () => { tip.hidden = true; };
  function show(element) {
    tip.textContent = [element.dataset.label, element.dataset.tip].filter(Boolean).join("\n");
    tip.hidden = false;
    const box = element.getBoundingClientRect();
    const width = document.documentElement.clientWidth;
    const left = Math.max(8, Math.min(box.left + box.width / 2 - tip.offsetWidth / 2, width - tip.offsetWidth - 8));
    const above = box.top - tip.offsetHeight - 8;
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${(above > 0 ? above : box.bottom + 8) + scrollY}px`;
  }
  for (const element of all("[data-tip]")) {
    element.addEventListener("pointerenter", () => show(element));
    element.addEventListener("focus", () => show(element));
    element.addEventListener("pointerleave", hide);
    element.addEventListener("blur", hide);
  }
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });

  // The slider over the epochs -------------------------------------------------------------------------------------
  function showCells(step) {
    for (const [group, cell] of Object.entries(step.cells)) {
      const graphs = all(".drawings").find((one) => one.dataset.group === group);
      for (const svg of all("svg", graphs)) {
        svg.toggleAttribute("hidden", svg.dataset.drawing !== cell.drawing);
        if (svg.dataset.drawing !== cell.drawing) continue;
        for (const operation of all("[data-operation]", svg)) {
          const number = Number(operation.dataset.operation);
          operation.dataset.tip = cell.tips[number];
          operation.setAttribute("aria-label", `${operation.dataset.label}. ${cell.tips[number].replaceAll("\n", "; ")}`);
          operation.querySelector(".note").textContent = cell.notes[number];
        }
      }
      const said = graphs.querySelector(".said");
      said.textContent = cell.said;
      said.hidden = !cell.said;
      const heat = all(".heat").find((one) => one.dataset.group === group);
      const chosen = new Set(cell.chosen.map(String));
      all("tbody tr", heat ?? graphs).forEach((row, edge) => all("td", row).forEach((field, k) => {
        const [text, shade] = cell.values[edge][k];
        field.textContent = text;
        field.style.setProperty("--shade", Math.abs(shade));
        field.className = (shade < 0 ? "minus" : "plus") + (chosen.has(`${edge},${k}`) ? " chosen" : "");
      }));
    }
    all(".step-title").forEach((element) => { element.textContent = step.title; });
  }

  function showDrops(number) {
    for (const row of all("#channels tbody tr")) {
      row.querySelector(".drop").textContent = data.channels.drop[Number(row.dataset.number)][number];
    }
  }

  const epochs = document.getElementById("epoch-slider");
  epochs?.addEventListener("input", () => {
    const number = Number(epochs.value);
    const title = data.cells ? data.cells.steps[number].title : data.channels.titles[number];
    document.querySelector("#epochs output").textContent = title;
    epochs.setAttribute("aria-valuetext", title);
    if (data.cells) showCells(data.cells.steps[number]);
    else showDrops(number);
  });

  // The sliders over what prunes -----------------------------------------------------------------------------------
  for (const slider of all(".slider[data-curve]")) {
    const key = slider.dataset.curve;
    const curve = data.curves[key];
    const input = slider.querySelector("input");
    input.addEventListener("input", () => {
      const number = Number(input.value);
      const title = curve.titles[number];
      slider.querySelector("output").textContent = title;
      input.setAttribute("aria-valuetext", title);
      const strong = document.createElement("strong");
      strong.textContent = title + (number === curve.used ? ", in use: " : ": ");
      slider.querySelector(".told").replaceChildren(strong, curve.told[number]);
      if (curve.commands.length) slider.querySelector("code").textContent = curve.commands[number];
      if (number === curve.used) delete picked[key];
      else picked[key] = curve.points[number];
      draw(all(".chart").find((one) => one.dataset.chart === key));
    });
  }

  // Tables that sort -----------------------------------------------------------------------------------------------
  const key = (cell) => {
    const text = cell.dataset.key ?? cell.textContent.trim();
    const number = Number(text.replace("−", "-").replace(/,/g, "").replace(/ ?%$/, ""));
    return text === "" || text === "-" ? null : Number.isNaN(number) ? text : number;
  };
  const before = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  for (const table of all("table.sorts")) {
    all("thead th", table).forEach((title, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = title.textContent;
      title.replaceChildren(button);
      button.addEventListener("click", () => {
        const way = title.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
        title.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
        const rows = all("tbody tr", table).map((row) => [row.cells[column] ? key(row.cells[column]) : null, row]);
        // What is not known comes last, either way.
        rows.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : way * before(a, b)));
        table.tBodies[0].append(...rows.map(([, row]) => row));
      });
    });
  }

  // Commands -------------------------------------------------------------------------------------------------------
  for (const button of all("button.copy")) {
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      getSelection().selectAllChildren(code); // What is selected can be copied by hand, whatever the browser allows.
      let done = false;
      try {
        await navigator.clipboard.writeText(code.textContent);
        done = true;
      } catch {
        done = document.execCommand("copy");
      }
      document.getElementById("status").textContent = done ? "Copied." : "Selected: copy it with the keyboard.";
      button.textContent = done ? "Copied" : "Selected";
    });
  }

  // Print has the light colours, and everything unfolded -----------------------------------------------------------
  addEventListener("beforeprint", () => {
    all("details:not([open])").forEach((element) => { element.open = true; element.dataset.folded = ""; });
    drawAll();
  });
  addEventListener("afterprint", () => {
    all("details[data-folded]").forEach((element) => { element.open = false; delete element.dataset.folded; });
    drawAll();
  });

  drawAll();
})();
