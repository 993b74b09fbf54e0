/** Uploads that continue after an interruption, with the protocol tus 1.0.0. */

import type { DetailedError, UploadOptions } from "tus-js-client";
import { type Connection, isTokenRefused } from "./connection.js";
import { Deadline, delay } from "./deadline.js";
import { errorOf, ImageServiceError, isTransient } from "./errors.js";
import type { OpenFile } from "./files.js";

const PATH = "/images/tus";
const SILENCE_MS = 60_000;
/** The waits between attempts: about three minutes without progress. Progress starts the list again. */
const RETRY_DELAYS_MS = [500, 1000, 2000, 4000, 8000, 15_000, 30_000, 30_000, 30_000, 30_000];
/** Node has to hold the body of a request in memory. Browsers send it from the disk, and need one request. */
const NODE_CHUNK_BYTES = 8 * 1024 * 1024;

export interface ResumableOptions {
  description?: string | undefined;
  customMetadata?: Record<string, string> | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((sent: number) => void) | undefined;
  /** The largest body of a request, in bytes, or null. */
  maxRequestSize?: number | null;
}

/** Create an upload and return its id. */
export async function createUpload(
  connection: Connection,
  file: OpenFile,
  { description, customMetadata, signal }: ResumableOptions,
): Promise<string> {
  const metadata: [string, string][] = [["filename", file.name]];
  if (description) metadata.push(["description", description]);
  if (customMetadata) metadata.push(["custom_metadata", JSON.stringify(customMetadata)]);
  const received = await connection.send(PATH, {
    method: "POST",
    headers: {
      "Tus-Resumable": "1.0.0",
      "Upload-Length": String(file.size),
      "Upload-Metadata": metadata.map(([name, value]) => `${name} ${base64(value)}`).join(","),
    },
    // After a lost response, the first upload stays empty and expires. It does not become an image.
    isSafe: true,
    signal,
  });
  const id = received.header("Location")?.split("/").at(-1);
  if (!id) throw new ImageServiceError({ code: "unexpected_response", message: "The response has no Location." });
  return id;
}

/** Send the part of the file that the service does not have. Throws ImageServiceError, for example `upload_missing`. */
export async function continueUpload(
  connection: Connection,
  uploadId: string,
  file: OpenFile,
  { signal, onProgress, maxRequestSize }: ResumableOptions,
): Promise<void> {
  const content = await file.blob();
  const url = connection.url(`${PATH}/${uploadId}`);
  let stored = 0;
  for (let failures = 0; ; failures++) {
    const storedBefore = stored;
    const onStored = (offset: number) => {
      stored = Math.max(stored, offset);
    };
    const attempt = (headers: Record<string, string>) =>
      sendRest(content, { url, headers, signal, onProgress, onStored, maxRequestSize: maxRequestSize ?? Infinity });
    try {
      return await connection.run(attempt, { isSafe: false, signal });
    } catch (error) {
      const hasProgressed = stored > storedBefore;
      // A token may expire again and again during a long upload.
      const mayRepeat = isTransient(error) || isOffsetOutdated(error) || (isTokenRefused(error) && hasProgressed);
      if (hasProgressed) failures = 0;
      const milliseconds = RETRY_DELAYS_MS[failures];
      if (!mayRepeat || milliseconds === undefined) throw error;
      await delay(milliseconds, signal);
    }
  }
}

/** Bytes of an interrupted request can still be stored after the next request has asked for their number. */
function isOffsetOutdated(error: unknown): boolean {
  return error instanceof ImageServiceError && error.code === "upload_offset_mismatch";
}

interface Rest {
  url: string;
  headers: Record<string, string>;
  signal: AbortSignal | undefined;
  onProgress: ((sent: number) => void) | undefined;
  /** Called with the number of bytes that the service has, according to a response. */
  onStored: (offset: number) => void;
  maxRequestSize: number;
}

/** Ask how much of the file the service has, and send the rest. Loads tus-js-client, which many pages never need. */
async function sendRest(content: Blob, { url, headers, signal, onProgress, onStored, maxRequestSize }: Rest): Promise<void> {
  const { Upload } = await import("tus-js-client");
  const deadline = new Deadline(SILENCE_MS, signal);
  try {
    await new Promise<void>((resolve, reject) => {
      const upload = new Upload(content, {
        uploadUrl: url,
        headers,
        ...readerOf(content, maxRequestSize),
        // continueUpload repeats: tus-js-client would create another upload after an error of the first request.
        retryDelays: null,
        storeFingerprintForResuming: false,
        onAfterResponse: (_, response) => {
          deadline.extend();
          onStored(Number(response.getHeader("Upload-Offset") ?? 0));
        },
        onProgress: (sent) => {
          deadline.extend();
          onProgress?.(sent);
        },
        onSuccess: () => resolve(),
        onError: (error) => reject(errorIn(error)),
      });
      deadline.signal.addEventListener("abort", () => {
        upload.abort();
        reject(new Error("The upload was stopped."));
      });
      upload.start();
    });
  } catch (error) {
    throw deadline.reasonFor(error);
  } finally {
    deadline.clear();
  }
}

/** The response to HEAD has no body, so that only its status tells the error. */
const CODE_OF_STATUS: Record<number, string> = { 401: "token_expired", 404: "upload_missing", 423: "upload_locked" };

/** Return the error of the service, if there was a response. */
function errorIn(error: Error | DetailedError): Error {
  if (!("originalRequest" in error)) return error;
  const { originalResponse: response } = error;
  if (!response) return error;
  const status = response.getStatus();
  const described = errorOf(status, response.getBody());
  const code = CODE_OF_STATUS[status];
  if (described.problem || !code) return described;
  return new ImageServiceError({ code, message: `The service refused the upload with the status ${status}.`, status });
}

/** Return how tus-js-client reads the file. Its own reader does not know the blobs of Node. */
function readerOf(content: Blob, maxRequestSize: number): Pick<UploadOptions, "fileReader" | "chunkSize"> {
  if (typeof XMLHttpRequest !== "undefined") return { chunkSize: maxRequestSize };
  const slice = async (start: number, end: number) => {
    const bytes = new Uint8Array(await content.slice(start, end).arrayBuffer());
    // tus-js-client takes the Content-Length from `size`.
    return { value: Object.assign(bytes, { size: bytes.length }) as unknown as Blob, done: end >= content.size };
  };
  return {
    chunkSize: Math.min(NODE_CHUNK_BYTES, maxRequestSize),
    fileReader: { openFile: async () => ({ size: content.size, slice, close() {} }) },
  };
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
