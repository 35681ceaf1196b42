// Texts of documents with the words on which a feature fires.

import { html } from "../core/dom.js";
import { fixed, visible } from "../core/text.js";
import { piecesOf } from "../search/words.js";

function Text({ text, words }) {
  const spans = (words || []).map((word) => (Array.isArray(word) ? { start: word[0], end: word[1], value: word[2] } : word));
  const pieces = piecesOf(text, { words: spans, sentences: [] }, null, { start: 0, end: text.length });
  return html`<p class="text whole" dir="auto">${pieces.map((piece, place) =>
    piece.level ? html`<mark key=${place} class=${`w${piece.level}${piece.minus ? " less" : ""}`}>${piece.text}</mark>` : piece.text)}</p>`;
}

export function Passages({ title, note, list, empty }) {
  if (!list || !list.length) return empty ? html`<section><h3>${title}</h3><p class="hint">${empty}</p></section>` : null;
  const most = Math.max(1e-9, ...list.map((one) => one.value || 0));
  return html`
    <section class="passages"><h3>${title}</h3>${note && html`<p class="hint">${note}</p>`}
      <ol>${list.map((one, place) => html`<li key=${`${one.id}-${place}`}>
        <${Text} text=${one.text} words=${one.words} />
        <p class="meta">${one.value > 0 && html`<span class="weight" aria-hidden="true"><i style=${{ width: `${(100 * one.value) / most}%` }}></i></span>
          <span class="num">${fixed(one.value)}</span>`}<bdi class="quiet">${visible(one.id ?? "")}</bdi></p>
      </li>`)}</ol>
    </section>`;
}
