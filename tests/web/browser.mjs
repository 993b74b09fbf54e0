/** Debian's Chromium, and pages that remember every complaint. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";
export const noChromium = existsSync(EXECUTABLE) ? false : `no Chromium at ${EXECUTABLE}: apt-get install chromium`;
export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
export const DESK = { viewport: { width: 1280, height: 800 } };
const PASSWORD = "a long enough passphrase";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let people = 0;

export const launch = () =>
  chromium.launch({ executablePath: EXECUTABLE, args: ["--no-sandbox", "--disable-dev-shm-usage"] });

/** A page in a fresh profile; `complaints` holds errors of the console, the policy's reports, and uncaught ones. */
export async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({ locale: "en-GB", ...DESK, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.complaints = [];
  page.on("console", (message) => message.type() === "error" && page.complaints.push(message.text()));
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) =>
      console.error("policy", event.violatedDirective, event.blockedURI),
    );
  });
  await page.goto(url);
  if (page.complaints.some((text) => text.includes("ERR_NETWORK_CHANGED"))) await page.reload();
  return page;
}

export function assertNoComplaints(page) {
  // Chromium breaks off what it is loading when any network interface of the machine comes or goes.
  assert.deepEqual(
    page.complaints.filter((text) => !text.includes("ERR_NETWORK_CHANGED")),
    [],
  );
}

/** Registers somebody new, and waits for their empty gallery. */
export async function register(page) {
  const email = `person-${process.pid}-${++people}-${Date.now()}@example.com`;
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.locator(".sign-in .primary").click();
  await page.locator(".empty").waitFor();
  return { email, password: PASSWORD };
}

export async function chooseFiles(page, files) {
  const choosing = page.waitForEvent("filechooser");
  await page.locator(".bar .primary").click();
  await (await choosing).setFiles(files);
}

export const isSettled = (page) =>
  page.locator(".tray").getByRole("button", { name: "Done" }).waitFor({ timeout: 60_000 });

/** Uploads files and puts the tray away. */
export async function stock(page, files) {
  await chooseFiles(page, files);
  await isSettled(page);
  await page.locator(".tray").getByRole("button", { name: "Done" }).click();
}

/** What axe finds wrong with the page as it stands. */
export async function faults(page) {
  // Opacity that is still rising would be taken for a lack of contrast.
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
