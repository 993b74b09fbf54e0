/** Calls of the API: with a token, tried again where that is safe, and with every failure a Problem. */

import { Problem, problemOf } from "./problems.js";

const PREFIX = "api/v1/";
const TRIES = 3;
const LONGEST_WAIT_SECONDS = 30;

export class Api {
  constructor(session) {
    this.session = session;
  }

  get = (path, options) => this.json("GET", path, options);
  post = (path, body, options) => this.json("POST", path, { body, ...options });
  patch = (path, body) => this.json("PATCH", path, { body });
  delete = (path) => this.json("DELETE", path);

  async json(method, path, { body, headers = {}, signal } = {}) {
    const init = { method, headers: { ...headers }, signal };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers["Content-Type"] = "application/json";
    }
    const response = await this.fetch(path, init);
    return response.status === 204 ? null : response.json();
  }

  /** Like the browser's fetch, but an answer that is no success is thrown. */
  async fetch(path, init = {}) {
    const repeatable = ["GET", "DELETE"].includes(init.method ?? "GET") || "Idempotency-Key" in (init.headers ?? {});
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(path, init);
      } catch (problem) {
        const seconds = problem.retryAfter ?? attempt;
        const mayRepeat = problem.passing && repeatable && attempt < TRIES && seconds <= LONGEST_WAIT_SECONDS;
        if (!mayRepeat || init.signal?.aborted) throw problem;
        await pause(seconds * 1000);
      }
    }
  }

  async #attempt(path, init) {
    const response = await this.#send(path, init, await this.session.token());
    if (response.ok) return response;
    const problem = await readProblem(response);
    if (problem.status !== 401) throw problem;
    const again = await this.#send(path, init, await this.session.renew());
    if (!again.ok) throw await readProblem(again);
    return again;
  }

  async #send(path, init, token) {
    try {
      return await fetch(PREFIX + path, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem({ code: "network" });
    }
  }

  /** Sends without waiting for an answer, while the page goes away. */
  sendLast(path, body) {
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${this.session.tokenAtHand}` };
    fetch(PREFIX + path, { method: "POST", headers, body: JSON.stringify(body), keepalive: true }).catch(() => {});
  }
}

async function readProblem(response) {
  const body = await response.json().catch(() => null);
  return problemOf(response.status, body, response.headers.get("Retry-After"));
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A name for a request that has to happen once. crypto.randomUUID is missing where the page came by plain http. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
