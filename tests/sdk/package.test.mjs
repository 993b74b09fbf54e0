/** The package: generated types, size, contents, and types in an application. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { PYTHON, ROOT } from "../web/service.mjs";

const SDK = join(ROOT, "clients/typescript");
const INSTALLED = join(ROOT, "tests/sdk/node_modules/image-upload-service");
const MAX_BYTES = 10_000;

test("the committed types are those of the service", () => {
  const folder = mkdtempSync(join(tmpdir(), "sdk-"));
  try {
    const description = execFileSync(PYTHON, ["-m", "tests.openapi.describe"], { cwd: ROOT, maxBuffer: 2 ** 26 });
    const generated = join(folder, "schema.ts");
    execFileSync("node", ["generate.mjs", generated], { cwd: SDK, input: description });
    assert.equal(readFileSync(generated, "utf8"), readFileSync(join(SDK, "src/schema.ts"), "utf8"));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the client is small without tus-js-client", () => {
  const options = ["--bundle", "--minify", "--format=esm", "--external:tus-js-client"];
  const bundle = execFileSync(join(SDK, "node_modules/.bin/esbuild"), [join(INSTALLED, "dist/index.js"), ...options]);
  const bytes = gzipSync(bundle).length;
  assert.ok(bytes < MAX_BYTES, `${bytes} bytes`);
});

test("the package contains what applications need, and nothing else", () => {
  assert.deepEqual(readdirSync(INSTALLED).sort(), ["LICENSE", "README.md", "dist", "package.json"]);
  assert.ok(readdirSync(join(INSTALLED, "dist")).includes("index.d.ts"));
});

test("tus-js-client is loaded only when it is needed", () => {
  const files = readdirSync(join(INSTALLED, "dist")).filter((name) => name.endsWith(".js") && name !== "browser.js");
  const importing = files.filter((name) =>
    /^import .*"tus-js-client"/m.test(readFileSync(join(INSTALLED, "dist", name), "utf8")),
  );
  assert.deepEqual(importing, []);
});

test("importing the client needs nothing of browsers or Node", () => {
  const script = `
    const { createContext, SourceTextModule } = require("node:vm");
    const context = createContext({}, { codeGeneration: { strings: false } });
    const module = new SourceTextModule(require("node:fs").readFileSync(process.argv[1], "utf8"), { context });
    module.link(() => { throw new Error("imports a module") }).then(() => module.evaluate()).then(() => {
      console.log(Object.keys(module.namespace).sort().join());
    });`;
  const options = ["--experimental-vm-modules", "--no-warnings", "-e", script];
  const exported = execFileSync("node", [...options, join(INSTALLED, "dist/browser.js")]);
  const names = "ImageClient,ImageServiceError,PasswordSession,placeholderDataUrl,renditionSrcset,renditionUrl,thumbnailSrcset";
  assert.equal(exported.toString().trim(), names);
});
