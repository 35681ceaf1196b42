// One result: where it stands and stood, its text with the words that carried it, its score taken apart, and stars.

import { html, useMemo, useState } from "../core/dom.js";

import { update, useModel, vote, voteOf } from "../core/store.js";
import { oneLine, visible } from "../core/text.js";
import { Bars, lookOf } from "./bars.js";
import { excerptOf, piecesOf } from "./words.js";

// Whether a hit stood beyond the end of the plain list.
export const came = (hit, most) => hit.was === null || hit.was > most;

function Move({ hit, kind, most }) {
  if (kind === "only") return null;
  if (kind === "plain") return hit.was === null ? html`<span class="move went">left</span>` : null;
  if (came(hit, most)) {
    return html`<span class="move came" title=${hit.was === null ? "Not among the first hundred without steering" : `${hit.was} without steering`}>new</span>
      ${hit.was !== null && html`<span class="move quiet"><span class="hidden">was </span><span aria-hidden="true">from </span>${hit.was}</span>`}`;
  }
  const up = hit.was - hit.rank;
  if (!up) return html`<span class="move same" title="The same place as without steering"><span aria-hidden="true">=</span><span class="hidden">same place</span></span>`;
  return html`<span class=${up > 0 ? "move up" : "move down"} title=${`${hit.was} without steering`}>
    <span aria-hidden="true">${up > 0 ? "▲" : "▼"}${Math.abs(up)}</span>
    <span class="hidden">${up > 0 ? "up" : "down"} ${Math.abs(up)}, was ${hit.was}</span></span>`;
}

function Stars({ hit }) {
  const value = useModel((held) => voteOf(held.state, hit.id));
  const of = oneLine(hit.title || hit.text, 40);
  const button = (own, sign, name) => html`
    <button class="bare star" aria-pressed=${value === own ? "true" : "false"} aria-label=${`${name}: ${of}`} title=${name}
      onClick=${() => vote(hit.id, value === own ? 0 : own)}>${sign}</button>`;
  return html`<span class="stars">${button(1, value === 1 ? "★" : "☆", "More like this")}${button(-1, "⊖", "Less like this")}</span>`;
}

const QUERY = { bar: { kind: "query" }, latent: null };

function Text({ hit, lit, kind }) {
  const found = useModel((held) => held.words).get(hit.id);
  const [whole, setWhole] = useState(false);
  // The same document in the other list has its own bars.
  // Without steering only the query carries a document.
  const lights = lit && hit.bars[lit.bar] ? { bar: hit.bars[lit.bar], latent: lit.latent } : null;
  const by = lights || (kind === "plain" ? QUERY : null);
  const excerpt = useMemo(() => excerptOf(hit.text, found, whole), [hit.text, found, whole]);
  const pieces = useMemo(() => piecesOf(hit.text, found, by, excerpt), [hit.text, found, by && by.bar, by && by.latent, excerpt]);
  const look = lights ? lookOf(lights.bar) : "";
  return html`
    <p class=${`text ${look}${whole ? " whole" : ""}`} dir="auto">${excerpt.before && "… "}${pieces.map((piece, place) =>
      piece.level ? html`<mark key=${place} class=${`w${piece.level}${piece.minus ? " less" : ""}`}>${piece.text}</mark>` : piece.text)}</p>
    ${(excerpt.long || whole) && html`<button class="linky small" aria-expanded=${whole ? "true" : "false"}
      onClick=${() => setWhole(!whole)}>${whole ? "Less of the text" : "The whole text"}</button>`}`;
}

// Where a chunk stands in its source says nothing to a reader of a list.
const PLACES = new Set(["start", "end"]);

function Metadata({ metadata }) {
  const entries = Object.entries(metadata || {}).filter(([name, value]) => !PLACES.has(name) && value !== null && value !== "" && typeof value !== "object");
  if (!entries.length) return null;
  return html`<p class="metadata">${entries.slice(0, 5).map(([name, value]) => html`
    <span key=${name}><span class="quiet">${visible(name)}</span> <bdi>${oneLine(String(value), 40)}</bdi></span>`)}</p>`;
}

export function HitCard({ hit, kind, span, most }) {
  const [opened, setOpened] = useState(null);
  const pointed = useModel((held) => held.pointed === hit.id);
  const lit = useModel((held) => (held.lit && held.lit.id === hit.id ? held.lit : null));
  const look = `hit${pointed ? " pointed" : ""}${kind === "plain" && hit.was === null ? " gone" : ""}${kind === "steered" && came(hit, most) ? " fresh" : ""}`;
  return html`
    <li class=${look} data-id=${hit.id} onPointerEnter=${() => update({ pointed: hit.id })} onPointerLeave=${() => update({ pointed: null })}>
      <div class="hit-head">
        <span class="rank">${hit.rank}</span>
        <${Move} hit=${hit} kind=${kind} most=${most} />
        <h3 class=${hit.title ? "" : "only-id"}><bdi>${oneLine(hit.title || hit.id, 90)}</bdi></h3>
        <${Stars} hit=${hit} />
      </div>
      <${Text} hit=${hit} lit=${lit} kind=${kind} />
      <${Metadata} metadata=${hit.metadata} />
      <${Bars} hit=${hit} span=${span} opened=${opened} onOpen=${setOpened} />
    </li>`;
}
