import { ImageServiceError } from "./errors.js";

/** An abort signal that is triggered by the signal of the caller, or when nothing has happened for some time. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #milliseconds: number;
  readonly #caller: AbortSignal | undefined;
  readonly #onAbort = () => this.#controller.abort();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;
  #isCleared = false;

  constructor(milliseconds: number, caller?: AbortSignal) {
    this.#milliseconds = milliseconds;
    this.#caller = caller;
    throwIfAborted(caller);
    caller?.addEventListener("abort", this.#onAbort);
    this.extend();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Start the time again, unless it was cleared. */
  extend(): void {
    if (this.#isCleared) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#isOver = true;
      this.#controller.abort();
    }, this.#milliseconds);
  }

  clear(): void {
    this.#isCleared = true;
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#onAbort);
  }

  /** Return why an operation with this signal failed. Throws the reason of the caller's signal if that was aborted. */
  reasonFor(error: unknown): ImageServiceError {
    throwIfAborted(this.#caller);
    if (this.#isOver) {
      const seconds = Math.round(this.#milliseconds / 1000);
      return new ImageServiceError({ code: "timeout", message: `The service sent nothing for ${seconds} seconds.` });
    }
    if (error instanceof ImageServiceError) return error;
    const message = "The service cannot be reached, or the connection was interrupted.";
    return new ImageServiceError({ code: "network", message, cause: error });
  }
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortReason(signal);
}

function abortReason(signal: AbortSignal): unknown {
  // React Native has no `reason`.
  return signal.reason ?? Object.assign(new Error("The operation was aborted."), { name: "AbortError" });
}

/** Wait. Throws the reason of the signal if it is aborted. */
export function delay(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortReason(signal));
    const onAbort = () => {
      clearTimeout(timer);
      reject(abortReason(signal as AbortSignal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
