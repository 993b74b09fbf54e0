/** Server-sent events over fetch, because EventSource cannot send the token. */

import { pause } from "./api.js";

// A browser opens six connections to a host (HTTP/1.1): most of them are for images and uploads.
const MOST_STREAMS = 2;
const RECONNECT_MS = 1500;
let open = 0;
const waiting = [];

/** Calls `onData` with each state until it is `isOver`; comes back after every break. */
export async function follow(api, path, { onData, isOver }) {
  await slot();
  let lastId = null;
  try {
    for (;;) {
      const { over, id } = await readOnce(api, path, { onData, isOver, lastId });
      if (over) return;
      lastId = id;
      await pause(RECONNECT_MS);
    }
  } finally {
    release();
  }
}

async function readOnce(api, path, options) {
  try {
    return await readStream(api, path, options);
  } catch (problem) {
    if (!problem.passing) throw problem;
    return { over: false, id: options.lastId };
  }
}

async function readStream(api, path, { onData, isOver, lastId }) {
  let id = lastId;
  const headers = { Accept: "text/event-stream", ...(id && { "Last-Event-ID": id }) };
  const response = await api.fetch(path, { headers });
  try {
    for await (const event of parseEvents(chunks(response.body))) {
      id = event.id ?? id;
      const data = JSON.parse(event.data);
      onData(data);
      if (isOver(data)) return { over: true, id };
    }
  } catch (error) {
    // A stream that breaks off is no failure: the next one begins where it ended.
    if (error instanceof SyntaxError) throw error;
  }
  return { over: false, id };
}

async function* chunks(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** The events in a text/event-stream (HTML standard, section 9.2.6), however it was cut into pieces. */
export async function* parseEvents(texts) {
  let rest = "";
  let event = {};
  for await (const text of texts) {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (line) addLine(event, line);
      else if ("data" in event) yield event;
      if (!line) event = {};
    }
  }
}

function addLine(event, line) {
  const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
  if (name === "data") event.data = "data" in event ? `${event.data}\n${value}` : value;
  else if (name) event[name] = value;
}

function slot() {
  if (open < MOST_STREAMS) {
    open += 1;
    return null;
  }
  return new Promise((resolve) => waiting.push(resolve));
}

function release() {
  const next = waiting.shift();
  if (next) next();
  else open -= 1;
}
