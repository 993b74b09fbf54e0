/** How fast something goes, over the last few seconds. */

const WINDOW_MS = 6000;
const LEAST_MS = 800;

export class Rate {
  #samples = [];

  add(total, now = performance.now()) {
    this.#samples.push({ total, now });
    while (this.#samples[0].now < now - WINDOW_MS) this.#samples.shift();
  }

  /** Units a second, or null while there is too little to tell. */
  get perSecond() {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || last.now - first.now < LEAST_MS || last.total <= first.total) return null;
    return ((last.total - first.total) * 1000) / (last.now - first.now);
  }

  reset() {
    this.#samples = [];
  }
}
