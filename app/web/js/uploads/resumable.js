/** Uploads large files with tus 1.0.0. Uploads continue after interruptions, and after a reload of the page. */

import { forget, hold, readAll, readOnceFree, remember } from "./unfinished.js";

export { forgetAll } from "./unfinished.js";

const PATH = "images/tus";
const HEADERS = { "Tus-Resumable": "1.0.0" };

export class ResumableUpload {
  #received = 0;

  /** The service assigns `id` when the upload is created. */
  constructor(api, file, id = null) {
    Object.assign(this, { api, file, id });
  }

  /**
   * Sends the bytes that the service has not received yet, and returns the image view. Calls `onAdvanced` if bytes have
   * arrived since the previous attempt, even though it failed.
   */
  async upload({ signal, onProgress, onAdvanced }) {
    const { size } = this.file;
    const offset = (await this.#receivedBytes(signal)) ?? (await this.#create(signal));
    if (offset > this.#received) onAdvanced();
    this.#received = offset;
    onProgress(offset / size);
    if (offset < size) {
      const headers = {
        ...HEADERS,
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": String(offset),
      };
      const report = (share) => onProgress((offset + share * (size - offset)) / size);
      const options = { headers, signal, onProgress: report };
      await this.api.send("PATCH", `${PATH}/${this.id}`, this.file.slice(offset), options);
    }
    const view = await this.api.get(`images/${this.id}`, { signal });
    forget(this.id);
    return view;
  }

  /** Deletes the bytes in the service and the file in the browser. `upload` then starts from the beginning. */
  discard() {
    if (!this.id) return;
    forget(this.id);
    // The response does not matter: without this request, the upload expires after a day.
    this.api.sendOnUnload("DELETE", `${PATH}/${this.id}`, { headers: HEADERS });
    this.id = null;
    this.#received = 0;
  }

  /** Returns null if there is no upload yet, or if it has expired. */
  async #receivedBytes(signal) {
    if (!this.id) return null;
    try {
      const { headers } = await this.api.fetch(`${PATH}/${this.id}`, { method: "HEAD", headers: HEADERS, signal });
      return Number(headers.get("Upload-Offset"));
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      forget(this.id);
      this.id = null;
      return null;
    }
  }

  async #create(signal) {
    const { name, size } = this.file;
    const headers = { ...HEADERS, "Upload-Length": String(size), "Upload-Metadata": `filename ${toBase64(name)}` };
    const response = await this.api.fetch(PATH, { method: "POST", headers, signal });
    // Behind a proxy, the service may not know its public address, so only the id is taken from the URL.
    this.id = response.headers.get("Location").split("/").at(-1);
    remember({ id: this.id, email: this.api.session.email, file: this.file });
    hold(this.id);
    return 0;
  }
}

/** Adds this user's unfinished uploads to the queue. If another tab has one of them, waits until that tab is closed. */
export async function continueUnfinished(queue) {
  for (const { id, email } of await readAll()) {
    if (email === queue.api.session.email) continueOne(queue, id);
    else forget(id);
  }
}

async function continueOne(queue, id) {
  const unfinished = await readOnceFree(id);
  if (unfinished) queue.add([unfinished.file], { resumable: new ResumableUpload(queue.api, unfinished.file, id) });
}

const toBase64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
