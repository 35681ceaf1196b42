// Requests to the server. An error is an ApiError with one line that a person can read.

import { answerOf, isStill } from "./still.js";

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

// A server that is open to others wants the token of its address; it stays in this tab and leaves the address bar.
const TOKEN = "steersearch-studio-token";
const asked = new URLSearchParams(location.search).get("token");
if (asked) {
  sessionStorage.setItem(TOKEN, asked);
  history.replaceState(null, "", location.pathname + location.hash);
}
const token = sessionStorage.getItem(TOKEN);

export async function call(method, path, body) {
  if (isStill()) {
    try {
      return await answerOf(method, path, body);
    } catch (error) {
      throw new ApiError(error.message, 0);
    }
  }
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new ApiError("The studio's server does not answer. Start it again with: sae studio --index …", 0);
  }
  const type = response.headers.get("Content-Type") || "";
  const answer = type.includes("json") ? await response.json().catch(() => null) : null;
  if (!response.ok) throw new ApiError((answer && answer.error) || `The server answered ${response.status}.`, response.status);
  return answer;
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body);
export const put = (path, body) => call("PUT", path, body);
export const remove = (path) => call("DELETE", path);

// Runs one request at a time and, after it, the newest of those that came meanwhile: a slider that is dragged
// gets the most answers that the server can give, never a queue of old ones.
export function newestOnly(run) {
  let running = false;
  let waiting = null;
  const next = async (argument) => {
    running = true;
    try {
      await run(argument);
    } finally {
      running = false;
      if (waiting) {
        const [held] = waiting;
        waiting = null;
        next(held);
      }
    }
  };
  return (argument) => {
    if (running) waiting = [argument];
    else next(argument);
  };
}
