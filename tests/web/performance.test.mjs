/** Measures layout stability, transferred bytes and scrolling on a slow phone. Times are printed, not judged. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { assertNoErrors, launch, noChromium, openPage, PHONE, register, uploadAndClose } from "./browser.mjs";
import { CORPUS, noCorpus, startService } from "./service.mjs";

const WEB = fileURLToPath(new URL("../../app/web/", import.meta.url));
// The slow 4G profile of Lighthouse.
const SLOW_4G = {
  offline: false,
  latency: 150,
  downloadThroughput: (1.6 * 1024 * 1024) / 8,
  uploadThroughput: (750 * 1024) / 8,
};
const CPU_SLOWDOWN = 4;
const IMAGE_COUNT = 2000;
const MAX_FIRST_VIEW_BYTES = 52_000;
const MAX_PAGE_BYTES = 90_000;
const PHOTOS = [
  "sharp__4.webp",
  "storage__sadcat.jpg",
  "Pillow__flower2.webp",
  "Pillow__hopper.avif",
  "sharp__gain-map.jpg",
];

describe("performance on a slow phone", { skip: noChromium || noCorpus, timeout: 600_000 }, () => {
  let service;
  let browser;
  before(async () => ([service, browser] = await Promise.all([startService("embedded"), launch()])));
  after(async () => {
    await browser?.close();
    await service?.stop();
  });

  test("a first visit shows content without layout shifts", async (context) => {
    const page = await openThrottled(browser, service.url);
    await page.locator(".sign-in").waitFor();
    const metrics = await measure(page);
    context.diagnostic(`first visit: ${JSON.stringify(metrics)}`);
    assert.ok(metrics.layoutShift < 0.02);
    assertNoErrors(page);
    await page.context().close();
  });

  test("the first view is smaller than 52 kB, and all files of the page than 90 kB", async (context) => {
    const page = await openPage(browser, "about:blank", PHONE);
    const { files, transferredBytes, bodyBytes } = await measureTransfer(page, service.url);
    context.diagnostic(`first view: ${bodyBytes} compressed bytes in ${files} files, ${transferredBytes} with headers`);
    context.diagnostic(`all files: ${compressedBytes()} compressed bytes`);
    assert.ok(bodyBytes < MAX_FIRST_VIEW_BYTES);
    assert.ok(compressedBytes() < MAX_PAGE_BYTES);
    await page.context().close();
  });

  test("a gallery loads and scrolls without layout shifts", async (context) => {
    const page = await openPage(browser, service.url, PHONE);
    await register(page);
    await uploadAndClose(
      page,
      [...PHOTOS, ...PHOTOS, ...PHOTOS].map((name) => join(CORPUS, "good", name)),
    );
    await throttle(page);
    await page.reload();
    await page.waitForFunction(() => document.querySelectorAll(".tile img.loaded").length > 5);
    await page.mouse.wheel(0, 2000);
    await page.waitForTimeout(1000);
    const metrics = await measure(page);
    context.diagnostic(`gallery: ${JSON.stringify(metrics)}`);
    assert.ok(metrics.layoutShift < 0.02);
    await page.context().close();
  });

  test("thousands of images scroll with few tiles in the document", async (context) => {
    const page = await openPage(browser, service.url);
    await register(page);
    await uploadAndClose(page, [join(CORPUS, "good", PHOTOS[0])]);
    await simulateImages(page, IMAGE_COUNT);
    await page.reload();
    await page.locator(".tile").first().waitFor();
    await page.waitForFunction(
      (count) => {
        scrollTo(0, document.documentElement.scrollHeight);
        return [...document.querySelectorAll(".tile")].at(-1)?.getAttribute("aria-posinset") === String(count);
      },
      IMAGE_COUNT,
      { timeout: 600_000 },
    );
    const result = await page.evaluate(scrollAndMeasure);
    context.diagnostic(`${IMAGE_COUNT} images: ${JSON.stringify(result)}`);
    assert.ok(result.tiles < 150);
    await page.context().close();
  });
});

async function scrollAndMeasure() {
  const frames = [];
  for (let last = performance.now(); frames.length < 150;) {
    scrollBy(0, -80);
    await new Promise(requestAnimationFrame);
    frames.push(performance.now() - last);
    last = performance.now();
  }
  frames.sort((a, b) => a - b);
  const percentile = (fraction) => Number(frames[Math.floor(frames.length * fraction)].toFixed(1));
  return { tiles: document.querySelectorAll(".tile").length, median: percentile(0.5), p95: percentile(0.95) };
}

async function openThrottled(browser, url) {
  const page = await openPage(browser, "about:blank", PHONE);
  await throttle(page);
  await page.goto(url);
  return page;
}

async function throttle(page) {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Network.enable");
  await devtools.send("Network.emulateNetworkConditions", SLOW_4G);
  await devtools.send("Emulation.setCPUThrottlingRate", { rate: CPU_SLOWDOWN });
}

function measure(page) {
  return page.evaluate(async () => {
    const entries = (type) =>
      new Promise((resolve) => {
        const observer = new PerformanceObserver((list) => resolve(list.getEntries()));
        observer.observe({ type, buffered: true });
        setTimeout(() => resolve([]), 300);
      });
    const paint = (await entries("paint")).find(({ name }) => name === "first-contentful-paint");
    const largest = (await entries("largest-contentful-paint")).at(-1);
    const shifts = (await entries("layout-shift")).filter((shift) => !shift.hadRecentInput);
    return {
      firstContentfulPaint: Math.round(paint.startTime),
      largestContentfulPaint: Math.round(largest?.startTime ?? 0),
      layoutShift: Number(shifts.reduce((sum, { value }) => sum + value, 0).toFixed(4)),
    };
  });
}

/** Returns the number of files that the first view loads, and their compressed sizes without and with headers. */
async function measureTransfer(page, url) {
  const devtools = await page.context().newCDPSession(page);
  let transferredBytes = 0;
  await devtools.send("Network.enable");
  devtools.on("Network.loadingFinished", ({ encodedDataLength }) => (transferredBytes += encodedDataLength));
  await page.goto(url, { waitUntil: "networkidle" });
  const sizes = await page.evaluate(() =>
    performance
      .getEntries()
      .filter(({ entryType }) => ["navigation", "resource"].includes(entryType))
      .map((entry) => entry.encodedBodySize),
  );
  return { files: sizes.length, transferredBytes, bodyBytes: sizes.reduce((sum, size) => sum + size, 0) };
}

/** Returns the total compressed size of the page in one language, without the API documentation. */
function compressedBytes() {
  const files = readdirSync(WEB, { recursive: true }).filter(
    (name) => /\.\w+$/.test(name) && name !== "messages/de.js" && !/^(vendor|docs)\//.test(name),
  );
  return files.reduce((sum, name) => sum + gzipSync(readFileSync(join(WEB, name)), { level: 9 }).length, 0);
}

/** Intercepts the image list and returns `count` copies of the only image. */
async function simulateImages(page, count) {
  let view = null;
  await page.route("**/api/v1/images?*", async (route) => {
    view ??= (await (await route.fetch()).json()).items[0];
    const query = new URL(route.request().url()).searchParams;
    const [start, limit] = [Number(query.get("cursor") ?? 0), Number(query.get("limit"))];
    const items = Array.from({ length: Math.min(limit, count - start) }, (_, i) => {
      const number = start + i;
      return {
        ...view,
        id: `id-${String(count - number).padStart(6, "0")}`,
        width: 600 + ((number * 37) % 17) * 60,
        height: 800,
      };
    });
    await route.fulfill({ json: { items, next_cursor: start + limit < count ? String(start + limit) : null } });
  });
}
