// The address: #STATE&at=PAGE, where STATE is base64url of the state's JSON. So a link restores everything.

import { emptyState, readState } from "./state.js";

const toBase64 = (text) => {
  let bytes = "";
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
};

const fromBase64 = (text) => {
  const bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return new TextDecoder().decode(Uint8Array.from(bytes, (sign) => sign.charCodeAt(0)));
};

const isEmpty = (state) => JSON.stringify(state) === JSON.stringify(emptyState());

// `page` is "search", "map", "features", "compare" or "feature/412".
export function writeHash(state, page) {
  const held = isEmpty(state) ? "" : toBase64(JSON.stringify(state));
  const at = page === "search" ? "" : `at=${page}`;
  return `#${[held, at].filter(Boolean).join("&")}`;
}

// Returns {state, page}; `broken` is true where the address holds a state that cannot be read.
export function readHash(hash) {
  const found = { state: emptyState(), page: "search", broken: false };
  for (const part of hash.replace(/^#/, "").split("&").filter(Boolean)) {
    if (part.startsWith("at=")) {
      found.page = decodeURIComponent(part.slice(3));
      continue;
    }
    try {
      found.state = readState(JSON.parse(fromBase64(part)));
    } catch {
      found.broken = true;
    }
  }
  return found;
}
