/** Starts Chromium and opens pages that record their errors. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";
export const noChromium = existsSync(EXECUTABLE)
  ? false
  : `requires Chromium at ${EXECUTABLE}: apt-get install chromium`;
export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
export const DESKTOP = { viewport: { width: 1280, height: 800 } };
export const PASSWORD = "a long enough passphrase";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let userCount = 0;

export const launch = () =>
  chromium.launch({ executablePath: EXECUTABLE, args: ["--no-sandbox", "--disable-dev-shm-usage"] });

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
