// What stands above all features: figures, distributions, the table with its filter.

const familyOf = new Map(data.families.flatMap((family) => family.members.map((id) => [id, family])));
const familyName = (feature) => {
  const family = familyOf.get(feature.id);
  return family ? `${family.name} (${family.members.length})` : null;
};
const titleOf = (feature) => feature.label ?? (feature.fires ? "unclear" : "dead");
const look = (feature) => (feature.label === null ? "unclear" : null);
const scoreOf = (feature) => (feature.renamed ? "by hand" : feature.score ? fixed(auc(feature.score)) : "");

// A label never stands without its score.
function nameOf(feature) {
  const name = feature.label ?? `${titleOf(feature)} f${feature.id}`;
  return el("span", {}, el("span", { class: look(feature) }, name), el("span", { class: "score" }, scoreOf(feature)));
}

const linkTo = (feature) => el("a", { href: `#f${feature.id}` }, nameOf(feature));
const quiet = (text) => el("span", { class: "quiet" }, text);

// Overview: figures and distributions

function share(name, value) {
  const bar = el("i");
  bar.style.width = `${100 * value}%`;
  return el(
    "span",
    { class: "share" },
    el("span", {}, name),
    el("span", { class: "track" }, bar),
    el("span", {}, percent(value)),
  );
}

function showFigures() {
  slot("lead").append(
    "What each latent of the sparse autoencoder stands for, as read from " +
      `${whole(data.documents)} documents of ${data.corpus}. A score is the chance that, of two documents that were ` +
      "held out, the label alone puts the one on which the feature fires first: 1 is perfect, 0.5 is guessing.",
  );
  const figures = [
    [
      "Features alive",
      whole(data.alive),
      `of ${whole(data.features.length)}${data.hidden ? `, ${whole(data.hidden)} hidden` : ""}`,
    ],
    ["Clear label", percent(data.clear / Math.max(1, data.alive)), `${whole(data.clear)} of those alive`],
    ["Label score", fixed(data.median_score), "median AUC"],
    ["Neuron2Graph score", fixed(data.median_pattern_score), "median AUC"],
  ];
  for (const [name, value, detail] of figures) {
    slot("figures").append(el("div", {}, el("dt", {}, name), el("dd", {}, value, el("small", {}, detail))));
  }
  const names = ["1 or more", "3 or more", "10 or more"];
  const shares = data.covered.map((value, at) => share(names[at], value));
  slot("figures").append(
    el(
      "div",
      { class: "wide" },
      el("dt", {}, `Of ${whole(data.documents)} documents, with clear features`),
      el("dd", {}, ...shares),
    ),
  );
}

function showDistributions() {
  slot("densities").append(densityHistogram());
  const dead = data.features.filter((feature) => !feature.fires);
  const dense = data.features.filter(tooDense).sort((a, b) => b.active - a.active);
  const lists = [
    [
      dense,
      `${whole(dense.length)} too dense: active on more than ${percent(data.limits.too_dense)} of the documents`,
      linkTo,
    ],
    [
      dead,
      `${whole(dead.length)} dead: never active`,
      (feature) => el("a", { href: `#f${feature.id}` }, `f${feature.id}`),
    ],
  ];
  for (const [features, title, link] of lists) {
    const list = el("div", { class: "flow" }, ...features.map(link));
    slot("extremes").append(
      features.length ? el("details", {}, el("summary", {}, title), list) : el("p", { class: "note" }, title),
    );
  }
  if (scored.length) slot("scores").append(scoreHistogram());
  slot("scores-note").append(
    `${counted(scored.length, "label")} could be measured, the other features fire on no held-out document. ` +
      `Below ${fixed(data.limits.unclear)}, or where chance alone does as well in more than ` +
      `${data.limits.chance * 100} % of cases, a label is not used as a name, the feature is called unclear.`,
  );
  CLASS_NAMES.forEach((name, at) =>
    slot("legend").append(el("li", { class: "dot", "--c": `var(${SHADES[at]})` }, name)),
  );
}

// Overview: the tree. What is in a group is made when it is opened first.

function group(node) {
  const share = node.share === null ? "" : `, ${percent(node.share, 3)} of the documents`;
  const detail = quiet(`${counted(node.count, "feature")}${share}`);
  const box = el("details", {}, el("summary", {}, el("span", { class: "group" }, node.name), " ", detail));
  box.addEventListener(
    "toggle",
    () => {
      const features = (node.latents ?? []).map((id) => byId.get(id)).filter(Boolean);
      features.sort((a, b) => b.usefulness - a.usefulness || b.fires - a.fires || a.id - b.id);
      box.append(
        node.children
          ? el("div", { class: "groups" }, ...node.children.map(group))
          : el("ul", { class: "members" }, ...features.map((feature) => el("li", {}, linkTo(feature)))),
      );
    },
    { once: true },
  );
  return box;
}

function showTree() {
  slot("branches").hidden = data.tree.length === 0;
  slot("tree").append(...data.tree.map(group));
}

// Overview: the table

const COLUMNS = [
  { key: "id", title: "Feature", value: (feature) => feature.id, first: 1, kind: "rare" },
  { key: "label", title: "Label", value: (feature) => feature.label, first: 1 },
  { key: "score", title: "Score", value: (feature) => auc(feature.score), first: -1, kind: "right number" },
  {
    key: "steers",
    title: "Steers",
    hint: "How well boosting it brings what the label says; 0.5 is what boosting another feature does",
    value: (feature) => feature.steers,
    first: -1,
    kind: "right number rare",
  },
  {
    key: "support",
    title: "From",
    hint: "Held-out documents that the score is measured on: from one, 1.00 means little",
    value: (feature) => (feature.score ? feature.score[6] : null),
    first: -1,
    kind: "right number rare",
  },
  {
    key: "n2g",
    title: "N2G",
    hint: "Neuron2Graph score",
    value: (feature) => auc(feature.pattern_score),
    first: -1,
    kind: "right number rare",
  },
  {
    key: "density",
    title: "Density",
    hint: "Share of the documents on which it is active",
    value: density,
    first: -1,
    kind: "right number rare",
  },
  {
    key: "fires",
    title: "Fires",
    hint: "Documents on which it fires",
    value: (feature) => feature.fires,
    first: -1,
    kind: "right number",
  },
  {
    key: "useful",
    title: "Useful",
    hint: "How surely the label reads, times how well the feature steers, times how often it fires",
    value: (feature) => feature.usefulness,
    first: -1,
    kind: "right number rare",
  },
  { key: "family", title: "Family", value: familyName, first: 1, kind: "rare" },
];
const KINDS = {
  all: () => true,
  clear: (feature) => feature.label !== null,
  unclear: (feature) => feature.label === null && feature.fires > 0,
  dense: tooDense,
  dead: (feature) => !feature.fires,
};
const STEP = 100;
const state = { column: "useful", way: -1, rows: [], shown: STEP };
for (const feature of data.features) {
  feature.words = [`f${feature.id}`, titleOf(feature), familyName(feature)].join(" ").toLowerCase();
}

function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null); // what is not known comes last, either way
  return state.way * (typeof a === "string" ? a.localeCompare(b, "en") : a - b);
}

function refresh() {
  const words = slot("query").value.toLowerCase().split(/\s+/).filter(Boolean);
  const kind = KINDS[slot("kind").value];
  const { value } = COLUMNS.find((column) => column.key === state.column);
  const found = data.features.filter((feature) => kind(feature) && words.every((word) => feature.words.includes(word)));
  const keyed = found.map((feature) => [value(feature), feature]);
  state.rows = keyed.sort((a, b) => compare(a[0], b[0]) || a[1].id - b[1].id).map((pair) => pair[1]);
  state.shown = STEP;
  map.match(found.length < data.features.length ? new Set(found) : null);
  slot("count").textContent = `${whole(found.length)} of ${whole(data.features.length)}`;
  slot("empty").hidden = found.length > 0;
  slot("rows").replaceChildren();
  addRows();
}

function addRows() {
  const at = slot("rows").children.length;
  slot("rows").append(...state.rows.slice(at, state.shown).map(row));
  const left = state.rows.length - state.shown;
  slot("more").hidden = left <= 0;
  slot("more").textContent = `Show ${whole(Math.min(left, 3 * STEP))} more of ${whole(left)}`;
}

function row(feature) {
  const name = feature.label === null ? `${titleOf(feature)}, f${feature.id}` : null;
  const label = el("a", { href: `#f${feature.id}`, class: look(feature), "aria-label": name }, titleOf(feature));
  const family = familyName(feature);
  const pick =
    family && el("button", { type: "button", class: "link-button", title: `Show the family ${family}` }, family);
  if (pick) pick.addEventListener("click", () => find(family));
  const dot = feature.score ? { class: "dot", "--c": `var(${SHADES[shadeOf(auc(feature.score))]})` } : {};
  const line = el(
    "tr",
    {},
    el("td", { class: "rare quiet" }, `f${feature.id}`),
    el("th", { scope: "row" }, label, el("span", { class: "inline-id" }, `f${feature.id}`)),
    el("td", { class: "right number" }, el("span", dot, scoreOf(feature) || "–")),
    el("td", { class: "right number rare" }, fixed(feature.steers)),
    el("td", { class: "right number rare" }, feature.score ? whole(feature.score[6]) : "–"),
    el("td", { class: "right number rare" }, fixed(auc(feature.pattern_score))),
    el("td", { class: "right number rare" }, percent(density(feature), 3)),
    el("td", { class: "right number" }, whole(feature.fires)),
    el("td", { class: "right number rare" }, fixed(feature.usefulness)),
    el("td", { class: "rare" }, pick),
  );
  line.addEventListener("mouseenter", () => map.choose(feature));
  line.addEventListener("mouseleave", () => map.choose(null));
  return line;
}

function find(text) {
  slot("query").value = text;
  slot("kind").value = "all";
  refresh();
  slot("query").focus();
}

function showColumns() {
  for (const column of COLUMNS) {
    const button = el("button", { type: "button", title: column.hint }, column.title);
    const head = el("th", { scope: "col", class: column.kind }, button);
    button.addEventListener("click", () => {
      state.way = state.column === column.key ? -state.way : column.first;
      state.column = column.key;
      markSorted();
      refresh();
    });
    slot("columns").append(head);
  }
  markSorted();
}

function markSorted() {
  COLUMNS.forEach((column, at) => {
    const head = slot("columns").children[at];
    if (column.key === state.column) head.setAttribute("aria-sort", state.way > 0 ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  });
}
