// Which words carried a hit. Offsets count code points of the text, as the server counts them.

import { unitsOf, visible } from "../core/text.js";

const LONG = 460; // code units of a text that a list shows at once
const FEW = 0.2; // share of the strongest word below which a word is left unmarked
const LEVELS = 4;

// Returns what of a text is shown: all of it, or from its best sentence on where that stands deep inside.
export function excerptOf(text, found, whole) {
  const long = text.length > LONG;
  if (whole || !long) return { start: 0, end: text.length, before: false, long };
  let start = 0;
  if (found && found.sentences.length) {
    const best = found.sentences.reduce((a, b) => (b.value > a.value ? b : a));
    const units = unitsOf(text);
    if (units(best.end) > LONG) start = units(best.start);
  }
  return { start, end: text.length, before: start > 0, long };
}

// The value of a word for what is lit: a bar, one feature of it, or the whole score. The server calls them "query",
// "c0" and so on for the concepts, and "f412".
function valueFor(word, by) {
  if (!by || !by.bar) return word.value;
  const held = word.by || {};
  if (by.latent !== null && by.latent !== undefined) return held[`f${by.latent}`] ?? 0;
  if (by.bar.kind === "query") return held.query ?? word.value;
  return held[`c${by.bar.concept}`] ?? held[by.bar.label] ?? 0;
}

// Returns the excerpt as pieces: {text, level (0 to 4), minus}.
export function piecesOf(text, found, by, excerpt) {
  const shown = (from, to) => visible(text.slice(Math.max(from, excerpt.start), Math.min(to, excerpt.end)));
  if (!found || !found.words.length) return [{ text: shown(0, text.length), level: 0 }];
  const units = unitsOf(text);
  const values = found.words.map((word) => valueFor(word, by));
  const most = Math.max(1e-12, ...values.map(Math.abs));
  const pieces = [];
  let done = excerpt.start;
  found.words.forEach((word, place) => {
    const [from, to] = [units(word.start), units(word.end)];
    const share = Math.abs(values[place]) / most;
    if (to <= done || from >= excerpt.end || share < FEW) return;
    if (from > done) pieces.push({ text: shown(done, from), level: 0 });
    pieces.push({ text: shown(Math.max(from, done), to), level: Math.min(LEVELS, Math.ceil(((share - FEW) / (1 - FEW)) * LEVELS) || 1), minus: values[place] < 0 });
    done = to;
  });
  if (done < excerpt.end) pieces.push({ text: shown(done, excerpt.end), level: 0 });
  return pieces;
}
