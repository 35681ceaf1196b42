// All features of the bundle: searched by what they are about, sorted, more of them on demand; or as a tree.

import { get } from "../core/api.js";
import { html, useEffect, useRef, useState } from "../core/dom.js";
import { Go } from "../core/go.js";
import { addConcept, open, say } from "../core/store.js";
import { featureName, fixed, percent, visible, whole } from "../core/text.js";
import { Tree } from "./tree.js";

const STEP = 60;
const COLUMNS = [["label", "Feature"], ["score", "Score"], ["steers", "Steers"], ["documents", "Documents"], ["family", "Family"]];
const FIXED = ["family", "steers"]; // columns that nothing is sorted by
const held = { q: "", sort: "usefulness", shape: "list" }; // kept while the page is open

export function FeaturesView() {
  const [q, setQ] = useState(held.q);
  const [sort, setSort] = useState(held.sort);
  const [shape, setShape] = useState(held.shape);
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState(null);
  const asked = useRef(0);
  const load = async (offset) => {
    const own = ++asked.current;
    try {
      const answer = await get(`api/features?q=${encodeURIComponent(q)}&sort=${sort}&limit=${STEP}&offset=${offset}`);
      if (own !== asked.current) return;
      setProblem(null);
      setFound((before) => ({ total: answer.total, features: offset ? [...before.features, ...answer.features] : answer.features }));
    } catch (error) {
      if (own === asked.current) setProblem(error.message);
    }
  };
  useEffect(() => {
    Object.assign(held, { q, sort, shape });
    if (shape === "tree") return undefined;
    const later = setTimeout(() => load(0), 80);
    return () => clearTimeout(later);
  }, [q, sort, shape]);
  const add = (feature) => {
    addConcept({ feature: feature.latent });
    say(`${featureName(feature)} was added to the steering.`);
    open("search");
  };
  return html`
    <section class="sheet" aria-labelledby="features">
      <div class="headline">
        <h2 id="features">Features</h2>
        <label class="hidden" for="feature-query">Search features</label>
        <input id="feature-query" type="search" placeholder="Search features" value=${q}
          onInput=${(event) => { setQ(event.target.value); setShape("list"); }} />
        <div class="choices shape" role="group" aria-label="Show the features as">
          ${["list", "tree"].map((one) => html`<button key=${one} type="button" aria-pressed=${String(shape === one)} onClick=${() => setShape(one)}>
            ${one === "list" ? "List" : "Tree"}</button>`)}
        </div>
        <span class="quiet" role="status">${found && shape === "list" ? `${whole(found.total)} found${sort === "usefulness" && !q ? ", most useful first" : ""}` : ""}</span>
      </div>
      ${shape === "tree" ? html`<${Tree} />` : html`<${List} ...${{ q, sort, setSort, found, problem, load, add }} />`}
    </section>`;
}

function List({ q, sort, setSort, found, problem, load, add }) {
  return html`
      ${problem && html`<p class="failure" role="alert">${problem}</p>`}
      ${!found && !problem && html`<p class="hint" role="status">Reading the features …</p>`}
      ${found && (found.features.length ? html`
        <div class="table"><table>
          <thead><tr>
            ${COLUMNS.map(([name, title]) => html`<th key=${name} scope="col" class=${name === "label" || name === "family" ? "" : name === "steers" ? "right steers" : "right"}
              aria-sort=${sort === name ? (name === "label" ? "ascending" : "descending") : null}>
              ${FIXED.includes(name) ? title : html`<button class="linky" onClick=${() => setSort(name)}>${title}${sort === name ? (name === "label" ? " ↑" : " ↓") : ""}</button>`}</th>`)}
            <td></td>
          </tr></thead>
          <tbody>
            ${found.features.map((feature) => html`<tr key=${feature.latent} class=${feature.hidden ? "off" : ""}>
              <th scope="row"><${Go} to=${`feature/${feature.latent}`} class=${feature.label ? "" : "unnamed"}><bdi>${featureName(feature)}</bdi><//>
                <span class="num"> ${feature.label ? `f${feature.latent}` : ""}${feature.hidden ? " · hidden" : ""}${feature.note ? " · noted" : ""}</span></th>
              <td class="right num">${known(feature.score)}${known(feature.score) !== "–" && feature.support ? html` <span class="share" title="Held-out documents that the score is measured on">from ${whole(feature.support)}</span>` : ""}</td>
              <td class="right num steers">${known(feature.steers)}</td>
              <td class="right num">${feature.documents === null || feature.documents === undefined ? "–" : whole(feature.documents)}
                ${feature.share ? html` <span class="share">${percent(feature.share)}</span>` : ""}</td>
              <td class="family"><bdi>${familyName(feature.family)}</bdi></td>
              <td class="right"><button class="linky" aria-label=${`Steer with ${featureName(feature)}`} onClick=${() => add(feature)}>Steer</button></td>
            </tr>`)}
          </tbody>
        </table></div>
        ${found.features.length < found.total && html`<button class="button" onClick=${() => load(found.features.length)}>More features</button>`}`
        : html`<p class="hint">No feature is about “${q}”. A phrase works as a concept all the same: add it in the search.</p>`)}`;
}

const known = (value) => (value === null || value === undefined ? "–" : fixed(value));

const familyName = (family) => (family === null || family === undefined ? "" : visible(typeof family === "object" ? family.name : String(family)));
