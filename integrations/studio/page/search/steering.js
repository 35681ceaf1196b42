// The side where the steering is: what is left of the query, a card for each concept, and the box that adds one.

import { html } from "../core/dom.js";
import { acts, keyId } from "../core/state.js";
import { change, model, startAgain, useModel } from "../core/store.js";
import { AddConcept } from "./add.js";
import { ConceptCard } from "./concept.js";
import { Warnings } from "./warnings.js";

// How much of the query's direction is left, as the part of a bar.
function Gauge() {
  const kept = useModel((held) => (held.answer ? held.answer.kept : null));
  const steered = useModel((held) => held.state.concepts.some(acts) || held.state.understand);
  if (kept === null || !steered) return null;
  const share = Math.round(100 * Math.max(0, Math.min(1, kept)));
  const low = kept < 0.7;
  return html`
    <div class=${low ? "gauge low" : "gauge"}>
      <span id="gauge">Left of the query</span>
      <meter min="0" max="1" low="0.7" optimum="1" value=${kept} aria-labelledby="gauge" aria-valuetext=${`${share} percent`}></meter>
      <output>${share} %</output>
    </div>`;
}

export function Steering() {
  const concepts = useModel((held) => held.state.concepts);
  const answered = useModel((held) => held.answer);
  const anything = useModel((held) => held.state.concepts.length > 0 || held.state.filter !== null);
  const found = new Map((answered ? answered.concepts : []).map((one) => [keyId(one.key), one]));
  const allOff = concepts.length > 0 && !concepts.some((one) => one.on);
  return html`
    <section class="steering" aria-labelledby="steering">
      <div class="headline">
        <h2 id="steering">Steering</h2>
        ${concepts.length > 0 && html`<button class="linky" aria-pressed=${allOff ? "true" : "false"}
          onClick=${() => change({ concepts: model.state.concepts.map((one) => ({ ...one, on: allOff })) })}>
          ${allOff ? "Turn on" : "Turn off"}</button>`}
        ${anything && html`<button class="linky" onClick=${startAgain}>Clear</button>`}
      </div>
      <${Gauge} />
      <${AddConcept} />
      <${Warnings} of=${null} />
      <ol class="cards">
        ${concepts.map((concept, at) => {
          const id = keyId(concept.key);
          return html`<li key=${id}><${ConceptCard} id=${id} concept=${concept} at=${at} found=${found.get(id) || null} /></li>`;
        })}
      </ol>
      ${!concepts.length && html`<p class="hint">A concept is anything you can name: <em>for beginners</em>, <em>side effects</em>,
        <em>written as a story</em>. Or star results that are what you want.</p>`}
    </section>`;
}
