/** Starts a browser and opens pages that record their errors. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { firefox } from "playwright-core-firefox";

const [FINE, HOVER] = [2, 4];
export const BROWSER = process.env.BROWSER ?? "chromium";
/** Firefox is that of Debian. Later versions of Playwright need commands that its long-term release does not have. */
const BROWSERS = {
  chromium: {
    type: chromium,
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  },
  firefox: {
    type: firefox,
    channel: "moz-firefox",
    executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
    firefoxUserPrefs: {
      "dom.events.testing.asyncClipboard": true, // Tests can read what the page has copied.
      "browser.download.alwaysOpenPanel": false, // The panel would take the focus from the page.
      // A mouse, which is fine and hovers. Otherwise it would have the pointers of the machine, which may have none.
      "ui.primaryPointerCapabilities": FINE | HOVER,
      "ui.allPointerCapabilities": FINE | HOVER,
    },
  },
};
const { type, ...LAUNCH_OPTIONS } = BROWSERS[BROWSER];
export const noBrowser = existsSync(LAUNCH_OPTIONS.executablePath)
  ? false
  : `requires ${BROWSER} at ${LAUNCH_OPTIONS.executablePath}`;
/** For suites that need what only Chromium has. */
export const noChromium = BROWSER === "chromium" ? noBrowser : "requires Chromium";
const MOBILE = BROWSER === "chromium" && { isMobile: true, hasTouch: true };
export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, ...MOBILE };
export const TABLET = { viewport: { width: 820, height: 1180 }, ...MOBILE };
export const DESKTOP = { viewport: { width: 1280, height: 800 } };
export const PASSWORD = "a long enough passphrase";
export const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let userCount = 0;

export const launch = () => type.launch({ ...LAUNCH_OPTIONS, timeout: 300_000 });

/** Opens a page in a new profile. `page.errors` records console errors, uncaught errors and policy violations. */
export async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({ locale: "en-GB", ...DESKTOP, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  page.errors = [];
  page.on("console", (message) => message.type() === "error" && page.errors.push(message.text()));
  page.on("pageerror", (error) => page.errors.push(String(error)));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) =>
      console.error("policy", event.violatedDirective, event.blockedURI),
    );
  });
  await page.goto(url);
  if (page.errors.some((text) => text.includes("ERR_NETWORK_CHANGED"))) await page.reload();
  return page;
}

export function assertNoErrors(page) {
  // Chromium cancels its requests when any network interface of the machine is added or removed.
  assert.deepEqual(
    page.errors.filter((text) => !text.includes("ERR_NETWORK_CHANGED")),
    [],
  );
}

/** Registers a new user and waits for the empty gallery. */
export async function register(page) {
  const email = `user-${process.pid}-${++userCount}-${Date.now()}@example.com`;
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.locator(".sign-in .primary").click();
  await page.locator(".empty-state").waitFor();
  return { email, password: PASSWORD };
}

/** Allows the page to use the clipboard. The settings of Firefox allow it to all pages. */
export async function allowClipboard(page) {
  if (BROWSER === "chromium") await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
}

/** Replaces the text of a field with the keyboard. Firefox dispatches no `change` event for text that `fill` has entered. */
export async function typeInto(field, text) {
  await field.selectText();
  await field.pressSequentially(text);
}

export async function chooseFiles(page, files) {
  const fileChooser = page.waitForEvent("filechooser");
  await page.locator(".top-bar .primary").click();
  await (await fileChooser).setFiles(files);
}

export const waitForUploads = (page) =>
  page.locator(".upload-panel").getByRole("button", { name: "Done" }).waitFor({ timeout: 600_000 });

/** Uploads files and closes the upload panel. */
export async function uploadAndClose(page, files) {
  await chooseFiles(page, files);
  await waitForUploads(page);
  await page.locator(".upload-panel").getByRole("button", { name: "Done" }).click();
}

/** Returns the accessibility violations that axe finds in the current state of the page. */
export async function accessibilityViolations(page) {
  // An unfinished opacity animation would be reported as insufficient contrast.
  await page.evaluate(() =>
    Promise.all(
      document
        .getAnimations()
        .filter((a) => a.effect.getTiming().iterations === 1)
        .map((a) => a.finished.catch(() => {})),
    ),
  );
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary}`),
  );
}
