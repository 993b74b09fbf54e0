/**
 * Deletes images after a delay in which the user can undo the deletion. Until then, the images are only hidden.
 * `onDeleted(ids)` is called after each request.
 */

import { describeProblem } from "../problems.js";
import { translate } from "../ui/i18n.js";
import { showToast } from "../ui/toasts.js";

const UNDO_SECONDS = 8;
export const MAX_IDS_PER_REQUEST = 100;

export class UndoableDeletions {
  #pending = new Set();

  constructor(api, library, { onDeleted }) {
    Object.assign(this, { api, library, onDeleted });
    addEventListener("pagehide", () => this.flush());
    addEventListener("keydown", (event) => isUndoKey(event) && this.#undoLast(event));
  }

  async delete(ids) {
    this.library.hide(ids);
    const deletion = { ids };
    this.#pending.add(deletion);
    deletion.toast = showToast(translate("deleted", { count: ids.length }), {
      seconds: UNDO_SECONDS,
      action: { label: translate("undo"), run: () => this.#undo(deletion) },
      onDismiss: () => this.#send(deletion),
    });
    // `flush` needs a valid token and cannot request one while the page is being closed.
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
    last.toast.runAction();
  }

  async #send(deletion) {
    if (!this.#pending.delete(deletion)) return;
    const remaining = [...deletion.ids];
    try {
      while (remaining.length) {
        const ids = remaining.slice(0, MAX_IDS_PER_REQUEST);
        const { results } = await this.api.post("images/delete", { ids });
        remaining.splice(0, ids.length);
        this.onDeleted(ids.filter((id) => isDeleted(results[id])));
        const failed = ids.filter((id) => !isDeleted(results[id]));
        if (failed.length) this.#restore(failed, translate("deleteFailed", { count: failed.length }));
      }
    } catch (problem) {
      this.#restore(remaining, describeProblem(problem));
    }
  }

  #restore(ids, message) {
    this.library.unhide(ids);
    showToast(message, { kind: "error" });
  }

  /** Sends all pending deletions without waiting for the responses. */
  flush() {
    const deletions = [...this.#pending];
    this.#pending.clear();
    for (const { ids, toast } of deletions) {
      toast.dismiss(); // The back button may restore the page, and these deletions cannot be undone any more.
      for (let i = 0; i < ids.length; i += MAX_IDS_PER_REQUEST)
        this.api.sendOnUnload("POST", "images/delete", {
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ ids: ids.slice(i, i + MAX_IDS_PER_REQUEST) }),
        });
    }
  }
}

export const isDeleted = (result) => result === "deleted" || result === "image_missing";

const isUndoKey = (event) =>
  event.key === "z" &&
  (event.ctrlKey || event.metaKey) &&
  !event.shiftKey &&
  !event.target.closest?.("input, textarea");
