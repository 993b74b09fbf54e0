/** Measures the transfer rate over the last few seconds. */

const WINDOW_MS = 6000;
const MIN_DURATION_MS = 800;

export class TransferRate {
  #samples = [];

  add(total, now = performance.now()) {
    this.#samples.push({ total, now });
    while (this.#samples[0].now < now - WINDOW_MS) this.#samples.shift();
  }

  /** Bytes per second, or null if there are not enough samples yet. */
  get bytesPerSecond() {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || last.now - first.now < MIN_DURATION_MS || last.total <= first.total) return null;
    return ((last.total - first.total) * 1000) / (last.now - first.now);
  }

  reset() {
    this.#samples = [];
  }
}
