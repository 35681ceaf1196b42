// Steerings that were given a name, side by side over a set of queries, with judgments by thumbs.

import { get, post, put, remove } from "../core/api.js";
import { html, useEffect, useState } from "../core/dom.js";
import { emptyState, nameOfKey, readState, steers } from "../core/state.js";
import { change, model, open, say, useModel } from "../core/store.js";
import { fixed, oneLine, percent, signed, visible } from "../core/text.js";
import { loadJudgments, Thumbs } from "./thumbs.js";

const PLAIN = "plain search";
const kept = { queries: null, chosen: null };

const told = (state) => state.concepts.filter((one) => one.on).map((one) =>
  `${one.exclude ? "without" : one.strength === "auto" ? "auto" : signed(one.strength, 1)} ${nameOfKey(one.key)}`).join(", ") || "no concept";

export function CompareView() {
  const write = useModel((held) => held.info.write);
  const [snapshots, setSnapshots] = useState(null);
  const [problem, setProblem] = useState(null);
  const load = () => get("api/snapshots").then(
    (found) => setSnapshots(found.snapshots), (error) => setProblem(error.message));
  useEffect(() => { load(); loadJudgments(); }, []);
  return html`
    <section class="sheet compare" aria-labelledby="compare">
      <h2 id="compare">Compare steerings</h2>
      <p class="quiet">Keep a steering under a name, and see how several do over a set of queries. The same file runs in CI: ${" "}<code>sae eval --steering</code>.</p>
      ${problem && html`<p class="failure" role="alert">${problem}</p>`}
      ${write ? html`<${Keep} load=${load} />` : html`<p class="hint">Read only. Start the studio with <code>--allow-write</code> to keep steerings and judgments.</p>`}
      ${snapshots && html`<${Table} snapshots=${snapshots} load=${load} write=${write} />`}
    </section>`;
}

function Keep({ load }) {
  const state = useModel((held) => held.state);
  const [name, setName] = useState("");
  const [problem, setProblem] = useState(null);
  const keep = async (event) => {
    event.preventDefault();
    try {
      await put(`api/snapshots/${encodeURIComponent(name)}`, { state });
      setProblem(null);
      setName("");
      await load();
      say(`Kept as “${name}”.`);
    } catch (error) {
      setProblem(error.message);
    }
  };
  return html`<form class="row" onSubmit=${keep}>
    <label>Keep the present steering (${told(state)}) as
      <input type="text" required maxlength="80" value=${name} onInput=${(event) => setName(event.target.value)} /></label>
    <button class="button">Keep</button>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
  </form>`;
}

function Table({ snapshots, load, write }) {
  const all = [{ name: PLAIN, state: emptyState() }, ...snapshots.map((one) => ({ ...one, state: readState(one.state) }))];
  const [chosen, setChosen] = useState(kept.chosen || [PLAIN, ...snapshots.slice(0, 3).map((one) => one.name)]);
  const [text, setText] = useState(kept.queries ?? model.state.query);
  const [rows, setRows] = useState(null);
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const [shown, show] = useState(null);
  const queries = [...new Set(text.split("\n").map((line) => line.trim()).filter(Boolean))];
  useEffect(() => { Object.assign(kept, { queries: text, chosen }); }, [text, chosen]);
  const flip = (name) => setChosen(chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name]);
  const compared = all.filter((one) => chosen.includes(one.name));
  const compare = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      const names = compared.filter((one) => one.name !== PLAIN).map((one) => one.name);
      const answer = names.length ? await post("api/compare", { snapshots: names, queries }) : { rows: [] };
      setRows(answer.rows);
      setProblem(null);
      show(queries[0]);
    } catch (error) {
      setProblem(error.message);
    }
    setBusy(false);
  };
  const take = (one) => {
    change({ ...one.state, query: model.state.query || queries[0] || one.state.query });
    open("search");
  };
  const drop = async (one) => {
    try {
      await remove(`api/snapshots/${encodeURIComponent(one.name)}`);
      await load();
      say(`“${one.name}” was deleted.`, async () => { await put(`api/snapshots/${encodeURIComponent(one.name)}`, { state: one.state }); load(); });
    } catch (error) {
      setProblem(error.message);
    }
  };
  const rowOf = (name) => (rows || []).find((row) => row.snapshot === name);
  return html`
    <form class="compare-form" onSubmit=${compare}>
      <fieldset><legend>Steerings</legend>
        <ul class="snapshots">${all.map((one) => html`<li key=${one.name}>
          <label class="check"><input type="checkbox" checked=${chosen.includes(one.name)} onChange=${() => flip(one.name)} /><bdi>${visible(one.name)}</bdi></label>
          <span class="quiet">${one.name === PLAIN ? "" : oneLine(told(one.state), 80)}</span>
          ${rowOf(one.name) && html`<${Figures} row=${rowOf(one.name)} />`}
          ${one.name !== PLAIN && html`<button type="button" class="linky" aria-label=${`Open ${visible(one.name)}`} onClick=${() => take(one)}>Open</button>`}
          ${write && one.name !== PLAIN && html`<button type="button" class="linky" aria-label=${`Delete ${visible(one.name)}`} onClick=${() => drop(one)}>Delete</button>`}
        </li>`)}</ul>
      </fieldset>
      <label class="queries">Queries, one a line<textarea rows="5" value=${text} onInput=${(event) => setText(event.target.value)}></textarea></label>
      <p class="row"><button class="button main" disabled=${busy || !queries.length || !compared.length}>${busy ? "Searching …" : "Compare"}</button></p>
      ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    </form>
    ${shown !== null && html`
      <div class="choices" role="group" aria-label="Query">${queries.map((query) => html`
        <button key=${query} aria-pressed=${query === shown ? "true" : "false"} onClick=${() => show(query)}>${oneLine(query, 48)}</button>`)}</div>
      <div class="side-by-side">${compared.map((one) => html`<${Column} key=${`${one.name} ${shown}`} one=${one} query=${shown} write=${write} />`)}</div>`}`;
}

function Figures({ row }) {
  return html`<span class="figures">
    <span>nDCG@10 <b>${row.ndcg === null || row.ndcg === undefined ? "no judgments" : fixed(row.ndcg, 3)}</b></span>
    <span>same as plain <b>${row.overlap === null || row.overlap === undefined ? "–" : percent(row.overlap)}</b></span></span>`;
}

function Column({ one, query, write }) {
  const [answer, setAnswer] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    post("api/search", { ...one.state, query }).then(setAnswer, (error) => setProblem(error.message));
  }, []);
  const hits = answer && (steers(one.state) ? answer.steered : answer.plain);
  return html`<section aria-label=${visible(one.name)}>
    <h3><bdi>${visible(one.name)}</bdi></h3>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    ${hits && html`<ol class="short">${hits.map((hit) => html`<li key=${hit.id}>
      <span class="rank">${hit.rank}</span><span><bdi>${oneLine(hit.title || hit.text, 110)}</bdi>
      ${one.name !== PLAIN && hit.was !== hit.rank && html` <small class="quiet">${hit.was === null ? "new" : `was ${hit.was}`}</small>`}</span>
      ${write && html`<${Thumbs} query=${query} id=${hit.id} of=${hit.title || hit.text} />`}</li>`)}</ol>`}
  </section>`;
}
