"use strict";
// Sorting and filtering of tables, and the scatter. Nothing is loaded.

const number = (text) => {
  const found = text.trim().match(/^[<≥]?\s*([-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?)(?![\w.])/i);
  return found ? parseFloat(found[1]) : NaN;
};

function makeSortable(table) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const texts = [...body.rows].map((row) => row.cells[column].textContent);
    const filled = texts.filter((text) => text.trim() && text !== "–");
    const numeric = filled.length > 0 && filled.every((text) => !Number.isNaN(number(text)));
    if (!numeric && column > 0) {
      [heading, ...[...body.rows].map((row) => row.cells[column])].forEach((cell) => cell.classList.add("text"));
    }
    if (body.rows.length < 2 || !table.dataset.tools) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      [...table.tHead.rows[0].cells].forEach((cell) => cell.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sign = down ? -1 : 1;
      const keyed = [...body.rows].map((row) => {
        const text = row.cells[column].textContent;
        return { row, key: numeric ? number(text) : text };
      });
      keyed.sort((a, b) => {
        if (!numeric) return sign * a.key.localeCompare(b.key);
        if (Number.isNaN(a.key) || Number.isNaN(b.key)) return Number.isNaN(a.key) - Number.isNaN(b.key);
        return sign * (a.key - b.key);
      });
      body.append(...keyed.map((one) => one.row));
    });
  });
}

function makeFilterable(table) {
  const body = table.tBodies[0];
  if (body.rows.length < 6) return;
  const label = document.createElement("label");
  label.className = "filter";
  label.textContent = "Show rows with ";
  const input = document.createElement("input");
  input.type = "search";
  input.setAttribute("aria-label", `filter ${table.dataset.tools}`);
  label.append(input);
  table.parentElement.before(label);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of body.rows) {
      const text = [...row.cells].map((cell) => cell.textContent.toLowerCase());
      row.hidden = !words.every((word) => text.some((one) => one.includes(word)));
    }
  });
}

const SHAPES = {
  o: "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z",
  s: "M-4.5,-4.5h9v9h-9z",
  "^": "M0,-6L5.5,4.5H-5.5z",
  D: "M0,-6L6,0L0,6L-6,0z",
  v: "M0,6L5.5,-4.5H-5.5z",
  P: "M-2,-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
  X: "M-5,-3L-3,-5L0,-2L3,-5L5,-3L2,0L5,3L3,5L0,2L-3,5L-5,3L-2,0z",
  "<": "M-6,0L4.5,-5.5V5.5z",
};
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function ticks(low, high) {
  const rough = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i += 1) found.push(i * step);
  return { found, write: (value) => (step < 1e-4 ? value.toExponential(1) : String(Number(value.toPrecision(6)))) };
}

function span(values) {
  let low = Math.min(...values), high = Math.max(...values);
  if (!(high - low > 1e-12 * Math.max(Math.abs(low), Math.abs(high), 1e-9))) {
    const half = Math.abs(low) * 0.1 || 1;
    return [low - half, high + half];
  }
  const margin = 0.06 * (high - low);
  return [low - margin, high + margin];
}

function makeScatter(data) {
  const [view, across, up] = ["view", "across", "up"].map((id) => document.getElementById(id));
  const plot = document.getElementById("plot");
  const tip = document.getElementById("tip");
  const legend = document.getElementById("legend");
  const option = (select, text) => select.append(new Option(text));
  data.views.forEach((one) => option(view, one.title));
  data.metrics.forEach((one) => { option(across, one.title); option(up, one.title); });
  const place = (name, other) => Math.max(0, data.metrics.findIndex((one) => one.name === name) >= 0
    ? data.metrics.findIndex((one) => one.name === name) : other);
  across.selectedIndex = place("stab_truth", 0);
  up.selectedIndex = place("mse", Math.min(1, data.metrics.length - 1));
  const hidden = new Set();
  data.methods.forEach((method, index) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      if (box.checked) hidden.delete(index); else hidden.add(index);
      draw();
    });
    const sign = element("svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true" });
    sign.append(element("path", { d: SHAPES[method.marker], fill: method.colour, stroke: "#1b1f24", "stroke-width": 0.6 }));
    label.append(box, sign, method.title);
    legend.append(label);
  });

  function show(event, text) {
    const box = plot.parentElement.getBoundingClientRect();
    const target = event.target.getBoundingClientRect();
    tip.textContent = text;
    tip.hidden = false;
    const left = target.left - box.left + 14;
    tip.style.left = `${Math.max(0, Math.min(left, box.width - tip.offsetWidth - 4))}px`;
    tip.style.top = `${target.bottom - box.top + 6}px`;
  }

  function draw() {
    const chosen = data.views[view.selectedIndex];
    const x = across.selectedIndex, y = up.selectedIndex;
    const defined = chosen.points.filter((one) => one.values[x] !== null && one.values[y] !== null);
    const points = defined.filter((one) => !hidden.has(one.method));
    plot.replaceChildren();
    tip.hidden = true;
    document.getElementById("unit").textContent =
      points.length ? `${chosen.unit}. ${points.length} points.` : "No point has both measurements.";
    if (!points.length) return;
    const frame = { left: 90, right: 705, top: 15, bottom: 375 };
    const [x0, x1] = span(points.map((one) => one.values[x]));
    const [y0, y1] = span(points.map((one) => one.values[y]));
    const at = (value) => frame.left + ((value - x0) / (x1 - x0)) * (frame.right - frame.left);
    const over = (value) => frame.bottom - ((value - y0) / (y1 - y0)) * (frame.bottom - frame.top);
    const horizontal = ticks(x0, x1), vertical = ticks(y0, y1);
    for (const value of horizontal.found) {
      plot.append(element("line", { class: "grid", x1: at(value), x2: at(value), y1: frame.top, y2: frame.bottom }));
      plot.append(element("text", { x: at(value), y: frame.bottom + 20, "text-anchor": "middle" }, horizontal.write(value)));
    }
    for (const value of vertical.found) {
      plot.append(element("line", { class: "grid", x1: frame.left, x2: frame.right, y1: over(value), y2: over(value) }));
      plot.append(element("text", { x: frame.left - 8, y: over(value) + 4, "text-anchor": "end" }, vertical.write(value)));
    }
    plot.append(element("path", { class: "axis", fill: "none", d: `M${frame.left},${frame.top}V${frame.bottom}H${frame.right}` }));
    plot.append(element("text", { x: (frame.left + frame.right) / 2, y: 425, "text-anchor": "middle" }, data.metrics[x].title));
    plot.append(element("text", { transform: `translate(16,${(frame.top + frame.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, data.metrics[y].title));
    for (const one of points) {
      const method = data.methods[one.method];
      const text = `${method.title}\n${one.name}\n${data.metrics[x].title}: ${one.values[x]}\n${data.metrics[y].title}: ${one.values[y]}`;
      const point = element("path", {
        class: "point", d: SHAPES[method.marker], fill: method.colour,
        transform: `translate(${at(one.values[x])},${over(one.values[y])})`,
      });
      point.addEventListener("pointerenter", (event) => show(event, text));
      point.addEventListener("pointerleave", () => { tip.hidden = true; });
      plot.append(point);
    }
  }

  [view, across, up].forEach((select) => select.addEventListener("change", draw));
  draw();
}

for (const table of document.querySelectorAll("table.data")) {
  makeSortable(table);
  if (table.dataset.tools) makeFilterable(table);
}
makeScatter(JSON.parse(document.getElementById("data").textContent));
