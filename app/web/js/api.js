/** API client: adds the access token, retries safe requests, and throws every failure as a Problem. */

import { Problem, problemFromResponse } from "./problems.js";

const PREFIX = "api/v1/";
const MAX_ATTEMPTS = 3;
const MAX_RETRY_DELAY_SECONDS = 30;

export class Api {
  constructor(session) {
    this.session = session;
  }

  get = (path, options) => this.json("GET", path, options);
  post = (path, body, options) => this.json("POST", path, { body, ...options });
  patch = (path, body) => this.json("PATCH", path, { body });
  delete = (path, body) => this.json("DELETE", path, { body });

  async json(method, path, { body, headers = {}, signal } = {}) {
    const init = { method, headers: { ...headers }, signal };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers["Content-Type"] = "application/json";
    }
    const response = await this.fetch(path, init);
    if (response.status === 204) return null;
    return response.json().catch((error) => {
      if (error.name === "SyntaxError") throw problemFromResponse(response.status, null);
      throw error.name === "AbortError" ? error : new Problem({ code: "network" });
    });
  }

  /** Works like the browser's fetch, but throws a Problem for an error response. */
  async fetch(path, init = {}) {
    const isIdempotent = ["GET", "HEAD", "DELETE"].includes(init.method ?? "GET") || "Idempotency-Key" in (init.headers ?? {});
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(path, init);
      } catch (problem) {
        const seconds = problem.retryAfter ?? attempt;
        const canRetry = problem.isTransient && isIdempotent && attempt < MAX_ATTEMPTS;
        if (!canRetry || seconds > MAX_RETRY_DELAY_SECONDS || init.signal?.aborted) throw problem;
        await delay(seconds * 1000);
      }
    }
  }

  async #attempt(path, init) {
    const response = await this.#send(path, init, await this.session.token());
    if (response.ok) return response;
    const problem = await readProblem(response);
    if (problem.status !== 401) throw problem;
    const secondResponse = await this.#send(path, init, await this.session.renew());
    if (!secondResponse.ok) throw await readProblem(secondResponse);
    return secondResponse;
  }

  async #send(path, init, token) {
    try {
      return await fetch(PREFIX + path, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem({ code: "network" });
    }
  }

  /** Sends a large body, and calls `onProgress` with the share that was sent. Returns the JSON of the response, or null. */
  async send(method, path, body, { headers, signal, onProgress }) {
    const send = (token) => {
      const allHeaders = { ...headers, Authorization: `Bearer ${token}` };
      return sendWithProgress(method, PREFIX + path, body, { headers: allHeaders, signal, onProgress });
    };
    try {
      return await send(await this.session.token());
    } catch (problem) {
      if (problem.status !== 401) throw problem;
      return send(await this.session.renew());
    }
  }

  /** Sends a request that outlives the page, without waiting for the response. */
  sendOnUnload(method, path, { headers, body }) {
    const allHeaders = { ...headers, Authorization: `Bearer ${this.session.currentToken}` };
    fetch(PREFIX + path, { method, headers: allHeaders, body, keepalive: true }).catch(() => {});
  }
}

async function readProblem(response) {
  const body = await response.json().catch(() => null);
  return problemFromResponse(response.status, body, response.headers.get("Retry-After"));
}

/** Uses XMLHttpRequest, because fetch does not report upload progress. */
function sendWithProgress(method, url, body, { headers, signal, onProgress }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    if (signal.aborted) return reject(new Problem({ code: "canceled" }));
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onload = () => {
      const response = parseJson(request.responseText);
      // The body of a successful response is empty or JSON.
      if (request.status < 300 && (response || !request.responseText)) resolve(response);
      else reject(problemFromResponse(request.status, response, request.getResponseHeader("Retry-After")));
    };
    request.onerror = () => reject(new Problem({ code: "network" }));
    request.onabort = () => reject(new Problem({ code: "canceled" }));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(body);
  });
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // The body is empty, or a proxy has sent an error page.
  }
}

export const delay = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Returns a random idempotency key. crypto.randomUUID is not available on pages loaded over plain HTTP. */
export function newIdempotencyKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
