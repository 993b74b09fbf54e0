/**
 * Tests the gallery in WebKit: Debian's WebKitGTK with its WebDriver, which needs a display. `make test-browsers` provides a
 * virtual one.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Builder, By, Capabilities, Key } from "selenium-webdriver";
import { AXE, PASSWORD } from "./browser.mjs";
import { BACKEND, CORPUS, freePort, noCorpus, startService } from "./service.mjs";

const DRIVER = "/usr/bin/WebKitWebDriver";
const BROWSER = "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser";
const isAvailable = [DRIVER, BROWSER].every(existsSync) && process.env.DISPLAY;
const noWebKit = isAvailable ? false : "requires webkit2gtk-driver and a display (xvfb-run)";
const PHOTOS = ["libavif__paris_exif_xmp_icc.jpg", "storage__sadcat.jpg", "pillow_heif__arrow.heic", "Pillow__hopper.avif"];
const SHARE_PASSWORD = "four words for friends";
const WAIT_MS = 120_000;

describe("the gallery in WebKit", { skip: noWebKit || noCorpus, timeout: 900_000 }, () => {
  let service;
  let driverProcess;
  let driver;
  before(async () => {
    const port = await freePort();
    driverProcess = spawn(DRIVER, [`--port=${port}`], { stdio: "inherit" });
    [service, driver] = await Promise.all([startService(BACKEND), connect(port)]);
  });
  after(async () => {
    await driver?.quit().catch(() => {});
    driverProcess?.kill();
    await service?.stop();
  });

  const button = (name) => By.xpath(`//button[not(@hidden) and (normalize-space()="${name}" or @aria-label="${name}")]`);
  /** Waits until an element is displayed, and returns it. */
  const find = async (locator) => {
    const by = typeof locator === "string" ? By.css(locator) : locator;
    await driver.wait(async () => Boolean(await firstDisplayed(by)), WAIT_MS, `No element is displayed: ${by}`);
    return firstDisplayed(by);
  };
  const firstDisplayed = async (by) => {
    for (const element of await driver.findElements(by)) {
      if (await element.isDisplayed().catch(() => false)) return element;
    }
    return null;
  };
  const click = async (locator) => (await find(locator)).click();
  const type = async (locator, text) => (await find(locator)).sendKeys(text);
  const press = (key) => driver.actions().sendKeys(key).perform();
  const waitFor = (script, ...args) => driver.wait(() => driver.executeScript(`return ${script}`, ...args), WAIT_MS, script);
  const waitForTiles = (count) =>
    waitFor('[".tile", ".tile img.loaded"].every((s) => document.querySelectorAll(s).length === arguments[0])', count);

  const open = async (url) => {
    await driver.get(url);
    await driver.executeScript(recordErrors);
  };
  const checkView = async (name) => {
    await driver.executeScript(AXE);
    const violations = await driver.executeAsyncScript(findViolations);
    assert.deepEqual(violations, [], name);
    assert.deepEqual(await driver.executeScript("return globalThis.errors"), [], name);
  };
  const upload = async (names) => {
    // The file chooser of the system cannot be operated. The files go directly to the input that opens it.
    await driver.executeScript("HTMLInputElement.prototype.click = () => {}");
    await click(".top-bar .primary");
    const input = await driver.findElement(By.css("input[type=file]"));
    await input.sendKeys(names.map((name) => join(CORPUS, "good", name)).join("\n"));
    await click(button("Done"));
  };
  const shareAll = async ({ password }) => {
    await click(button("Select"));
    await click(button("Select all"));
    await click(button("Share"));
    await type(By.xpath('//label[contains(., "Password")]/following-sibling::input'), password);
    await click(button("Create link"));
    await find(button("Copy link"));
    return (await find("dialog input[readonly]")).getAttribute("value");
  };

  test("a new user uploads, views, deletes and shares images, and signs out", async () => {
    await open(service.url);
    await find(".sign-in");
    await checkView("welcome page");
    await type('input[name="username"]', `webkit-${Date.now()}@example.com`);
    await type('input[name="password"]', PASSWORD);
    await click(".sign-in .primary");
    await find(".empty-state");
    await checkView("empty gallery");

    await upload(PHOTOS);
    await waitForTiles(PHOTOS.length);
    await find(By.xpath('//h2[contains(., "August 2022")]'));
    await checkView("gallery");

    await click(".tile a");
    await waitFor('document.querySelector(".frame img.loaded")');
    const title = await (await find(".viewer-title")).getText();
    await press(Key.ARROW_RIGHT);
    await waitFor('document.querySelector(".viewer-title").textContent !== arguments[0]', title);
    await waitFor('document.querySelector(".frame img.loaded")');
    await checkView("viewer");
    await press(Key.ESCAPE);
    await waitFor('!document.querySelector("dialog[open]")');

    await click(button("Select"));
    await click(".tile a");
    await click(By.css(".selection-bar .danger"));
    await waitForTiles(PHOTOS.length - 1);
    await click(button("Undo"));
    await waitForTiles(PHOTOS.length);

    const link = await shareAll({ password: SHARE_PASSWORD });
    await checkView("share dialog");
    await open(link);
    await type("#password", SHARE_PASSWORD + Key.ENTER);
    await waitFor('[...document.querySelectorAll(".images img")].filter((image) => image.naturalWidth > 0).length > 1');
    await driver.executeScript(recordErrors);
    await checkView("shared images");

    await open(service.url);
    await waitForTiles(PHOTOS.length);
    await click(button("Account"));
    await checkView("account dialog");
    await click(button("Sign out"));
    await find(".sign-in");
    assert.equal(await driver.executeScript("return localStorage.getItem('pictures.session')"), null);
    await driver.executeScript(recordErrors); // The page was loaded again.
    await checkView("signed out");
  });
});

async function connect(port) {
  const capabilities = new Capabilities({
    browserName: "MiniBrowser",
    "webkitgtk:browserOptions": { binary: BROWSER, args: ["--automation"] },
  });
  const driver = await new Builder().usingServer(`http://127.0.0.1:${port}`).withCapabilities(capabilities).build();
  await driver.manage().setTimeouts({ script: WAIT_MS });
  await driver.manage().window().setRect({ width: 1280, height: 900 });
  return driver;
}

/** Runs in the page. WebDriver does not report errors of the page. */
function recordErrors() {
  globalThis.errors = [];
  const { error } = console;
  console.error = (...args) => (globalThis.errors.push(args.join(" ")), error(...args));
  addEventListener("error", ({ message }) => globalThis.errors.push(message));
  addEventListener("unhandledrejection", ({ reason }) => globalThis.errors.push(String(reason)));
  addEventListener("securitypolicyviolation", ({ blockedURI }) => globalThis.errors.push(`policy ${blockedURI}`));
}

/** Runs in the page. */
async function findViolations(done) {
  const finite = document.getAnimations().filter((animation) => animation.effect.getTiming().iterations === 1);
  await Promise.all(finite.map((animation) => animation.finished.catch(() => {})));
  const { violations } = await globalThis.axe.run();
  done(violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 160)}`)));
}
