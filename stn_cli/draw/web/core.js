// The mathematics of stn_cli/core in the browser: frames, families, sampler. Held to core by tests/draw/test_page.py.
// Points are (x, y), x right, y down. Sizes are [height, width]. Values are grey levels, 0 … 255.
"use strict";

const core = {};

// Normalised → pixel coordinate along an axis of n pixels, integer at pixel centres (coordinates.py).
core.pixel = (u, n, align) => align ? (u + 1) * ((n - 1) / 2) : (u + 1) * (n / 2) - 0.5;
core.normalised = (p, n, align) => align ? (n > 1 ? p * (2 / (n - 1)) - 1 : -1) : (p + 0.5) * (2 / n) - 1;
core.centre = (i, n, align) => align ? (n > 1 ? (2 * i + 1 - n) / (n - 1) : i - 1) : (2 * i + 1 - n) / n;

const HORIZON = 1e-6;

// family name → (θ, x, y, options) → [x, y]: T_θ at a target point.
core.families = {
  "translation": (t, x, y) => [x + t[0], y + t[1]],
  "attention": (t, x, y) => [t[0] * x + t[1], t[0] * y + t[2]],
  "similarity": (t, x, y) => [t[0] * x - t[1] * y + t[2], t[1] * x + t[0] * y + t[3]],
  "affine": (t, x, y) => [t[0] * x + t[1] * y + t[2], t[3] * x + t[4] * y + t[5]],
  "projective": (t, x, y) => {
    let w = t[6] * x + t[7] * y + 1;
    if (Math.abs(w) < HORIZON) w = w < 0 ? -HORIZON : HORIZON;
    return [(t[0] * x + t[1] * y + t[2]) / w, (t[3] * x + t[4] * y + t[5]) / w];
  },
  "piecewise-affine": (t, x, y, o) => {
    const [rows, columns] = o.shape, points = o.points;
    const cell = (v, n) => {
      const at = (v + 1) * ((n - 1) / 2), k = Math.min(Math.max(Math.floor(at), 0), n - 2);
      return [k, at - k];
    };
    const [c, u] = cell(x, columns), [r, v] = cell(y, rows);
    const moved = (k, a) => t[2 * k + a] - points[k][a];
    const topLeft = r * columns + c, bottomRight = topLeft + columns + 1, upper = u >= v;
    const middle = upper ? topLeft + 1 : topLeft + columns, first = upper ? u : v, second = upper ? v : u;
    return [x, y].map((p, a) => p + moved(topLeft, a) + first * (moved(middle, a) - moved(topLeft, a))
      + second * (moved(bottomRight, a) - moved(middle, a)));
  },
  "tps": (t, x, y, o) => {
    // The displacements' weights in the spline are o.solution (K+3, K) times the displacements; kept per θ.
    if (o.theta !== t) {
      o.theta = t;
      o.weights = o.solution.map(row => {
        let a = 0, b = 0;
        row.forEach((s, k) => { a += s * (t[2 * k] - o.points[k][0]); b += s * (t[2 * k + 1] - o.points[k][1]); });
        return [a, b];
      });
    }
    const w = o.weights, count = o.points.length;
    let dx = w[count][0] + w[count + 1][0] * x + w[count + 2][0] * y;
    let dy = w[count][1] + w[count + 1][1] * x + w[count + 2][1] * y;
    for (let k = 0; k < count; k++) {
      const ax = x - o.points[k][0], ay = y - o.points[k][1], square = ax * ax + ay * ay;
      if (square > 0) {
        const kernel = 0.5 * square * Math.log(square);
        dx += kernel * w[k][0];
        dy += kernel * w[k][1];
      }
    }
    return [x + dx, y + dy];
  },
  "flow": (t, x, y, o) => {
    const [rows, columns] = o.shape;
    const between = (v, n) => {
      const p = Math.min(Math.max(core.pixel(v, n, o.align), 0), n - 1), k = Math.min(Math.floor(p), Math.max(n - 2, 0));
      return [k, Math.min(k + 1, n - 1), p - k];
    };
    const [left, right, u] = between(x, columns), [top, bottom, v] = between(y, rows);
    const at = (r, c, a) => t[2 * (r * columns + c) + a];
    return [x, y].map((p, a) => p + (at(top, left, a) * (1 - u) + at(top, right, a) * u) * (1 - v)
      + (at(bottom, left, a) * (1 - u) + at(bottom, right, a) * u) * v);
  },
};

// T_θ(G) as a flat Float64Array of H'·W'·2.
core.grid = (state) => {
  const [height, width] = state.outSize, map = core.families[state.family];
  const grid = new Float64Array(height * width * 2);
  for (let i = 0, at = 0; i < height; i++) {
    const y = core.centre(i, height, state.align);
    for (let j = 0; j < width; j++) {
      const point = map(state.theta, core.centre(j, width, state.align), y, state.options);
      grid[at++] = point[0];
      grid[at++] = point[1];
    }
  }
  return grid;
};

// Kernels: where a sample at p reads along one axis: first tap, weights, and their slopes.
const CUBIC = -0.75;
const near = d => ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1;
const far = d => ((CUBIC * d - 5 * CUBIC) * d + 8 * CUBIC) * d - 4 * CUBIC;
const nearSlope = d => 3 * (CUBIC + 2) * d * d - 2 * (CUBIC + 3) * d;
const farSlope = d => 3 * CUBIC * d * d - 10 * CUBIC * d + 8 * CUBIC;
core.kernels = {
  nearest: p => ({ first: Math.floor(p + 0.5), weights: [1], slopes: [0] }),
  bilinear: p => {
    const first = Math.floor(p), share = p - first;
    return { first, weights: [1 - share, share], slopes: [-1, 1] };
  },
  bicubic: p => {
    const floor = Math.floor(p), d = p - floor;
    return {
      first: floor - 1,
      weights: [far(d + 1), near(d), near(1 - d), far(2 - d)],
      slopes: [farSlope(d + 1), nearSlope(d), -nearSlope(1 - d), -farSlope(2 - d)],
    };
  },
};

// The pixel of the image that stands at integer position k of an axis of n pixels, or -1 for the constant outside.
core.padded = (k, n, padding, align) => {
  if (padding === "border") return Math.min(Math.max(k, 0), n - 1);
  if (padding === "reflection") {
    const period = align ? Math.max(2 * (n - 1), 1) : 2 * n, m = ((k % period) + period) % period;
    return m < n ? m : align ? period - m : period - 1 - m;
  }
  return k >= 0 && k < n ? k : -1;
};

const FAR = 1e6;
const finite = u => Number.isFinite(u) ? Math.min(Math.max(u, -FAR), FAR) : u === -Infinity ? -FAR : FAR;

// One output value: sample point in pixels, taps {column, row, x, y, weight}, V and its slopes a channel, per pixel.
core.sample = (state, gx, gy) => {
  const [height, width] = state.inSize, channels = state.channels;
  const x = core.pixel(finite(gx), width, state.align), y = core.pixel(finite(gy), height, state.align);
  const across = core.kernels[state.kernel](x), down = core.kernels[state.kernel](y);
  const V = new Array(channels).fill(0), dVdx = new Array(channels).fill(0), dVdy = new Array(channels).fill(0), taps = [];
  down.weights.forEach((wy, b) => across.weights.forEach((wx, a) => {
    const column = across.first + a, row = down.first + b;
    const c = core.padded(column, width, state.padding, state.align), r = core.padded(row, height, state.padding, state.align);
    const inside = c >= 0 && r >= 0, values = [];
    for (let k = 0; k < channels; k++) {
      const value = inside ? state.pixels[(r * width + c) * channels + k] : state.padding === "fill" ? state.fill[k] : 0;
      values.push(value);
      V[k] += wx * wy * value;
      dVdx[k] += across.slopes[a] * wy * value;
      dVdy[k] += wx * down.slopes[b] * value;
    }
    taps.push({ column, row, source: inside ? [c, r] : null, weight: wx * wy, values });
  }));
  return { x, y, d_x: across.first + 1 - x, d_y: down.first + 1 - y, taps, V, dVdx, dVdy };
};

// V as a flat array of H'·W'·C, rounded half up to 0 … 255 as stn warp writes it.
core.output = (state, grid) => {
  const count = grid.length / 2, V = new Uint8ClampedArray(count * state.channels);
  for (let at = 0; at < count; at++) {
    const value = core.sample(state, grid[2 * at], grid[2 * at + 1]).V;
    for (let k = 0; k < state.channels; k++) V[at * state.channels + k] = Math.min(255, Math.max(0, Math.floor(value[k] + 0.5)));
  }
  return V;
};

// A fast way to the same picture for the kernel that is used most.
core.picture = (state, grid) => {
  if (state.kernel !== "bilinear" || (state.padding !== "zeros" && state.padding !== "border")) return core.output(state, grid);
  const [height, width] = state.inSize, n = state.channels, U = state.pixels, border = state.padding === "border";
  const count = grid.length / 2, V = new Uint8ClampedArray(count * n);
  for (let at = 0; at < count; at++) {
    const x = core.pixel(finite(grid[2 * at]), width, state.align), y = core.pixel(finite(grid[2 * at + 1]), height, state.align);
    const left = Math.floor(x), top = Math.floor(y), u = x - left, v = y - top;
    for (let b = 0; b < 2; b++) for (let a = 0; a < 2; a++) {
      let c = left + a, r = top + b;
      if (border) { c = Math.min(Math.max(c, 0), width - 1); r = Math.min(Math.max(r, 0), height - 1); }
      else if (c < 0 || r < 0 || c >= width || r >= height) continue;
      const weight = (a ? u : 1 - u) * (b ? v : 1 - v), from = (r * width + c) * n;
      for (let k = 0; k < n; k++) sums[k] += weight * U[from + k];
    }
    for (let k = 0; k < n; k++) { V[at * n + k] = Math.min(255, Math.max(0, Math.floor(sums[k] + 0.5))); sums[k] = 0; }
  }
  return V;
};
const sums = [0, 0, 0];
