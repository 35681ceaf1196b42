// What the page knows, in one place, and every way to change it.

import { get, newestOnly, post } from "./api.js";
import { useEffect, useState } from "./dom.js";
import { readHash, writeHash } from "./link.js";
import { emptyState, keyId, newConcept, steers } from "./state.js";

const first = readHash(location.hash);

export const model = {
  info: null, // of the index; null until the server answered
  failure: first.broken ? "This link could not be read. Nothing of it was taken." : null,
  state: first.state,
  page: first.page,
  answer: null, // to the newest state that was answered
  answered: null, // the state it belongs to
  busy: false,
  words: new Map(), // id -> which words carried it, of `answer`
  noWords: false, // this bundle cannot tell which words carried a hit
  lit: null, // {id, bar, latent}: the bar under the pointer
  pointed: null, // id of the document under the pointer
  opened: null, // id of the concept that is open
  curve: null, // id of the concept whose curve is shown
  saved: [], // names of saved concepts
  notice: null, // {text, undo}: one line at the bottom
};

const listeners = new Set();

export function update(patch) {
  Object.assign(model, patch);
  for (const listener of listeners) listener();
}

// Draws the component again when what `select` returns has changed.
export function useModel(select) {
  const [, draw] = useState(0);
  const value = select(model);
  useEffect(() => {
    let last = value;
    const listener = () => {
      const now = select(model);
      if (!Object.is(now, last)) {
        last = now;
        draw((count) => count + 1);
      }
    };
    listeners.add(listener);
    listener();
    return () => listeners.delete(listener);
  }, []);
  return value;
}

// ---- the address ------------------------------------------------------------------------------------------------

let later = 0;

function rememberInAddress() {
  clearTimeout(later);
  later = setTimeout(() => history.replaceState(null, "", writeHash(model.state, model.page)), 250);
}

export const linkTo = (page) => writeHash(model.state, page);
export const fullLink = () => `${location.origin}${location.pathname}${writeHash(model.state, model.page)}`;

export function open(page) {
  clearTimeout(later);
  history.replaceState(null, "", writeHash(model.state, model.page));
  history.pushState(null, "", writeHash(model.state, page));
  update({ page });
}

addEventListener("popstate", () => {
  const { state, page } = readHash(location.hash);
  const changed = JSON.stringify(state) !== JSON.stringify(model.state);
  update({ page, state });
  if (changed) search(state);
});

// ---- searching --------------------------------------------------------------------------------------------------

const askWords = newestOnly(async ({ answer, state }) => {
  const ids = [...new Set([...answer.steered, ...answer.plain].map((hit) => hit.id))];
  if (!ids.length || answer !== model.answer) return;
  try {
    if (model.noWords) return;
    const found = await post("api/words", { state, ids });
    if (answer === model.answer) update({ words: new Map(Object.entries(found)) });
  } catch (error) {
    // Highlights are an extra: the list stands without them. A bundle that cannot give them is not asked again.
    if (error.status === 501) model.noWords = true;
  }
});

let wordsLater = 0;

const runSearch = newestOnly(async (state) => {
  update({ busy: true });
  try {
    const started = performance.now();
    const answer = await post("api/search", state);
    answer.roundTrip = performance.now() - started;
    const same = new Set(answer.steered.concat(answer.plain).map((hit) => hit.id));
    const words = new Map([...model.words].filter(([id]) => same.has(id)));
    update({ answer, answered: state, failure: null, words });
    clearTimeout(wordsLater);
    wordsLater = setTimeout(() => askWords({ answer, state }), 120);
  } catch (error) {
    update({ failure: error.message });
  } finally {
    update({ busy: false });
  }
});

export function search(state) {
  if (state.query.trim()) runSearch(state);
  else update({ answer: null, answered: null, words: new Map() });
}

export function change(patch) {
  const state = { ...model.state, ...patch };
  update(state.query.trim() ? { state } : { state, failure: null });
  rememberInAddress();
  search(state);
}

export const again = () => search(model.state);

// ---- concepts ---------------------------------------------------------------------------------------------------

const withConcepts = (concepts) => change({ concepts });

export function addConcept(key, more = {}) {
  const id = keyId(key);
  const held = model.state.concepts.find((concept) => keyId(concept.key) === id);
  if (held) changeConcept(id, { on: true, ...more });
  else withConcepts([...model.state.concepts, newConcept(key, more)]);
}

export const changeConcept = (id, patch) =>
  withConcepts(model.state.concepts.map((held) => (keyId(held.key) === id ? { ...held, ...patch } : held)));

export function removeConcept(id, name) {
  const before = model.state.concepts;
  withConcepts(before.filter((held) => keyId(held.key) !== id));
  say(`${name} was taken out.`, () => withConcepts(before));
}

export function switchLatent(id, latent, on) {
  const held = model.state.concepts.find((concept) => keyId(concept.key) === id);
  const off = held.off.filter((other) => other !== latent);
  changeConcept(id, { off: on ? off : [...off, latent] });
}

const starred = () => model.state.concepts.find((held) => "more" in held.key || "less" in held.key);

// 1: more like it, -1: less like it, 0: neither.
export function voteOf(state, id) {
  const held = state.concepts.find((concept) => "more" in concept.key || "less" in concept.key);
  return !held ? 0 : (held.key.more || []).includes(id) ? 1 : (held.key.less || []).includes(id) ? -1 : 0;
}

export function vote(id, value) {
  const held = starred();
  const key = { ...(held ? held.key : {}) };
  key.more = (key.more || []).filter((other) => other !== id);
  key.less = (key.less || []).filter((other) => other !== id);
  if (value > 0) key.more.push(id);
  if (value < 0) key.less.push(id);
  const others = model.state.concepts.filter((concept) => concept !== held);
  if (!key.more.length && !key.less.length) withConcepts(others);
  else if (held) withConcepts(model.state.concepts.map((one) => (one === held ? { ...held, key, off: [] } : one)));
  else withConcepts([...others, newConcept(key)]);
}

// Puts what a sentence was understood as in the place of the sentence, so that each wish can be mended.
export function mend(understood, without = null) {
  const wishes = understood.chips
    .filter((chip) => chip !== without)
    .map((chip) => newConcept(chip.key, { strength: chip.strength ?? 1, exclude: Boolean(chip.exclude) }));
  const held = new Set(model.state.concepts.map((concept) => keyId(concept.key)));
  const added = wishes.filter((wish) => !held.has(keyId(wish.key)));
  change({ query: understood.query, understand: false, concepts: [...model.state.concepts, ...added] });
}

export const startAgain = () => {
  const before = model.state;
  change({ ...emptyState(), view: before.view, k: before.k });
  say("Everything was cleared.", () => change(before));
};

export const hasSteering = (state) => steers(state);

// ---- the rest ---------------------------------------------------------------------------------------------------

let noticeLater = 0;

export function say(text, undo = null) {
  update({ notice: { text, undo } });
  clearTimeout(noticeLater);
  noticeLater = setTimeout(() => update({ notice: null }), undo ? 8000 : 4000);
}

export async function loadSaved() {
  try {
    const found = await get("api/concepts");
    update({ saved: found.concepts || [] });
  } catch {
    update({ saved: [] });
  }
}

export async function begin() {
  try {
    const info = await get("api/info");
    const view = info.views.includes(model.state.view) ? model.state.view : info.views[0];
    update({ info, state: { ...model.state, view } });
    search(model.state);
    loadSaved();
  } catch (error) {
    update({ failure: error.message, info: null });
  }
}
