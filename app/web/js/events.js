/** Reads server-sent events with fetch, because EventSource cannot send the access token. */

import { delay } from "./api.js";

// A browser opens at most six HTTP/1.1 connections per host. The others are for images and uploads.
const MAX_STREAMS = 2;
const RECONNECT_MS = 1500;
let openStreams = 0;
const waiters = [];

/** Calls `onData` with each state, up to and including the first one that `isFinal`. Reconnects after an interruption. */
export async function subscribe(api, path, { onData, isFinal }) {
  await acquireStream();
  let lastId = null;
  try {
    for (;;) {
      const { isComplete, id } = await readStream(api, path, { onData, isFinal, lastId });
      if (isComplete) return;
      lastId = id;
      await delay(RECONNECT_MS);
    }
  } finally {
    releaseStream();
  }
}

async function readStream(api, path, { onData, isFinal, lastId }) {
  let id = lastId;
  const headers = { Accept: "text/event-stream", ...(id && { "Last-Event-ID": id }) };
  let response;
  try {
    response = await api.fetch(path, { headers });
  } catch (problem) {
    if (!problem.isTransient) throw problem;
    return { isComplete: false, id };
  }
  try {
    for await (const event of parseEvents(readChunks(response.body))) {
      id = event.id ?? id;
      const data = JSON.parse(event.data);
      onData(data);
      if (isFinal(data)) return { isComplete: true, id };
    }
  } catch (error) {
    // An interrupted stream is not an error: the next one continues after the last event.
    if (error instanceof SyntaxError) throw error;
  }
  return { isComplete: false, id };
}

async function* readChunks(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) yield chunk.value;
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Parses a text/event-stream (HTML standard, section 9.2.6) from chunks of any size. */
export async function* parseEvents(chunks) {
  let incompleteLine = "";
  let event = {};
  for await (const chunk of chunks) {
    const lines = (incompleteLine + chunk).split(/\r?\n/);
    incompleteLine = lines.pop();
    for (const line of lines) {
      if (line) addField(event, line);
      else if ("data" in event) yield event;
      if (!line) event = {};
    }
  }
}

function addField(event, line) {
  const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
  if (name === "data") event.data = "data" in event ? `${event.data}\n${value}` : value;
  else if (name) event[name] = value;
}

function acquireStream() {
  if (openStreams < MAX_STREAMS) {
    openStreams += 1;
    return null;
  }
  return new Promise((resolve) => waiters.push(resolve));
}

function releaseStream() {
  const next = waiters.shift();
  if (next) next();
  else openStreams -= 1;
}
