/** Remembers uploads that have not ended, so that the same file continues its upload after a reload. */

import type { KeyValueStorage } from "./storage.js";

export interface PendingUpload {
  idempotencyKey: string;
  /** The id of the resumable upload, once it was created. */
  uploadId?: string;
  startedAt: number;
}

type Entries = Record<string, PendingUpload>;

/** The service forgets idempotency keys and resumable uploads after a day. */
const KEPT_MS = 24 * 3600 * 1000;

export class PendingUploads {
  readonly #storage: KeyValueStorage;
  readonly #name: string;
  /** Changes are made one after the other, because each one reads and writes all entries. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(storage: KeyValueStorage, name: string) {
    this.#storage = storage;
    this.#name = name;
  }

  async find(id: string): Promise<PendingUpload | undefined> {
    await this.#last;
    return (await this.#read())[id];
  }

  /** Remember an upload, or with null forget it. */
  save(id: string, upload: PendingUpload | null): Promise<void> {
    const saved = this.#last.then(async () => {
      const { [id]: _, ...others } = await this.#read();
      const entries = upload ? { ...others, [id]: upload } : others;
      try {
        if (Object.keys(entries).length > 0) await this.#storage.setItem(this.#name, JSON.stringify(entries));
        else await this.#storage.removeItem(this.#name);
      } catch {
        // Without storage, for example because it is full, the upload works but is not continued after a reload.
      }
    });
    this.#last = saved;
    return saved;
  }

  async #read(): Promise<Entries> {
    try {
      const entries: Entries = JSON.parse((await this.#storage.getItem(this.#name)) ?? "{}");
      const isKept = ([, { startedAt }]: [string, PendingUpload]) => Date.now() - startedAt < KEPT_MS;
      return Object.fromEntries(Object.entries(entries).filter(isKept));
    } catch {
      return {};
    }
  }
}
