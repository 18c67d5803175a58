"use strict";
(() => {
  const NS = "http://www.w3.org/2000/svg", W = 560, H = 260, L = 56, R = 12, T = 10, B = 30;
  const svg = (name, attributes = {}, text) => {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const make = (name, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(name), properties);
    node.append(...children);
    return node;
  };
  const shown = (n) => n === 0 ? "0" : Math.abs(n) >= 1e5 || Math.abs(n) < 1e-3 ? n.toExponential(1) : String(+n.toPrecision(4));

  // Tables: a heading is a button that sorts, by number where every cell that says something is one.
  const value = (cell) => cell.textContent.trim();
  const number = (cell) => value(cell) === "" ? NaN : Number(value(cell));
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make("button", { type: "button", textContent: head.textContent });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const box = (row) => row.cells[column].querySelector("input");
        const keyed = [...table.tBodies[0].rows].map((row) => [box(row) ? String(+!box(row).checked) : value(row.cells[column]), row]);
        const numbers = keyed.every(([text]) => text === "" || !Number.isNaN(Number(text)));
        const order = numbers ? (a, b) => (a === "") - (b === "") || a - b : (a, b) => a.localeCompare(b, undefined, { numeric: true });
        keyed.sort(([a], [b]) => (down ? -1 : 1) * order(a, b));
        table.tBodies[0].append(...keyed.map(([, row]) => row));
      });
    });
  }

  const ticks = (low, high) => {
    const rough = (high - low) / 6, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? rough;
    const found = [];
    for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(at);
    return found;
  };
  const span = (numbers) => {
    let low = Infinity, high = -Infinity;
    for (const n of numbers) if (Number.isFinite(n)) { if (n < low) low = n; if (n > high) high = n; }
    if (low > high) return [0, 1];
    return low === high ? [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2] : [low, high];
  };
  const frame = (picture, x, y, names, log) => {
    for (const at of ticks(...y.range)) {
      picture.append(svg("line", { class: "grid", x1: L, x2: W - R, y1: y(at), y2: y(at) }),
        svg("text", { x: L - 6, y: y(at) + 4, "text-anchor": "end" }, shown(log ? 10 ** at : at)));
    }
    for (const at of ticks(...x.range)) picture.append(svg("text", { x: x(at), y: H - B + 16, "text-anchor": "middle" }, shown(at)));
    picture.append(svg("text", { x: W - R, y: H - 2, "text-anchor": "end" }, names));
  };
  const scale = (range, start, end) => Object.assign((n) => start + (n - range[0]) / (range[1] - range[0]) * (end - start), { range });

  const source = document.getElementById("curves");
  if (source) {
    const data = JSON.parse(source.textContent), readout = document.getElementById("readout");
    const boxes = [...document.querySelectorAll("#runs-table input")];
    const log = document.getElementById("log"), over = document.getElementById("over"), plots = [];
    let range = null, at = null;
    const chosen = () => boxes.filter((box) => box.checked).map((box) => Number(box.value)).sort((a, b) => a - b);
    const axis = () => over?.value === "2" ? data.unit : data.axis;
    // [places on the axis, numbers] of a run; null where one is not known.
    const curve = (plot, n) => [plot.data[n]?.[over?.value ?? 0] ?? [], plot.data[n]?.[1] ?? []];
    const everywhere = () => span(plots.flatMap((plot) => chosen().flatMap((n) => curve(plot, n)[0])));
    const say = () => {
      if (at === null) { readout.textContent = ""; return; }
      const parts = plots.map((plot) => {
        const near = chosen().slice(0, 8).map((n) => {
          const [places, numbers] = curve(plot, n), away = (i) => places[i] === null ? Infinity : Math.abs(places[i] - at);
          let best = 0;
          places.forEach((_, i) => { if (away(i) < away(best)) best = i; });
          return Number.isFinite(places[best]) && Number.isFinite(numbers[best]) ? `${data.names[n]} ${shown(numbers[best])}` : null;
        }).filter((text) => text !== null);
        return near.length ? `${plot.name}: ${near.join(", ")}` : "";
      }).filter(Boolean);
      readout.textContent = `${axis()} ${shown(at)}. ${parts.join("; ")}`;
    };
    const draw = () => {
      const runs = chosen(), x = scale(range ?? everywhere(), L, W - R);
      for (const plot of plots) {
        const lift = log.checked ? (n) => n > 0 ? Math.log10(n) : null : (n) => n;
        const heights = [];
        for (const n of runs) {
          const [places, numbers] = curve(plot, n);
          places.forEach((place, i) => {
            const y = numbers[i] === null ? null : lift(numbers[i]);
            if (y !== null && place !== null && place >= x.range[0] && place <= x.range[1]) heights.push(y);
          });
        }
        const y = scale(span(heights), H - B, T), picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, "aria-hidden": "true" });
        plot.x = x;
        frame(picture, x, y, axis(), log.checked);
        plot.area.setAttribute("aria-label", `${plot.name} over ${axis()}; the arrow keys read the values`);
        const clip = `clip-${plot.number}`, box = svg("clipPath", { id: clip });
        box.append(svg("rect", { x: L, y: T - 4, width: W - R - L, height: H - B - T + 8 }));
        const lines = svg("g", { "clip-path": `url(#${clip})` });
        picture.append(box, lines);
        for (const n of runs) {
          const [places, numbers] = curve(plot, n);
          let path = "", pen = "M";
          places.forEach((place, i) => {
            const height = numbers[i] === null ? null : lift(numbers[i]), gap = height === null || place === null;
            if (!gap) path += `${pen}${x(place).toFixed(1)} ${y(height).toFixed(1)}`;
            pen = gap ? "M" : "L";
          });
          if (path) lines.append(svg("path", { class: `curve c${n % 8}`, d: path }));
        }
        if (at !== null) lines.append(svg("line", { class: "cursor", x1: x(at), x2: x(at), y1: T, y2: H - B }));
        plot.area.replaceChildren(picture);
        plot.legend.replaceChildren(...runs.slice(0, 8).map((n) => {
          const mark = svg("svg", { viewBox: "0 0 24 8", "aria-hidden": "true" });
          mark.append(svg("line", { class: `curve c${n % 8}`, x1: 0, x2: 24, y1: 4, y2: 4, "stroke-width": 3 }));
          return make("li", {}, mark, ` ${data.names[n]}`);
        }), ...(runs.length > 8 ? [make("li", { textContent: `and ${runs.length - 8} more` })] : []));
      }
      say();
    };
    const zoom = (low, high) => { if (high > low) { range = [low, high]; draw(); } };
    const inside = (plot, event) => {
      const place = plot.area.getBoundingClientRect(), pixel = (event.clientX - place.left) / place.width * W;
      const [low, high] = plot.x.range;
      return low + Math.min(Math.max((pixel - L) / (W - R - L), 0), 1) * (high - low);
    };
    Object.entries(data.metrics).forEach(([name, curves], number) => {
      const area = make("div", { className: "plot", tabIndex: 0 }), legend = make("ul", { className: "legend" });
      area.setAttribute("role", "group");
      const plot = { name, data: curves, number, area, legend, x: null };
      let from = null;
      area.addEventListener("pointerdown", (event) => { from = inside(plot, event); });
      area.addEventListener("pointermove", (event) => { at = inside(plot, event); draw(); });
      area.addEventListener("pointerup", (event) => {
        const to = inside(plot, event), [low, high] = plot.x.range;
        if (from !== null && Math.abs(to - from) > (high - low) / 50) zoom(Math.min(from, to), Math.max(from, to));
        from = null;
      });
      area.addEventListener("pointerleave", () => { at = null; from = null; draw(); });
      area.addEventListener("keydown", (event) => {
        const [low, high] = plot.x.range, middle = at ?? (low + high) / 2, step = (high - low) / 20;
        const move = { ArrowRight: step, ArrowLeft: -step }[event.key];
        if (move) { // at an end of what is shown, the picture goes along, up to the end of the curves
          const [first, last] = everywhere();
          at = Math.min(Math.max(middle + move, Math.min(low, first)), Math.max(high, last));
          const along = Math.max(at - high, 0) + Math.min(at - low, 0);
          if (along) range = [low + along, high + along];
        }
        else if (event.key === "+") range = [middle - (middle - low) / 2, middle + (high - middle) / 2];
        else if (event.key === "-") range = [low - (high - low) / 2, high + (high - low) / 2];
        else if (event.key === "0") range = null;
        else return;
        event.preventDefault();
        draw();
      });
      plots.push(plot);
      document.getElementById("plots").append(make("figure", {}, make("figcaption", { textContent: name }), area, legend));
    });
    const choose = (test) => { boxes.forEach((box) => { box.checked = test(Number(box.value)); }); range = null; draw(); };
    boxes.forEach((box) => { box.disabled = false; box.addEventListener("change", draw); });
    log.addEventListener("change", draw);
    over?.addEventListener("change", () => { range = at = null; draw(); });
    document.getElementById("reset").addEventListener("click", () => { range = null; draw(); });
    for (const button of document.querySelectorAll("[data-runs]")) {
      button.addEventListener("click", () => choose((n) => button.dataset.runs === "all" || (button.dataset.runs === "first" && n < 8)));
    }
    if (plots.length) {
      document.getElementById("charts").hidden = false;
      choose((n) => n < 8);
    }
  }

  // A sweep beside its table: one column over another.
  const scatter = document.getElementById("scatter"), table = document.getElementById("sweep-table");
  if (scatter && table) {
    const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent).slice(1);
    const settings = Number(scatter.dataset.settings);
    const pick = (label, first) => {
      const select = make("select", {}, ...names.map((name, n) => make("option", { value: n, textContent: name, selected: n === first })));
      return [select, make("label", {}, `${label} `, select)];
    };
    const [across, acrossLabel] = pick("across", 0), [up, upLabel] = pick("up", names.length - 1 > settings ? names.findIndex((n, i) => i >= settings && n.includes("accuracy")) : settings);
    if (up.selectedIndex < 0) up.selectedIndex = settings;
    const area = make("div", { className: "plot" }), log = make("input", { type: "checkbox" });
    const draw = () => {
      const lift = log.checked ? (n) => Math.log10(n) : (n) => n;
      const points = [...table.tBodies[0].rows].map((row) => ({
        x: lift(number(row.cells[Number(across.value) + 1])),
        y: number(row.cells[Number(up.value) + 1]), name: row.cells[0].textContent,
      })).filter((point) => Number.isFinite(point.x) && Number.isFinite(point.y));
      const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${names[up.value]} over ${names[across.value]}: ${points.length} runs, as in the table` });
      const x = scale(span(points.map((p) => p.x)), L + 8, W - R - 8), y = scale(span(points.map((p) => p.y)), H - B - 8, T + 8);
      frame(picture, x, y, names[across.value] + (log.checked ? " (power of ten)" : ""), false);
      for (const point of points) {
        const dot = svg("circle", { class: "dot", cx: x(point.x), cy: y(point.y), r: 4 });
        dot.append(svg("title", {}, point.name));
        picture.append(dot);
      }
      area.replaceChildren(points.length ? picture : make("p", { textContent: "These columns are no numbers." }));
    };
    for (const input of [across, up, log]) input.addEventListener("change", draw);
    scatter.append(make("p", {}, acrossLabel, upLabel, make("label", {}, log, " logarithmic across")), area);
    scatter.hidden = false;
    draw();
  }
})();
