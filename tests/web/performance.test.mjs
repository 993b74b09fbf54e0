/** Measures layout stability, transferred bytes and scrolling on a slow phone. Times are printed, not judged. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { brotliCompressSync } from "node:zlib";
import { assertNoErrors, launch, noChromium, openPage, PHONE, register, uploadAndClose } from "./browser.mjs";
import { CORPUS, noCorpus, PYTHON, startService } from "./service.mjs";
import { spreadOverMonths } from "./simulated_library.mjs";

const WEB = fileURLToPath(new URL("../../app/web/", import.meta.url));
// The slow 4G profile of Lighthouse.
const SLOW_4G = {
  offline: false,
  latency: 150,
  downloadThroughput: (1.6 * 1024 * 1024) / 8,
  uploadThroughput: (750 * 1024) / 8,
};
const CPU_SLOWDOWN = 4;
const LIBRARY_SIZE = Number(process.env.LIBRARY_SIZE ?? 5000);
const MAX_WELCOME_BYTES = 32_000;
const MAX_GALLERY_BYTES = 50_000;
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

  test("the first views are small, and all files of the page together too", async (context) => {
    const page = await openPage(browser, "about:blank", PHONE);
    const welcome = await measureTransfer(page, service.url);
    context.diagnostic(`welcome page: ${JSON.stringify(welcome)}`);
    await register(page);
    const gallery = await measureTransfer(page, service.url);
    context.diagnostic(`gallery: ${JSON.stringify(gallery)}`);
    context.diagnostic(`all files: ${compressedBytes()} compressed bytes`);
    assert.ok(welcome.bodyBytes < MAX_WELCOME_BYTES);
    assert.ok(gallery.bodyBytes < MAX_GALLERY_BYTES);
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

  // LIBRARY_SIZE=300000 runs this with a library of that size.
  test("a large library scrolls and scrubs with few elements in the document", async (context) => {
    const page = await openPage(browser, service.url);
    await register(page);
    await uploadAndClose(page, [join(CORPUS, "good", PHOTOS[0])]);
    fillLibrary(service, spreadOverMonths(LIBRARY_SIZE - 1, 120));
    const requests = [];
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (url.pathname === "/api/v1/images") requests.push(url.searchParams);
    });
    await page.reload();
    await page.locator(".tile").first().waitFor();
    const slider = page.getByRole("slider");
    requests.length = 0;
    await slider.press("End");
    await page.locator(".section-title", { hasText: "December 2016" }).waitFor();
    await page.waitForFunction(() => {
      const box = document.querySelector(".grid-section:last-child .tile")?.getBoundingClientRect();
      return box && box.top < innerHeight;
    });
    const forMonth = requests.filter((query) => query.get("taken_after") === "2016-12-01");
    context.diagnostic(`${forMonth.length} requests for the oldest month, ${requests.length} in total`);
    assert.equal(forMonth[0].get("cursor"), null);
    await slider.press("Home");
    await page.waitForFunction(() => scrollY < 200);
    let most = 0;
    for (let i = 0; i < 25; i++) {
      most = Math.max(
        most,
        await page.evaluate(async () => {
          scrollBy(0, innerHeight * 1.5);
          await new Promise((resolve) => setTimeout(resolve, 30));
          return document.querySelectorAll("main *").length;
        }),
      );
    }
    await page.waitForFunction(() => document.querySelectorAll(".tile").length > 20);
    const result = await page.evaluate(scrollAndMeasure);
    context.diagnostic(`${LIBRARY_SIZE} images: ${JSON.stringify(result)}, at most ${most} elements`);
    assert.ok(result.tiles < 150);
    assert.ok(most < 3000, `${most} elements`);
    await page.context().close();
  });
});

/** Adds images to the only user's library: copies of the only image, written into the database of the service. */
function fillLibrary({ settings }, months) {
  const script = `
import json, sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=60)
columns = [row[1] for row in database.execute("PRAGMA table_info(images)")]  # without generated columns
[owner] = database.execute("SELECT owner_id FROM images ORDER BY id DESC LIMIT 1").fetchone()
values = {
    "id": "printf('01900000-0000-7000-8000-%012x', number)",
    "width": "600 + (number * 37 % 17) * 60",
    "height": "800",
    "thumbnails": "'[]'",  # The copies have no files of their own.
    "metadata": "json_set(metadata, '$.taken_at', printf('%s-%02d', :month, 1 + number % 28) || 'T12:00:00.000')",
}
selected = ", ".join(values.get(column, column) for column in columns)
number = 0
with database:
    for month in json.load(sys.stdin):
        database.execute(f"""
            WITH RECURSIVE numbers(number) AS (SELECT :first UNION ALL SELECT number + 1 FROM numbers LIMIT :images)
            INSERT INTO images ({', '.join(columns)}) SELECT {selected} FROM numbers,
            (SELECT * FROM images WHERE owner_id = :owner ORDER BY id DESC LIMIT 1)
        """, {"first": number, "owner": owner, **month})
        number += month["images"]
    database.execute("UPDATE usage SET images = images + ? WHERE owner_id = ?", (number, owner))
`;
  execFileSync(PYTHON, ["-c", script, join(settings.DATA_DIR, "service.db")], { input: JSON.stringify(months) });
}

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
  await devtools.send("Network.setCacheDisabled", { cacheDisabled: true });
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

/** Returns the total compressed size of the gallery in one language, without the other pages. */
function compressedBytes() {
  const files = readdirSync(WEB, { recursive: true }).filter(
    (name) => /\.\w+$/.test(name) && !name.endsWith("/de.js") && !/^(vendor|docs|share)\//.test(name),
  );
  return files.reduce((sum, name) => sum + brotliCompressSync(readFileSync(join(WEB, name))).length, 0);
}
