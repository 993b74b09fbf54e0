/** The selected images. While the selection is open, every tile shows a checkbox. */

/** Dispatches `changed`. */
export class Selection extends EventTarget {
  isOpen = false;
  ids = new Set();
  #lastId = null;

  open() {
    this.isOpen = true;
    this.#dispatchChanged();
  }

  close() {
    this.isOpen = false;
    this.ids.clear();
    this.#lastId = null;
    this.#dispatchChanged();
  }

  toggle(id) {
    this.isOpen = true;
    if (!this.ids.delete(id)) this.ids.add(id);
    this.#lastId = id;
    this.#dispatchChanged();
  }

  /** Selects all images from the last one selected to `id`. `allIds` are the ids in their displayed order. */
  extendTo(id, allIds) {
    const [from, to] = [allIds.indexOf(this.#lastId), allIds.indexOf(id)].sort((a, b) => a - b);
    if (from < 0) return this.toggle(id);
    for (const selectedId of allIds.slice(from, to + 1)) this.ids.add(selectedId);
    this.#lastId = id;
    this.#dispatchChanged();
  }

  add(ids) {
    for (const id of ids) this.ids.add(id);
    this.#dispatchChanged();
  }

  #dispatchChanged() {
    this.dispatchEvent(new Event("changed"));
  }
}
