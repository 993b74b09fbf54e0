/** The signed-in user and a valid access token. */

import { Problem, problemFromResponse } from "./problems.js";
import { withTabLock } from "./tab_lock.js";

const KEY = "pictures.session";
const RENEW_AT_LIFETIME_FRACTION = 0.9;
const STORAGE_SYNC_MS = 100;

/**
 * The access token is stored in memory only. The refresh token is stored in localStorage, because users would otherwise
 * have to sign in again in every tab. The content security policy protects it there: only the page's own files run as
 * scripts on this origin, markup cannot add scripts, and the page can send data to the object store but to no other host.
 *
 * Events: `signedIn`; `expired` (the session ended or was revoked); `resumed` (the user signed in again after `expired`);
 * `signingOut` (the tokens are still available) and `signedOut`.
 */
export class Session extends EventTarget {
  email = readStored()?.email ?? null;
  #accessToken = null;
  #renewAt = 0;
  #renewal = null;
  #waiters = [];
  #channel = new BroadcastChannel(KEY);

  constructor() {
    super();
    this.#channel.onmessage = ({ data }) => data.email === this.email && this.#resume(data);
    addEventListener("storage", (event) => event.key === KEY && this.#checkStoredUser());
  }

  get isRemembered() {
    return Boolean(this.email);
  }

  /** The current access token, even if it has expired, for requests that are sent while the page is closed. */
  get currentToken() {
    return this.#accessToken;
  }

  /** Returns a valid access token. If the session has expired, waits until the user has signed in again. */
  async token() {
    if (this.#accessToken && Date.now() < this.#renewAt) return this.#accessToken;
    return this.renew();
  }

  async renew() {
    this.#renewal ??= this.#renew().finally(() => (this.#renewal = null));
    const token = await this.#renewal;
    return token ?? new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  async signIn(email, password) {
    const body = new URLSearchParams({ username: email, password });
    this.#start(email, await post("api/v1/auth/token", body));
  }

  async register(email, password) {
    const invitation = new URLSearchParams(location.search).get("invitation") ?? undefined;
    this.#start(email, await postJson("api/v1/auth/register", { email, password, invitation }));
  }

  /** With `endSession`, also ends the session in the service. */
  signOut({ endSession }) {
    localStorage.removeItem(KEY);
    this.dispatchEvent(new Event("signingOut"));
    // The response does not matter: without it, the session ends when its tokens expire.
    const headers = { Authorization: `Bearer ${this.#accessToken}` };
    if (endSession && this.#accessToken) fetch("api/v1/auth/logout", { method: "POST", headers, keepalive: true }).catch(() => {});
    this.#end();
  }

  #end() {
    this.email = null;
    this.#clearToken();
    for (const { reject } of this.#waiters.splice(0)) reject(new Problem({ code: "signed_out" }));
    this.dispatchEvent(new Event("signedOut"));
  }

  #start(email, tokens) {
    this.email = email;
    this.#store(tokens);
    this.dispatchEvent(new Event("signedIn"));
  }

  #store(tokens) {
    localStorage.setItem(KEY, JSON.stringify({ email: this.email, refresh_token: tokens.refresh_token }));
    const renewAt = Date.now() + tokens.expires_in * 1000 * RENEW_AT_LIFETIME_FRACTION;
    const message = { email: this.email, accessToken: tokens.access_token, renewAt };
    this.#resume(message);
    this.#channel.postMessage(message);
  }

  #resume(message) {
    const hadExpired = this.#waiters.length > 0;
    this.#setToken(message);
    for (const { resolve } of this.#waiters.splice(0)) resolve(this.#accessToken);
    if (hadExpired) this.dispatchEvent(new Event("resumed"));
  }

  #setToken({ accessToken, renewAt }) {
    this.#accessToken = accessToken;
    this.#renewAt = renewAt;
  }

  #clearToken() {
    this.#setToken({ accessToken: null, renewAt: 0 });
  }

  /** Returns the new access token, or null if the session has expired. */
  async #renew() {
    const previousToken = this.#accessToken;
    return withTabLock(`${KEY}.lock`, async () => {
      // Another tab may have renewed the token meanwhile. Sending a refresh token twice would end the session.
      if (this.#accessToken !== previousToken && Date.now() < this.#renewAt) return this.#accessToken;
      const { email, refresh_token } = readStored() ?? {};
      if (email !== this.email) return this.#expire(); // The stored token belongs to another user.
      try {
        this.#store(await post("api/v1/auth/refresh", new URLSearchParams({ refresh_token })));
      } catch (problem) {
        if ([401, 403].includes(problem.status)) return this.#expire();
        throw problem;
      }
      // Other tabs may be separate processes, in which a change of localStorage appears with a delay.
      await new Promise((resolve) => setTimeout(resolve, STORAGE_SYNC_MS));
      return this.#accessToken;
    });
  }

  #expire() {
    this.#clearToken();
    this.dispatchEvent(new Event("expired"));
    return null;
  }

  // A suspended tab receives storage events late, so this compares the current value, not the value in the event.
  #checkStoredUser() {
    if ((readStored()?.email ?? null) !== this.email) {
      this.dispatchEvent(new Event("signingOut"));
      this.#end();
    }
  }
}

const readStored = () => JSON.parse(localStorage.getItem(KEY) ?? "null");

export const postJson = (path, body) => post(path, JSON.stringify(body), { "Content-Type": "application/json" });

async function post(path, body, headers = {}) {
  let response;
  try {
    // With `keepalive`, the request completes even if the user leaves the page. Otherwise the refresh token would be used
    // up and the new one lost.
    response = await fetch(path, { method: "POST", body, headers, keepalive: true });
  } catch {
    throw new Problem({ code: "network" });
  }
  const responseBody = await response.json().catch(() => null);
  // The sign-in page of a network can arrive instead of the response of the service.
  const isFromService = !response.headers.get("Content-Type")?.startsWith("text/html");
  if (!response.ok || !isFromService) throw problemFromResponse(response.status, responseBody, response.headers.get("Retry-After"));
  return responseBody;
}
