// All features of the bundle: searched by their labels, sorted, more of them on demand.

import { get } from "../core/api.js";
import { html, useEffect, useRef, useState } from "../core/dom.js";
import { Go } from "../core/go.js";
import { addConcept, open, say } from "../core/store.js";
import { featureName, fixed, percent, visible, whole } from "../core/text.js";

const STEP = 60;
const COLUMNS = [["label", "Feature"], ["score", "Score"], ["documents", "Documents"], ["family", "Family"]];
const held = { q: "", sort: "documents" }; // kept while the page is open

export function FeaturesView() {
  const [q, setQ] = useState(held.q);
  const [sort, setSort] = useState(held.sort);
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
    Object.assign(held, { q, sort });
    const later = setTimeout(() => load(0), 80);
    return () => clearTimeout(later);
  }, [q, sort]);
  const add = (feature) => {
    addConcept({ feature: feature.latent });
    say(`${featureName(feature)} was added to the steering.`);
    open("search");
  };
  return html`
    <section class="sheet" aria-labelledby="features">
      <div class="headline">
        <h2 id="features">Features</h2>
        <label class="hidden" for="feature-query">Search labels</label>
        <input id="feature-query" type="search" placeholder="Search labels" value=${q} onInput=${(event) => setQ(event.target.value)} />
        <span class="quiet" role="status">${found ? `${whole(found.total)} found` : ""}</span>
      </div>
      ${problem && html`<p class="failure" role="alert">${problem}</p>`}
      ${!found && !problem && html`<p class="hint" role="status">Reading the features …</p>`}
      ${found && (found.features.length ? html`
        <div class="table"><table>
          <thead><tr>
            ${COLUMNS.map(([name, title]) => html`<th key=${name} scope="col" class=${name === "label" || name === "family" ? "" : "right"}
              aria-sort=${sort === name ? (name === "label" ? "ascending" : "descending") : null}>
              ${name === "family" ? title : html`<button class="linky" onClick=${() => setSort(name)}>${title}${sort === name ? (name === "label" ? " ↑" : " ↓") : ""}</button>`}</th>`)}
            <td></td>
          </tr></thead>
          <tbody>
            ${found.features.map((feature) => html`<tr key=${feature.latent} class=${feature.hidden ? "off" : ""}>
              <th scope="row"><${Go} to=${`feature/${feature.latent}`} class=${feature.label ? "" : "unnamed"}><bdi>${featureName(feature)}</bdi><//>
                <span class="num"> ${feature.label ? `f${feature.latent}` : ""}${feature.hidden ? " · hidden" : ""}${feature.note ? " · noted" : ""}</span></th>
              <td class="right num">${feature.score === null || feature.score === undefined ? "–" : fixed(feature.score)}</td>
              <td class="right num">${feature.documents === null || feature.documents === undefined ? "–" : whole(feature.documents)}
                ${feature.share ? html` <span class="share">${percent(feature.share)}</span>` : ""}</td>
              <td class="family"><bdi>${familyName(feature.family)}</bdi></td>
              <td class="right"><button class="linky" aria-label=${`Steer with ${featureName(feature)}`} onClick=${() => add(feature)}>Steer</button></td>
            </tr>`)}
          </tbody>
        </table></div>
        ${found.features.length < found.total && html`<button class="button" onClick=${() => load(found.features.length)}>More features</button>`}`
        : html`<p class="hint">No label holds “${q}”. A phrase works as a concept all the same: add it in the search.</p>`)}
    </section>`;
}

const familyName = (family) => (family === null || family === undefined ? "" : visible(typeof family === "object" ? family.name : String(family)));
