// The query: what is asked, how, and what it says by itself.

import { html, useState } from "../core/dom.js";
import { Go } from "../core/go.js";
import { addConcept, change, mend, useModel } from "../core/store.js";
import { featureName, fixed, signed, visible } from "../core/text.js";
import { Menu } from "../core/menu.js";
import { Facets } from "./facets.js";

const VIEWS = {
  dense: "by meaning", hybrid: "meaning and words", words: "by words", latent: "by features", reconstruction: "by what features say",
};

export function QueryBox() {
  const state = useModel((held) => held.state);
  const info = useModel((held) => held.info);
  const busy = useModel((held) => held.busy);
  return html`
    <form class="query" role="search" onSubmit=${(event) => event.preventDefault()}>
      <div class="query-line">
        <label class="hidden" for="query">Search for</label>
        <input id="query" type="search" autocomplete="off" spellcheck="false" autofocus placeholder="What are you looking for?"
          value=${state.query} onInput=${(event) => change({ query: event.target.value })} />
        <span class=${busy ? "busy on" : "busy"} aria-hidden="true"></span>
      </div>
      <div class="how">
        <label class="check" title="Wishes in plain words, such as “but not about politics”, become concepts">
          <input type="checkbox" checked=${state.understand} onChange=${(event) => change({ understand: event.target.checked })} />
          Read wishes in the sentence
        </label>
        <label>Search
          <select value=${state.view} onChange=${(event) => change({ view: event.target.value })}>
            ${info.views.map((view) => html`<option key=${view} value=${view} selected=${view === state.view}>${VIEWS[view] || view}</option>`)}
          </select>
        </label>
        <label class="how-many">Show
          <select value=${state.k} onChange=${(event) => change({ k: Number(event.target.value) })}>
            ${[...new Set([5, 10, 20, 50, state.k])].sort((a, b) => a - b).map((k) => html`
              <option key=${k} value=${k} selected=${k === state.k}>${k}</option>`)}
          </select>
        </label>
        <${Facets} />
      </div>
    </form>`;
}

const FEW = 7; // features shown at once

// What the query expresses without any steering, strongest first.
export function ExpressedFeatures() {
  const features = useModel((held) => (held.answer ? held.answer.query_features : null));
  const [all, setAll] = useState(false);
  if (!features || !features.length) return null;
  const most = Math.max(...features.map((feature) => feature.strength));
  const shown = all ? features : features.slice(0, FEW);
  return html`
    <div class="expressed">
      <h2 class="lead" id="expressed">Your query says</h2>
      <ul class="chips" aria-labelledby="expressed">
        ${shown.map((feature) => html`<li key=${feature.latent}><${Chip} feature=${feature} most=${most} /></li>`)}
        ${features.length > FEW && html`<li><button class="linky more" aria-expanded=${all ? "true" : "false"} onClick=${() => setAll(!all)}>
          ${all ? "fewer" : `${features.length - FEW} more`}</button></li>`}
      </ul>
    </div>`;
}

function Chip({ feature, most }) {
  const name = featureName(feature);
  const key = { feature: feature.latent };
  const sure = feature.score === null || feature.score === undefined ? "its name is not measured" : `its name holds at ${fixed(feature.score)}`;
  return html`
    <${Menu} class="chip" label=${html`
      <span class="level" aria-hidden="true"><i style=${{ width: `${(100 * feature.strength) / most}%` }}></i></span>
      <bdi class=${feature.label ? "" : "unnamed"}>${name}</bdi><span class="num">${fixed(feature.strength)}</span>`}>
      <p class="menu-note">Feature ${feature.latent}, ${sure}</p>
      <button onClick=${() => addConcept(key, { strength: 1, exclude: false })}>More of it</button>
      <button onClick=${() => addConcept(key, { strength: -1, exclude: false })}>Less of it</button>
      <button onClick=${() => addConcept(key, { exclude: true })}>Nothing of it</button>
      <${Go} to=${`feature/${feature.latent}`}>Open the feature<//>
    <//>`;
}

// How a sentence was understood. Mending a wish puts all of them into the steering, where each has its slider.
export function Understood() {
  const understood = useModel((held) => (held.state.understand && held.answer ? held.answer.understood : null));
  if (!understood) return null;
  if (!understood.chips.length) return html`<p class="understood quiet">No wish was found in the sentence; it is searched as it stands.</p>`;
  return html`
    <div class="understood">
      <span class="lead">Understood as</span>
      <q>${visible(understood.query)}</q>
      <ul class="chips" aria-label="Wishes">
        ${understood.chips.map((chip) => html`
          <li key=${chip.text} class=${chip.exclude || chip.strength < 0 ? "wish minus" : "wish plus"}>
            <span><b>${chip.exclude ? "without" : signed(chip.strength ?? 1, 1)}</b> <bdi>${visible(chip.text)}</bdi></span>
            <button class="bare" aria-label=${`Take out the wish ${visible(chip.text)}`} onClick=${() => mend(understood, chip)}>×</button>
          </li>`)}
      </ul>
      <button class="linky" onClick=${() => mend(understood)}>Change the wishes</button>
    </div>`;
}
