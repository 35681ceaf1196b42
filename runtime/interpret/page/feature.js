// One feature (#f412), and the way between the views. Starts the page.

const section = (title, ...children) => el("section", {}, el("h2", {}, title), ...children);

function piece(part) {
  if (typeof part === "string") return part;
  const [text, saliency, minimal] = part;
  const strength = `${Math.round(100 * Math.min(1, 0.15 + 0.85 * saliency))}%`;
  const hint = `${percent(saliency)} of the activation is lost without these words`;
  const marked = saliency ? el("mark", { "--saliency": strength, title: hint }, text) : text;
  return minimal ? el("u", {}, marked) : marked;
}

function passages(list) {
  const most = Math.max(1, ...list.map(([, activation]) => activation));
  const items = list.map(([source, activation, parts]) => {
    const bar = el("i");
    bar.style.width = `${(100 * activation) / most}%`;
    const strength = activation
      ? [el("span", { class: "track", "aria-hidden": "true" }, bar), `${fixed(activation)}×`]
      : ["not active"];
    return el(
      "li",
      {},
      el("p", {}, ...parts.map(piece)),
      el("div", { class: "meta" }, ...strength, el("span", {}, source)),
    );
  });
  return el("ol", { class: "passages" }, ...items);
}

function pattern([places, weight, support]) {
  const tokens = places.flatMap((words, at) => {
    const others = words.length > 1 ? el("small", {}, ` or ${words.slice(1).join(", ")}`) : "";
    const token = el("span", { class: "token" }, words[0], others);
    return at ? [quiet("+"), token] : [token];
  });
  const detail = quiet(`${fixed(weight)}×, in ${counted(support, "passage")}`);
  return el("li", { class: "pattern" }, ...tokens, detail);
}

function pairs(list, show) {
  const known = list.filter(([id]) => byId.has(id));
  return el(
    "ul",
    { class: "pairs" },
    ...known.map(([id, value]) => el("li", {}, linkTo(byId.get(id)), el("span", { class: "number" }, show(value)))),
  );
}

function strengths(feature) {
  const names = ["50 %", "75 %", "90 %", "95 %", "most"];
  const most = feature.quantiles[4] || 1;
  const bar = el("div", { class: "quantiles", "aria-hidden": "true" });
  feature.quantiles.forEach((value, at) => {
    const part = el("i", { "--saliency": `${100 - 20 * at}%` });
    part.style.width = `${(100 * (value - (at ? feature.quantiles[at - 1] : 0))) / most}%`;
    bar.append(part);
  });
  const values = feature.quantiles.map((value, at) => el("div", {}, el("span", {}, names[at]), `${fixed(value)}×`));
  const note =
    "Half of its activations stay below the first figure. " +
    `1× is its typical activation, ${feature.typical}; from ${data.limits.fires}× on it fires.`;
  return [bar, el("div", { class: "quantile-names" }, ...values), el("p", { class: "note" }, note)];
}

const chance = (p) => (p < 0.001 ? "< .001" : p.toFixed(3).replace(/^0/, ""));

// Label and Neuron2Graph side by side: what each of them tells about the documents that were held out.
function scores(feature) {
  const kinds = [
    ["Label", feature.score],
    ["N2G", feature.pattern_score],
  ].filter((kind) => kind[1]);
  const names = ["Score (AUC)", "near misses only", "random only", "Precision", "Recall", "Chance (p)", "Held-out documents"];
  const head = kinds.map(([name]) => el("th", { scope: "col", class: "right" }, name));
  const lines = names.map((name, at) => {
    const cells = kinds.map(([, score]) =>
      el("td", { class: "right number" }, at < 5 ? fixed(score[at]) : at === 5 ? chance(score[at]) : whole(score[at])),
    );
    return el("tr", {}, el("th", { scope: "row" }, name), ...cells);
  });
  return el("table", { class: "facts" }, el("thead", {}, el("tr", {}, el("td"), ...head)), el("tbody", {}, ...lines));
}

function walk(feature) {
  const at = state.rows.indexOf(feature);
  const step = (to, text) => (at >= 0 && state.rows[to] ? el("a", { href: `#f${state.rows[to].id}` }, text) : null);
  const ends = el("span", { class: "end" }, step(at - 1, "← Previous"), step(at + 1, "Next →"));
  return el("nav", { class: "walk", "aria-label": "Features" }, el("a", { href: "#" }, "All features"), ends);
}

function evidence(feature) {
  const found = [];
  if (feature.patterns.length) {
    const note = el(
      "p",
      { class: "note" },
      "Tokens that together make it fire, the one that matters most first, found by Neuron2Graph. " +
        "The figure is the activation of the tokens alone.",
    );
    found.push(section("Patterns", note, el("ul", {}, ...feature.patterns.map(pattern))));
  }
  if (feature.top.length) {
    const note =
      "Shaded: the stronger, the more of the activation is lost without these words. " +
      "Underlined: the shortest span that alone keeps half.";
    found.push(section("Strongest passages", el("p", { class: "note" }, note), passages(feature.top)));
  }
  if (feature.near_misses.length) {
    const note = "From the nearest documents on which it is not active.";
    found.push(section("Near misses", el("p", { class: "note" }, note), passages(feature.near_misses)));
  }
  if (feature.queries.length) {
    found.push(section("Strongest queries", passages(feature.queries.map(([text, value]) => ["", value, [text]]))));
  }
  return found;
}

function context(feature) {
  const family = (familyOf.get(feature.id)?.members ?? []).filter((id) => id !== feature.id).map((id) => [id, null]);
  const often =
    `Fires on ${whole(feature.fires)} of ${whole(data.documents)} documents, ` +
    `active on ${whole(feature.active)} (${percent(density(feature))}).`;
  const found = [];
  if (feature.score || feature.pattern_score) {
    found.push(section("How well it is predicted", feature.score ? scoreHistogram(feature) : "", scores(feature)));
  }
  found.push(section("How often", densityHistogram(feature), el("p", { class: "note" }, often)));
  found.push(section("How strongly", ...strengths(feature)));
  if (family.length)
    found.push(
      section(
        "Family",
        pairs(family, () => ""),
      ),
    );
  if (feature.companions.length)
    found.push(
      section(
        "Fires together with",
        pairs(feature.companions, (lift) => `${fixed(lift, 1)}× chance`),
      ),
    );
  if (feature.similar.length)
    found.push(
      section(
        "Similar direction",
        pairs(feature.similar, (cosine) => `cosine ${fixed(cosine)}`),
      ),
    );
  return found;
}

const steers = (feature) => (feature.steers === null ? "" : quiet(`steers ${fixed(feature.steers)}`));

function showFeature(feature) {
  const title = el("h1", { tabindex: "-1", class: look(feature) }, titleOf(feature));
  const score = feature.renamed
    ? "named by hand"
    : feature.score
      ? `score ${fixed(auc(feature.score))} from ${counted(feature.score[6], "held-out document")}`
      : "score not measured";
  const by =
    feature.label !== null && !feature.renamed && feature.source !== "phrases"
      ? quiet(`label by ${feature.source}`)
      : null;
  const parts = [
    walk(feature),
    el("div", { class: "headline" }, title, quiet(`f${feature.id}`), quiet(score), steers(feature), by ?? ""),
    feature.description ? el("p", { class: "lead" }, feature.description) : "",
  ];
  if (feature.automatic) {
    const why = feature.score
      ? "They tell too poorly where it fires to be its name."
      : "It fires on no held-out document: whether they fit cannot be measured.";
    const text = feature.renamed
      ? `The automatic label was: ${feature.automatic}.`
      : `Nearest words: ${feature.automatic}. ${why}`;
    parts.push(el("p", { class: "lead" }, text));
  }
  if (feature.note) parts.push(el("p", { class: "lead" }, feature.note));
  if (feature.active) {
    parts.push(
      el("div", { class: "columns" }, el("div", {}, ...evidence(feature)), el("aside", {}, ...context(feature))),
    );
  } else {
    parts.push(el("p", { class: "lead" }, "It is not active on any document."));
  }
  return parts;
}

// The way between the views: the address says which one is open, so links and the back button work.

let overviewAt = 0;
const pageTitle = document.title;

function route() {
  const asked = /^#f(\d+)$/.exec(location.hash);
  const feature = asked && byId.get(Number(asked[1]));
  const [overview, page] = [slot("overview"), slot("feature")];
  if (!overview.hidden && asked) overviewAt = state.scroll;
  const came = page.hidden ? null : page.dataset.id;
  overview.hidden = Boolean(asked);
  page.hidden = !asked;
  if (!asked) {
    document.title = pageTitle;
    scrollTo(0, overviewAt);
    const back = came && document.querySelector(`#rows a[href="#f${came}"]`);
    if (back) back.focus({ preventScroll: true });
    return;
  }
  const missing = [
    walk(null),
    el("h1", { tabindex: "-1" }, `f${asked[1]}`),
    el("p", { class: "lead" }, "This feature is hidden, or the bundle has none of this number."),
  ];
  page.replaceChildren(...(feature ? showFeature(feature) : missing));
  page.dataset.id = asked[1];
  document.title = `${feature ? titleOf(feature) : "?"} f${asked[1]} – ${pageTitle}`;
  scrollTo(0, 0);
  page.querySelector("h1").focus({ preventScroll: true });
}

history.scrollRestoration = "manual";
addEventListener(
  "scroll",
  () => {
    if (!slot("overview").hidden) state.scroll = scrollY;
  },
  { passive: true },
);
addEventListener("hashchange", route);
slot("tools").addEventListener("submit", (event) => event.preventDefault());
slot("query").addEventListener("input", refresh);
slot("kind").addEventListener("change", refresh);
slot("more").addEventListener("click", () => {
  state.shown += 3 * STEP;
  addRows();
});
const map = makeMap({
  canvas: slot("map"),
  tip: slot("tip"),
  nameOf,
  open: (feature) => {
    location.hash = `#f${feature.id}`;
  },
});
showFigures();
showTree();
showDistributions();
showColumns();
refresh();
route();
