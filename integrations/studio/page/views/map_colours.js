// The colours of a map: a ramp for numbers, from faint to strong, and eight that everybody can tell apart for names.

import { colour } from "../core/theme.js";
import { fixed, visible } from "../core/text.js";

const STEPS = 24;
// Okabe and Ito's colours, without the black that is the text's.
const NAMES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800", "#7f7f7f"];

const numbersOf = (values) => values.filter((value) => typeof value === "number" && Number.isFinite(value));

function mixed(from, to, share) {
  const read = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  const [a, b] = [read(from), read(to)];
  return `rgb(${a.map((value, at) => Math.round(value + (b[at] - value) * share)).join(" ")})`;
}

// The scale of numbers leaves the outermost hundredths out, so that one far value does not pale all others.
function rangeOf(values) {
  const sorted = numbersOf(values).sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return [at(0.01), at(0.99)];
}

const isNamed = (map) => map.values && map.values.some((value) => typeof value === "string");

function namesOf(map) {
  const counts = new Map();
  for (const value of map.values) if (value !== null) counts.set(value, (counts.get(value) || 0) + 1);
  const rank = ([value, count]) => (value === "other" ? -1 : count); // the server's word for all rarer ones
  return [...counts].sort((a, b) => rank(b) - rank(a)).map(([value]) => value);
}

export function paintOf(map) {
  const faint = colour("line");
  if (!map.values || !map.values.some((value) => value !== null)) {
    const plain = colour("query");
    return () => plain;
  }
  if (isNamed(map)) {
    const names = namesOf(map);
    const at = new Map(names.map((name, place) => [name, place]));
    return (place) => (map.values[place] === null ? faint : NAMES[Math.min(NAMES.length - 1, at.get(map.values[place]))]);
  }
  const [low, high] = rangeOf(map.values);
  const ramp = Array.from({ length: STEPS }, (_, step) => mixed(colour("line"), colour("tint0"), step / (STEPS - 1)));
  const levels = map.values.map((value) =>
    typeof value === "number" ? Math.max(0, Math.min(STEPS - 1, Math.floor(((value - low) / (high - low || 1)) * STEPS))) : 0);
  const paint = (place) => ramp[levels[place]];
  // The strongest last, above the others.
  paint.order = levels.map((_, place) => place).sort((a, b) => levels[a] - levels[b]);
  return paint;
}

export function legendOf(map) {
  if (!map.values || !map.values.some((value) => value !== null)) return [];
  if (isNamed(map)) {
    const names = namesOf(map);
    const shown = names.slice(0, NAMES.length - 1).map((name, place) => ({ text: visible(name), colour: NAMES[place] }));
    if (names.length >= NAMES.length) shown.push({ text: "others", colour: NAMES[NAMES.length - 1] });
    return shown;
  }
  const [low, high] = rangeOf(map.values);
  return [{ text: fixed(low), colour: colour("line") }, { text: fixed(high), colour: colour("tint0") }];
}
