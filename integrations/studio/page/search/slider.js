// A signed slider with marks. It is the browser's own: arrow keys, Home, End, touch and screen readers come with it.

import { html, useEffect, useRef } from "../core/dom.js";
import { STRONGEST } from "../core/state.js";
import { signed } from "../core/text.js";

const STEP = 0.05;
const NEAR = 0.08; // a mark holds the thumb that comes this near with the mouse or a finger

export const placeOf = (value) => `${(100 * (Math.max(-STRONGEST, Math.min(STRONGEST, value)) + STRONGEST)) / (2 * STRONGEST)}%`;

const spoken = (value) => (value === 0 ? "0, no effect" : `${signed(value)}${value === 1 ? ", the default" : ""}`);

export function Slider({ value, auto, label, onChange, disabled }) {
  const byPointer = useRef(false);
  const box = useRef(null);
  const marks = [
    { at: -1, text: "−1" }, { at: 0, text: "0" },
    { at: 1, text: auto !== null && Math.abs(auto - 1) < 0.2 ? "1 · auto" : "1" },
  ];
  if (auto !== null && Math.abs(auto - 1) >= 0.2) marks.push({ at: auto, text: "auto" });
  const moved = (event) => {
    let next = Number(event.target.value);
    if (byPointer.current) {
      const near = marks.find((mark) => Math.abs(mark.at - next) <= NEAR);
      if (near) next = near.at;
    }
    onChange(Math.round(next * 100) / 100);
  };
  // The thumb goes where the state is, also when that was rounded to a mark.
  useEffect(() => {
    if (box.current && Number(box.current.value) !== value) box.current.value = value;
  });
  const low = Math.min(0, value);
  const high = Math.max(0, value);
  return html`
    <div class=${`slider${value < 0 ? " minus" : ""}${disabled ? " off" : ""}`}>
      <div class="track" aria-hidden="true">
        <i style=${{ left: placeOf(low), right: `calc(100% - ${placeOf(high)})` }}></i>
        ${marks.map((mark) => html`<b key=${mark.text} style=${{ left: placeOf(mark.at) }}></b>`)}
      </div>
      <input ref=${box} type="range" min=${-STRONGEST} max=${STRONGEST} step=${STEP} value=${value} disabled=${disabled}
        aria-label=${label} aria-valuetext=${spoken(value)} onInput=${moved}
        onPointerDown=${() => { byPointer.current = true; }} onKeyDown=${() => { byPointer.current = false; }} />
      <div class="marks">
        ${marks.map((mark) => html`<button type="button" key=${mark.text} tabindex="-1" disabled=${disabled} style=${{ left: placeOf(mark.at) }}
          aria-hidden="true" onClick=${() => onChange(mark.text === "auto" ? "auto" : mark.at)}>${mark.text}</button>`)}
      </div>
    </div>`;
}
