"use strict";
// Drawing: elements, histograms, the map. Text of the data only ever becomes text nodes, never markup.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = new Map(data.features.map((feature) => [feature.id, feature]));
const slot = (id) => document.getElementById(id);

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("--")) node.style.setProperty(name, value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Numbers

const whole = (value) => value.toLocaleString("en");
const counted = (value, thing) => `${whole(value)} ${thing}${value === 1 ? "" : "s"}`;
const percent = (share, least = 1) => {
  const digits = share >= 0.1 ? 3 : 2;
  const format = {
    style: "percent",
    minimumSignificantDigits: Math.min(least, digits),
    maximumSignificantDigits: digits,
  };
  return share.toLocaleString("en", format).replace("%", "\u202f%");
};
const fixed = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const auc = (score) => (score ? score[0] : null);
const density = (feature) => feature.active / Math.max(1, data.documents);
const tooDense = (feature) => density(feature) > data.limits.too_dense;

// Classes of score: the same five colours on the map, in the histogram and in the table.

const SHADES = ["--s0", "--s1", "--s2", "--s3", "--s4"];
const STEPS = [data.limits.unclear, 0.75, 0.85, 0.95];
const CLASS_NAMES = [
  `below ${fixed(STEPS[0])} or unmeasured`,
  ...STEPS.map((at, i) => `${fixed(at)} to ${fixed(STEPS[i + 1] ?? 1)}`),
];
const shadeOf = (score) => (score === null ? 0 : STEPS.filter((at) => score >= at).length);

// Histograms: bars are elements, so that their text keeps its size on every screen.

function histogram({ bars, ticks, limit, label, here }) {
  const most = Math.max(1, ...bars.map((bar) => bar.count));
  const box = el("div", { class: here === undefined ? "bars" : "bars marked", role: "img", "aria-label": label });
  bars.forEach((bar, at) => {
    const height = bar.count ? `max(2px, ${((100 * bar.count) / most).toFixed(2)}%)` : "0";
    const title = `${bar.name}: ${counted(bar.count, "feature")}`;
    const node = el("i", { class: at === here ? "here" : null, title, "--c": bar.color });
    node.style.height = height;
    box.append(node);
  });
  if (limit) {
    box.append(el("div", { class: "scale" }, counted(most, "feature")));
    const line = el("div", { class: "limit" }, el("span", {}, limit.name));
    line.style.left = `${100 * limit.at}%`;
    box.append(line);
  }
  const axis = el("div", { class: "axis", "aria-hidden": "true" });
  for (const tick of ticks) {
    const mark = el("span", { class: tick.at <= 0 ? "first" : tick.at >= 1 ? "last" : null }, tick.name);
    mark.style.left = `${100 * tick.at}%`;
    axis.append(mark);
  }
  return el("div", {}, box, axis);
}

const PER_DECADE = 4;
const DECADES = Math.max(1, Math.ceil(Math.log10(Math.max(2, data.documents))));
const densityBin = (feature) =>
  Math.min(
    DECADES * PER_DECADE - 1,
    Math.max(0, Math.floor((Math.log10(density(feature)) + DECADES) * PER_DECADE + 1e-9)),
  );

const densityBars = (() => {
  const bars = Array.from({ length: DECADES * PER_DECADE }, (_, at) => {
    const [from, to] = [at, at + 1].map((edge) => 10 ** (edge / PER_DECADE - DECADES));
    const color = from >= data.limits.too_dense * 0.999 ? "var(--warn)" : "var(--s2)";
    return { name: `${percent(from)} to ${percent(to)} of documents`, count: 0, color };
  });
  for (const feature of data.features) if (feature.active) bars[densityBin(feature)].count += 1;
  return bars;
})();

function densityHistogram(feature) {
  const ticks = Array.from({ length: DECADES + 1 }, (_, at) => ({
    at: at / DECADES,
    name: percent(10 ** (at - DECADES)),
  }));
  const dense = 1 + Math.log10(data.limits.too_dense) / DECADES;
  const here = feature && feature.active ? densityBin(feature) : undefined;
  const limit = feature ? null : { at: dense, name: "too dense" };
  const label = feature
    ? `Active on ${percent(density(feature))} of the documents, shown among all features`
    : "Number of features by the share of documents on which they are active, logarithmic";
  return histogram({ bars: densityBars, ticks, limit, label, here });
}

const SCORE_BINS = 20;
const scoreBin = (score) => Math.min(SCORE_BINS - 1, Math.floor(score * SCORE_BINS + 1e-9));
const scored = data.features.filter((feature) => feature.score);
// Hardly any label is worse than chance: the axis begins where there is something to see.
const FIRST_BIN = Math.min(8, ...scored.map((feature) => scoreBin(auc(feature.score))));

const scoreBars = (() => {
  const bars = [];
  for (let bin = FIRST_BIN; bin < SCORE_BINS; bin += 1) {
    const color = `var(${SHADES[shadeOf(bin / SCORE_BINS + 1e-9)]})`;
    bars.push({ name: `${fixed(bin / SCORE_BINS)} to ${fixed((bin + 1) / SCORE_BINS)}`, count: 0, color });
  }
  for (const feature of scored) bars[scoreBin(auc(feature.score)) - FIRST_BIN].count += 1;
  return bars;
})();

function scoreHistogram(feature) {
  const place = (score) => (score * SCORE_BINS - FIRST_BIN) / (SCORE_BINS - FIRST_BIN);
  const ticks = [0, 0.25, 0.5, 0.75, 1]
    .filter((at) => place(at) >= 0)
    .map((at) => ({ at: place(at), name: fixed(at) }));
  const here = feature && feature.score ? scoreBin(auc(feature.score)) - FIRST_BIN : undefined;
  const limit = feature ? null : { at: place(data.limits.unclear), name: "clear label" };
  const label = feature
    ? `Label score ${fixed(auc(feature.score))}, shown among all features`
    : "Number of features by label score";
  return histogram({ bars: scoreBars, ticks, limit, label, here });
}

// The map

function makeMap({ canvas, tip, nameOf, open }) {
  const context = canvas.getContext("2d");
  const reach = 14;
  let dots = [];
  let matching = null;
  let chosen = null;

  function layout() {
    const size = canvas.clientWidth;
    const scale = window.devicePixelRatio || 1;
    if (!size) return;
    canvas.width = canvas.height = Math.round(size * scale);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    const unit = size / 560;
    dots = data.features
      .filter((feature) => feature.fires)
      .map((feature) => {
        const [x, y] = feature.at.map((place) => 12 + place * (size - 24));
        return {
          feature,
          x,
          y: size - y,
          r: Math.max(1.3, unit * Math.min(11, 1 + 16 * Math.sqrt(density(feature)))),
          shade: shadeOf(auc(feature.score)),
        };
      })
      .sort((a, b) => (a.shade > 0) - (b.shade > 0) || b.r - a.r); // unclear ones below, small ones above large ones
    draw();
  }

  function draw() {
    const size = canvas.clientWidth;
    const style = getComputedStyle(document.body);
    const colors = SHADES.map((name) => style.getPropertyValue(name));
    context.clearRect(0, 0, size, size);
    for (const dot of dots) {
      context.globalAlpha = matching && !matching.has(dot.feature) ? 0.1 : 0.85;
      circle(dot, dot.r);
      context.fillStyle = colors[dot.shade];
      context.fill();
    }
    context.globalAlpha = 1;
    drawNames(size, style);
    const dot = dots.find((each) => each.feature === chosen);
    if (!dot) return;
    circle(dot, dot.r + 3);
    context.strokeStyle = style.getPropertyValue("--text");
    context.lineWidth = 2;
    context.stroke();
  }

  function circle(dot, radius) {
    context.beginPath();
    context.arc(dot.x, dot.y, radius, 0, 2 * Math.PI);
  }

  // Names of the most frequent clear features, as far as they do not cover one another: something to start from.
  function drawNames(size, style) {
    const taken = [];
    context.font = `12px ${style.fontFamily}`;
    context.textBaseline = "middle";
    context.lineJoin = "round";
    const able = dots.filter(
      (dot) =>
        (dot.shade > 1 || dot.feature.renamed) &&
        dot.feature.label !== null &&
        !tooDense(dot.feature) &&
        (!matching || matching.has(dot.feature)),
    );
    able.sort((a, b) => b.feature.fires - a.feature.fires);
    for (const dot of able) {
      if (taken.length >= size / 32) break;
      const name = dot.feature.label.split(", ")[0].slice(0, 28);
      const width = context.measureText(name).width;
      const left = Math.min(Math.max(4, dot.x - width / 2), size - width - 4);
      const box = [left - 30, dot.y - 22, left + width + 30, dot.y + 22];
      if (taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3]))
        continue;
      taken.push(box);
      context.strokeStyle = style.getPropertyValue("--raised");
      context.lineWidth = 4;
      context.strokeText(name, left, dot.y);
      context.fillStyle = style.getPropertyValue("--text");
      context.fillText(name, left, dot.y);
    }
  }

  function nearest(event) {
    const frame = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
    let best = null;
    let least = Infinity;
    for (const dot of dots) {
      if (matching && !matching.has(dot.feature)) continue;
      const away = Math.hypot(dot.x - x, dot.y - y) - dot.r;
      if (away < reach && away < least) [best, least] = [dot.feature, away];
    }
    return best;
  }

  function choose(feature, tapped = false) {
    if (feature === chosen && !tapped) return;
    chosen = feature;
    draw();
    const dot = dots.find((each) => each.feature === feature);
    tip.hidden = !dot;
    canvas.style.cursor = dot ? "pointer" : "";
    if (!dot) return;
    tip.replaceChildren(nameOf(feature));
    tip.href = `#f${feature.id}`;
    tip.classList.toggle("tapped", tapped);
    const size = canvas.clientWidth;
    tip.style.left = `${Math.max(0, Math.min(dot.x - tip.offsetWidth / 2, size - tip.offsetWidth))}px`;
    tip.style.top = `${dot.y < size / 2 ? dot.y + dot.r + 10 : dot.y - dot.r - 10 - tip.offsetHeight}px`;
  }

  // A mouse points and clicks; a finger cannot point, so a tap names the feature and the name is the link.
  let finger = false;
  canvas.addEventListener("pointerdown", (event) => {
    finger = event.pointerType === "touch";
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "touch") choose(nearest(event));
  });
  canvas.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "touch") choose(null);
  });
  canvas.addEventListener("click", (event) => {
    const feature = nearest(event);
    if (finger || !feature) choose(feature, true);
    else open(feature);
  });
  new ResizeObserver(layout).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  return {
    choose,
    match(features) {
      matching = features;
      chosen = null;
      tip.hidden = true;
      draw();
    },
  };
}
