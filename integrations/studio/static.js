// Answers the page's requests from files, where there is no server. It runs before the page.

const files = new Map();

function read(name) {
  if (!files.has(name)) {
    files.set(name, ask(`data/${name}.json`).then((response) => {
      if (!response.ok) throw new Error(`data/${name}.json is missing`);
      return response.json();
    }));
  }
  return files.get(name);
}

class Refused extends Error {}

const ask = window.fetch.bind(window);
const TOGETHER = 64;
const SERVER = "This is a copy without a server";
const byText = (one, other) => (one || "\uffff").localeCompare(other || "\uffff");
const ORDERS = {
  documents: (one, other) => other.documents - one.documents,
  score: (one, other) => (other.score ?? -1) - (one.score ?? -1),
  label: (one, other) => byText(one.label, other.label),
  family: (one, other) => byText(one.family, other.family),
  latent: (one, other) => one.latent - other.latent,
};

async function features(parameters) {
  const { features: all } = await read("features");
  const q = (parameters.get("q") || "").trim().toLowerCase();
  const words = q.split(/\s+/).filter(Boolean);
  const held = all.filter((one) => words.every((word) =>
    `f${one.latent} ${one.label || ""} ${one.guess || ""}`.toLowerCase().includes(word)));
  const sorted = held.slice().sort(ORDERS[parameters.get("sort")] || ORDERS.documents);
  const offset = Number(parameters.get("offset") || 0);
  return { total: held.length, features: sorted.slice(offset, offset + Number(parameters.get("limit") || 50)) };
}

const steering = (state) => JSON.stringify([state.view, state.filter ?? null, state.understand === true,
  state.concepts.filter((one) => one.on !== false).map((one) => [one.key, one.strength, one.exclude === true, one.off || []])]);

async function answerTo(state) {
  const { queries, snapshots, answers } = await read("searches");
  const query = state.query.trim();
  const same = snapshots.find((one) => steering(one.state) === steering(state));
  const plain = !state.concepts.some((one) => one.on !== false) && !state.understand && !state.filter;
  const name = same ? same.name : plain ? "" : null;
  if (name === null) throw new Refused(`${SERVER}: it has the steerings that were kept${snapshots.length ? ` (${snapshots.map((one) => one.name).join(", ")})` : ""} and no others.`);
  const found = answers.find((one) => one.query === query && one.snapshot === name);
  if (!found) throw new Refused(queries.length ? `${SERVER}: it knows these queries: ${queries.join(" · ")}` : `${SERVER}: it knows no query.`);
  return found;
}

async function map(body) {
  const { documents, features, fields } = await read("map");
  if (body.kind === "features") return features;
  if (!body.color) return documents;
  const coloured = fields[body.color.field];
  if (!coloured) throw new Refused(`${SERVER}: the map has no such colour.`);
  return { ...documents, ...coloured };
}

async function compare(body) {
  const { rows } = await read("searches");
  return { rows: rows.filter((row) => body.snapshots.includes(row.snapshot)) };
}

async function answer(method, path, parameters, body) {
  if (method === "GET") {
    if (path === "info") return read("info");
    if (path === "features") return features(parameters);
    if (path === "concepts") return { concepts: [] };
    if (path === "judgments") return { judgments: [] };
    if (path === "snapshots") return { snapshots: (await read("searches")).snapshots };
    const latent = /^features\/(\d+)$/.exec(path);
    if (latent) {
      const found = (await read(`features-${Math.floor(Number(latent[1]) / TOGETHER)}`))[latent[1]];
      if (found) return found;
    }
  }
  if (method === "POST") {
    if (path === "search") return (await answerTo(body)).answer;
    if (path === "words") return (await answerTo(body.state)).words;
    if (path === "map") return map(body);
    if (path === "compare") return compare(body);
  }
  throw new Refused(`${SERVER}: this takes one. Start it with: sae studio --index …`);
}

const json = (value, status) => new Response(JSON.stringify(value), { status, headers: { "Content-Type": "application/json" } });

window.fetch = async (target, options = {}) => {
  const address = new URL(target, document.baseURI);
  const at = address.pathname.indexOf("/api/");
  if (typeof target !== "string" || at < 0) return ask(target, options);
  const path = decodeURIComponent(address.pathname.slice(at + "/api/".length));
  try {
    return json(await answer(options.method || "GET", path, address.searchParams, options.body ? JSON.parse(options.body) : null), 200);
  } catch (error) {
    return json({ error: error.message }, error instanceof Refused ? 400 : 404);
  }
};
