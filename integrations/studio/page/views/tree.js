// The features as a tree: branches, families in them, features in those. What is in a group is drawn when it is open.

import { get } from "../core/api.js";
import { html, useEffect, useState } from "../core/dom.js";
import { Go } from "../core/go.js";
import { counted, featureName, fixed, percent, visible } from "../core/text.js";

export function Tree() {
  const [tree, setTree] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => { get("api/tree").then((found) => setTree(found.tree), (error) => setProblem(error.message)); }, []);
  if (problem) return html`<p class="failure" role="alert">${problem}</p>`;
  if (!tree) return html`<p class="hint" role="status">Reading the tree …</p>`;
  if (!tree.length) return html`<p class="hint">There is no tree yet: label the bundle with <code>sae features label</code>.</p>`;
  return html`<p class="quiet">A share is that of the documents that are most about it.</p>
    <div class="tree">${tree.map((group) => html`<${Group} key=${group.name} group=${group} />`)}</div>`;
}

function Group({ group }) {
  const [open, setOpen] = useState(false);
  const share = group.share === null ? "" : `, ${percent(group.share)}`;
  return html`<details open=${open} onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary><bdi>${visible(group.name)}</bdi> <span class="quiet">${counted(group.count, "feature")}${share}</span></summary>
    ${open && (group.children
      ? html`<div class="within">${group.children.map((child) => html`<${Group} key=${child.name} group=${child} />`)}</div>`
      : html`<ul class="within">${group.features.map((feature) => html`<li key=${feature.latent}>
          <${Go} to=${`feature/${feature.latent}`} class=${feature.label ? "" : "unnamed"}><bdi>${featureName(feature)}</bdi><//>
          ${feature.score !== null && feature.score !== undefined && html` <span class="num">${fixed(feature.score)}</span>`}</li>`)}</ul>`)}
  </details>`;
}
