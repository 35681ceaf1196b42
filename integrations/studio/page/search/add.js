// The box that adds a concept: a phrase, a feature found by its label, or a saved concept. A combobox of the usual kind:
// arrows choose, Enter takes, Escape closes.

import { get, newestOnly } from "../core/api.js";
import { html, useEffect, useRef, useState } from "../core/dom.js";
import { addConcept, useModel } from "../core/store.js";
import { featureName, visible } from "../core/text.js";

const MOST = 7;

export function AddConcept() {
  const [text, setText] = useState("");
  const [found, setFound] = useState([]);
  const [chosen, setChosen] = useState(0);
  const [isOpen, setOpen] = useState(false);
  const saved = useModel((held) => held.saved);
  const place = useRef(null);
  const ask = useRef(null);
  const asked = useRef("");
  if (!ask.current) {
    ask.current = newestOnly(async (typed) => {
      try {
        const answer = await get(`api/features?q=${encodeURIComponent(typed)}&limit=${MOST}`);
        if (typed === asked.current) setFound(answer.features);
      } catch {
        setFound([]); // the phrase can be added all the same
      }
    });
  }
  useEffect(() => {
    asked.current = text.trim();
    setChosen(0);
    if (asked.current) ask.current(asked.current);
    else setFound([]);
  }, [text]);
  useEffect(() => {
    const elsewhere = (event) => place.current && !place.current.contains(event.target) && setOpen(false);
    addEventListener("pointerdown", elsewhere);
    return () => removeEventListener("pointerdown", elsewhere);
  }, []);

  const typed = text.trim();
  const low = typed.toLowerCase();
  const options = [];
  if (typed) options.push({ id: "phrase", name: typed, kind: "this phrase", key: { phrase: typed } });
  for (const one of saved.filter((held) => nameOf(held).toLowerCase().includes(low)).slice(0, typed ? 3 : 6)) {
    options.push({ id: `saved-${nameOf(one)}`, name: nameOf(one), kind: "saved", key: { concept: nameOf(one) } });
  }
  if (typed) {
    for (const feature of found) {
      options.push({ id: `f${feature.latent}`, name: featureName(feature), kind: `feature ${feature.latent}`, key: { feature: feature.latent } });
    }
  }
  const at = Math.min(chosen, options.length - 1);
  const take = (option) => {
    if (!option) return;
    addConcept(option.key);
    setText("");
    setOpen(false);
  };
  const pressed = (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      take(options[at]);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (options.length) setChosen((at + step + options.length) % options.length);
    } else if (event.key === "Escape") {
      setOpen(false);
    }
  };
  const shown = isOpen && options.length > 0;
  return html`
    <div class="add" ref=${place}>
      <label class="hidden" for="add">Add a concept</label>
      <input id="add" type="text" role="combobox" autocomplete="off" spellcheck="false" placeholder="Add a concept: a phrase or a label"
        aria-expanded=${shown ? "true" : "false"} aria-controls="add-list" aria-autocomplete="list"
        aria-activedescendant=${shown ? `add-${options[at].id}` : null} value=${text}
        onInput=${(event) => { setText(event.target.value); setOpen(true); }} onFocus=${() => setOpen(true)} onKeyDown=${pressed} />
      <ul id="add-list" role="listbox" aria-label="Concepts" hidden=${!shown}>
        ${shown && options.map((option, place) => html`
          <li key=${option.id} id=${`add-${option.id}`} role="option" aria-selected=${place === at ? "true" : "false"}
            onPointerDown=${(event) => event.preventDefault()} onPointerMove=${() => setChosen(place)} onClick=${() => take(option)}>
            <bdi>${visible(option.name)}</bdi><small>${option.kind}</small>
          </li>`)}
      </ul>
    </div>`;
}

const nameOf = (held) => (typeof held === "string" ? held : held.name);
