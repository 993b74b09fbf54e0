/** Starts the page. */

import { App } from "./app.js";
import { preferredLanguage, useLanguage } from "./parts/i18n.js";

try {
  const [response] = await Promise.all([fetch("web/config.json"), useLanguage(preferredLanguage())]);
  await new App(await response.json()).start();
} catch (error) {
  document.getElementById("broken").hidden = false;
  throw error;
}
