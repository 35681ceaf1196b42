// What is being asked: the query and how it is steered. The same object goes to the server and into the link.

export const DEFAULT_STRENGTH = 1;
export const STRONGEST = 2;

export const emptyState = () => ({ query: "", k: 10, view: "dense", filter: null, concepts: [], understand: false });

// Two keys that mean the same have the same text.
export const keyText = (key) => JSON.stringify(key, Object.keys(key).sort());
export const keyId = (key) => ("weights" in key ? JSON.stringify(key) : keyText(key));

export function nameOfKey(key) {
  if ("weights" in key) return key.phrase || "edited weights";
  if ("more" in key || "less" in key) return key.phrase || "like the starred ones";
  if ("phrase" in key) return key.phrase;
  if ("feature" in key) return `f${key.feature}`;
  return key.concept;
}

export const kindOfKey = (key) =>
  "weights" in key ? "edited"
  : "more" in key || "less" in key ? "examples"
  : "phrase" in key ? "phrase"
  : "feature" in key ? "feature"
  : "saved";

export const newConcept = (key, more = {}) => ({
  key, strength: DEFAULT_STRENGTH, on: true, off: [], exclude: false, ...more,
});

// The colour of a concept, by its place among the cards.
export const tint = (at) => `tint${at % 4}`;

export const acts = (concept) => concept.on && (concept.exclude || concept.strength !== 0);
export const steers = (state) => state.concepts.some(acts) || state.understand;

const isKey = (key) =>
  key !== null && typeof key === "object" &&
  (typeof key.phrase === "string" || Number.isInteger(key.feature) || typeof key.concept === "string" ||
    Array.isArray(key.more) || Array.isArray(key.less) || (key.weights !== null && typeof key.weights === "object"));

// Returns a state of what a link or a file holds: what is not understood is left out.
export function readState(given) {
  const state = emptyState();
  if (given === null || typeof given !== "object") return state;
  if (typeof given.query === "string") state.query = given.query;
  if (Number.isInteger(given.k) && given.k >= 1 && given.k <= 100) state.k = given.k;
  if (typeof given.view === "string") state.view = given.view;
  if (given.filter && typeof given.filter === "object" && !Array.isArray(given.filter)) state.filter = given.filter;
  state.understand = given.understand === true;
  for (const concept of Array.isArray(given.concepts) ? given.concepts : []) {
    if (!concept || !isKey(concept.key)) continue;
    const { key, strength, on, off, exclude } = concept;
    state.concepts.push(newConcept(key, {
      strength: strength === "auto" || Number.isFinite(strength) ? strength : DEFAULT_STRENGTH,
      on: on !== false,
      off: Array.isArray(off) ? off.filter(Number.isInteger) : [],
      exclude: exclude === true,
    }));
  }
  return state;
}
