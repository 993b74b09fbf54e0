/** Deletes after a while in which it can be undone: until then the images are only hidden. */

import { explain } from "../problems.js";
import { t } from "../parts/i18n.js";
import { toast } from "../parts/toasts.js";

const UNDO_SECONDS = 8;
const MOST_AT_ONCE = 100;

export class Deletions {
  #pending = new Set();

  constructor(api, library, { onDeleted }) {
    Object.assign(this, { api, library, onDeleted });
    addEventListener("pagehide", () => this.sendLast());
    addEventListener("keydown", (event) => isUndo(event) && this.#undoLast(event));
  }

  async start(ids) {
    this.library.hide(ids);
    const deletion = { ids };
    this.#pending.add(deletion);
    deletion.toast = toast(t("deleted", { count: ids.length }), {
      seconds: UNDO_SECONDS,
      action: { label: t("undo"), run: () => this.#undo(deletion) },
      onGone: () => this.#send(deletion),
    });
    // When the page goes away there is no time left to fetch a token.
    await this.api.session.token().catch(() => {});
  }

  #undo(deletion) {
    this.#pending.delete(deletion);
    this.library.unhide(deletion.ids);
  }

  #undoLast(event) {
    const last = [...this.#pending].at(-1);
    if (!last) return;
    event.preventDefault();
    last.toast.act();
  }

  async #send(deletion) {
    if (!this.#pending.delete(deletion)) return;
    const left = [...deletion.ids];
    try {
      while (left.length) {
        const ids = left.slice(0, MOST_AT_ONCE);
        const { results } = await this.api.post("images/delete", { ids });
        this.library.remove(left.splice(0, ids.length).filter((id) => isGone(results[id])));
        const kept = ids.filter((id) => !isGone(results[id]));
        if (kept.length) this.#giveBack(kept, t("deleteFailed", { count: kept.length }));
      }
    } catch (problem) {
      this.#giveBack(left, explain(problem));
    }
    this.onDeleted();
  }

  #giveBack(ids, words) {
    this.library.unhide(ids);
    toast(words, { kind: "bad" });
  }

  /** Sends what could still have been undone, without waiting for an answer. */
  sendLast() {
    const last = [...this.#pending];
    this.#pending.clear();
    for (const { ids, toast: offer } of last) {
      offer.leave(); // the back key may bring the page back, when it is too late
      for (let i = 0; i < ids.length; i += MOST_AT_ONCE)
        this.api.sendLast("images/delete", { ids: ids.slice(i, i + MOST_AT_ONCE) });
    }
  }
}

const isGone = (result) => result === "deleted" || result === "image_missing";

const isUndo = (event) =>
  event.key === "z" &&
  (event.ctrlKey || event.metaKey) &&
  !event.shiftKey &&
  !event.target.closest?.("input, textarea");
