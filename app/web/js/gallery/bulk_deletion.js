/** Dialog that deletes a large selection: asks for confirmation, shows the progress, and can be stopped. */

import { delay } from "../api.js";
import { describeProblem } from "../problems.js";
import { openDialog } from "../ui/dialogs.js";
import { el } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { translate } from "../ui/i18n.js";
import { showToast } from "../ui/toasts.js";
import { isDeleted } from "./deletions.js";
import { selectedPages } from "./selected_pages.js";

const MAX_ATTEMPTS = 4;
const RETRY_MS = 1000;

/** `ids` are the selected images if they are known, otherwise null. */
export function openBulkDeletion(shell, ids) {
  const total = shell.selection.count(shell.library.count);
  const text = el("p", { role: "status" }, translate("bulk.confirm", { count: total }));
  const label = translate("bulk.label");
  const meter = el("progress", { class: "meter", max: total, value: 0, hidden: true, "aria-label": label });
  const startLabel = translate("bulk.start", { count: total });
  const start = el("button", { type: "button", class: "danger" }, icon("trash"), startLabel);
  const cancel = el("button", { type: "button", autofocus: true }, translate("bulk.cancel"));
  const dialog = openDialog(label, [text, meter, el("div", { class: "actions" }, cancel, start)]);
  const state = { deleted: 0, failed: 0, isStopped: false };
  cancel.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => (state.isStopped = true));

  start.addEventListener("click", async () => {
    start.hidden = true;
    meter.hidden = false;
    cancel.textContent = translate("bulk.stop");
    cancel.focus();
    const onProgress = () => {
      meter.value = state.deleted + state.failed;
      text.textContent = translate("bulk.progress", { done: state.deleted + state.failed, count: total });
    };
    onProgress();
    const problem = await deleteAll(shell, ids, { state, onProgress }).catch((error) => error);
    dialog.close();
    shell.selection.close();
    showResult(state, problem);
  });
}

async function deleteAll(shell, ids, { state, onProgress }) {
  for await (const page of selectedPages(shell, ids)) {
    if (state.isStopped) return;
    if (!page.length) continue;
    const { results } = await sendWithRetries(shell.api, page);
    const deleted = page.filter((id) => isDeleted(results[id]));
    state.deleted += deleted.length;
    state.failed += page.length - deleted.length;
    shell.removeDeleted(deleted);
    onProgress();
  }
}

// Deleting an image again is safe: it is reported as missing.
async function sendWithRetries(api, ids) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await api.post("images/delete", { ids });
    } catch (problem) {
      if (!problem.isTransient || attempt === MAX_ATTEMPTS) throw problem;
      await delay((problem.retryAfter ?? attempt) * RETRY_MS);
    }
  }
}

function showResult({ deleted, failed }, problem) {
  if (deleted) showToast(translate("deleted", { count: deleted }));
  if (failed) showToast(translate("bulk.failed", { count: failed }), { kind: "error" });
  if (problem) showToast(describeProblem(problem), { kind: "error" });
}
