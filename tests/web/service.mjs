/** The service as people start it, in processes of its own, on free ports and with a folder of its own. */

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PYTHON = join(ROOT, ".venv/bin/python");
const START_MS = 40_000;
export const CORPUS = fileURLToPath(new URL("../../../shared/corpus/", import.meta.url));
export const noCorpus = existsSync(CORPUS) ? false : "the corpus of test images is not beside this checkout";

/** The backends to test: aws needs a stand-in, which `make test-web` starts. */
export const BACKENDS = [
  { name: "embedded", skip: false },
  { name: "aws", skip: process.env.LOCALSTACK_ENDPOINT_URL ? false : "no stand-in for AWS: run `make test-web`" },
];

export async function startService(backend, { rootPath = "", changes = {} } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "pictures-"));
  const [port, catalogPort] = [await freePort(), await freePort()];
  const catalog = run(["-m", "tests.fake_catalog", catalogPort], process.env);
  const settings = {
    ...process.env,
    BACKEND: backend,
    ENVIRONMENT: "development",
    LOG_LEVEL: "WARNING",
    DATA_DIR: join(folder, "data"),
    PORT: port,
    PRODUCT_CATALOG_URL: `http://127.0.0.1:${catalogPort}`,
    ...changes,
  };
  const server = ["-m", "uvicorn", "main:app", "--port", port, "--root-path", rootPath, "--log-level", "warning"];
  const processes = [catalog, run(rootPath ? server : ["main.py"], settings)];
  if (backend === "aws") processes.push(run(["-m", "app.worker"], { ...settings, DATA_DIR: join(folder, "worker") }));
  const url = `http://localhost:${port}/`;
  await isReady(`${url}health/ready`);
  return { url, stop: () => stop(processes, folder) };
}

function run(parameters, env) {
  return spawn(PYTHON, parameters.map(String), { cwd: ROOT, env, stdio: ["ignore", "ignore", "inherit"] });
}

async function stop(processes, folder) {
  await Promise.all(
    processes.map(async (process) => {
      if (process.exitCode !== null) return;
      const gone = new Promise((resolve) => process.once("exit", resolve));
      process.kill("SIGTERM");
      const killing = setTimeout(() => process.kill("SIGKILL"), 15_000);
      await gone;
      clearTimeout(killing);
    }),
  );
  rmSync(folder, { recursive: true, force: true });
}

async function isReady(url) {
  const deadline = Date.now() + START_MS;
  while (Date.now() < deadline) {
    const response = await fetch(url).catch(() => null);
    if (response?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`not ready: ${url}`);
}

export function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
