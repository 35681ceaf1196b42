// The search view: the query above, the steering at the side, the lists beside it.

import { html } from "../core/dom.js";
import { again, change, useModel } from "../core/store.js";
import { ExpressedFeatures, QueryBox, Understood } from "./query.js";
import { Results } from "./results.js";
import { Steering } from "./steering.js";

function Failure() {
  const failure = useModel((held) => held.failure);
  if (!failure) return null;
  return html`<div class="failure" role="alert"><span>${failure}</span>
    <button class="button" onClick=${again}>Try again</button></div>`;
}

function Welcome() {
  const info = useModel((held) => held.info);
  const named = info.labelled
    ? `${info.labelled} of its ${info.latents} features have a name.`
    : info.latents ? "Its features have no names yet: sae features label gives them some." : "";
  return html`<div class="state-box">
    <h2>Type a question</h2>
    <p>The list follows what you type. Then add a concept and move its slider: the steered list stands beside the plain one,
      and every score is taken apart below its text.</p>
    <p class="quiet">${named}</p>
    ${info.queries && html`<p>This is a still copy. It has the results of these queries:</p>
      <ul class="still">${info.queries.map((query) => html`<li key=${query}><button class="linky" onClick=${() => change({ query })}>${query}</button></li>`)}</ul>`}
  </div>`;
}

export function SearchView() {
  const empty = useModel((held) => !held.state.query.trim());
  return html`
    <div class="search">
      <div class="ask">
        <${QueryBox} />
        <${Failure} />
        ${!empty && html`<${Understood} /><${ExpressedFeatures} />`}
      </div>
      <div class="split">
        <${Steering} />
        <section class="found" aria-label="Results">${empty ? html`<${Welcome} />` : html`<${Results} />`}</section>
      </div>
    </div>`;
}
