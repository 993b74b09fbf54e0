/** Starts the page. */

import { App } from "./app.js";
import { byId } from "./ui/dom.js";
import { loadLanguage, preferredLanguage } from "./ui/i18n.js";

try {
  const [response] = await Promise.all([fetch("api/v1/limits"), loadLanguage(preferredLanguage())]);
  await new App(await response.json()).start();
} catch (error) {
  byId("load-error").hidden = false;
  throw error;
}
