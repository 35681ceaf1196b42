// One concept: its slider, and opened, its features and what can be done with it.

import { html, useState } from "../core/dom.js";
import { put } from "../core/api.js";
import { Go } from "../core/go.js";
import { keyId, kindOfKey, nameOfKey, newConcept, tint } from "../core/state.js";
import { change, changeConcept, loadSaved, model, removeConcept, say, switchLatent, update, useModel } from "../core/store.js";
import { featureName, signed, visible } from "../core/text.js";
import { Curve } from "./curve.js";
import { Slider } from "./slider.js";
import { Warnings } from "./warnings.js";

const KINDS = { phrase: "phrase", feature: "feature", examples: "from stars", saved: "saved", edited: "edited" };

export function ConceptCard({ id, concept, at, found }) {
  const opened = useModel((held) => held.opened) === id;
  const curve = useModel((held) => held.curve) === id;
  const name = visible((found && found.name) || nameOfKey(concept.key));
  const auto = found ? found.auto : null;
  const shown = concept.strength === "auto" ? (auto ?? (found && found.strength) ?? 1) : concept.strength;
  const colour = concept.exclude || shown < 0 ? "minus" : tint(at);
  return html`
    <article class=${`card${concept.on ? "" : " off"}`} aria-label=${name}>
      <header>
        <label class="switch" title=${concept.on ? "Turn off" : "Turn on"}>
          <input type="checkbox" checked=${concept.on} aria-label=${`${name} counts`}
            onChange=${(event) => changeConcept(id, { on: event.target.checked })} />
          <span class=${`dot ${colour}`} aria-hidden="true"></span>
        </label>
        <h3><bdi>${name}</bdi> <small class="quiet">${KINDS[kindOfKey(concept.key)]}</small></h3>
        <button class="bare" aria-label=${`Take out ${name}`} onClick=${() => removeConcept(id, name)}>×</button>
      </header>
      ${concept.exclude
        ? html`<p class="excluded">Whatever is about it goes to the end.
            <button class="linky" onClick=${() => changeConcept(id, { exclude: false, strength: 1 })}>Use a slider</button></p>`
        : html`<div class="strength">
            <${Slider} value=${shown} auto=${auto} disabled=${!concept.on} label=${`Strength of ${name}`}
              onChange=${(strength) => changeConcept(id, { strength })} />
            <output>${concept.strength === "auto" ? html`<small>auto</small>` : signed(shown)}</output>
          </div>`}
      <${Warnings} of=${id} />
      <footer>
        <button class="linky" aria-expanded=${opened ? "true" : "false"} onClick=${() => update({ opened: opened ? null : id })}>
          ${found ? `${found.features.length} feature${found.features.length === 1 ? "" : "s"}` : "Features"}</button>
        ${!concept.exclude && html`<button class="linky" aria-expanded=${curve ? "true" : "false"}
          onClick=${() => update({ curve: curve ? null : id })}>Curve</button>`}
        ${!concept.exclude && html`<button class="linky" onClick=${() => changeConcept(id, { exclude: true })}>Exclude</button>`}
        ${!concept.exclude && html`<button class="linky" aria-pressed=${concept.strength === "auto" ? "true" : "false"}
          onClick=${() => changeConcept(id, { strength: concept.strength === "auto" ? shown : "auto" })}>Auto</button>`}
      </footer>
      ${curve && html`<${Curve} id=${id} at=${at} now=${shown} />`}
      ${opened && html`<${Editor} id=${id} concept=${concept} found=${found} name=${name} />`}
    </article>`;
}

// The concept opened: each of its features on and off, its weight, and the concept's name and file.
function Editor({ id, concept, found, name }) {
  if (!found) return html`<p class="hint">Type a query to see what it became.</p>`;
  // What is switched shows at once, before the server answers.
  const features = found.features.map((one) => ({ ...one, on: !concept.off.includes(one.latent) }));
  const most = Math.max(1e-9, ...features.map((feature) => Math.abs(feature.weight)));
  const weigh = (latent, text) => {
    const weight = Number(text);
    if (!Number.isFinite(weight)) return;
    const weights = Object.fromEntries(features.filter((one) => one.on || one.latent === latent).map((one) => [one.latent, one.weight]));
    if (weight === 0) delete weights[latent];
    else weights[latent] = weight;
    if (!Object.keys(weights).length) return;
    const key = { weights, phrase: name };
    const edited = newConcept(key, { strength: concept.strength, on: concept.on, exclude: concept.exclude });
    const before = model.state.concepts;
    change({ concepts: before.map((one) => (one === concept ? edited : one)) });
    update({ opened: keyId(key) });
    say(`The weights of ${name} are yours now.`, () => { change({ concepts: before }); update({ opened: id }); });
  };
  return html`
    <div class="editor">
      <ul class="features">
        ${features.map((feature) => html`
          <li key=${feature.latent} class=${feature.on ? "" : "off"}>
            <label class="check"><input type="checkbox" checked=${feature.on} aria-label=${`${featureName(feature)} counts`}
              onChange=${(event) => switchLatent(id, feature.latent, event.target.checked)} /></label>
            <${Go} to=${`feature/${feature.latent}`} class=${feature.label ? "" : "unnamed"}><bdi>${featureName(feature)}</bdi><//>
            <span class="weight" aria-hidden="true"><i class=${feature.weight < 0 ? "minus" : ""}
              style=${{ width: `${(100 * Math.abs(feature.weight)) / most}%` }}></i></span>
            <input class="num" type="number" step="0.05" value=${feature.weight.toFixed(2)} aria-label=${`Weight of ${featureName(feature)}`}
              onChange=${(event) => weigh(feature.latent, event.target.value)} />
          </li>`)}
      </ul>
      ${concept.off.length > 0 && html`<button class="linky" onClick=${() => changeConcept(id, { off: [] })}>
        Turn all on (${concept.off.length} off)</button>`}
      <${SaveConcept} concept=${concept} name=${name} />
    </div>`;
}

function SaveConcept({ concept, name }) {
  const write = useModel((held) => held.info.write);
  const [title, setTitle] = useState(name);
  const [problem, setProblem] = useState(null);
  if (!write) return html`<p class="hint">To keep concepts beside the index, start the studio with <code>--allow-write</code>.
    “Copy as” gives this one as a file.</p>`;
  const save = async (event) => {
    event.preventDefault();
    try {
      await put(`api/concepts/${encodeURIComponent(title)}`, { key: concept.key, off: concept.off });
      setProblem(null);
      await loadSaved();
      say(`Saved as “${title}”.`);
    } catch (error) {
      setProblem(error.message);
    }
  };
  return html`<form class="save" onSubmit=${save}>
    <label>Name <input type="text" value=${title} maxlength="80" required onInput=${(event) => setTitle(event.target.value)} /></label>
    <button class="button">Save</button>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
  </form>`;
}
