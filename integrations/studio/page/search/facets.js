// Filters from the metadata: the commonest values of a field, or a range of numbers.

import { html } from "../core/dom.js";
import { Menu } from "../core/menu.js";
import { change, useModel } from "../core/store.js";
import { visible, whole } from "../core/text.js";

const chosenOf = (filter, name) => {
  const held = filter && filter[name];
  if (held === undefined || held === null) return [];
  if (typeof held !== "object") return [held];
  return Array.isArray(held.$in) ? held.$in : "$eq" in held ? [held.$eq] : [];
};

// Returns the filter with one field's condition replaced; null where nothing is left.
function withField(filter, name, condition) {
  const rest = { ...(filter || {}) };
  delete rest[name];
  if (condition !== null) rest[name] = condition;
  return Object.keys(rest).length ? rest : null;
}

export const asCondition = (values) => (!values.length ? null : values.length === 1 ? values[0] : { $in: values });

function Values({ field, filter }) {
  const chosen = chosenOf(filter, field.name);
  const flip = (value) => {
    const values = chosen.includes(value) ? chosen.filter((other) => other !== value) : [...chosen, value];
    change({ filter: withField(filter, field.name, asCondition(values)) });
  };
  return html`<ul class="facet">
    ${field.values.map(({ value, count }) => html`
      <li key=${String(value)}><label class="check">
        <input type="checkbox" checked=${chosen.includes(value)} onChange=${() => flip(value)} />
        <bdi>${visible(String(value))}</bdi><span class="num">${whole(count)}</span>
      </label></li>`)}
  </ul>`;
}

function Range({ field, filter }) {
  const held = (filter && filter[field.name]) || {};
  const put = (operator, text) => {
    const { [operator]: gone, ...rest } = typeof held === "object" ? held : {};
    if (text !== "" && Number.isFinite(Number(text))) rest[operator] = Number(text);
    change({ filter: withField(filter, field.name, Object.keys(rest).length ? rest : null) });
  };
  const box = (operator, name) => html`<label>${name}
    <input type="number" step="any" value=${held[operator] ?? ""} onChange=${(event) => put(operator, event.target.value)} /></label>`;
  return html`<div class="range">${box("$gte", "from")}${box("$lte", "to")}</div>`;
}

export function Facets() {
  const fields = useModel((held) => held.info.fields);
  const filter = useModel((held) => held.state.filter);
  const shown = fields.filter((field) => field.kind === "number" || (field.values && field.values.length));
  const names = Object.keys(filter || {});
  if (!shown.length && !names.length) return null;
  const label = html`Filter${names.length ? html` <span class="count">${names.length}</span>` : ""}`;
  return html`
    <${Menu} label=${label} class="button" wide stay>
      ${names.length > 0 && html`<button class="linky" onClick=${() => change({ filter: null })}>Clear all filters</button>`}
      <div class="facets">
        ${shown.map((field) => html`<fieldset key=${field.name}><legend>${visible(field.name)}</legend>
          ${field.values && field.values.length ? html`<${Values} field=${field} filter=${filter} />` : html`<${Range} field=${field} filter=${filter} />`}
        </fieldset>`)}
      </div>
    <//>`;
}
