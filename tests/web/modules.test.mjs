/** The page's modules on their own, without a browser. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const WEB = fileURLToPath(new URL("../../app/web/", import.meta.url));
const ROOT = resolve(WEB, "../..");
const load = (path) => import(pathToFileURL(join(WEB, path)));
const files = (extension) =>
  readdirSync(WEB, { recursive: true })
    .filter((name) => name.endsWith(extension))
    .map((name) => join(WEB, name));

test("every module that the first view needs is named for preloading, so that none waits for another", () => {
  const index = readFileSync(join(WEB, "index.html"), "utf8");
  const named = [...index.matchAll(/modulepreload" href="web\/([^"]+)"/g)].map(([, path]) => path);
  const needed = new Set();
  const walk = (path) => {
    if (needed.has(path)) return;
    needed.add(path);
    const imports = readFileSync(path, "utf8").matchAll(/^import [^;]*?from "([^"]+)"/gm);
    for (const [, target] of imports) walk(resolve(path, "..", target));
  };
  walk(join(WEB, "js/main.js"));
  walk(join(WEB, "js/desk.js"));
  const expected = [...needed].map((path) => relative(WEB, path)).filter((path) => path !== "js/main.js");
  assert.deepEqual(named.sort(), expected.sort());
});

test("nothing is asked of another host, and nothing made from markup", () => {
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

test("every message that is used exists, and every language has all of them", async () => {
  const english = (await load("messages/en.js")).default;
  const german = (await load("messages/de.js")).default;
  assert.deepEqual(
    Object.keys(english).filter((key) => !(key in german)),
    [],
  );
  const used = files(".js").flatMap((path) =>
    [...readFileSync(path, "utf8").matchAll(/\bt\("([\w.]+)"/g)].map(([, key]) => key),
  );
  assert.deepEqual(
    used.filter((key) => !(key in english)),
    [],
  );
  const places = (message) => [...new Set(JSON.stringify(message).match(/\{\w+\}/g))].sort();
  for (const key of Object.keys(english)) assert.deepEqual(places(german[key]), places(english[key]), key);
});

test("every code of an error that the page has words for is one of the service", async () => {
  const errors = readFileSync(join(ROOT, "app/core/errors.py"), "utf8");
  const german = (await load("messages/de.js")).default;
  const ours = ["network", "unexpected", "file_unreadable"];
  for (const key of Object.keys(german).filter((name) => name.startsWith("error."))) {
    const code = key.slice("error.".length);
    assert.ok(ours.includes(code) || errors.includes(`"${code}"`), code);
  }
});

test("a placeholder decodes to the colours that were encoded", async () => {
  const { decode } = await load("js/thumbhash.js");
  const script = `
import json
from app.core.thumbhash import thumbhash
def image(w, h, colour):
    return bytes(v for y in range(h) for x in range(w) for v in colour(x / w, y / h))
cases = {
    "left-right": (32, 24, lambda x, y: (230, 40, 30, 255) if x < 0.5 else (20, 60, 200, 255)),
    "portrait": (16, 32, lambda x, y: (int(255 * y), int(255 * y), int(255 * y), 255)),
    "see-through": (32, 32, lambda x, y: (20, 160, 60, 255 if y < 0.5 else 0)),
}
print(json.dumps({name: list(thumbhash(w, h, image(w, h, f))) for name, (w, h, f) in cases.items()}))`;
  const hashes = JSON.parse(execFileSync(join(ROOT, ".venv/bin/python"), ["-c", script], { cwd: ROOT }));
  const pixel = ({ width, height, pixels }, x, y) => [
    ...pixels.slice(4 * (Math.floor(y * height) * width + Math.floor(x * width))).slice(0, 4),
  ];
  const near = (actual, expected) =>
    actual.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 60, `${actual} is not ${expected}`));

  const wide = decode(hashes["left-right"]);
  assert.ok(wide.width > wide.height);
  near(pixel(wide, 0.2, 0.5), [230, 40, 30, 255]);
  near(pixel(wide, 0.8, 0.5), [20, 60, 200, 255]);
  const tall = decode(hashes.portrait);
  assert.ok(tall.height > tall.width);
  near(pixel(tall, 0.5, 0.05), [10, 10, 10, 255]);
  near(pixel(tall, 0.5, 0.95), [245, 245, 245, 255]);
  const open = decode(hashes["see-through"]);
  near(pixel(open, 0.5, 0.2), [20, 160, 60, 255]);
  assert.ok(pixel(open, 0.5, 0.9)[3] < 60);
});

test("product codes are checked as they are typed", async () => {
  const { check } = await load("js/products/ean.js");
  for (const good of ["3017620422003", "96385074", "036000291452", " 4-006381-333931 ", "04252614"])
    assert.ok(check(good).isGood, good);
  assert.deepEqual(check("3017620422004"), { isGood: false, fault: "digit", expected: 3 });
  assert.equal(check("30176").fault, "short");
  assert.equal(check("30176a").fault, "letters");
  assert.equal(check("301762042200312345").fault, "long");
});

test("rows are filled from edge to edge, and no picture is distorted", async () => {
  const { justify } = await load("js/gallery/layout.js");
  const ratios = Array.from({ length: 200 }, (_, i) => 0.6 + ((i * 37) % 17) / 10);
  const { tiles, height } = justify(ratios, { width: 1000, rowHeight: 200, gap: 8 });
  tiles.forEach((tile, i) => assert.ok(Math.abs(tile.width / tile.height - ratios[i]) < 1e-6));
  const lastOfRows = tiles.filter((tile, i) => tiles[i + 1] && tiles[i + 1].top !== tile.top);
  assert.ok(lastOfRows.length > 20);
  for (const { left, width } of lastOfRows) assert.ok(Math.abs(left + width - 1000) < 1e-6);
  assert.ok(Math.max(...tiles.map((tile) => tile.top + tile.height)) - height < 1e-6);
});

test("events are read however the stream was cut", async () => {
  const { parseEvents } = await load("js/events.js");
  const stream = ': ping\n\nevent: job\nid: 1\ndata: {"a":\ndata: 1}\n\nid: 2\r\ndata: {}\r\n\r\ndata: cut off';
  for (const size of [1, 3, 7, 1000]) {
    const pieces = (async function* () {
      for (let i = 0; i < stream.length; i += size) yield stream.slice(i, i + size);
    })();
    const events = [];
    for await (const event of parseEvents(pieces)) events.push(event);
    assert.deepEqual(events, [
      { event: "job", id: "1", data: '{"a":\n1}' },
      { id: "2", data: "{}" },
    ]);
  }
});

test("speed is that of the last seconds", async () => {
  const { Rate } = await load("js/uploads/rate.js");
  const rate = new Rate();
  for (let second = 0; second <= 20; second++)
    rate.add(second < 10 ? second * 100 : 1000 + (second - 10) * 10, second * 1000);
  assert.equal(rate.perSecond, 10);
});
