/** Which images are selected. A selection that is open shows the marks on every picture. */

/** Events: `changed`. */
export class Selection extends EventTarget {
  isOpen = false;
  ids = new Set();
  #last = null;

  open() {
    this.isOpen = true;
    this.#changed();
  }

  close() {
    this.isOpen = false;
    this.ids.clear();
    this.#last = null;
    this.#changed();
  }

  toggle(id) {
    this.isOpen = true;
    if (!this.ids.delete(id)) this.ids.add(id);
    this.#last = id;
    this.#changed();
  }

  /** Selects all from the one chosen last to `id`, in the order of `all`. */
  extend(id, all) {
    const [from, to] = [all.indexOf(this.#last), all.indexOf(id)].sort((a, b) => a - b);
    if (from < 0) return this.toggle(id);
    for (const between of all.slice(from, to + 1)) this.ids.add(between);
    this.#last = id;
    this.#changed();
  }

  add(ids) {
    for (const id of ids) this.ids.add(id);
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("changed"));
  }
}
