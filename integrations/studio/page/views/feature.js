// One feature: what it fires on, what it does not, how well its name holds, its company; renamed, hidden, noted, with undo.

import { get, post } from "../core/api.js";
import { html, useEffect, useState } from "../core/dom.js";
import { Go } from "../core/go.js";
import { addConcept, open, say, useModel } from "../core/store.js";
import { counted, featureName, fixed, percent, visible } from "../core/text.js";
import { Histogram } from "./histogram.js";
import { Passages } from "./passages.js";

export function FeaturePage({ id }) {
  const [feature, setFeature] = useState(null);
  const [problem, setProblem] = useState(null);
  const load = () => get(`api/features/${id}`).then(
    (found) => { setFeature(found); setProblem(null); }, (error) => setProblem(error.message));
  useEffect(() => { load(); }, [id]);
  if (problem) return html`<div class="state-box" role="alert"><h2>Feature ${id}</h2><p>${problem}</p>
    <${Go} to="features">All features<//></div>`;
  if (!feature) return html`<p class="start" role="status">Reading the feature …</p>`;
  return html`<${Sheet} feature=${{ latent: id, ...feature }} load=${load} />`;
}

function Sheet({ feature, load }) {
  const held = feature.score === null || feature.score === undefined;
  const steer = (strength) => {
    addConcept({ feature: feature.latent }, { strength });
    say(`${featureName(feature)} was added to the steering.`);
    open("search");
  };
  return html`
    <article class="sheet feature" aria-labelledby="feature">
      <p><${Go} to="features">All features<//></p>
      <div class="headline">
        <h2 id="feature" class=${feature.label ? "" : "unnamed"}><bdi>${featureName(feature)}</bdi> <small class="quiet">${feature.label ? "" : "no name; nearest words · "}f${feature.latent}${feature.hidden ? " · hidden" : ""}</small></h2>
        <button class="button" onClick=${() => steer(1)}>More of it</button>
        <button class="button" onClick=${() => steer(-1)}>Less of it</button>
      </div>
      ${feature.description && html`<p><bdi>${visible(feature.description)}</bdi></p>`}
      <p class="quiet">${held ? "How well its name holds is not measured." : `Its name tells ${fixed(feature.score)} of what it fires on (AUC${feature.support ? ` from ${counted(feature.support, "held-out document")}` : ""}: .5 is chance, 1 is always).`}
        ${feature.steers !== null && feature.steers !== undefined ? ` Boosting it brings what its name says in ${fixed(feature.steers)} (.5 is what another feature does).` : ""}
        ${feature.documents !== null && feature.documents !== undefined ? ` It fires on ${counted(feature.documents, "document")}${feature.share ? `, ${percent(feature.share)}` : ""}.` : ""}</p>
      ${feature.note && html`<p class="note"><bdi>${visible(feature.note)}</bdi></p>`}
      <div class="feature-columns">
        <div>
          <${Passages} title="It fires on" list=${feature.examples} empty="It fires on no document of this index." />
          <${Passages} title="It learned its name from" list=${feature.learned_from} empty="" />
          <${Passages} title="Near misses" note="Close to what it fires on, and it does not fire." list=${feature.near_misses} empty="" />
        </div>
        <aside aria-label="More about the feature">
          <${Edits} feature=${feature} load=${load} />
          ${feature.histogram && feature.histogram.counts.length > 0 && html`<section><h3>How strongly it fires</h3><${Histogram} data=${feature.histogram} /></section>`}
          <${Patterns} patterns=${feature.patterns} />
          <${Others} title="Family" list=${feature.family && feature.family.members} note=${feature.family && feature.family.name} />
          <${Others} title="Fires together with" note="How much more often than by chance." list=${feature.cofiring} show=${(lift) => `${fixed(lift, 1)}×`} />
          <${Others} title="Similar direction" note="By the cosine of their directions." list=${feature.similar} show=${fixed} />
        </aside>
      </div>
    </article>`;
}

const asText = (pattern) => visible(typeof pattern === "string" ? pattern : pattern.text || (pattern.tokens || []).join(" + "));

function Patterns({ patterns }) {
  if (!patterns || !patterns.length) return null;
  return html`<section><h3>Words that make it fire</h3><ul class="tokens">
    ${patterns.map((pattern, place) => html`<li key=${place}><bdi>${asText(pattern)}</bdi></li>`)}</ul></section>`;
}

function Others({ title, list, note, show = fixed }) {
  if (!list || !list.length) return null;
  const latentOf = (one) => (typeof one === "number" ? one : one.latent);
  return html`<section><h3>${title}</h3>${note && html`<p class="quiet"><bdi>${visible(note)}</bdi></p>`}
    <ul class="others">${list.slice(0, 12).map((one) => html`<li key=${latentOf(one)}>
      <${Go} to=${`feature/${latentOf(one)}`} class=${one.label ? "" : "unnamed"}><bdi>${featureName({ latent: latentOf(one), label: one.label })}</bdi><//>
      ${typeof one.value === "number" && html`<span class="num">${show(one.value)}</span>`}</li>`)}</ul></section>`;
}

// A feature by its number, "412" or "f412"; anything else is the name of a family.
const numberOf = (text) => (/^f?\d+$/i.test(text.trim()) ? Number(text.trim().replace(/^f/i, "")) : text.trim());

function Edits({ feature, load }) {
  const write = useModel((held) => held.info.write);
  const [label, setLabel] = useState(feature.label || "");
  const [note, setNote] = useState(feature.note || "");
  const [into, setInto] = useState("");
  const [problem, setProblem] = useState(null);
  useEffect(() => { setLabel(feature.label || ""); setNote(feature.note || ""); }, [feature.label, feature.note]);
  if (!write) return html`<section><h3>Change it</h3><p class="hint">Read only. Start the studio with <code>--allow-write</code> to rename, merge, hide and note.</p></section>`;
  const edit = async (body, told) => {
    try {
      await post(`api/features/${feature.latent}/edit`, body);
      setProblem(null);
      await load();
      say(told, body.action === "undo" ? null : () => edit({ action: "undo" }, "The change was taken back."));
    } catch (error) {
      setProblem(error.message);
    }
  };
  const submit = (body, told) => (event) => {
    event.preventDefault();
    edit(body(), told);
  };
  const edits = feature.edits || [];
  return html`
    <section class="edits"><h3>Change it</h3>
      <form onSubmit=${submit(() => ({ action: "rename", label }), "Renamed.")}>
        <label>Name <input type="text" value=${label} required onInput=${(event) => setLabel(event.target.value)} /></label><button class="button">Rename</button>
      </form>
      <form onSubmit=${submit(() => ({ action: "note", note }), "Noted.")}>
        <label>Note <input type="text" value=${note} onInput=${(event) => setNote(event.target.value)} /></label><button class="button">Keep</button>
      </form>
      <form onSubmit=${submit(() => ({ action: "merge", into: numberOf(into) }), "Merged.")}>
        <label>Merge into <input type="text" title="The number of a feature, or the name of a family" required value=${into} onInput=${(event) => setInto(event.target.value)} /></label>
        <button class="button">Merge</button>
      </form>
      <p class="row">
        <button class="button" onClick=${() => edit({ action: feature.hidden ? "show" : "hide" }, feature.hidden ? "Shown again." : "Hidden from lists.")}>${feature.hidden ? "Show it again" : "Hide it"}</button>
        ${edits.length > 0 && html`<button class="button" onClick=${() => edit({ action: "undo" }, "The change was taken back.")}>Undo the last change</button>`}
      </p>
      ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    </section>`;
}
