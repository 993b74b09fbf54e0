/** Lock that only one tab of the browser holds at a time. */

const LEASE_MS = 15_000;
const POLL_MS = 60;
const delay = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export async function withTabLock(name, action) {
  if (navigator.locks) return navigator.locks.request(name, action);
  return withLease(name, action);
}

// The Web Locks API exists only in secure contexts. On pages loaded over plain HTTP, a lease in localStorage replaces it.
async function withLease(name, action) {
  const ownId = `${Math.random()}`;
  for (;;) {
    const [holder, expiresAt] = (localStorage.getItem(name) ?? " 0").split(" ");
    if (holder === ownId) break;
    if (Number(expiresAt) < Date.now()) localStorage.setItem(name, `${ownId} ${Date.now() + LEASE_MS}`);
    await delay(POLL_MS);
  }
  try {
    return await action();
  } finally {
    localStorage.removeItem(name);
  }
}
