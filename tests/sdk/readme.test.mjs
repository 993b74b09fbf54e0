/** The samples of the client's README: type-checked, and run as one program. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ROOT, startService } from "../web/service.mjs";
import { PHOTO } from "./photos.mjs";
import { samplesOf } from "./samples.mjs";

const SDK = join(ROOT, "clients/typescript");
const FOLDER = join(ROOT, "tests/sdk/node_modules/.readme");
/** Only what the sample uses. firebase.test.mjs runs it with the SDK of Firebase. */
const FIREBASE = `declare module "firebase/auth" {
  export function getAuth(): { currentUser: { getIdToken(forceRefresh: boolean): Promise<string> } | null };
}`;
const COMPILER = {
  strict: true,
  target: "es2022",
  lib: ["es2022", "dom", "dom.iterable", "dom.asynciterable"],
  module: "nodenext",
  typeRoots: [join(SDK, "node_modules/@types")],
  types: ["node"],
  outDir: "dist",
};

let service;
before(async () => {
  service = await startService("embedded");
});
after(() => service?.stop());

test("the samples compile, and run in their order", () => {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER);
  const write = (name, content) => writeFileSync(join(FOLDER, name), content);
  write("package.json", JSON.stringify({ type: "module" }));
  write("tsconfig.json", JSON.stringify({ compilerOptions: COMPILER, include: ["*.ts"] }));
  write("firebase_sdk.d.ts", FIREBASE);
  write("firebase.ts", samplesOf("firebase").join(""));
  write("server.ts", samplesOf("server").join(""));
  const main = samplesOf("");
  assert.equal(main.length, 6);
  write("main.ts", main.join("").replace("http://localhost:8000", service.url));
  write("photo.jpg", PHOTO);
  const run = (command, ...args) => execFileSync(command, args, { cwd: FOLDER, encoding: "utf8", timeout: 600_000 });
  try {
    run(join(SDK, "node_modules/.bin/tsc"));
  } catch (error) {
    assert.fail(error.stdout);
  }
  const lines = run("node", "dist/main.js").trim().split("\n");
  assert.equal(lines[0], "100 %");
  assert.match(lines.at(-1), /not an image|format/i);
});
