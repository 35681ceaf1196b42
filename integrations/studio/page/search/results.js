// The lists: one where nothing steers, plain and steered side by side otherwise.

import { html, useState } from "../core/dom.js";
import { acts } from "../core/state.js";
import { change, useModel } from "../core/store.js";
import { counted, whole } from "../core/text.js";
import { spanOf } from "./bars.js";
import { came, HitCard } from "./hit.js";

function List({ hits, kind, title, note, most }) {
  const span = spanOf(hits);
  return html`
    <section class=${`list ${kind}`} aria-label=${title}>
      <div class="headline"><h2>${title}</h2><span class="quiet">${note}</span></div>
      ${kind === "steered" && html`<p class="scale-note">What each condition costs a document: 0 where all are met.</p>`}
      <ol>${hits.map((hit) => html`<${HitCard} key=${hit.id} hit=${hit} kind=${kind} span=${span} most=${most} />`)}</ol>
    </section>`;
}

function Waiting() {
  return html`<div class="list waiting" role="status"><span class="hidden">Searching …</span>
    <ol aria-hidden="true">${[1, 2, 3, 4].map((at) => html`<li key=${at} class="hit"><i></i><i></i><i></i></li>`)}</ol></div>`;
}

function Nothing() {
  const filter = useModel((held) => held.state.filter);
  return html`<div class="state-box">
    <h2>Nothing was found</h2>
    <p>${filter ? "No document fits the filter." : "The index holds no document that this view finds."}</p>
    ${filter && html`<button class="button" onClick=${() => change({ filter: null })}>Clear the filter</button>`}
  </div>`;
}

export function Results() {
  const answer = useModel((held) => held.answer);
  const state = useModel((held) => held.answered);
  const failed = useModel((held) => held.failure !== null);
  const [shown, show] = useState("steered");
  if (!answer) return failed ? null : html`<${Waiting} />`;
  const { plain, steered } = answer;
  if (!plain.length && !steered.length) return html`<${Nothing} />`;
  const steers = state.concepts.some(acts) || (answer.understood && answer.understood.chips.length > 0);
  const fresh = steered.filter((hit) => came(hit, plain.length)).length;
  const moved = steered.filter((hit) => !came(hit, plain.length) && hit.was !== hit.rank).length;
  const news = steers ? `${counted(fresh, "result")} new, ${whole(moved)} moved` : counted(plain.length, "result");
  return html`
    <p class="hidden" role="status">${news}</p>
    ${!steers
      ? html`<div class="lists one"><${List} hits=${plain} kind="only" title="Results" note=${news} /></div>`
      : html`
        <div class="which" role="group" aria-label="List">
          ${[["plain", "Plain"], ["steered", "Steered"]].map(([kind, title]) => html`
            <button key=${kind} aria-pressed=${shown === kind ? "true" : "false"} onClick=${() => show(kind)}>${title}</button>`)}
        </div>
        <div class=${`lists two show-${shown}`}>
          <${List} hits=${plain} kind="plain" title="Plain" note="without steering" />
          <${List} hits=${steered} kind="steered" title="Steered" note=${news} most=${plain.length} />
        </div>`}`;
}
