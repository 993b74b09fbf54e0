/** Sends one request, with fetch, or with XMLHttpRequest where it exists and the progress of an upload is needed. */

import { Deadline } from "./deadline.js";
import { errorOf } from "./errors.js";

const SILENCE_MS = 100_000;
/** The service accepts bodies that arrive at this rate or faster. */
const SLOWEST_BYTES_PER_SECOND = 16 * 1024;

export interface Sent {
  method: string;
  url: string;
  headers: Record<string, string>;
  body?: string | FormData | Blob | undefined;
  /** The approximate size of the body in bytes. */
  size?: number;
  signal?: AbortSignal | undefined;
  /** Called with the number of bytes sent so far. */
  onProgress?: ((sent: number) => void) | undefined;
}

export interface Received {
  status: number;
  body: string;
  header(name: string): string | null;
}

/** Send a request and read the response. Throws ImageServiceError, also for a status of 400 or more. */
export async function send(request: Sent): Promise<Received> {
  const canReport = request.onProgress && typeof XMLHttpRequest !== "undefined";
  const received = await (canReport ? sendWithXhr(request) : sendWithFetch(request));
  if (received.status >= 400) throw errorOf(received.status, received.body, received.header("Retry-After"));
  return received;
}

async function sendWithFetch({ method, url, headers, body, size = 0, signal, onProgress }: Sent): Promise<Received> {
  // fetch does not report progress, so that the limit is on the whole time.
  const deadline = new Deadline(SILENCE_MS + (size / SLOWEST_BYTES_PER_SECOND) * 1000, signal);
  try {
    const response = await fetch(url, { method, headers, body: body ?? null, signal: deadline.signal });
    const text = await response.text();
    if (response.ok) onProgress?.(size);
    return { status: response.status, body: text, header: (name) => response.headers.get(name) };
  } catch (error) {
    throw deadline.reasonFor(error);
  } finally {
    deadline.clear();
  }
}

async function sendWithXhr({ method, url, headers, body, signal, onProgress }: Sent): Promise<Received> {
  const deadline = new Deadline(SILENCE_MS, signal);
  const request = new XMLHttpRequest();
  try {
    await new Promise<void>((resolve, reject) => {
      request.open(method, url);
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      request.upload.onprogress = ({ loaded }) => {
        deadline.extend();
        onProgress?.(loaded);
      };
      request.onload = () => resolve();
      request.onerror = () => reject(new TypeError("The request failed."));
      request.onabort = request.onerror;
      deadline.signal.addEventListener("abort", () => request.abort());
      request.send(body ?? null);
    });
  } catch (error) {
    throw deadline.reasonFor(error);
  } finally {
    deadline.clear();
  }
  return { status: request.status, body: request.responseText, header: (name) => request.getResponseHeader(name) };
}
