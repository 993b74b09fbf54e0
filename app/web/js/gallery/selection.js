/** The selected images. While the selection is open, every tile shows a checkbox. */

/** Dispatches `changed`. */
export class Selection extends EventTarget {
  isOpen = false;
  /** Whether all images are selected except `ids`, also those that are not loaded. Otherwise `ids` are selected. */
  isAll = false;
  ids = new Set();
  #lastId = null;

  has(id) {
    return this.isAll !== this.ids.has(id);
  }

  /** Returns how many of the `total` images of the library are selected. */
  count(total) {
    return this.isAll ? Math.max(0, total - this.ids.size) : this.ids.size;
  }

  open() {
    this.isOpen = true;
    this.#dispatchChanged();
  }

  close() {
    Object.assign(this, { isOpen: false, isAll: false });
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
    for (const selectedId of allIds.slice(from, to + 1)) {
      if (this.isAll) this.ids.delete(selectedId);
      else this.ids.add(selectedId);
    }
    this.#lastId = id;
    this.#dispatchChanged();
  }

  selectAll() {
    this.isAll = true;
    this.ids.clear();
    this.#dispatchChanged();
  }

  /** Removes images that no longer exist. */
  forget(ids) {
    for (const id of ids) this.ids.delete(id);
    this.#dispatchChanged();
  }

  #dispatchChanged() {
    this.dispatchEvent(new Event("changed"));
  }
}
