// The frame around every view: title, tabs, theme, one line of news. Starts the page.

import { html, render, useEffect, useErrorBoundary, useRef } from "./core/dom.js";
import { again, begin, model, open, update, useModel } from "./core/store.js";
import { counted, visible } from "./core/text.js";
import { Go } from "./core/go.js";
import { nextTheme, theme } from "./core/theme.js";
import { SearchView } from "./search/view.js";
import { CopyDialog } from "./views/copy.js";
import { CompareView } from "./views/compare.js";
import { FeaturePage } from "./views/feature.js";
import { FeaturesView } from "./views/features.js";
import { MapView } from "./views/map.js";

const TABS = [["search", "Search"], ["features", "Features"], ["map", "Map"], ["compare", "Compare"]];

function Header({ page, info }) {
  useModel((held) => held.state); // the links hold the state
  useModel(theme);
  const now = page.split("/")[0] === "feature" ? "features" : page;
  return html`
    <header class="top">
      <a class="skip" href="#main" onClick=${(event) => (event.preventDefault(), document.getElementById("main").focus())}>
        Skip to the content
      </a>
      <div class="brand">
        <img src="icon.svg" alt="" width="22" height="22" />
        <h1>${info ? visible(info.name) : "steersearch studio"}</h1>
        ${info && html`<span class="quiet size">${counted(info.documents, "document")}</span>`}
      </div>
      <nav aria-label="Views">
        ${TABS.map(([name, title]) => html`
          <${Go} key=${name} to=${name} class="tab" aria-current=${name === now ? "page" : null}>${title}<//>`)}
      </nav>
      <div class="tools">
        <${CopyDialog} />
        <button class="bare" title="Colours: ${theme()}" aria-label="Colours: ${theme()}. Change"
          onClick=${() => { nextTheme(); update({}); }}><${ThemeSign} /></button>
      </div>
    </header>`;
}

function ThemeSign() {
  useModel(() => theme());
  const path = { light: "M8 3.2v-2M8 14.8v-2M3.2 8h-2M14.8 8h-2M4.6 4.6 3.2 3.2M12.8 12.8l-1.4-1.4M4.6 11.4l-1.4 1.4M12.8 3.2l-1.4 1.4",
    dark: "", auto: "" }[theme()];
  return html`<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" class="sign">
    ${theme() === "light" && html`<circle cx="8" cy="8" r="2.8" /><path d=${path} />`}
    ${theme() === "dark" && html`<path d="M13.2 9.8A5.6 5.6 0 0 1 6.2 2.8a5.6 5.6 0 1 0 7 7Z" />`}
    ${theme() === "auto" && html`<circle cx="8" cy="8" r="5.6" /><path d="M8 2.4a5.6 5.6 0 0 1 0 11.2Z" class="full" />`}
  </svg>`;
}

function Notice() {
  const notice = useModel((held) => held.notice);
  const undo = () => {
    update({ notice: null });
    notice.undo();
  };
  return html`<div class="notice-place" role="status" aria-live="polite">
    ${notice && html`<div class="notice"><span>${notice.text}</span>
      ${notice.undo && html`<button class="linky" onClick=${undo}>Undo</button>`}</div>`}
  </div>`;
}

function Broken({ text }) {
  return html`<div class="state-box" role="alert">
    <h2>The index could not be opened</h2>
    <p>${text}</p>
    <button class="button" onClick=${begin}>Try again</button>
  </div>`;
}

function View({ page }) {
  const [name, argument] = page.split("/");
  if (name === "feature") return html`<${FeaturePage} id=${Number(argument)} key=${argument} />`;
  if (name === "features") return html`<${FeaturesView} />`;
  if (name === "map") return html`<${MapView} />`;
  if (name === "compare") return html`<${CompareView} />`;
  return html`<${SearchView} />`;
}

function App() {
  const info = useModel((held) => held.info);
  const page = useModel((held) => held.page);
  const failure = useModel((held) => held.failure);
  const [error, forget] = useErrorBoundary((problem) => console.error(problem));
  const main = useRef(null);
  const shown = useRef(page);
  useEffect(() => {
    document.title = `${info ? `${visible(info.name)} – ` : ""}steersearch studio`;
  }, [info]);
  useEffect(() => {
    if (shown.current === page) return;
    shown.current = page;
    scrollTo(0, 0);
    if (main.current) main.current.focus({ preventScroll: true });
  }, [page]);
  let inside = html`<p class="start" role="status">Opening the index …</p>`;
  if (error) {
    inside = html`<div class="state-box" role="alert"><h2>This view broke</h2><p>${String(error.message || error)}</p>
      <button class="button" onClick=${() => { forget(); again(); }}>Show it again</button></div>`;
  } else if (info) inside = html`<${View} page=${page} />`;
  else if (failure) inside = html`<${Broken} text=${failure} />`;
  return html`
    <${Header} page=${page} info=${info} />
    <main id="main" tabindex="-1" ref=${main}>${inside}</main>
    <${Notice} />`;
}

// "/" goes to the query from anywhere outside of a field.
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, dialog")) return;
  event.preventDefault();
  if (model.page !== "search") open("search");
  requestAnimationFrame(() => document.getElementById("query")?.focus());
});

const root = document.getElementById("page");
root.replaceChildren();
render(html`<${App} />`, root);
begin();
