// A still copy of a studio: files in the place of a server, as `sae studio --export` writes them. The page is the same;
// <html data-still> tells it. Beside it lie, relative to index.html:
//   still/info.json             GET  api/info, with "write": false and "queries": the queries that were searched
//   still/searches.json         {query: answer of POST api/search to that query without steering}
//   still/words.json            {query: answer of POST api/words}; may be missing
//   still/features.json         GET  api/features with all features
//   still/tree.json             GET  api/tree
//   still/features/412.json     GET  api/features/412
//   still/map-documents.json    POST api/map without a colour
//   still/map-features.json     the same of the features
// Everything that would have to be computed says that it needs the studio.

export const isStill = () => "still" in document.documentElement.dataset;

const read = async (name) => {
  const response = await fetch(`still/${name}.json`);
  if (!response.ok) throw new Error(response.status === 404 ? "This is not part of the still copy." : `The file still/${name}.json cannot be read.`);
  return response.json();
};

const held = new Map();
const once = (name) => {
  if (!held.has(name)) held.set(name, read(name));
  return held.get(name);
};

const needs = (what) => new Error(`${what} needs the studio itself: sae studio --index …. This is a still copy.`);

const ORDERS = {
  usefulness: (a, b) => b.usefulness - a.usefulness || b.documents - a.documents,
  documents: (a, b) => b.documents - a.documents,
  score: (a, b) => (b.score ?? -1) - (a.score ?? -1),
  label: (a, b) => (a.label === null) - (b.label === null) || (a.label || "").localeCompare(b.label || ""),
};

async function features(asked) {
  const q = (asked.get("q") || "").trim().toLowerCase();
  const all = (await once("features")).features;
  const number = /^f?(\d+)$/.exec(q);
  const found = !q ? [...all] : all.filter((one) => (number ? one.latent === Number(number[1]) : (one.label || "").toLowerCase().includes(q)));
  found.sort(ORDERS[asked.get("sort") || "usefulness"] || ORDERS.usefulness);
  const offset = Number(asked.get("offset") || 0);
  return { total: found.length, features: found.slice(offset, offset + Number(asked.get("limit") || 50)) };
}

async function searched(name, state, missing) {
  if (state.concepts.some((one) => one.on) || state.understand || state.filter) throw needs("Steering");
  const answers = await once(name);
  const query = Object.keys(answers).find((one) => one.toLowerCase() === state.query.trim().toLowerCase());
  if (query === undefined) return missing();
  return answers[query];
}

export async function answerOf(method, path, body) {
  const [place, asked] = path.split("?"); // "api/features/412"
  const [, name, argument] = place.split("/");
  if (name === "info") return once("info");
  if (name === "features" && argument && method === "GET") return read(`features/${Number(argument)}`);
  if (name === "features" && method === "GET") return features(new URLSearchParams(asked));
  if (name === "tree") return once("tree");
  if (name === "map") {
    if (body.color) throw needs("A colour");
    return once(`map-${body.kind}`);
  }
  if (name === "search") {
    const { queries } = await once("info");
    return searched("searches", body, () => { throw new Error(`This is a still copy. It holds: ${queries.join(" · ")}`); });
  }
  if (name === "words") return searched("words", body.state, () => ({}));
  if (name === "concepts" && method === "GET") return { concepts: [] };
  if (name === "snapshots" && method === "GET") return { snapshots: [] };
  if (name === "judgments" && method === "GET") return { judgments: [] };
  throw needs({ copy: "Copying", curve: "A curve", documents: "A document's text", compare: "A comparison" }[name] || "This");
}
