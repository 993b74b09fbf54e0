/** The bar that shows how many images are selected, and what can be done with them. */

import { describeProblem } from "../problems.js";
import { el } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { translate } from "../ui/i18n.js";
import { showToast } from "../ui/toasts.js";

/** Larger selections are deleted with a dialog that shows the progress, and without undo. */
const MAX_UNDOABLE = 1000;
const MAX_SHARED = 500;

/** Returns {element, closeButton, update}. */
export function createSelectionBar(shell, { onShare }) {
  const { selection, library } = shell;
  const count = el("p", { class: "grow", role: "status" });
  const button = (name, iconName, className, onclick) => {
    const label = translate(name);
    const attributes = { type: "button", class: className, "aria-label": label, title: label, onclick };
    return el("button", attributes, icon(iconName), el("span", {}, label));
  };
  const download = button("viewer.download", "download", "", () => downloadSelected(shell));
  const share = button("viewer.share", "link", "", () => shareSelected(shell, onShare));
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
    el("div", { class: "selection-actions" }, share, download, remove),
  );
  const update = () => {
    const selected = selection.count(library.count);
    bar.hidden = !selection.isOpen;
    count.textContent = translate("select.count", { count: selected });
    for (const each of [share, download, remove]) each.disabled = selected === 0;
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

/** The images are shared in the order of the gallery, not in that of their selection. */
async function shareSelected(shell, onShare) {
  try {
    const { selectedPages } = await import("./selected_pages.js");
    const ids = [];
    for await (const page of selectedPages(shell, selectedIds(shell))) {
      ids.push(...page);
      // The dialog says that these are too many.
      if (ids.length > MAX_SHARED) break;
    }
    const { images } = shell.library;
    const order = new Map(images.map(({ id }, index) => [id, index]));
    const position = (id) => order.get(id) ?? images.length;
    onShare(ids.sort((one, other) => position(one) - position(other)));
  } catch (problem) {
    showToast(describeProblem(problem), { kind: "error" });
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
