/** The upload queue: uploads a few files at a time, retries transient failures, and waits while the browser is offline. */

import { delay, newIdempotencyKey } from "../api.js";
import { describeProblem } from "../problems.js";
import { uploadFile } from "./transfer.js";
import { TransferRate } from "./transfer_rate.js";
import { rejectionReason } from "./validation.js";

const MAX_CONCURRENT = 3;
const MAX_ATTEMPTS = 6;
const MAX_RETRY_DELAY_SECONDS = 30;

/** `processing` means that all bytes were sent and the response is pending. */
export const UNFINISHED_STATES = ["waiting", "sending", "processing"];

/**
 * Events: `changed` (any property of any upload), `stored` (detail: the image view), `finished` (no unfinished upload is
 * left). An upload is {idempotencyKey, file, state, progress, message, image, attempts, abortController, isDelayed,
 * canRetry, resumable}. Its state is one of UNFINISHED_STATES, `stored`, `failed`, `rejected` or `canceled`.
 */
export class UploadQueue extends EventTarget {
  uploads = [];
  isOffline = !navigator.onLine;
  transferRate = new TransferRate();
  #runningCount = 0;

  constructor(api, config) {
    super();
    Object.assign(this, { api, config });
    addEventListener("offline", () => this.#setOffline(true));
    addEventListener("online", () => this.#setOffline(false));
    addEventListener("beforeunload", (event) => this.hasUnfinished && event.preventDefault());
  }

  get hasUnfinished() {
    return this.uploads.some(isUnfinished);
  }

  add(files, properties) {
    for (const file of files) this.uploads.push({ ...this.#createUpload(file), ...properties });
    this.#dispatchChanged();
    this.#startWaiting();
  }

  cancel(upload) {
    const isRunning = upload.state !== "waiting";
    upload.state = "canceled";
    if (isRunning) upload.abortController.abort();
    upload.resumable?.discard();
    this.#dispatchChanged();
  }

  cancelAll() {
    for (const upload of this.uploads) if (isUnfinished(upload)) this.cancel(upload);
  }

  retry(...uploads) {
    const initial = {
      state: "waiting",
      isDelayed: false,
      progress: 0,
      message: null,
      attempts: 0,
      abortController: null,
    };
    for (const upload of uploads) Object.assign(upload, initial);
    this.#dispatchChanged();
    this.#startWaiting();
  }

  /** The failed uploads that can succeed if they are retried. */
  get retryable() {
    return this.uploads.filter(({ state, canRetry }) => state === "failed" && canRetry);
  }

  removeFinished() {
    this.uploads = this.uploads.filter(isUnfinished);
    this.transferRate.reset();
    this.#dispatchChanged();
  }

  /** Returns {sent, total} in bytes over all uploads that are unfinished or stored. */
  get byteProgress() {
    const counted = this.uploads.filter((upload) => isUnfinished(upload) || upload.state === "stored");
    const sent = counted.reduce((sum, { file, progress }) => sum + file.size * progress, 0);
    return { sent, total: counted.reduce((sum, { file }) => sum + file.size, 0) };
  }

  #createUpload(file) {
    const message = rejectionReason(file, this.config);
    const state = message ? "rejected" : "waiting";
    const idempotencyKey = newIdempotencyKey();
    return { idempotencyKey, file, state, message, progress: 0, attempts: 0, image: null, abortController: null };
  }

  #startWaiting() {
    while (this.#runningCount < MAX_CONCURRENT && !this.isOffline) {
      const next = this.uploads.find((upload) => upload.state === "waiting" && !upload.isDelayed);
      if (!next) break;
      this.#runningCount += 1;
      this.#run(next).finally(() => {
        this.#runningCount -= 1;
        this.#startWaiting();
        if (!this.hasUnfinished) this.dispatchEvent(new Event("finished"));
      });
    }
  }

  async #run(upload) {
    const abortController = (upload.abortController = new AbortController());
    Object.assign(upload, { state: "sending", progress: 0, attempts: upload.attempts + 1 });
    this.#dispatchChanged();
    try {
      upload.image = await uploadFile(this.api, upload, {
        signal: abortController.signal,
        config: this.config,
        onProgress: (progress) => this.#setProgress(upload, progress),
        onAdvanced: () => (upload.attempts = 1),
      });
      Object.assign(upload, { state: "stored", progress: 1, message: null });
      this.dispatchEvent(new CustomEvent("stored", { detail: upload.image }));
    } catch (problem) {
      // If the upload was canceled and restarted, the failure of the first run does not affect the second.
      if (upload.abortController === abortController) this.#handleProblem(upload, problem);
    }
    this.#dispatchChanged();
  }

  #handleProblem(upload, problem) {
    if (upload.state === "canceled") return;
    upload.progress = 0;
    upload.message = describeProblem(problem);
    // A failure without a network does not count as an attempt. The network may be available again by now.
    const wasOffline = upload.abortController.signal.aborted || this.isOffline || !navigator.onLine;
    if (wasOffline) Object.assign(upload, { state: "waiting", attempts: 0 });
    else if (problem.isTransient && upload.attempts < MAX_ATTEMPTS) {
      this.#retryLater(upload, problem.retryAfter ?? 2 ** (upload.attempts - 1));
    } else {
      Object.assign(upload, { state: "failed", canRetry: canRetry(problem) });
      if (!problem.isTransient) upload.resumable?.discard();
    }
  }

  async #retryLater(upload, seconds) {
    Object.assign(upload, { state: "waiting", isDelayed: true });
    await delay(Math.min(seconds, MAX_RETRY_DELAY_SECONDS) * 1000);
    upload.isDelayed = false;
    this.#startWaiting();
  }

  #setProgress(upload, progress) {
    if (upload.state !== "sending" && upload.state !== "processing") return;
    Object.assign(upload, { progress, state: progress < 1 ? "sending" : "processing" });
    this.transferRate.add(this.byteProgress.sent);
    this.#dispatchChanged();
  }

  #setOffline(isOffline) {
    this.isOffline = isOffline;
    this.transferRate.reset();
    for (const upload of this.uploads) {
      // The connections no longer work, but the browser may need minutes to report that.
      if (isOffline && upload.state === "sending") upload.abortController.abort();
      if (!isOffline) upload.isDelayed = false;
    }
    this.#dispatchChanged();
    this.#startWaiting();
  }

  #dispatchChanged() {
    this.dispatchEvent(new Event("changed"));
  }
}

export const isUnfinished = ({ state }) => UNFINISHED_STATES.includes(state);

// A quota error can be retried after the user has deleted images.
const canRetry = ({ isTransient, status, code }) => isTransient || status < 400 || code === "quota_exceeded";
