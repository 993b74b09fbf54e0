/** Loads the messages and the styles of this folder, which the first view of the page does not need. */

import { el } from "../ui/dom.js";
import { loadTopic } from "../ui/i18n.js";

const STYLESHEET = new URL("../../css/sharing.css", import.meta.url).href;
let styles = null;

export async function loadResources() {
  styles ??= loadStylesheet();
  await Promise.all([loadTopic("sharing"), styles]);
}

function loadStylesheet() {
  const link = el("link", { rel: "stylesheet", href: STYLESHEET });
  return new Promise((resolve) => {
    // The dialog is usable without its styles, so a failure does not matter.
    for (const name of ["load", "error"]) link.addEventListener(name, resolve);
    document.head.append(link);
  });
}
