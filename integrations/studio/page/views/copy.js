// "Copy as": what the page does now, as code, as a call and as a file; and the link that restores it.

import { post } from "../core/api.js";
import { html, useEffect, useState } from "../core/dom.js";
import { Dialog } from "../core/dialog.js";
import { fullLink, model, say } from "../core/store.js";

const KINDS = [["link", "Link"], ["python", "Python"], ["langchain", "LangChain"], ["cli", "Command line"], ["mcp", "MCP call"], ["concept", "Concept file"]];

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied.`);
  } catch {
    say("The browser does not let the page copy. Select the text and copy it.");
  }
}

const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

export function CopyDialog() {
  const [isOpen, setOpen] = useState(false);
  return html`
    <button class="button wide-only" onClick=${() => copy(fullLink(), "Link")} title="A link that restores the query and the steering">Copy link</button>
    <button class="button" onClick=${() => setOpen(true)} aria-haspopup="dialog">Copy as …</button>
    ${isOpen && html`<${Dialog} title="Take it along" onClose=${() => setOpen(false)}><${Texts} /><//>`}`;
}

function Texts() {
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState(null);
  const [kind, setKind] = useState("python");
  useEffect(() => {
    post("api/copy", { state: model.state }).then((texts) => setFound({ link: fullLink(), ...texts }), (error) => setProblem(error.message));
  }, []);
  if (problem) return html`<p class="problem" role="alert">${problem}</p>`;
  if (!found) return html`<p role="status">Writing …</p>`;
  const kinds = KINDS.filter(([name]) => found[name]);
  const [name, title] = kinds.find(([own]) => own === kind) || kinds[0];
  const text = asText(found[name]);
  return html`
    <div class="choices" role="group" aria-label="Form">
      ${kinds.map(([own, caption]) => html`<button key=${own} aria-pressed=${own === name ? "true" : "false"} onClick=${() => setKind(own)}>${caption}</button>`)}
    </div>
    <pre class="code" tabindex="0" aria-label=${title}>${text}</pre>
    <p class="row"><button class="button main" onClick=${() => copy(text, title)}>Copy</button></p>`;
}
