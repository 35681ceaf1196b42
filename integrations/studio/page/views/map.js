// A map of the documents, or of the features, coloured by a concept or a field, linked with the list beside it.

import { get, post } from "../core/api.js";
import { html, useEffect, useRef, useState } from "../core/dom.js";
import { Go } from "../core/go.js";
import { keyId, nameOfKey } from "../core/state.js";
import { open, update, useModel, vote, voteOf } from "../core/store.js";
import { oneLine, visible, whole } from "../core/text.js";
import { colour, theme } from "../core/theme.js";
import { legendOf, paintOf } from "./map_colours.js";
import { makeScatter } from "./scatter.js";

const MOST = 20000;
const kept = { kind: "documents", color: "" }; // while the page is open

export function MapView() {
  const concepts = useModel((held) => held.state.concepts);
  const info = useModel((held) => held.info);
  const [kind, setKind] = useState(kept.kind);
  const [color, setColor] = useState(kept.color);
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    Object.assign(kept, { kind, color });
    let gone = false;
    setProblem(null);
    const body = { kind, limit: MOST };
    if (color) body.color = JSON.parse(color);
    post("api/map", body).then((map) => !gone && setFound({ ...map, kind }), (error) => !gone && setProblem(error.message));
    return () => { gone = true; };
  }, [kind, color]);
  const fields = info.fields.filter((field) => field.kind === "number" || (field.values && field.values.length));
  return html`
    <section class="map-view" aria-labelledby="map">
      <div class="headline">
        <h2 id="map">Map</h2>
        <label>Of <select value=${kind} onChange=${(event) => { setKind(event.target.value); setColor(""); }}>
          <option value="documents">documents</option><option value="features">features</option></select></label>
        ${kind === "documents" && html`<label>Colour <select value=${color} onChange=${(event) => setColor(event.target.value)}>
          <option value="">none</option>
          ${concepts.map((one) => html`<option key=${keyId(one.key)} value=${JSON.stringify(one.key)}>${nameOfKey(one.key)}</option>`)}
          ${fields.map((field) => html`<option key=${field.name} value=${JSON.stringify({ field: field.name })}>${visible(field.name)}</option>`)}
        </select></label>`}
      </div>
      ${problem && html`<p class="failure" role="alert">${problem}</p>`}
      ${!found && !problem && html`<p class="hint" role="status">Drawing the map; the first time takes some seconds …</p>`}
      ${found && html`<${Plane} map=${found} />`}
    </section>`;
}

function Plane({ map }) {
  const canvas = useRef(null);
  const scatter = useRef(null);
  const [under, setUnder] = useState(null);
  const [chosen, setChosen] = useState(null);
  const colours = useModel(theme);
  const pointed = useModel((held) => held.pointed);
  const hits = useModel((held) => (held.answer ? held.answer.steered : null));
  const current = useRef(map);
  current.current = map;
  useEffect(() => {
    const own = makeScatter(canvas.current, {
      onPoint: (place, at) => {
        setUnder(place === null ? null : { place, at });
        update({ pointed: place === null ? null : String(current.current.ids[place]) });
      },
      onChoose: (place) => {
        if (place !== null && current.current.kind === "features") open(`feature/${current.current.ids[place]}`);
        else setChosen(place === null ? null : String(current.current.ids[place]));
      },
    });
    scatter.current = own;
    return () => own.end();
  }, []);
  useEffect(() => { scatter.current.setPoints(map.points); setChosen(null); }, [map.points]);
  useEffect(() => scatter.current.setPaint(paintOf(map)), [map, colours]);
  useEffect(() => {
    const placeOf = new Map(map.ids.map((id, place) => [String(id), place]));
    const rings = [];
    if (map.kind === "documents") {
      for (const hit of hits || []) {
        const place = placeOf.get(hit.id);
        if (place !== undefined && hit.id !== pointed) rings.push({ place, text: String(hit.rank), stroke: colour("text"), strong: false });
      }
    }
    for (const id of [pointed, chosen]) {
      const place = id === null ? undefined : placeOf.get(id);
      if (place !== undefined) rings.push({ place, text: "", stroke: colour("accent"), strong: true });
    }
    scatter.current.setRings(rings);
  }, [map, hits, pointed, chosen, colours]);
  const nameAt = (place) => oneLine((map.titles && map.titles[place]) || (map.labels && map.labels[place]) || (map.kind === "features" ? `f${map.ids[place]}` : map.ids[place]), 80);
  return html`
    <div class="map-columns">
      <div class="plane">
        <canvas ref=${canvas} tabindex="0" role="img"
          aria-label=${`Map of ${whole(map.points.length)} ${map.kind}. Arrows move it, plus and minus change its size. The list beside it has the results.`}></canvas>
        ${under && html`<p class="tip" style=${{ left: `${under.at[0] + 14}px`, top: `${under.at[1] + 10}px` }}>${nameAt(under.place)}</p>`}
        <div class="zoom">
          <button class="bare" aria-label="Larger" onClick=${() => scatter.current.zoom(1.5)}>+</button>
          <button class="bare" aria-label="Smaller" onClick=${() => scatter.current.zoom(1 / 1.5)}>−</button>
          <button class="bare" aria-label="Show everything" onClick=${() => scatter.current.whole()}>⤢</button>
        </div>
        <${Legend} map=${map} />
      </div>
      ${map.kind === "documents" && html`<div class="map-side">
        ${chosen !== null && html`<${Chosen} id=${chosen} />`}
        <${MapHits} map=${map} />
      </div>`}
    </div>`;
}

function Legend({ map }) {
  useModel(theme);
  const entries = legendOf(map);
  const size = map.of > map.points.length ? `${whole(map.points.length)} of ${whole(map.of)}` : whole(map.points.length);
  return html`<ul class="legend"><li class="quiet">${size} ${map.kind}</li>${entries.length > 0 && map.legend && html`<li><b><bdi>${visible(map.legend.name)}</bdi></b></li>`}${entries.map((entry) => html`<li key=${entry.text}>
    <span class="dot" style=${{ background: entry.colour }} aria-hidden="true"></span><bdi>${entry.text}</bdi></li>`)}</ul>`;
}

function Chosen({ id }) {
  const [found, setFound] = useState(null);
  const value = useModel((held) => voteOf(held.state, id));
  useEffect(() => {
    let gone = false;
    setFound(null);
    get(`api/documents/${encodeURIComponent(id)}`).then((one) => !gone && setFound(one), () => !gone && setFound({ id, text: "" }));
    return () => { gone = true; };
  }, [id]);
  return html`<article class="card chosen" aria-live="polite">
    <h3><bdi>${oneLine((found && found.title) || id, 90)}</bdi></h3>
    ${found && found.text && html`<p class="text" dir="auto">${visible(found.text)}</p>`}
    <p class="row"><button class="button" aria-pressed=${value === 1 ? "true" : "false"} onClick=${() => vote(id, value === 1 ? 0 : 1)}>${value === 1 ? "★" : "☆"} More like this</button>
      <button class="button" aria-pressed=${value === -1 ? "true" : "false"} onClick=${() => vote(id, value === -1 ? 0 : -1)}>⊖ Less</button></p>
  </article>`;
}

function MapHits({ map }) {
  const hits = useModel((held) => (held.answer ? held.answer.steered : null));
  const pointed = useModel((held) => held.pointed);
  if (!hits || !hits.length) return html`<p class="hint">Search, and the results are marked on the map. <${Go} to="search">To the search<//></p>`;
  const there = new Set(map.ids.map(String));
  return html`<h3>Results</h3><ol class="map-hits">
    ${hits.map((hit) => html`<li key=${hit.id} data-id=${hit.id} class=${pointed === hit.id ? "pointed" : ""} tabindex="0"
      onPointerEnter=${() => update({ pointed: hit.id })} onPointerLeave=${() => update({ pointed: null })}
      onFocus=${() => update({ pointed: hit.id })} onBlur=${() => update({ pointed: null })}>
      <span class="rank">${hit.rank}</span><span><bdi>${oneLine(hit.title || hit.text, 90)}</bdi>${!there.has(hit.id) && html`<small class="quiet">not in the sample</small>`}</span></li>`)}
  </ol>`;
}
