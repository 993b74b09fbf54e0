/** Loads style sheets that the first view does not need. */

import { el } from "./dom.js";

const loading = {};

/** Loads `css/<name>.css`. Without its styles, a view is usable, so a failure is not reported; the next call tries again. */
export function loadStylesheet(name) {
  loading[name] ??= new Promise((resolve) => {
    const link = el("link", { rel: "stylesheet", href: new URL(`../../css/${name}.css`, import.meta.url).href });
    link.addEventListener("load", resolve);
    link.addEventListener("error", () => {
      delete loading[name];
      link.remove();
      resolve();
    });
    document.head.append(link);
  });
  return loading[name];
}
