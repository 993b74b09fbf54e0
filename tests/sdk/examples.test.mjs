/** The examples that need no Firebase. */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ImageClient, PasswordSession } from "image-upload-service";
import { assertNoErrors, launch, noChromium, openPage } from "../web/browser.mjs";
import { freePort, PYTHON, ROOT, startService } from "../web/service.mjs";
import { filesIn, servePages, until } from "./pages.mjs";
import { assertOnlyImage, PHOTO } from "./photos.mjs";

const REACT = join(ROOT, "examples/react");
const noReact = existsSync(join(REACT, "node_modules")) ? noChromium : "requires the packages: run `make test-sdk`";
const PASSWORD = "a long enough passphrase";

describe("the examples", { timeout: 600_000 }, () => {
  let service;
  let pagePort;
  let folder;
  before(async () => {
    pagePort = await freePort();
    folder = mkdtempSync(join(tmpdir(), "sdk-"));
    const environment = { CORS_ORIGINS: `http://127.0.0.1:${pagePort}` };
    service = await startService("embedded", { environment });
  });
  after(async () => {
    await service?.stop();
    rmSync(folder, { recursive: true });
  });

  test("React", { skip: noReact }, async (context) => {
    const dist = join(folder, "react");
    execFileSync("npx", ["vite", "build", "--outDir", dist, "--logLevel", "warn"], {
      cwd: REACT,
      env: { ...process.env, VITE_SERVICE: service.url },
      timeout: 600_000,
    });
    const photo = join(folder, "beach.jpg");
    writeFileSync(photo, PHOTO);
    const pages = await servePages(pagePort, filesIn(dist));
    const browser = await launch();
    context.after(async () => {
      await browser.close();
      await pages.stop();
    });
    const page = await openPage(browser, pages.url);
    const account = { email: `react-${Date.now()}@example.com`, password: PASSWORD };
    await page.getByLabel("Email").fill(account.email);
    await page.getByLabel("Password").fill(account.password);
    await page.getByRole("button", { name: "Create an account" }).click();
    await page.getByLabel("Add a photo").setInputFiles(photo);
    await page.getByText("beach.jpg").waitFor({ timeout: 600_000 });
    assertNoErrors(page);

    await page.reload();
    await page.waitForFunction(() => document.querySelector("img[srcset]")?.naturalWidth > 0);
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByText("beach.jpg").waitFor({ state: "detached" });
    const text = join(folder, "notes.txt");
    writeFileSync(text, "This is not an image.");
    await page.getByLabel("Add a photo").setInputFiles(text);
    await page.getByText("format").waitFor();
    const session = new PasswordSession({ baseUrl: service.url });
    await session.signIn(account.email, account.password);
    const { usage } = await new ImageClient({ baseUrl: service.url, getToken: session.getToken }).account();
    assert.equal(usage.images, 0);
  });

  test("a server with a server key", async (context) => {
    const session = new PasswordSession({ baseUrl: service.url });
    await session.register({ email: `server-${Date.now()}@example.com`, password: PASSWORD });
    const client = new ImageClient({ baseUrl: service.url, getToken: session.getToken });
    const { id: userId } = await client.account();
    const createKey = ["-m", "app", "keys", "create", "example", "--scope", "images"];
    const output = execFileSync(PYTHON, createKey, { cwd: ROOT, env: service.settings, encoding: "utf8" });
    const port = await freePort();
    // The example finds the packed client in tests/sdk/node_modules.
    const folderOfServer = mkdtempSync(join(ROOT, "tests/sdk/node_modules/.server-"));
    const script = join(folderOfServer, "server.mjs");
    writeFileSync(script, filesIn(join(ROOT, "examples/node-server"))("server.mjs"));
    const server = spawn("node", [script], {
      env: {
        ...process.env,
        IMAGE_SERVICE_URL: service.url,
        IMAGE_SERVICE_KEY: /isk_\S+/.exec(output)[0],
        DEMO_USER_ID: userId,
        PORT: port,
      },
      stdio: ["ignore", "ignore", "inherit"],
    });
    context.after(() => {
      server.kill();
      rmSync(folderOfServer, { recursive: true });
    });
    const url = `http://127.0.0.1:${port}/photos`;
    await until(() => fetch(url).then(() => true, () => false), "the example server");

    assert.equal((await fetch(url)).status, 401);
    const headers = { Cookie: "session=demo" };
    const refused = await fetch(url, { method: "POST", headers, body: "This is not an image." });
    assert.equal(refused.status, 415);
    const stored = await (await fetch(url, { method: "POST", headers, body: PHOTO })).json();
    assert.deepEqual((await (await fetch(url, { headers })).json()).map(({ id }) => id), [stored.id]);
    await assertOnlyImage(client, await client.get(stored.id), PHOTO);
  });
});
