/** The files that are on their way: three at a time, again after a passing failure, waiting while there is no network. */

import { newKey, pause } from "../api.js";
import { explain } from "../problems.js";
import { refusal } from "./checks.js";
import { Rate } from "./rate.js";
import { sendFile } from "./transfer.js";

const AT_ONCE = 3;
const TRIES = 6;
const LONGEST_WAIT_SECONDS = 30;

/** States of an upload. `checking` is sent whole, and not answered yet. */
export const OPEN = ["waiting", "sending", "checking"];

/**
 * Events: `changed` (something about any upload), `stored` (detail: the image view), `settled` (none is open any more).
 * An upload is {key, file, state, progress, words, image, tries, abort, mayRetry}.
 */
export class UploadQueue extends EventTarget {
  uploads = [];
  isOffline = !navigator.onLine;
  rate = new Rate();
  #running = 0;

  constructor(api, config) {
    super();
    Object.assign(this, { api, config });
    addEventListener("offline", () => this.#setOffline(true));
    addEventListener("online", () => this.#setOffline(false));
    addEventListener("beforeunload", (event) => this.isOpen && event.preventDefault());
  }

  get isOpen() {
    return this.uploads.some((upload) => OPEN.includes(upload.state));
  }

  add(files) {
    for (const file of files) this.uploads.push(this.#upload(file));
    this.#changed();
    this.#fill();
  }

  cancel(upload) {
    const isUnderWay = upload.state !== "waiting";
    upload.state = "cancelled";
    if (isUnderWay) upload.abort.abort();
    this.#changed();
  }

  cancelAll() {
    for (const upload of this.uploads) if (OPEN.includes(upload.state)) this.cancel(upload);
  }

  retry(...uploads) {
    const anew = { state: "waiting", isResting: false, progress: 0, words: null, tries: 0, abort: null };
    for (const upload of uploads) Object.assign(upload, anew);
    this.#changed();
    this.#fill();
  }

  /** Those that failed and may yet succeed. */
  get retryable() {
    return this.uploads.filter(({ state, mayRetry }) => state === "failed" && mayRetry);
  }

  /** Forgets what is over, and leaves what is still open. */
  clear() {
    this.uploads = this.uploads.filter((upload) => OPEN.includes(upload.state));
    this.rate.reset();
    this.#changed();
  }

  /** Over all files that have a chance: {sent, total} in bytes. */
  get extent() {
    const counted = this.uploads.filter((upload) => [...OPEN, "stored"].includes(upload.state));
    const sent = counted.reduce((sum, { file, progress }) => sum + file.size * progress, 0);
    return { sent, total: counted.reduce((sum, { file }) => sum + file.size, 0) };
  }

  #upload(file) {
    const words = refusal(file, this.config);
    const state = words ? "refused" : "waiting";
    return { key: newKey(), file, state, words, progress: 0, tries: 0, image: null, abort: null };
  }

  #fill() {
    while (this.#running < AT_ONCE && !this.isOffline) {
      const next = this.uploads.find((upload) => upload.state === "waiting" && !upload.isResting);
      if (!next) break;
      this.#running += 1;
      this.#run(next).finally(() => {
        this.#running -= 1;
        this.#fill();
        if (!this.isOpen) this.dispatchEvent(new Event("settled"));
      });
    }
  }

  async #run(upload) {
    const abort = (upload.abort = new AbortController());
    Object.assign(upload, { state: "sending", progress: 0, tries: upload.tries + 1 });
    this.#changed();
    try {
      const options = {
        signal: abort.signal,
        config: this.config,
        onProgress: (p) => this.#progress(upload, p),
      };
      upload.image = await sendFile(this.api, upload, options);
      Object.assign(upload, { state: "stored", progress: 1, words: null });
      this.dispatchEvent(new CustomEvent("stored", { detail: upload.image }));
    } catch (problem) {
      // Cancelled and begun again meanwhile: what became of the first try says nothing of the second.
      if (upload.abort === abort) this.#judge(upload, problem);
    }
    this.#changed();
  }

  #judge(upload, problem) {
    if (upload.state === "cancelled") return;
    upload.progress = 0;
    upload.words = explain(problem);
    // While there is no network it is not the upload's fault, and costs it none of its tries. It may be back by now.
    const isNetwork = upload.abort.signal.aborted || this.isOffline || !navigator.onLine;
    if (isNetwork) Object.assign(upload, { state: "waiting", tries: 0 });
    else if (problem.passing && upload.tries < TRIES) this.#rest(upload, problem.retryAfter ?? 2 ** (upload.tries - 1));
    else Object.assign(upload, { state: "failed", mayRetry: mayRetry(problem) });
  }

  async #rest(upload, seconds) {
    Object.assign(upload, { state: "waiting", isResting: true });
    await pause(Math.min(seconds, LONGEST_WAIT_SECONDS) * 1000);
    upload.isResting = false;
    this.#fill();
  }

  #progress(upload, progress) {
    if (upload.state !== "sending" && upload.state !== "checking") return;
    Object.assign(upload, { progress, state: progress < 1 ? "sending" : "checking" });
    this.rate.add(this.extent.sent);
    this.#changed();
  }

  #setOffline(isOffline) {
    this.isOffline = isOffline;
    this.rate.reset();
    for (const upload of this.uploads) {
      // The connections are dead, but it may take minutes until they say so.
      if (isOffline && upload.state === "sending") upload.abort.abort();
      if (!isOffline) upload.isResting = false;
    }
    this.#changed();
    this.#fill();
  }

  #changed() {
    this.dispatchEvent(new Event("changed"));
  }
}

// Something can be deleted where the quota is used up.
const mayRetry = ({ passing, status, code }) => passing || status < 400 || code === "quota_exceeded";
