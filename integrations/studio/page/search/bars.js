// The score of a hit taken apart: a bar on one scale for the whole list, and its terms in figures that add up.

import { html } from "../core/dom.js";
import { Go } from "../core/go.js";
import { keyId, tint } from "../core/state.js";
import { model, update, useModel } from "../core/store.js";
import { featureName, fixed, signed, visible } from "../core/text.js";

const sum = (values) => values.reduce((total, value) => total + value, 0);

// The scale of a list: from what its bars reach below 0 to what they reach above.
export function spanOf(hits) {
  let [low, high] = [0, 0];
  for (const hit of hits) {
    low = Math.min(low, sum(hit.bars.map((bar) => Math.min(0, bar.value))));
    high = Math.max(high, sum(hit.bars.map((bar) => Math.max(0, bar.value))));
  }
  return { low, high, width: high - low || 1 };
}

// Which colour a bar has: the query's, its concept's, or that of what is not wanted.
export function lookOf(bar) {
  if (bar.kind === "query") return "of-query";
  if (bar.kind === "exclude") return "minus";
  const at = bar.concept ?? model.state.concepts.findIndex((concept) => keyId(concept.key) === keyId(bar.key));
  if (at >= 0 && model.state.concepts[at] && Number(model.state.concepts[at].strength) < 0) return "minus";
  return tint(Math.max(0, at));
}

export function Bars({ hit, span, opened, onOpen }) {
  const lit = useModel((held) => (held.lit && held.lit.id === hit.id ? held.lit : null));
  const at = (value) => `${(100 * (value - span.low)) / span.width}%`;
  let [down, up] = [0, 0];
  const pieces = hit.bars.map((bar, place) => {
    const from = bar.value < 0 ? (down += bar.value) : up;
    if (bar.value >= 0) up += bar.value;
    return { bar, place, from, size: Math.abs(bar.value) };
  });
  const isLit = (place) => lit && lit.bar === place;
  const light = (place, latent = null) => update({ lit: { id: hit.id, bar: place, latent } });
  const dark = () => update({ lit: null });
  return html`
    <div class="score">
      <div class="bar" aria-hidden="true">
        ${pieces.map(({ bar, place, from, size }) => html`
          <i key=${place} class=${`${lookOf(bar)}${isLit(place) ? " lit" : ""}`} style=${{ left: at(from), width: `${(100 * size) / span.width}%` }}
            onPointerEnter=${() => light(place)} onPointerLeave=${dark}></i>`)}
        <b style=${{ left: at(0) }}></b>
      </div>
      <p class="sum">
        <b title="The score, the sum of what stands behind it">${fixed(hit.score, 3)}</b> =
        ${hit.bars.map((bar, place) => html`
          <button key=${place} class=${`term ${lookOf(bar)}${isLit(place) ? " lit" : ""}`} aria-expanded=${opened === place ? "true" : "false"}
            onPointerEnter=${() => light(place)} onPointerLeave=${dark} onFocus=${() => light(place)} onBlur=${dark}
            onClick=${() => onOpen(opened === place ? null : place)}>
            <span class="dot" aria-hidden="true"></span>${signed(bar.value, 3)} <bdi>${visible(bar.label)}</bdi></button>`)}
      </p>
      ${opened !== null && hit.bars[opened] && html`<${Parts} bar=${hit.bars[opened]} light=${(latent) => light(opened, latent)} dark=${dark} />`}
    </div>`;
}

const isRest = (part) => part.latent === null || part.latent === undefined;
// Features first, then what words of the text add, and what is left last.
const rankOf = (part) => (!isRest(part) ? 0 : part.label === "the rest" ? 2 : 1);

// A bar opened: the features that made it, the largest first.
function Parts({ bar, light, dark }) {
  const parts = (bar.parts || []).slice().sort((a, b) => rankOf(a) - rankOf(b) || Math.abs(b.value) - Math.abs(a.value));
  if (!parts.length) return html`<p class="hint">No feature takes part in it.</p>`;
  // The rest may be far larger than any feature: its bar ends where the scale does.
  const most = Math.max(1e-9, ...parts.filter((part) => rankOf(part) < 2).map((part) => Math.abs(part.value)));
  const row = (part) => html`
    <li key=${part.latent} onPointerEnter=${() => light(part.latent)} onPointerLeave=${dark}>
      <span class="half" aria-hidden="true"><i class=${part.value < 0 ? "minus" : "plus"} style=${{ width: `${Math.min(50, (50 * Math.abs(part.value)) / most)}%` }}></i></span>
      <span class="num">${signed(part.value, 3)}</span>
      ${isRest(part)
        ? html`<span class="quiet">${visible(part.label || "the rest")}</span>`
        : html`<${Go} to=${`feature/${part.latent}`} class=${part.label ? "" : "unnamed"} onFocus=${() => light(part.latent)} onBlur=${dark}>
            <bdi>${featureName(part)}</bdi><//>`}
    </li>`;
  return html`<ul class="parts">${parts.slice(0, 10).map(row)}</ul>`;
}
