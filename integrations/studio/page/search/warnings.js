// Warnings where they belong: at the concept they are about, or above all of them.

import { html } from "../core/dom.js";
import { keyId } from "../core/state.js";
import { useModel } from "../core/store.js";
import { visible } from "../core/text.js";

const NONE = [];

// `of` is the id of a concept, or null for those that are about none or about one that has no card.
export function Warnings({ of }) {
  const warnings = useModel((held) => (held.answer ? held.answer.warnings : NONE));
  const concepts = useModel((held) => held.state.concepts);
  const cards = new Set(concepts.map((concept) => keyId(concept.key)));
  const mine = warnings.filter((warning) => {
    const id = warning.key ? keyId(warning.key) : null;
    return of === null ? !cards.has(id) : id === of;
  });
  // The place is always there: screen readers tell what comes into it.
  return html`<div role="status">${mine.length > 0 && html`<ul class="warnings">
    ${mine.map((warning) => html`<li key=${warning.text}><span class="sign" aria-hidden="true">!</span><span>${visible(warning.text)}</span></li>`)}
  </ul>`}</div>`;
}
