/** Reads server-sent events with fetch, because EventSource cannot send an access token. */

import type { Connection } from "./connection.js";
import { Deadline, delay } from "./deadline.js";
import { errorOf, ImageServiceError, isTransient } from "./errors.js";
import { isReactNative } from "./files.js";

/** The service sends at least a comment every 15 seconds. */
const SILENCE_MS = 45_000;
/** The waits between attempts: about two minutes without a stream. A stream starts the list again. */
const RECONNECT_MS = [1000, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000];
const POLL_MS = 2000;

export interface Followed<T> {
  /** The path of the record. Its events are at `${path}/events`. */
  path: string;
  isFinal: (value: T) => boolean;
  signal?: AbortSignal | undefined;
}

/**
 * Yield each state of a record, up to and including the first final one. Continues after an interruption. Throws
 * ImageServiceError if the service cannot be reached for some time.
 */
export async function* follow<T>(connection: Connection, followed: Followed<T>): AsyncGenerator<T, void, undefined> {
  if (isReactNative()) return yield* poll(connection, followed);
  const { path, isFinal, signal } = followed;
  let lastId: string | undefined;
  for (let failures = 0; ; ) {
    try {
      for await (const event of readStream(connection, `${path}/events`, { lastId, signal })) {
        lastId = event.id ?? lastId;
        const value: T = JSON.parse(event.data);
        yield value;
        if (isFinal(value)) return;
      }
      failures = 0;
    } catch (error) {
      failures += 1;
      if (!isTransient(error) || failures === RECONNECT_MS.length) throw error;
    }
    await delay(RECONNECT_MS[failures] as number, signal);
  }
}

/** The fetch of React Native cannot read a response before it ends. */
async function* poll<T>(
  connection: Connection,
  { path, isFinal, signal }: Followed<T>,
): AsyncGenerator<T, void, undefined> {
  let last = "";
  for (;;) {
    const { body } = await connection.send(path, { method: "GET", signal });
    if (body !== last) yield JSON.parse(body) as T;
    if (isFinal(JSON.parse(body))) return;
    last = body;
    await delay(POLL_MS, signal);
  }
}

interface StreamOptions {
  lastId: string | undefined;
  signal: AbortSignal | undefined;
}

async function* readStream(
  connection: Connection,
  path: string,
  { lastId, signal }: StreamOptions,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  const attempt = (headers: Record<string, string>) => open(connection.url(path), { headers, lastId, signal });
  const { body, deadline } = await connection.run(attempt, { isSafe: false, signal });
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      deadline.extend();
      yield* parser.push(decoder.decode(part.value, { stream: true }));
    }
  } catch (error) {
    // The next stream continues after the last event that was received.
    const reason = deadline.reasonFor(error);
    if (!isTransient(reason)) throw reason;
  } finally {
    deadline.clear();
    reader.cancel().catch(() => {});
  }
}

async function open(
  url: string,
  { headers, lastId, signal }: StreamOptions & { headers: Record<string, string> },
): Promise<{ body: ReadableStream<Uint8Array>; deadline: Deadline }> {
  const deadline = new Deadline(SILENCE_MS, signal);
  const accepted = { ...headers, Accept: "text/event-stream", ...(lastId && { "Last-Event-ID": lastId }) };
  try {
    const response = await fetch(url, { headers: accepted, signal: deadline.signal });
    if (!response.ok) throw errorOf(response.status, await response.text(), response.headers.get("Retry-After"));
    const { body } = response;
    if (!body) throw new ImageServiceError({ code: "unexpected_response", message: "The event stream has no body." });
    return { body, deadline };
  } catch (error) {
    const reason = deadline.reasonFor(error);
    deadline.clear();
    throw reason;
  }
}

interface ServerSentEvent {
  id?: string;
  data: string;
}

/** Parses a text/event-stream (HTML standard, section 9.2.6) from parts of any size. */
export class EventParser {
  #rest = "";
  #id: string | undefined;
  #data: string[] = [];

  /** Yield the events that this part completes. */
  *push(part: string): Generator<ServerSentEvent, void, undefined> {
    const lines = (this.#rest + part).split(/\r?\n/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const [, name, value = ""] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
      if (name === "data") this.#data.push(value);
      else if (name === "id") this.#id = value;
      else if (line === "" && this.#data.length > 0) {
        yield { ...(this.#id !== undefined && { id: this.#id }), data: this.#data.join("\n") };
        this.#data = [];
      }
    }
  }
}
