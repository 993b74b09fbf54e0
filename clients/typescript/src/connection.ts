import { delay, throwIfAborted } from "./deadline.js";
import { ImageServiceError, isTransient } from "./errors.js";
import { type Received, type Sent, send } from "./transport.js";

const ATTEMPTS = 4;
const FIRST_DELAY_MS = 500;
const LONGEST_RETRY_AFTER_SECONDS = 30;

/** Return an access token: with Firebase, `({ forceRefresh }) => user.getIdToken(forceRefresh)`. */
export type GetToken = (options: { forceRefresh: boolean }) => string | Promise<string>;

export interface ConnectionOptions {
  /** Where the service is, for example `https://photos.example.com`, without `/api/v1`. */
  baseUrl: string;
  getToken: GetToken;
  /** More headers for each request, for example `X-Firebase-AppCheck`, or `X-On-Behalf-Of` with a server key. */
  getHeaders?: () => Record<string, string> | Promise<Record<string, string>>;
}

interface SendOptions {
  query?: Record<string, string | number | undefined>;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** Whether the request may be repeated. By default all but POST requests may. */
  isSafe?: boolean;
}

export interface CallOptions extends SendOptions {
  /** Sent as JSON. */
  body?: unknown;
}

/** Sends requests with the headers that the caller provides, renews tokens, and repeats what may be repeated. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #base: string;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#base = `${options.baseUrl.replace(/\/+$/, "")}/api/v1`;
  }

  /** Return the URL of a path such as `/images`. */
  url(path: string, query: SendOptions["query"] = {}): string {
    const pairs = Object.entries(query).filter(([, value]) => value !== undefined);
    const text = pairs.map(([name, value]) => `${name}=${encodeURIComponent(value as string)}`).join("&");
    return this.#base + path + (text && `?${text}`);
  }

  /** Return the headers of an authenticated request. */
  async headers(forceRefresh = false): Promise<Record<string, string>> {
    const token = await this.#options.getToken({ forceRefresh });
    return { ...(await this.#options.getHeaders?.()), Authorization: `Bearer ${token}` };
  }

  /** Call `attempt` with the headers of an authenticated request. A refused token is renewed once. */
  run<T>(
    attempt: (headers: Record<string, string>) => Promise<T>,
    { isSafe, signal }: { isSafe: boolean; signal?: AbortSignal | undefined },
  ): Promise<T> {
    let isRenewed = false;
    const authenticated = async (): Promise<T> => {
      try {
        return await attempt(await this.headers());
      } catch (error) {
        if (isRenewed || !isTokenRefused(error)) throw error;
        isRenewed = true;
        return attempt(await this.headers(true));
      }
    };
    return isSafe ? retrying(authenticated, signal) : authenticated();
  }

  /** Send an authenticated request. Throws ImageServiceError. */
  send(
    path: string,
    { query, headers, isSafe, ...request }: Omit<Sent, "url" | "headers"> & SendOptions,
  ): Promise<Received> {
    const attempt = (common: Record<string, string>) =>
      send({ ...request, url: this.url(path, query), headers: { ...common, ...headers } });
    return this.run(attempt, { isSafe: isSafe ?? request.method !== "POST", signal: request.signal });
  }

  /** Send an authenticated request with a JSON body. Returns the JSON of the response, or undefined if it is empty. */
  async json<T>(method: string, path: string, { body, headers, ...options }: CallOptions = {}): Promise<T> {
    const isEmpty = body === undefined;
    const received = await this.send(path, {
      ...options,
      method,
      headers: { ...(!isEmpty && { "Content-Type": "application/json" }), ...headers },
      body: isEmpty ? undefined : JSON.stringify(body),
    });
    return parse<T>(received);
  }

  /** Delete what is at the path. The error code `missing` counts as success: an earlier response may have been lost. */
  async remove(path: string, { missing, signal }: { missing: string; signal?: AbortSignal | undefined }): Promise<void> {
    try {
      await this.json("DELETE", path, { signal });
    } catch (error) {
      if (!(error instanceof ImageServiceError && error.code === missing)) throw error;
    }
  }
}

export function parse<T>({ status, body }: Received): T {
  if (!body) return undefined as T;
  try {
    return JSON.parse(body);
  } catch (cause) {
    const message = "The response is not JSON. Check the base URL.";
    throw new ImageServiceError({ code: "unexpected_response", message, status, cause });
  }
}

export function isTokenRefused(error: unknown): boolean {
  return error instanceof ImageServiceError && ["token_expired", "token_invalid"].includes(error.code);
}

/** Repeat a call that failed for a transient reason, up to four attempts in all. */
export async function retrying<T>(attempt: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let attempts = 1; ; attempts++) {
    try {
      return await attempt();
    } catch (error) {
      throwIfAborted(signal);
      const wait = isTransient(error) ? (error as ImageServiceError).retryAfter : null;
      if (!isTransient(error) || attempts === ATTEMPTS || (wait ?? 0) > LONGEST_RETRY_AFTER_SECONDS) throw error;
      // A random part, so that clients that failed together do not come back together.
      const backoff = FIRST_DELAY_MS * 2 ** (attempts - 1) * (0.5 + Math.random());
      await delay(wait === null ? backoff : wait * 1000, signal);
    }
  }
}
