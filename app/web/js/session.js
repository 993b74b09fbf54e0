/** Who is signed in, and a token that is good now. */

import { Problem, problemOf } from "./problems.js";
import { oneTabAtATime } from "./tab_lock.js";

const KEY = "pictures.session";
const RENEW_AT = 0.9;
const SETTLE_MS = 100;

/**
 * The access token lives in memory alone. The refresh token has to outlive the tab, or people would sign in again and
 * again, so it is in localStorage; what protects it there is the content security policy: no script but the page's own
 * files runs on this origin, none can be put in as markup, and nothing can be sent to another host than the store.
 *
 * Events: `started` (signed in), `ended` (ran out, or was revoked), `resumed` (signed in again), `leaving` and `left` (signed out).
 */
export class Session extends EventTarget {
  email = stored()?.email ?? null;
  #access = null;
  #renewAt = 0;
  #renewing = null;
  #waiting = [];
  #channel = new BroadcastChannel(KEY);

  constructor() {
    super();
    this.#channel.onmessage = ({ data }) => data.email === this.email && this.#resume(data);
    addEventListener("storage", (event) => event.key === KEY && this.#noticeOtherTab());
  }

  get isRemembered() {
    return Boolean(this.email);
  }

  /** The token as it is, for what cannot wait: the page is going away. */
  get tokenAtHand() {
    return this.#access;
  }

  /** A token that is good for a while yet. Where the session has ended this waits until somebody signs in again. */
  async token() {
    if (this.#access && Date.now() < this.#renewAt) return this.#access;
    return this.renew();
  }

  async renew() {
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = null));
    const renewed = await this.#renewing;
    return renewed ?? new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  async signIn(email, password) {
    const body = new URLSearchParams({ username: email, password });
    this.#start(email, await post("api/v1/auth/token", body));
  }

  async register(email, password) {
    const body = JSON.stringify({ email, password });
    this.#start(email, await post("api/v1/auth/register", body, { "Content-Type": "application/json" }));
  }

  leave() {
    localStorage.removeItem(KEY);
    this.#part();
  }

  #part() {
    this.dispatchEvent(new Event("leaving"));
    this.email = null;
    this.#forget();
    for (const { reject } of this.#waiting.splice(0)) reject(new Problem({ code: "signed_out" }));
    this.dispatchEvent(new Event("left"));
  }

  #start(email, tokens) {
    this.email = email;
    this.#keep(tokens);
    this.dispatchEvent(new Event("started"));
  }

  #keep(tokens) {
    localStorage.setItem(KEY, JSON.stringify({ email: this.email, refresh_token: tokens.refresh_token }));
    const renewAt = Date.now() + tokens.expires_in * 1000 * RENEW_AT;
    const message = { email: this.email, access: tokens.access_token, renewAt };
    this.#resume(message);
    this.#channel.postMessage(message);
  }

  #resume(message) {
    const hadEnded = this.#waiting.length > 0;
    this.#take(message);
    for (const { resolve } of this.#waiting.splice(0)) resolve(this.#access);
    if (hadEnded) this.dispatchEvent(new Event("resumed"));
  }

  #take({ access, renewAt }) {
    this.#access = access;
    this.#renewAt = renewAt;
  }

  #forget() {
    this.#take({ access: null, renewAt: 0 });
  }

  /** Returns the new token, or null when the session has ended. */
  async #renew() {
    const before = this.#access;
    return oneTabAtATime(`${KEY}.lock`, async () => {
      // Another tab may have been faster, and a refresh token that comes twice ends the session.
      if (this.#access !== before && Date.now() < this.#renewAt) return this.#access;
      const { email, refresh_token } = stored() ?? {};
      if (email !== this.email) return this.#end(); // with somebody else's token this page would act for them
      try {
        this.#keep(await post("api/v1/auth/refresh", new URLSearchParams({ refresh_token })));
      } catch (problem) {
        if ([401, 403].includes(problem.status)) return this.#end();
        throw problem;
      }
      // Other tabs are other processes: the storage takes a moment to be the same for all of them.
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      return this.#access;
    });
  }

  #end() {
    this.#forget();
    this.dispatchEvent(new Event("ended"));
    return null;
  }

  // A tab that slept hears late: what is kept by now counts.
  #noticeOtherTab() {
    if ((stored()?.email ?? null) !== this.email) this.#part();
  }
}

const stored = () => JSON.parse(localStorage.getItem(KEY) ?? "null");

async function post(path, body, headers = {}) {
  let response;
  try {
    // Kept alive: a refresh that is cut off by the page going away has used its token up all the same.
    response = await fetch(path, { method: "POST", body, headers, keepalive: true });
  } catch {
    throw new Problem({ code: "network" });
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw problemOf(response.status, answer, response.headers.get("Retry-After"));
  return answer;
}
