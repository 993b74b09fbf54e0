/** Lets one tab at a time through. */

const LEASE_MS = 15_000;
const SETTLE_MS = 60;
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export async function oneTabAtATime(name, action) {
  if (navigator.locks) return navigator.locks.request(name, action);
  return withLease(name, action);
}

// Web Locks exist in secure contexts only. Over plain http in a local network a lease in the storage does the same.
async function withLease(name, action) {
  const mine = `${Math.random()}`;
  for (;;) {
    const [holder, until] = (localStorage.getItem(name) ?? " 0").split(" ");
    if (holder === mine) break;
    if (Number(until) < Date.now()) localStorage.setItem(name, `${mine} ${Date.now() + LEASE_MS}`);
    await pause(SETTLE_MS);
  }
  try {
    return await action();
  } finally {
    localStorage.removeItem(name);
  }
}
