/** Copies links to the clipboard. */

import { translate } from "../ui/i18n.js";
import { showToast } from "../ui/toasts.js";

/** Copies `url` and tells the user the result. `parent` is an element in which a temporary text area can have the focus. */
export async function copyLink(url, parent) {
  try {
    await copyText(url, parent);
    showToast(translate("share.copied"));
  } catch {
    showToast(translate("share.notCopied"), { kind: "error" });
  }
}

async function copyText(text, parent) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Pages loaded over plain HTTP have no clipboard API and can copy only a selection.
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  parent.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  focused?.focus();
  if (!isCopied) throw new Error("The browser did not copy the text.");
}
