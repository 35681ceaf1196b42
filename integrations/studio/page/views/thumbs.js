// Thumbs up and down: a judgment of one document for one query, kept in the judgments' file.

import { get, post } from "../core/api.js";
import { html, useState } from "../core/dom.js";
import { say, update, useModel } from "../core/store.js";
import { oneLine } from "../core/text.js";

const given = new Map(); // what was judged, in the file and since
const nameOf = (query, id) => JSON.stringify([query, id]);

export async function loadJudgments() {
  try {
    for (const one of (await get("api/judgments")).judgments) given.set(nameOf(one.query, one.id), one.grade);
    update({});
  } catch {
    // Thumbs work without those of the file.
  }
}

export function Thumbs({ query, id, of }) {
  const key = nameOf(query, id);
  const grade = useModel(() => given.get(key)) ?? null;
  const [busy, setBusy] = useState(false);
  const judge = async (value) => {
    setBusy(true);
    try {
      const grade = given.get(key) === value ? null : value; // pressed again, it is taken back
      await post("api/judgments", { query, id, grade });
      if (grade === null) given.delete(key);
      else given.set(key, grade);
      update({});
    } catch (error) {
      say(error.message);
    }
    setBusy(false);
  };
  const button = (value, name, path) => html`
    <button type="button" class="bare thumb" disabled=${busy} aria-pressed=${grade === value ? "true" : "false"} title=${name}
      aria-label=${`${name}: ${oneLine(of, 40)}`} onClick=${() => judge(value)}>
      <svg class="sign" viewBox="0 0 16 16" width="15" height="15" aria-hidden="true"><path d=${path} /></svg></button>`;
  return html`<span class="thumbs">
    ${button(1, "Right for this query", "M5 7.5 7.8 2c1 0 1.6.7 1.4 1.7L8.8 6h3.4c.9 0 1.5.8 1.3 1.6l-1.1 4.4c-.2.6-.7 1-1.3 1H5m0-5.5V13H2.8V7.5Z")}
    ${button(0, "Wrong for this query", "M5 8.5 7.8 14c1 0 1.6-.7 1.4-1.7L8.8 10h3.4c.9 0 1.5-.8 1.3-1.6L12.4 4c-.2-.6-.7-1-1.3-1H5m0 5.500V3H2.800v5.500Z")}
  </span>`;
}
