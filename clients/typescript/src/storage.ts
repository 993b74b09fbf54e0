/** `localStorage`, or the AsyncStorage of React Native. */
export interface KeyValueStorage {
  getItem(key: string): string | null | Promise<string | null>;
  setItem(key: string, value: string): unknown;
  removeItem(key: string): unknown;
}

/** Return a storage that lasts as long as the process or the page. */
export function memoryStorage(): KeyValueStorage {
  const values = new Map<string, string>();
  return {
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => values.set(key, value),
    removeItem: (key) => values.delete(key),
  };
}

/** Return the storage of the browser, or one in memory if there is none or the page may not use it. */
export function defaultStorage(): KeyValueStorage {
  try {
    return (typeof document === "undefined" ? null : globalThis.localStorage) ?? memoryStorage();
  } catch {
    return memoryStorage();
  }
}
