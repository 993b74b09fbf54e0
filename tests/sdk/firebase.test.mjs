/** The packed client with the SDK of Firebase and its Auth emulator, in Node and in the example for web pages. */

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ImageClient } from "image-upload-service";
import { assertNoErrors, launch, noChromium, openPage } from "../web/browser.mjs";
import { freePort, ROOT, startService } from "../web/service.mjs";
import { servePages, until } from "./pages.mjs";
import { assertOnlyImage, largePhoto, PHOTO } from "./photos.mjs";
import { startProxy } from "./proxy.mjs";
import { samplesOf } from "./samples.mjs";

const EMULATOR = process.env.FIREBASE_AUTH_EMULATOR_HOST;
const noEmulator = EMULATOR ? false : "requires the Firebase Auth emulator: run `make test-sdk`";
const FIREBASE = join(ROOT, "tests/firebase/");
const LINK = join(ROOT, "tests/sdk/node_modules/firebase");
const PROJECT = "demo-images";
const PASSWORD = "a long enough passphrase";
const LARGE = largePhoto(30_000_000);
const CDN = /^https:\/\/www\.gstatic\.com\/firebasejs\/[\d.]+\//;

/** Connects the SDK of Firebase to the emulator. Returns a function that creates a user and signs in. */
async function firebase() {
  // This folder uses the SDK of tests/firebase.
  if (!existsSync(LINK)) symlinkSync(join(FIREBASE, "node_modules/firebase"), LINK);
  const [app, auth] = await Promise.all([import("firebase/app"), import("firebase/auth")]);
  const opened = auth.getAuth(app.initializeApp({ apiKey: "any", projectId: PROJECT }));
  auth.connectAuthEmulator(opened, `http://${EMULATOR}`, { disableWarnings: true });
  return (email) => auth.createUserWithEmailAndPassword(opened, email, PASSWORD);
}

describe("the client with Firebase", { skip: noEmulator, timeout: 600_000 }, () => {
  let service;
  let pagePort;
  let createUser;
  before(async () => {
    pagePort = await freePort();
    const environment = {
      AUTH: "firebase",
      GOOGLE_CLOUD_PROJECT: PROJECT,
      FIREBASE_API_KEY: "any",
      FIREBASE_AUTH_EMULATOR_HOST: EMULATOR,
      CORS_ORIGINS: `http://127.0.0.1:${pagePort}`,
    };
    [service, createUser] = await Promise.all([startService("embedded", { environment }), firebase()]);
  });
  after(() => service?.stop());

  const clientOf = ({ user }) =>
    new ImageClient({ baseUrl: service.url, getToken: ({ forceRefresh }) => user.getIdToken(forceRefresh) });

  test("the sample of the README uploads with the ID token", async () => {
    await createUser(`node-${Date.now()}@example.com`);
    const [sample] = samplesOf("firebase").map((text) => text.replace("https://photos.example.com", service.url));
    const script = join(ROOT, "tests/sdk/node_modules/.firebase_sample.mjs");
    writeFileSync(script, `${sample}\nexport { client };`);
    const { client } = await import(script);
    await assertOnlyImage(client, await client.upload(PHOTO), PHOTO);
  });

  test("an upload in a browser survives a lost network and a reload", { skip: noChromium }, async (context) => {
    const email = `web-${Date.now()}@example.com`;
    const client = clientOf(await createUser(email));
    const proxy = await startProxy(service.settings.PORT);
    const example = readFileSync(join(ROOT, "examples/web/index.html"), "utf8");
    const emulated = `const auth = getAuth(initializeApp(FIREBASE));
      connectAuthEmulator(auth, "http://${EMULATOR}", { disableWarnings: true });`;
    const html = example
      .replace("https://photos.example.com", proxy.url)
      .replace("      getAuth,\n", "      connectAuthEmulator,\n      getAuth,\n")
      .replace("const auth = getAuth(initializeApp(FIREBASE));", emulated);
    const pages = await servePages(pagePort, (path) => (path === "/index.html" ? html : null));
    const folder = mkdtempSync(join(tmpdir(), "sdk-"));
    const photo = join(folder, "large.jpg");
    writeFileSync(photo, LARGE);
    const browser = await launch();
    context.after(async () => {
      await browser.close();
      await Promise.all([proxy.stop(), pages.stop()]);
      rmSync(folder, { recursive: true });
    });

    const page = await openPage(browser, "about:blank");
    await page.route(CDN, (route) =>
      route.fulfill({
        path: join(FIREBASE, "node_modules/firebase", route.request().url().replace(CDN, "")),
        contentType: "text/javascript",
        headers: { "Access-Control-Allow-Origin": "*" },
      }),
    );
    await page.goto(pages.url);
    await page.getByLabel("Email").fill(email);
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Sign in" }).click();

    // It is visible once the user is signed in.
    const choosePhoto = async () => {
      await page.getByLabel("Add a photo").waitFor({ timeout: 600_000 });
      await page.getByLabel("Add a photo").setInputFiles(photo);
    };
    proxy.pauseAt = 6_000_000;
    await choosePhoto();
    await until(() => proxy.isPaused, "the first part of the file");
    proxy.pauseAt = Infinity;
    proxy.isDown = true;
    proxy.cut();
    await until(() => proxy.refused >= 2, "attempts without a network");
    proxy.pauseAt = proxy.passed + 12_000_000;
    proxy.isDown = false;
    await until(() => proxy.isPaused, "the second part of the file");

    proxy.pauseAt = Infinity;
    await page.reload();
    proxy.cut();
    page.errors = []; // The browser reports the requests that failed.
    let offset = null;
    proxy.onResponse = (data) => {
      offset ??= /^upload-offset: (\d+)/im.exec(data)?.[1] ?? null;
      return true;
    };
    await choosePhoto();
    await page.getByText("The photo is stored.").waitFor({ timeout: 600_000 });
    assert.ok(Number(offset) > 5_000_000, `continued at ${offset}`);
    await page.waitForFunction(() => document.querySelector("#photos img")?.naturalWidth > 0);
    assertNoErrors(page);

    const images = [];
    for await (const image of client.list()) images.push(image);
    assert.equal(images[0].filename, "large.jpg");
    await assertOnlyImage(client, images[0], LARGE);
  });
});
