import { type GetToken, parse, retrying } from "./connection.js";
import { ImageServiceError } from "./errors.js";
import { type KeyValueStorage, memoryStorage } from "./storage.js";
import { send } from "./transport.js";
import type { Tokens } from "./types.js";

const STORED_AS = "image-upload-service.session";
/** A token is renewed when it is valid for less than this. */
const MARGIN_MS = 60_000;

interface StoredTokens {
  accessToken: string;
  refreshToken: string;
  expiresAt: number;
}

export interface NewAccount {
  email: string;
  password: string;
  display_name?: string;
  /** Required by services with `REGISTRATION=invite`. */
  invitation?: string;
}

export interface PasswordSessionOptions {
  baseUrl: string;
  /**
   * Where the tokens are kept. By default in memory, so that the user signs in again after a reload. Every script of
   * the page can read `localStorage`.
   */
  storage?: KeyValueStorage;
}

/** Signs in to a service that stores the accounts itself, and renews the access token. */
export class PasswordSession {
  readonly #base: string;
  readonly #storage: KeyValueStorage;
  #renewal: Promise<StoredTokens> | null = null;

  constructor({ baseUrl, storage = memoryStorage() }: PasswordSessionOptions) {
    this.#base = `${baseUrl.replace(/\/+$/, "")}/api/v1/auth`;
    this.#storage = storage;
  }

  /** Throws ImageServiceError, for example `email_taken` or `password_weak`. */
  async register(account: NewAccount): Promise<void> {
    await this.#save(await this.#post<Tokens>("/register", JSON.stringify(account), "application/json"));
  }

  /** Throws ImageServiceError, for example `credentials_invalid` or `too_many_attempts`. */
  async signIn(email: string, password: string): Promise<void> {
    await this.#save(await this.#post<Tokens>("/token", form({ username: email, password })));
  }

  /** End the session. It is forgotten here even if the service cannot be reached. */
  async signOut(): Promise<void> {
    const tokens = await this.#read();
    await this.#storage.removeItem(STORED_AS);
    if (!tokens) return;
    const headers = { Authorization: `Bearer ${tokens.accessToken}` };
    await send({ method: "POST", url: `${this.#base}/logout`, headers }).catch(() => {});
  }

  async isSignedIn(): Promise<boolean> {
    return (await this.#read()) !== null;
  }

  /** The `getToken` of an `ImageClient`. Throws ImageServiceError, for example `signed_out`. */
  readonly getToken: GetToken = async ({ forceRefresh }) => {
    const tokens = await this.#read();
    if (!tokens) throw new ImageServiceError({ code: "signed_out", message: "Sign in first." });
    if (!forceRefresh && tokens.expiresAt - Date.now() > MARGIN_MS) return tokens.accessToken;
    this.#renewal ??= this.#renew(tokens).finally(() => {
      this.#renewal = null;
    });
    return (await this.#renewal).accessToken;
  };

  /** For a minute, the service returns the same new tokens for one refresh token, so that tabs need no lock. */
  async #renew({ refreshToken }: StoredTokens): Promise<StoredTokens> {
    try {
      const refresh = () => this.#post<Tokens>("/refresh", form({ refresh_token: refreshToken }));
      return await this.#save(await retrying(refresh));
    } catch (error) {
      if (error instanceof ImageServiceError && error.status === 401) await this.#storage.removeItem(STORED_AS);
      throw error;
    }
  }

  async #post<T>(path: string, body: string, type = "application/x-www-form-urlencoded"): Promise<T> {
    return parse<T>(await send({ method: "POST", url: this.#base + path, headers: { "Content-Type": type }, body }));
  }

  async #save(tokens: Tokens): Promise<StoredTokens> {
    const { access_token: accessToken, refresh_token: refreshToken, expires_in: seconds } = tokens;
    const stored = { accessToken, refreshToken, expiresAt: Date.now() + seconds * 1000 };
    await this.#storage.setItem(STORED_AS, JSON.stringify(stored));
    return stored;
  }

  async #read(): Promise<StoredTokens | null> {
    return JSON.parse((await this.#storage.getItem(STORED_AS)) ?? "null");
  }
}

function form(fields: Record<string, string>): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join("&");
}
