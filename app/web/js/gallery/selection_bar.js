/** The bar that shows how many images are selected, and what can be done with them. */

import { describeProblem } from "../problems.js";
import { el } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { translate } from "../ui/i18n.js";
import { showToast } from "../ui/toasts.js";

/** Larger selections are deleted with a dialog that shows the progress, and without undo. */
const MAX_UNDOABLE = 1000;

/** Returns {element, closeButton, update}. */
export function createSelectionBar(shell) {
  const { selection, library } = shell;
  const count = el("p", { class: "grow", role: "status" });
  const button = (name, iconName, className, onclick) => {
    const label = translate(name);
    const attributes = { type: "button", class: className, "aria-label": label, title: label, onclick };
    return el("button", attributes, icon(iconName), el("span", {}, label));
  };
  const download = button("viewer.download", "download", "", () => downloadSelected(shell));
  const remove = button("viewer.delete", "trash", "danger", () => deleteSelected(shell));
  const selectAllButton = el(
    "button",
    { type: "button", class: "text-button", onclick: () => selection.selectAll() },
    translate("select.all"),
  );
  const closeButton = el(
    "button",
    { type: "button", class: "icon-button", "aria-label": translate("select.end"), onclick: () => selection.close() },
    icon("cross"),
  );
  const bar = el(
    "div",
    { class: "selection-bar", role: "toolbar", "aria-label": translate("select.label"), hidden: true },
    closeButton,
    count,
    selectAllButton,
    download,
    remove,
  );
  const update = () => {
    const selected = selection.count(library.count);
    bar.hidden = !selection.isOpen;
    count.textContent = translate("select.count", { count: selected });
    download.disabled = remove.disabled = selected === 0;
  };
  return { element: bar, closeButton, update };
}

/** Returns the ids of the selected images, or null if not all of them are loaded. */
function selectedIds({ selection, library }) {
  if (!selection.isAll) return [...selection.ids];
  return library.isComplete ? library.images.map(({ id }) => id).filter((id) => selection.has(id)) : null;
}

export async function deleteSelected(shell) {
  const ids = selectedIds(shell);
  if (ids && ids.length <= MAX_UNDOABLE) {
    shell.deletions.delete(ids);
    shell.selection.close();
  } else {
    const { openBulkDeletion } = await import("./bulk_deletion.js");
    openBulkDeletion(shell, ids);
  }
}

async function downloadSelected(shell) {
  try {
    const { downloadImages } = await import("./download.js");
    await downloadImages(shell, selectedIds(shell));
  } catch (problem) {
    showToast(describeProblem(problem), { kind: "error" });
  }
}
