// What one sees and touches. All numbers come from core.js.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const state = { ...data, theta: Float64Array.from(data.theta), pixels: Uint8Array.from(atob(data.pixels), c => c.charCodeAt(0)) };
const $ = id => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const MARGIN = 0.35;  // of the image, shown around it
const [H, W] = state.inSize, [HO, WO] = state.outSize;
const view = [-MARGIN * W, -MARGIN * H, W * (1 + 2 * MARGIN), H * (1 + 2 * MARGIN)];
let grid, output, chosen = Math.min(HO * WO - 1, data.chosen), playing = null, shown = HO * WO;

const make = (name, attributes, parent) => {
  const node = document.createElementNS(SVG, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (parent) parent.append(node);
  return node;
};
const number = (v, digits = 2) => { const s = v.toFixed(digits); return (Number(s) === 0 ? s.replace("-", "") : s).replace("-", "−"); };
const triple = (v, digits) => v.length === 1 ? number(v[0], digits) : "(" + v.map(x => number(x, digits)).join(", ") + ")";
const colour = v => v.length === 1 ? `rgb(${v[0]} ${v[0]} ${v[0]})` : `rgb(${v.join(" ")})`;
const round = v => v.map(x => Math.min(255, Math.max(0, Math.floor(x + 0.5))));
// Target or input points, normalised → places in the pixel edges of the input, the units of the overlay.
const edges = ([x, y]) => [core.pixel(x, W, state.align) + 0.5, core.pixel(y, H, state.align) + 0.5];
const map = (x, y) => core.families[state.family](state.theta, x, y, state.options);

function paint(canvas, pixels, height, width, count) {
  const context = canvas.getContext("2d"), image = context.createImageData(width, height), n = state.channels;
  for (let at = 0; at < count; at++) {
    for (let k = 0; k < 3; k++) image.data[4 * at + k] = pixels[at * n + (n === 1 ? 0 : k)];
    image.data[4 * at + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

function frame() {
  for (const [canvas, height, width] of [[$("U"), H, W], [$("V"), HO, WO]]) { canvas.height = height; canvas.width = width; }
  $("input").style.aspectRatio = `${view[2]} / ${view[3]}`;
  $("output").style.aspectRatio = `${WO} / ${HO}`;
  const share = MARGIN / (1 + 2 * MARGIN) * 100, inner = 100 / (1 + 2 * MARGIN);
  Object.assign($("U").style, { left: share + "%", top: share + "%", width: inner + "%", height: inner + "%" });
  Object.assign($("V").style, { left: 0, top: 0, width: "100%", height: "100%" });
  $("over").setAttribute("viewBox", view.join(" "));
  $("mark").setAttribute("viewBox", `0 0 ${WO} ${HO}`);
  $("input-size").textContent = `${W} × ${H}`;
  $("output-size").textContent = `${WO} × ${HO}`;
  const clips = make("defs", {}, $("over"));
  make("rect", { x: view[0], y: view[1], width: view[2], height: view[3] }, make("clipPath", { id: "plane" }, clips));
  make("rect", { x: -0.01 * W, y: -0.01 * H, width: 1.02 * W, height: 1.02 * H }, make("clipPath", { id: "image" }, clips));
  for (const id of ["lines-out", "lines-in"]) make("g", { id, "clip-path": `url(#${id === "lines-in" ? "image" : "plane"})` }, $("over"));
  for (const id of ["near", "handles"]) make("g", { id }, $("over"));
  paint($("U"), state.pixels, H, W, H * W);
}

// The lines of the sampling grid, as SVG path data.
function mesh() {
  const cells = 12, fine = 48, wide = Math.max(1, Math.round(WO >= HO ? cells : cells * WO / HO));
  const high = Math.max(1, Math.round(HO >= WO ? cells : cells * HO / WO));
  const path = points => "M" + points.map(p => edges(p).map(v => Math.min(1e5, Math.max(-1e5, v)).toFixed(3)).join(" ")).join("L");
  const along = (count, each) => Array.from({ length: count + 1 }, (_, k) => each(-1 + 2 * k / count));
  const rows = along(high, y => path(along(fine, x => map(x, y)))), columns = along(wide, x => path(along(fine, y => map(x, y))));
  const edge = [rows[0], columns[wide], rows[high], columns[0]].join("");
  return [rows.join("") + columns.join(""), edge];
}

function drawGrid() {
  const [lines, edge] = mesh();
  for (const [id, kind] of [["lines-out", "out"], ["lines-in", "in"]]) {
    $(id).replaceChildren();
    for (const [d, weight] of [[lines, "mesh"], [edge, "edge"]]) {
      make("path", { d, class: `line case ${weight}` }, $(id));
      make("path", { d, class: `line ${weight} ${kind}` }, $(id));
    }
  }
}

function update() {
  grid = core.grid(state);
  output = core.picture(state, grid);
  paint($("V"), output, HO, WO, shown);
  drawGrid();
  placeHandles();
  choose(chosen);
  showTheta();
  showCommand();
}

// Handles: target points whose place in the input is dragged, and the θ that puts them there.
const CORNERS = [[-1, -1, "top left"], [1, -1, "top right"], [1, 1, "bottom right"], [-1, 1, "bottom left"]];

function solve(rows) {  // Gaussian elimination with pivots, rows of n numbers and the right-hand side; null if singular
  const n = rows.length;
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let r = k + 1; r < n; r++) if (Math.abs(rows[r][k]) > Math.abs(rows[pivot][k])) pivot = r;
    if (Math.abs(rows[pivot][k]) < 1e-9) return null;
    [rows[k], rows[pivot]] = [rows[pivot], rows[k]];
    for (let r = 0; r < n; r++) if (r !== k) {
      const f = rows[r][k] / rows[k][k];
      for (let c = k; c <= n; c++) rows[r][c] -= f * rows[k][c];
    }
  }
  return rows.map((row, k) => row[n] / row[k]);
}

const fits = {
  "affine": pairs => {
    const one = a => solve(pairs.slice(0, 3).map(([[x, y], p]) => [x, y, 1, p[a]]));
    const [first, second] = [one(0), one(1)];
    return first && second && [...first, ...second];
  },
  "projective": pairs => solve(pairs.flatMap(([[x, y], [u, v]]) => [
    [x, y, 1, 0, 0, 0, -u * x, -u * y, u], [0, 0, 0, x, y, 1, -v * x, -v * y, v]])),
};

function handles() {
  const t = state.theta, centre = (name, shift) => ({ at: [0, 0], name, move: shift });
  const moved = (k, p) => { const next = Float64Array.from(t); next[2 * k] = p[0]; next[2 * k + 1] = p[1]; return next; };
  const corner = move => CORNERS.map(([x, y, name], k) => ({ at: [x, y], name: `corner ${name}`, first: k === 0, move: p => move(k, x, y, p) }));
  switch (state.family) {
    case "translation": return [centre("the window", p => p)];
    case "attention": return [...corner((k, x, y, p) => [Math.max(0.02, (x * (p[0] - t[1]) + y * (p[1] - t[2])) / 2), t[1], t[2]]),
      centre("centre", p => [t[0], p[0], p[1]])];
    case "similarity": return [...corner((k, x, y, p) => {
      const dx = p[0] - t[2], dy = p[1] - t[3];
      return [(x * dx + y * dy) / 2, (x * dy - y * dx) / 2, t[2], t[3]];
    }), centre("centre", p => [t[0], t[1], p[0], p[1]])];
    case "affine": return [...corner((k, x, y, p) => fits.affine([k, (k + 1) % 4, (k + 3) % 4].map(c =>
      [CORNERS[c], c === k ? p : map(CORNERS[c][0], CORNERS[c][1])]))), centre("centre", p => [t[0], t[1], p[0], t[3], t[4], p[1]])];
    case "projective": return corner((k, x, y, p) => fits.projective(CORNERS.map((c, i) => [c, i === k ? p : map(c[0], c[1])])));
    case "tps": case "piecewise-affine":
      return state.options.points.map(([x, y], k) => ({ at: [x, y], name: `control point ${k + 1}`, first: k === 0,
        place: [t[2 * k], t[2 * k + 1]], move: p => moved(k, p) }));
    default: return [];
  }
}

let dragged = -1;
function placeHandles() {
  const all = handles(), group = $("handles");
  const size = view[2] / Math.max(200, $("input").clientWidth);  // a CSS pixel in units of the overlay
  while (group.children.length < all.length) {
    const index = group.children.length, node = make("g", { class: "handle", tabindex: 0, role: "button" }, group);
    make("circle", { class: "hit" }, node);
    make("circle", { class: "dot" }, node);
    node.addEventListener("pointerdown", event => { dragged = index; node.setPointerCapture(event.pointerId); node.focus(); event.preventDefault(); });
    node.addEventListener("pointermove", event => { if (dragged === index) moveTo(index, fromPointer(event)); });
    for (const end of ["pointerup", "pointercancel"]) node.addEventListener(end, () => { dragged = -1; });
    node.addEventListener("keydown", event => nudge(index, event));
  }
  all.forEach((handle, k) => {
    const [x, y] = edges(handle.place || map(...handle.at)), node = group.children[k];
    const at = [Math.min(Math.max(x, view[0]), view[0] + view[2]), Math.min(Math.max(y, view[1]), view[1] + view[3])];
    node.setAttribute("transform", `translate(${at[0]} ${at[1]})`);
    node.classList.toggle("first", Boolean(handle.first));
    node.setAttribute("aria-label", `${handle.name}, reads input pixel ${number(x - 0.5, 1)}, ${number(y - 0.5, 1)}; arrow keys move it`);
    node.children[0].setAttribute("r", 22 * size);
    node.children[1].setAttribute("r", (all.length > 9 ? 6 : 8) * size);
  });
}

function fromPointer(event) {
  const box = $("over").getBoundingClientRect();
  const x = view[0] + (event.clientX - box.left) / box.width * view[2], y = view[1] + (event.clientY - box.top) / box.height * view[3];
  return [core.normalised(x - 0.5, W, state.align), core.normalised(y - 0.5, H, state.align)];
}

function moveTo(index, point) {
  const theta = handles()[index].move(point);
  if (theta && theta.every(v => Number.isFinite(v) && Math.abs(v) < 1e4)) { state.theta = Float64Array.from(theta); stop(); update(); }
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
function nudge(index, event) {
  const step = ARROWS[event.key];
  if (!step) return;
  event.preventDefault();
  const handle = handles()[index], [x, y] = handle.place || map(...handle.at), far = event.shiftKey ? 10 : 1;
  const unit = n => core.normalised(1, n, state.align) - core.normalised(0, n, state.align);
  moveTo(index, [x + step[0] * far * unit(W), y + step[1] * far * unit(H)]);
}

// The chosen output pixel: where it reads, what it takes, what it makes, how it changes.
const KINDS = ["upper left", "upper right", "lower left", "lower right"];
function choose(index) {
  chosen = index;
  const row = Math.floor(index / WO), column = index % WO, at = [grid[2 * index], grid[2 * index + 1]];
  const found = core.sample(state, ...at), away = Math.max(Math.abs(at[0]), Math.abs(at[1])) > 1;
  $("mark").replaceChildren();
  const pad = Math.max(0, 3.5 * WO / Math.max(100, $("output").clientWidth) - 0.5);
  make("rect", { class: "chosen", x: column - pad, y: row - pad, width: 1 + 2 * pad, height: 1 + 2 * pad }, $("mark"));
  const spot = $("near"), size = view[2] / Math.max(200, $("input").clientWidth);
  spot.replaceChildren();
  for (const tap of found.taps) if (tap.source && tap.weight !== 0)
    make("rect", { class: "near", x: tap.source[0], y: tap.source[1], width: 1, height: 1, "fill-opacity": 0.15 + 0.5 * Math.max(0, tap.weight) }, spot);
  const [x, y] = edges(at);
  if (x > view[0] && y > view[1] && x < view[0] + view[2] && y < view[1] + view[3])
    make("circle", { cx: x, cy: y, r: 4.5 * size, fill: `var(--${away ? "outside" : "grid"})`, stroke: "var(--background)", "stroke-width": 1.2 * size }, spot);
  link(column, row, x, y, away);
  $("numbers").replaceChildren(...numbers(found, column, row, at, away));
}

function link(column, row, x, y, away) {
  const stage = $("stage").getBoundingClientRect(), from = $("output").getBoundingClientRect(), to = $("input").getBoundingClientRect();
  const clamp = (v, low, high) => Math.min(Math.max(v, low), high);
  const x1 = from.left - stage.left + (column + 0.5) / WO * from.width, y1 = from.top - stage.top + (row + 0.5) / HO * from.height;
  const x2 = to.left - stage.left + clamp((x - view[0]) / view[2], 0, 1) * to.width, y2 = to.top - stage.top + clamp((y - view[1]) / view[3], 0, 1) * to.height;
  $("link").replaceChildren();
  make("line", { x1, y1, x2, y2, stroke: "var(--background)", "stroke-width": 4, opacity: 0.7 }, $("link"));
  make("line", { x1, y1, x2, y2, stroke: `var(--${away ? "outside" : "grid"})`, "stroke-width": 1.8 }, $("link"));
}

const text = (tag, kind, ...parts) => {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  node.append(...parts);
  return node;
};
const em = s => text("i", "", s);
const swatch = values => { const node = text("span", "swatch"); node.style.background = colour(round(values)); return node; };

function numbers(found, column, row, at, away) {
  const table = text("table", ""), grey = state.channels === 1;
  table.append(text("tr", "", ...["neighbour", "weight", "value", grey ? "product" : ""].map(t => text("th", "", t))));
  found.taps.forEach((tap, k) => {
    const name = state.kernel === "bilinear" ? KINDS[k] : `(${tap.column}, ${tap.row})`;
    const value = tap.source ? (grey ? String(tap.values[0]) : "") : state.padding === "fill" ? "fill" : "0, outside";
    const cell = text("td", "", value + " ");
    if (tap.source) cell.append(swatch(tap.values));
    table.append(text("tr", "", text("td", "", name), text("td", "", number(tap.weight, 4)), cell, text("td", "", grey ? number(tap.weight * tap.values[0]) : "")));
  });
  const point = text("p", away ? "point away" : "point", em("T"), text("sub", "", "θ"), ` reads (${number(found.x, 3)}, ${number(found.y, 3)})` + (away ? ", outside the image" : ""));
  const d = state.kernel === "bilinear" ? [text("p", "point", em("d"), text("sub", "", "x"), ` = ${number(found.d_x, 4)}   `.trim() + "\u2003", em("d"), text("sub", "", "y"), ` = ${number(found.d_y, 4)}`)] : [];
  const formula = { bilinear: ["V = U", "UL", "·d", "y", "·d", "x", " + U", "UR", "·d", "y", "·(1−d", "x", ") + U", "LL", "·(1−d", "y", ")·d", "x", " + U", "LR", "·(1−d", "y", ")·(1−d", "x", ")"],
    nearest: ["V = U at ⌊x + ½⌋, ⌊y + ½⌋"], bicubic: ["V = Σ U·k(x − m)·k(y − n), 16 neighbours"] }[state.kernel];
  const written = text("p", "", ...formula.map((part, k) => k % 2 ? text("sub", "", part) : part));
  return [lens(found), text("p", "output", text("b", "", `output pixel (${column}, ${row})`)), point, ...d, text("div", "sums", table), written,
    text("p", "V", em("V"), ` = ${triple(found.V, 3)} `, swatch(found.V)),
    text("p", "slope", "∂", em("V"), "/∂", em("x"), ` = ${triple(found.dVdx, 3)}`),
    text("p", "slope", "∂", em("V"), "/∂", em("y"), ` = ${triple(found.dVdy, 3)}\u2003(grey levels a pixel)`)];
}

// The pixels around the sample point, large.
function lens(found) {
  const reach = state.kernel === "bicubic" ? 2.5 : 1.75, node = make("svg", { id: "lens", viewBox: `${found.x - reach} ${found.y - reach} ${2 * reach} ${2 * reach}` });
  make("rect", { x: found.x - reach, y: found.y - reach, width: 2 * reach, height: 2 * reach, fill: "var(--plane)" }, node);
  for (let r = Math.max(0, Math.floor(found.y - reach)); r <= Math.min(H - 1, Math.ceil(found.y + reach)); r++)
    for (let c = Math.max(0, Math.floor(found.x - reach)); c <= Math.min(W - 1, Math.ceil(found.x + reach)); c++) {
      const at = (r * W + c) * state.channels;
      make("rect", { x: c - 0.5, y: r - 0.5, width: 1.01, height: 1.01, fill: colour([...state.pixels.subarray(at, at + state.channels)]) }, node);
    }
  for (const tap of found.taps)
    make("rect", { x: tap.column - 0.5, y: tap.row - 0.5, width: 1, height: 1, fill: "none", stroke: "var(--input)", "stroke-width": 0.05 }, node);
  make("circle", { cx: found.x, cy: found.y, r: 0.1, fill: "var(--grid)", stroke: "var(--background)", "stroke-width": 0.04 }, node);
  return node;
}

function pixelAt(event) {
  const box = $("output").getBoundingClientRect(), inside = (v, n) => Math.min(n - 1, Math.max(0, Math.floor(v * n)));
  return inside((event.clientY - box.top) / box.height, HO) * WO + inside((event.clientX - box.left) / box.width, WO);
}

// θ as numbers: a slider for each, or for the point that is chosen.
let point = 0;
function parameters() {
  const names = state.names, lattice = "points" in state.options;
  if (state.family === "flow") return [];
  return lattice ? [2 * point, 2 * point + 1] : names.map((_, k) => k);
}
function buildTheta() {
  $("family").textContent = state.family;
  const box = $("theta");
  if ("points" in state.options) {
    const pick = text("select", "");
    pick.id = "point";
    pick.setAttribute("aria-label", "control point");
    state.options.points.forEach((_, k) => pick.append(new Option(`control point ${k + 1}`, k)));
    pick.addEventListener("change", () => { point = Number(pick.value); showTheta(); });
    box.append(pick);
  }
  if (state.family === "flow") box.append(text("p", "", `a dense field of ${state.options.shape.join(" × ")} displacements: too many for sliders`));
  parameters().forEach((_, slot) => {
    const slide = Object.assign(document.createElement("input"), { type: "range", min: -2.5, max: 2.5, step: 0.01 });
    const field = Object.assign(document.createElement("input"), { type: "number", step: 0.01 });
    const row = text("label", "row", text("span", "name"), slide, field);
    for (const node of [slide, field]) node.addEventListener("input", () => {
      const value = Number(node.value);
      if (node.value === "" || !Number.isFinite(value)) return;
      state.theta = Float64Array.from(state.theta);
      state.theta[parameters()[slot]] = value;
      stop();
      update();
    });
    box.append(row);
  });
}
function showTheta() {
  [...$("theta").querySelectorAll(".row")].forEach((row, slot) => {
    const k = parameters()[slot], [, head, tail] = /^([^\d]?)(.*)$/.exec(state.names[k]);
    row.children[0].replaceChildren(em(head), text("sub", "", tail));
    for (const node of [row.children[1], row.children[2]]) node.setAttribute("aria-label", state.names[k]);
    row.children[1].value = state.theta[k];
    if (document.activeElement !== row.children[2]) row.children[2].value = Number(state.theta[k].toFixed(6));
  });
}

const quoted = s => /^[\w./+-]+$/.test(s) ? s : '"' + s.replace(/["\\$`]/g, c => "\\" + c) + '"';
function command() {
  const parts = ["stn warp", quoted((state.image.startsWith("-") ? "./" : "") + state.image)];
  if (state.plain) {
    parts.push(`--theta "${[...state.theta].join(" ")}"`);
    if (state.family === "piecewise-affine") parts.push("--family piecewise-affine");
  } else parts.push("--theta-file theta.jsonl");
  if (state.kernel !== "bilinear") parts.push(`--kernel ${state.kernel}`);
  if (state.padding === "fill") parts.push(`--fill ${quoted(state.fill.join(","))}`);
  else if (state.padding !== "zeros") parts.push(`--padding ${state.padding}`);
  if (state.align) parts.push("--align-corners");
  if (state.size) parts.push(`--size ${state.size}`);
  return [...parts, "--antialias off", "--out", "warped"].join(" ");
}
function showCommand() {
  $("command").textContent = command();
  $("copied").textContent = "";
  if (state.plain) return;
  const row = { ...state.row, theta: [...state.theta] };
  $("save").hidden = false;
  $("save").href = "data:application/x-ndjson," + encodeURIComponent(JSON.stringify(row) + "\n");
}
async function copy() {
  try { await navigator.clipboard.writeText(command()); $("copied").textContent = "Copied"; }
  catch {
    getSelection().selectAllChildren($("command"));
    $("copied").textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
  }
}

// The reverse mapping, pixel by pixel: slow at first, then faster.
function play() {
  if (playing) { stop(); return; }
  const count = HO * WO, slow = Math.min(10, count), start = performance.now(), still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  $("play").textContent = "■ Stop";
  const step = now => {
    const seconds = Math.max(0, now - start) / 1000, first = 4;  // the first frame may be dated before the click
    const at = still ? count : seconds < first ? slow * seconds / first : slow + (count - slow) * ((seconds - first) / 7) ** 2;
    shown = Math.min(count, Math.floor(at));
    paint($("V"), output, HO, WO, shown);
    choose(Math.min(count - 1, shown));
    playing = shown < count ? requestAnimationFrame(step) : null;
    if (!playing) stop();
  };
  playing = requestAnimationFrame(step);
}
function stop() {
  if (playing) cancelAnimationFrame(playing);
  playing = null;
  shown = HO * WO;
  $("play").textContent = "▶ Play the reverse mapping";
  if (output) paint($("V"), output, HO, WO, shown);
}

frame();
buildTheta();
if (state.fill) $("padding").append(new Option("fill"));
for (const [id, key] of [["kernel", "kernel"], ["padding", "padding"]]) {
  $(id).value = state[key];
  $(id).addEventListener("change", () => { state[key] = $(id).value; stop(); update(); });
}
$("align").checked = state.align;
$("align").addEventListener("change", () => { state.align = $("align").checked; stop(); update(); });
for (const kind of ["pointermove", "pointerdown"]) $("output").addEventListener(kind, event => { if (!playing) choose(pixelAt(event)); });
$("output").addEventListener("keydown", event => {
  const step = ARROWS[event.key];
  if (!step) return;
  event.preventDefault();
  stop();
  const row = Math.min(HO - 1, Math.max(0, Math.floor(chosen / WO) + step[1])), column = Math.min(WO - 1, Math.max(0, chosen % WO + step[0]));
  choose(row * WO + column);
});
$("play").addEventListener("click", play);
$("reset").addEventListener("click", () => { state.theta = Float64Array.from(data.theta); stop(); update(); });
$("identity").addEventListener("click", () => { state.theta = Float64Array.from(data.identity); stop(); update(); });
$("copy").addEventListener("click", copy);
$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
});
addEventListener("resize", update);
update();
