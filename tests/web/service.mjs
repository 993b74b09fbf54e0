/** Starts the service as users do: in separate processes, on free ports and with a temporary data folder. */

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const PYTHON = join(ROOT, ".venv/bin/python");
const START_MS = 300_000;
export const CORPUS = fileURLToPath(new URL("../../../shared/corpus/", import.meta.url));
export const noCorpus = existsSync(CORPUS) ? false : "requires the corpus of test images in ../shared/corpus";

/** The backend of the suites that run on one backend at a time: `make test-web-aws` runs them again on aws. */
export const BACKEND = process.env.BACKEND ?? "embedded";

/** The backends of the suites that run on both. The aws backend requires an emulator, which `make test-web` starts. */
export const BACKENDS = [
  { name: "embedded", skip: false },
  { name: "aws", skip: process.env.LOCALSTACK_ENDPOINT_URL ? false : "requires an AWS emulator: run `make test-web`" },
];

export async function startService(backend, { rootPath = "", environment = {} } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "pictures-"));
  const [port, catalogPort] = [await freePort(), await freePort()];
  const catalog = startPython(["-m", "tests.fake_catalog", catalogPort], process.env);
  const settings = {
    ...process.env,
    BACKEND: backend,
    ENVIRONMENT: "development",
    LOG_LEVEL: "WARNING",
    DATA_DIR: join(folder, "data"),
    PORT: port,
    PRODUCT_CATALOG_URL: `http://127.0.0.1:${catalogPort}`,
    ...(typeof environment === "function" ? environment(port) : environment),
  };
  const server = ["-m", "uvicorn", "main:app", "--port", port, "--root-path", rootPath, "--log-level", "warning"];
  const processes = [catalog, startPython(rootPath ? server : ["main.py"], settings)];
  if (backend === "aws")
    processes.push(startPython(["-m", "app", "worker"], { ...settings, DATA_DIR: join(folder, "worker") }));
  const url = `http://localhost:${port}/`;
  const service = { url, settings, stop: () => stop(processes, folder) };
  try {
    await waitUntilReady(`${url}health/ready`, processes);
  } catch (error) {
    await service.stop();
    throw error;
  }
  return service;
}

/** A test that fails before it stops its service must not leave processes, and its report must not wait for them. */
const running = new Set();
process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));

function startPython(args, env) {
  const child = spawn(PYTHON, args.map(String), { cwd: ROOT, env, stdio: ["ignore", "ignore", "inherit"] });
  child.unref();
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

async function stop(processes, folder) {
  await Promise.all(
    processes.map(async (child) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.ref(); // From now on, this process waits for it.
      const exited = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      const killTimer = setTimeout(() => child.kill("SIGKILL"), 15_000);
      await exited;
      clearTimeout(killTimer);
    }),
  );
  rmSync(folder, { recursive: true, force: true });
}

async function waitUntilReady(url, processes) {
  const deadline = Date.now() + START_MS;
  while (Date.now() < deadline) {
    if (processes.some(({ exitCode }) => exitCode !== null)) throw new Error(`A process has ended before ${url} was ready.`);
    const response = await fetch(url).catch(() => null);
    if (response?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`The service was not ready after ${START_MS} ms: ${url}`);
}

export function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
