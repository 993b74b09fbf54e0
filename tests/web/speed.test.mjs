/** How quick and how steady the page is on a slow phone. The figures are printed; only far outliers fail. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { assertNoComplaints, launch, noChromium, openPage, PHONE, register, stock } from "./browser.mjs";
import { CORPUS, noCorpus, startService } from "./service.mjs";

const WEB = fileURLToPath(new URL("../../app/web/", import.meta.url));
// What Lighthouse takes for a phone in a slow 4G network.
const SLOW_4G = {
  offline: false,
  latency: 150,
  downloadThroughput: (1.6 * 1024 * 1024) / 8,
  uploadThroughput: (750 * 1024) / 8,
};
const CPU_SLOWDOWN = 4;
const MANY = 2000;
const MOST_BYTES = 60_000;
const PHOTOS = [
  "sharp__4.webp",
  "storage__sadcat.jpg",
  "Pillow__flower2.webp",
  "Pillow__hopper.avif",
  "sharp__gain-map.jpg",
];

describe("on a slow phone", { skip: noChromium || noCorpus, timeout: 90_000 }, () => {
  let service;
  let browser;
  before(async () => ([service, browser] = await Promise.all([startService("embedded"), launch()])));
  after(async () => {
    await browser?.close();
    await service?.stop();
  });

  test("somebody new sees something within a second, and nothing jumps", async (context) => {
    const page = await openSlowly(browser, service.url);
    await page.locator(".sign-in").waitFor();
    const figures = await measure(page);
    context.diagnostic(`first visit: ${JSON.stringify(figures)}`);
    assert.ok(figures.firstContentfulPaint < 2000);
    assert.ok(figures.layoutShift < 0.02);
    assertNoComplaints(page);
    await page.context().close();
  });

  test("the whole page is under 60 kB", async (context) => {
    const page = await openPage(browser, "about:blank", PHONE);
    const { files, wire, bodies } = await transferred(page, service.url);
    context.diagnostic(`first view: ${bodies} bytes compressed in ${files} files, ${wire} with their headers`);
    context.diagnostic(`everything, dialogs and all: ${compressed()} bytes`);
    assert.ok(compressed() < MOST_BYTES);
    await page.context().close();
  });

  test("a gallery opens, loads and scrolls without a jump", async (context) => {
    const page = await openPage(browser, service.url, PHONE);
    await register(page);
    await stock(
      page,
      [...PHOTOS, ...PHOTOS, ...PHOTOS].map((name) => join(CORPUS, "good", name)),
    );
    await slow(page);
    await page.reload();
    await page.waitForFunction(() => document.querySelectorAll(".tile img.there").length > 5);
    await page.mouse.wheel(0, 2000);
    await page.waitForTimeout(1000);
    const figures = await measure(page);
    context.diagnostic(`gallery: ${JSON.stringify(figures)}`);
    assert.ok(figures.firstContentfulPaint < 2000);
    assert.ok(figures.layoutShift < 0.02);
    await page.context().close();
  });

  test("thousands of pictures scroll smoothly, with a few of them in the document", async (context) => {
    const page = await openPage(browser, service.url);
    await register(page);
    await stock(page, [join(CORPUS, "good", PHOTOS[0])]);
    await pretend(page, MANY);
    await page.reload();
    await page.locator(".tile").first().waitFor();
    await page.waitForFunction(
      (count) => {
        scrollTo(0, document.documentElement.scrollHeight);
        return [...document.querySelectorAll(".tile")].at(-1)?.getAttribute("aria-posinset") === String(count);
      },
      MANY,
      { timeout: 40_000 },
    );
    const seen = await page.evaluate(scrollAndMeasure);
    context.diagnostic(`${MANY} pictures: ${JSON.stringify(seen)}`);
    assert.ok(seen.tiles < 150);
    assert.ok(seen.p95 < 200);
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
  const at = (share) => Number(frames[Math.floor(frames.length * share)].toFixed(1));
  return { tiles: document.querySelectorAll(".tile").length, median: at(0.5), p95: at(0.95) };
}

async function openSlowly(browser, url) {
  const page = await openPage(browser, "about:blank", PHONE);
  await slow(page);
  await page.goto(url);
  return page;
}

async function slow(page) {
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

/** What the page's own files come to: compressed, and with the headers that went before each. */
async function transferred(page, url) {
  const devtools = await page.context().newCDPSession(page);
  let wire = 0;
  await devtools.send("Network.enable");
  devtools.on("Network.loadingFinished", ({ encodedDataLength }) => (wire += encodedDataLength));
  await page.goto(url, { waitUntil: "networkidle" });
  const sizes = await page.evaluate(() =>
    performance
      .getEntries()
      .filter(({ entryType }) => ["navigation", "resource"].includes(entryType))
      .map((entry) => entry.encodedBodySize),
  );
  return { files: sizes.length, wire, bodies: sizes.reduce((sum, size) => sum + size, 0) };
}

/** All of the page in one language, as it is compressed on the way. */
function compressed() {
  const files = readdirSync(WEB, { recursive: true }).filter(
    (name) => /\.\w+$/.test(name) && name !== "messages/de.js",
  );
  return files.reduce((sum, name) => sum + gzipSync(readFileSync(join(WEB, name)), { level: 9 }).length, 0);
}

/** Answers the list with `count` copies of the one picture that there is. */
async function pretend(page, count) {
  let view = null;
  await page.route("**/api/v1/images?*", async (route) => {
    view ??= (await (await route.fetch()).json()).items[0];
    const query = new URL(route.request().url()).searchParams;
    const [begin, limit] = [Number(query.get("cursor") ?? 0), Number(query.get("limit"))];
    const items = Array.from({ length: Math.min(limit, count - begin) }, (_, i) => {
      const number = begin + i;
      return {
        ...view,
        id: `id-${String(count - number).padStart(6, "0")}`,
        width: 600 + ((number * 37) % 17) * 60,
        height: 800,
      };
    });
    await route.fulfill({ json: { items, next_cursor: begin + limit < count ? String(begin + limit) : null } });
  });
}
