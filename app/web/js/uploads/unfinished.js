/** Stores the files of unfinished uploads in IndexedDB, so that the uploads can continue after a reload of the page. */

import { UNFINISHED_KEY } from "./uploads.js";

const DATABASE = "pictures.unfinished";
const STORE = "uploads";
let connection = null;

/** Stores {id, email, file}. If the browser cannot store the file, the upload does not continue after a reload. */
export async function remember(unfinished) {
  localStorage.setItem(UNFINISHED_KEY, "true");
  await transact("readwrite", (store) => store.put(unfinished)).catch(() => {});
}

export async function forget(id) {
  await transact("readwrite", (store) => store.delete(id)).catch(() => {});
}

export async function forgetAll() {
  localStorage.removeItem(UNFINISHED_KEY);
  await transact("readwrite", (store) => store.clear()).catch(() => {});
}

export async function readAll() {
  const all = await transact("readonly", (store) => store.getAll()).catch(() => []);
  if (!all.length) localStorage.removeItem(UNFINISHED_KEY);
  return all;
}

/** Holds the upload as soon as no other tab does, and returns it, or undefined if it was finished or discarded. */
export async function readOnceFree(id) {
  await hold(id);
  return transact("readonly", (store) => store.get(id)).catch(() => undefined);
}

/** Holds the upload until this page is closed or reloaded. */
export function hold(id) {
  // The Web Locks API exists only in secure contexts. Without it, two tabs may send the same upload. The service admits
  // one request at a time, so that this costs time but creates no second image.
  if (!navigator.locks) return null;
  return new Promise((resolve) => {
    navigator.locks.request(`${DATABASE}.${id}`, () => {
      resolve();
      return new Promise(() => {});
    });
  });
}

async function transact(mode, operate) {
  connection ??= open();
  const transaction = (await connection).transaction(STORE, mode);
  const request = operate(transaction.objectStore(STORE));
  transaction.commit(); // Otherwise the browser would abort the transaction when the page is closed.
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error);
  });
}

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
