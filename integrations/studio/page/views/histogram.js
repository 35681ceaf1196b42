// A histogram: bars, two figures under them, and the same as a table for who cannot see it.

import { html } from "../core/dom.js";
import { fixed, whole } from "../core/text.js";

export function Histogram({ data }) {
  const most = Math.max(1, ...data.counts);
  const first = data.edges[0];
  const last = data.edges[data.edges.length - 1];
  return html`
    <div class="histogram" role="img" aria-label=${`Activations from ${fixed(first)} to ${fixed(last)}; at most ${whole(most)} documents in a bar`}>
      ${data.counts.map((count, place) => html`<i key=${place} title=${`${fixed(data.edges[place])} to ${fixed(data.edges[place + 1])}: ${whole(count)}`}
        style=${{ height: `${count ? Math.max(2, (100 * count) / most) : 0}%` }}></i>`)}
    </div>
    <p class="axis num"><span>${fixed(first)}</span><span>${whole(most)} at most</span><span>${fixed(last)}</span></p>`;
}
