/** Tests of the page's modules without a browser. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const WEB = fileURLToPath(new URL("../../app/web/", import.meta.url));
const ROOT = resolve(WEB, "../..");
const load = (path) => import(pathToFileURL(join(WEB, path)));
/** The files of the gallery. Swagger UI and Redoc, in `vendor`, are pages of their own with another policy. */
const files = (extension) =>
  readdirSync(WEB, { recursive: true })
    .filter((name) => name.endsWith(extension) && !name.startsWith("vendor/"))
    .map((name) => join(WEB, name));

test("every module of the first view is preloaded", () => {
  const importsOf = (path, imported = new Set()) => {
    if (imported.has(path)) return imported;
    imported.add(path);
    const imports = readFileSync(path, "utf8").matchAll(/^import [^;]*?from "([^"]+)"/gm);
    for (const [, target] of imports) importsOf(resolve(path, "..", target), imported);
    return imported;
  };
  const always = importsOf(join(WEB, "js/main.js"));
  const more = (path) => [...importsOf(join(WEB, path))].filter((module) => !always.has(module));
  const index = readFileSync(join(WEB, "index.html"), "utf8");
  const preloaded = [...index.matchAll(/modulepreload" href="web\/([^"]+)"/g)].map(([, path]) => join(WEB, path));
  assert.deepEqual(preloaded.sort(), [...always].filter((path) => path !== join(WEB, "js/main.js")).sort());

  const script = readFileSync(join(WEB, "js/preload.js"), "utf8");
  const listed = (name) => {
    const [, list] = script.match(new RegExp(`${name} = \\[([^\\]]*)\\]`));
    return [...list.matchAll(/"([^"]+)"/g)].map(([, path]) => join(WEB, "js", path));
  };
  assert.deepEqual(listed("GALLERY").sort(), more("js/signed_in_app.js").sort());
  assert.deepEqual(listed("WELCOME").sort(), more("js/account/welcome.js").sort());
});

test("the page loads nothing from other hosts and creates nothing from markup", () => {
  for (const path of [...files(".js"), ...files(".css"), ...files(".html")]) {
    const text = readFileSync(path, "utf8")
      .replaceAll(/^\s*(\/\*\*?|\*|\/\/).*$/gm, "")
      .replaceAll("http://www.w3.org/2000/svg", "");
    assert.doesNotMatch(
      text,
      /https?:\/\/|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|style="| on\w+="/,
      path,
    );
  }
});

/** The modules that may use the messages of a topic, in `messages/<topic>/`, which are not loaded with the page. */
const TOPIC_MODULES = {
  account: /account\/(dialog|security)\.js$/,
  products: /js\/products\//,
  sharing: /js\/sharing\//,
  uploads: /uploads\/(queue|upload_panel|validation)\.js$/,
  viewer: /js\/viewer\//,
};

test("every module uses only messages that are loaded with it", async () => {
  const common = (await load("messages/en.js")).default;
  for (const path of files(".js")) {
    const topics = Object.keys(TOPIC_MODULES).filter((topic) => TOPIC_MODULES[topic].test(path));
    const modules = await Promise.all(topics.map((topic) => load(`messages/${topic}/en.js`)));
    const loaded = Object.assign({}, common, ...modules.map((module) => module.default));
    const used = [...readFileSync(path, "utf8").matchAll(/\btranslate\(\s*"([\w.]+)"/g)].map(([, key]) => key);
    assert.deepEqual(
      used.filter((key) => !(key in loaded)),
      [],
      path,
    );
  }
});

test("every message exists in every language", async () => {
  const messagesOf = async (code) => {
    const paths = files(".js").filter((path) => path.startsWith(join(WEB, "messages/")) && path.endsWith(`/${code}.js`));
    const modules = await Promise.all(paths.map((path) => import(pathToFileURL(path))));
    return Object.assign({}, ...modules.map((module) => module.default));
  };
  const [english, german] = [await messagesOf("en"), await messagesOf("de")];
  assert.deepEqual(
    Object.keys(english).filter((key) => !(key in german)),
    [],
  );
  const placeholders = (message) => [...new Set(JSON.stringify(message).match(/\{\w+\}/g))].sort();
  for (const key of Object.keys(english)) assert.deepEqual(placeholders(german[key]), placeholders(english[key]), key);
});

test("every error code that the page has a message for is one of the service", async () => {
  const errors = readFileSync(join(ROOT, "app/domain/errors.py"), "utf8");
  const german = (await load("messages/de.js")).default;
  const pageCodes = [
    "network",
    "unexpected",
    "file_unreadable",
    "request_refused",
    "request_too_large",
    "response_foreign",
    "service_unavailable",
    "too_many_requests",
  ];
  for (const key of Object.keys(german).filter((name) => name.startsWith("error."))) {
    const code = key.slice("error.".length);
    assert.ok(pageCodes.includes(code) || errors.includes(`"${code}"`), code);
  }
});

test("error pages of proxies are described in words", async () => {
  const { describeProblem, problemFromResponse } = await load("js/problems.js");
  const describe = (status, body = null) => describeProblem(problemFromResponse(status, body));
  assert.match(describe(403), /firewall/);
  assert.match(describe(413), /larger than the server accepts/);
  assert.match(describe(429), /Too many requests/);
  for (const status of [408, 500, 502, 503, 504, 524]) assert.match(describe(status), /temporarily unavailable/);
  assert.match(describe(400), /unexpected error/);
  assert.match(describe(200), /did not come from the service/);
  // Gateways may send JSON that is not of the service.
  for (const body of [{ message: "Bad Gateway" }, { code: 502, errors: "none" }, "Bad Gateway", []])
    assert.match(describe(502, body), /temporarily unavailable/);
  assert.equal(describe(413, { code: "upload_too_large", detail: "At most 20 MB." }), "At most 20 MB.");
});

test("a placeholder decodes to the encoded colors", async () => {
  const { decode } = await load("js/thumbhash.js");
  const script = `
import json
from app.imaging.thumbhash import thumbhash
def image(w, h, color):
    return bytes(v for y in range(h) for x in range(w) for v in color(x / w, y / h))
cases = {
    "left-right": (32, 24, lambda x, y: (230, 40, 30, 255) if x < 0.5 else (20, 60, 200, 255)),
    "portrait": (16, 32, lambda x, y: (int(255 * y), int(255 * y), int(255 * y), 255)),
    "transparent": (32, 32, lambda x, y: (20, 160, 60, 255 if y < 0.5 else 0)),
}
print(json.dumps({name: list(thumbhash(w, h, image(w, h, f))) for name, (w, h, f) in cases.items()}))`;
  const hashes = JSON.parse(execFileSync(join(ROOT, ".venv/bin/python"), ["-c", script], { cwd: ROOT }));
  const pixel = ({ width, height, pixels }, x, y) => [
    ...pixels.slice(4 * (Math.floor(y * height) * width + Math.floor(x * width))).slice(0, 4),
  ];
  const assertClose = (actual, expected) =>
    actual.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 60, `${actual} is not ${expected}`));

  const wide = decode(hashes["left-right"]);
  assert.ok(wide.width > wide.height);
  assertClose(pixel(wide, 0.2, 0.5), [230, 40, 30, 255]);
  assertClose(pixel(wide, 0.8, 0.5), [20, 60, 200, 255]);
  const tall = decode(hashes.portrait);
  assert.ok(tall.height > tall.width);
  assertClose(pixel(tall, 0.5, 0.05), [10, 10, 10, 255]);
  assertClose(pixel(tall, 0.5, 0.95), [245, 245, 245, 255]);
  const transparent = decode(hashes.transparent);
  assertClose(pixel(transparent, 0.5, 0.2), [20, 160, 60, 255]);
  assert.ok(pixel(transparent, 0.5, 0.9)[3] < 60);
});

test("product codes are validated while they are typed", async () => {
  const { validate } = await load("js/products/ean.js");
  for (const valid of ["3017620422003", "96385074", "036000291452", " 4-006381-333931 ", "04252614"])
    assert.ok(validate(valid).isValid, valid);
  assert.deepEqual(validate("3017620422004"), { isValid: false, error: "digit", expected: 3 });
  assert.equal(validate("30176").error, "short");
  assert.equal(validate("30176a").error, "letters");
  assert.equal(validate("301762042200312345").error, "long");
});

test("rows fill the whole width and images keep their aspect ratios", async () => {
  const { layOutRows } = await load("js/gallery/layout.js");
  const ratios = Array.from({ length: 200 }, (_, i) => 0.6 + ((i * 37) % 17) / 10);
  const { tiles, height } = layOutRows(ratios, { width: 1000, rowHeight: 200, gap: 8 });
  tiles.forEach((tile, i) => assert.ok(Math.abs(tile.width / tile.height - ratios[i]) < 1e-6));
  const lastInRows = tiles.filter((tile, i) => tiles[i + 1] && tiles[i + 1].top !== tile.top);
  assert.ok(lastInRows.length > 20);
  for (const { left, width } of lastInRows) assert.ok(Math.abs(left + width - 1000) < 1e-6);
  assert.ok(Math.max(...tiles.map((tile) => tile.top + tile.height)) - height < 1e-6);
});

/** Returns a library in a fake service that has these numbers of images in the months before 2026, newest first. */
async function createLibrary(counts) {
  globalThis.localStorage = { getItem: () => null };
  const { Library } = await load("js/gallery/library.js");
  const monthAt = (i) => new Date(Date.UTC(2025, 11 - i)).toISOString().slice(0, 7);
  const months = counts.map((images, i) => ({ month: monthAt(i), images }));
  const views = months.flatMap(({ month, images }) =>
    Array.from({ length: images }, (_, i) => ({
      id: `${month}-${String(images - i).padStart(6, "0")}`,
      metadata: { taken_at: `${month}-02T12:00:00.000` },
      thumbnails: [],
      size: 1,
    })),
  );
  const requests = [];
  const get = async (path) => {
    await new Promise((resolve) => setTimeout(resolve));
    if (path === "images/timeline") return { months, images: views.length };
    const query = new URLSearchParams(path.split("?")[1]);
    requests.push(query);
    const found = views.filter(
      ({ metadata: { taken_at: at } }) =>
        at >= (query.get("taken_after") ?? "") && at < (query.get("taken_before") ?? "9"),
    );
    const start = Number(query.get("cursor") ?? 0);
    const end = start + Number(query.get("limit"));
    return { items: found.slice(start, end), next_cursor: end < found.length ? String(end) : null };
  };
  const library = new Library({ get });
  await library.start();
  return { library, requests, views };
}

test("small months are loaded with one request", async () => {
  const { library, requests } = await createLibrary(Array(24).fill(10));
  requests.length = 0;
  await library.load(library.sections[5]);
  assert.equal(requests.length, 1);
  const complete = library.sections.map(({ isComplete }) => isComplete);
  assert.deepEqual(complete.indexOf(true, 5), 5);
  assert.deepEqual(complete.slice(5, 15), Array(10).fill(true));
  assert.equal(complete[15], false);
});

test("a month of several pages is loaded to its end, and no image is there twice", async () => {
  const { library, views } = await createLibrary([250, 40]);
  await library.loadAll(library.sections[0]);
  await library.loadMore();
  assert.ok(library.isComplete);
  assert.deepEqual(
    library.images.map(({ id }) => id),
    views.map(({ id }) => id),
  );
});

test("an image has no neighbor before the images between them are loaded", async () => {
  const { library, views } = await createLibrary([250, 40]);
  await library.load(library.sections[1]);
  const [newest, oldest] = [views[249], views[250]];
  assert.equal(library.neighbors(oldest.id).before, undefined);
  assert.equal(library.neighbors(views[29].id).after, undefined);
  await library.loadAll(library.sections[0]);
  assert.equal(library.neighbors(oldest.id).before, newest);
  assert.equal(library.neighbors(newest.id).after, oldest);
});

test("a month that changes while it is loaded is complete in the end", async () => {
  const { library, views } = await createLibrary([350, 40]);
  const [section] = library.sections;
  const loading = Promise.all([library.loadAll(section), library.loadAll(section)]);
  const { get } = library.api;
  let pages = 0;
  library.api.get = async (path) => {
    const response = await get(path);
    // Another client deletes the first image, and this page notices it, while it waits for a response.
    if (path.startsWith("images?") && (pages += 1) === 2) {
      views.splice(0, 1);
      const months = [
        { month: "2025-12", images: 349 },
        { month: "2025-11", images: 40 },
      ];
      library.api.get = async (other) => (other === "images/timeline" ? { months, images: 389 } : get(other));
      await library.refresh();
    }
    return response;
  };
  await loading;
  assert.deepEqual(
    library.arrangedSections[0].images.map(({ id }) => id),
    views.slice(0, 349).map(({ id }) => id),
  );
  assert.equal(library.count, 389);
});

test("months that were visible long ago are unloaded, and can be loaded again", async () => {
  const { library } = await createLibrary(Array(50).fill(100));
  for (const section of library.sections) {
    await library.load(section);
    section.usedAt = -Infinity;
  }
  assert.ok(library.images.length <= 3100, `${library.images.length} images are loaded`);
  assert.equal(library.count, 5000);
  const unloaded = library.sections.find(({ isComplete }) => !isComplete);
  await library.load(unloaded);
  assert.ok(unloaded.isComplete);
});

test("a refresh finds what other clients have added and deleted", async () => {
  const { library, views } = await createLibrary([3, 2]);
  await library.load(library.sections[0]);
  const timeline = { months: [{ month: "2025-12", images: 2 }], images: 2 };
  views.splice(0, 5, ...views.slice(1, 3));
  const { get } = library.api;
  library.api.get = async (path) => (path === "images/timeline" ? timeline : get(path));
  await library.refresh();
  await library.load(library.sections[0]);
  assert.deepEqual(
    library.images.map(({ id }) => id),
    ["2025-12-000002", "2025-12-000001"],
  );
  assert.equal(library.count, 2);
});

test("an image that the timeline already omits is not subtracted again when it turns out to be deleted", async () => {
  const { library, views } = await createLibrary([2]);
  const [deleted, other] = views.splice(0, 2, views[1]);
  const { get } = library.api;
  library.api.get = async (path) => {
    if (path === "images/timeline") return { months: [{ month: "2025-12", images: 1 }], images: 1 };
    if (path === `images/${deleted.id}`) throw Object.assign(new Error("deleted"), { code: "image_missing" });
    return path === `images/${other.id}` ? other : get(path);
  };
  await library.refresh(); // The section has to be loaded again, because its number of images has changed.
  const loading = library.load(library.sections[0]);
  await library.refreshUrls([deleted.id], { force: true });
  await loading;
  assert.deepEqual(library.images, [other]);
  assert.equal(library.count, 1);
});

test("events are parsed from chunks of any size", async () => {
  const { parseEvents } = await load("js/events.js");
  const stream = ': ping\n\nevent: job\nid: 1\ndata: {"a":\ndata: 1}\n\nid: 2\r\ndata: {}\r\n\r\ndata: truncated';
  for (const size of [1, 3, 7, 1000]) {
    const chunks = (async function* () {
      for (let i = 0; i < stream.length; i += size) yield stream.slice(i, i + size);
    })();
    const events = [];
    for await (const event of parseEvents(chunks)) events.push(event);
    assert.deepEqual(events, [
      { event: "job", id: "1", data: '{"a":\n1}' },
      { id: "2", data: "{}" },
    ]);
  }
});

test("the transfer rate is that of the last seconds", async () => {
  const { TransferRate } = await load("js/uploads/transfer_rate.js");
  const rate = new TransferRate();
  for (let second = 0; second <= 20; second++)
    rate.add(second < 10 ? second * 100 : 1000 + (second - 10) * 10, second * 1000);
  assert.equal(rate.bytesPerSecond, 10);
});

test("what the camera recorded is described", async () => {
  const [{ loadTopic }, { cameraTexts }] = await Promise.all([load("js/ui/i18n.js"), load("js/viewer/camera.js")]);
  await loadTopic("viewer");
  const metadata = {
    taken_at: "2026-07-14T23:30:22.000",
    taken_offset: "+02:00",
    camera_make: "Canon",
    camera_model: "Canon EOS R5",
    lens: "RF 50mm F1.2",
    exposure_seconds: 0.008,
    f_number: 2.8,
    iso: 400,
    focal_length_mm: 50,
    position: { latitude: -33.856784, longitude: 151.215297, altitude: null },
  };
  // Versions of ICU differ in the space before "PM".
  const texts = cameraTexts(metadata).map(([key, text]) => [key, text.replaceAll(/\s/g, " ")]);
  assert.deepEqual(texts, [
    ["details.taken", "July 14, 2026 at 11:30 PM (UTC+02:00)"],
    ["details.camera", "Canon EOS R5"],
    ["details.lens", "RF 50mm F1.2"],
    ["details.exposure", "1/125 s · f/2.8 · ISO 400 · 50 mm"],
    ["details.place", "33.8568° S, 151.2153° E"],
  ]);
  const few = { camera_make: "Pentax", camera_model: "K1000", exposure_seconds: 1.5, taken_at: null, position: null };
  assert.deepEqual(cameraTexts(few), [
    ["details.camera", "Pentax K1000"],
    ["details.exposure", "1.5 s"],
  ]);
  assert.deepEqual(cameraTexts({}), []);
});

test("zooming loads larger renditions, and then an original that the browser can show", async () => {
  const { sourcesFor } = await load("js/viewer/sources.js");
  const sizes = [64, 320, 800, 1280, 1600, 1920, 2240, 2560, 4096];
  const fields = { size: 9e6, original_url: "original", rendition_url: "r{?w,h,fit,format}" };
  const jpeg = { width: 6000, height: 3000, content_type: "image/jpeg", ...fields };
  const urls = (view, width, isZoomed = true) => sourcesFor(view, width, { isZoomed, sizes }).map(({ url }) => url);
  // 1280, 1920 and 2240 are too close to 1600 and 2560.
  assert.deepEqual(
    [700, 900, 1700, 3000].map((width) => urls(jpeg, width)),
    [["r?w=800"], ["r?w=1600"], ["r?w=2560"], ["r?w=4096&format=webp"]],
  );
  assert.deepEqual(urls(jpeg, 5000), ["original", "r?w=4096&format=webp"]);
  assert.deepEqual(urls(jpeg, 5000, false), ["r?w=4096&format=webp"]);
  assert.deepEqual(urls({ ...jpeg, width: 4032 }, 3000), ["original", "r?w=4096&format=webp"]);
  assert.deepEqual(urls({ ...jpeg, content_type: "image/heic" }, 5000), ["r?w=4096&format=webp"]);
  assert.deepEqual(urls({ ...jpeg, content_type: "image/gif" }, 100, false), ["original", "r?w=320"]);
  assert.deepEqual(sourcesFor(jpeg, 5000, { isZoomed: true, sizes: [] }), [
    { url: "original", width: 6000, isAnimated: false },
  ]);
  // The largest size also limits the height.
  assert.equal(sourcesFor({ ...jpeg, width: 3024, height: 6048 }, 3000, { isZoomed: true, sizes })[1].width, 2048);
});
