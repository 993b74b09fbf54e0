/** The kinds of files that can be uploaded, as one interface. */

/** What the image pickers of React Native return, with these names. */
export interface ReactNativeFile {
  uri: string;
  name: string;
  type: string;
  /** In bytes. Without it, the file is opened to learn its size. */
  size?: number;
}

/** A `File` is a `Blob`, and Node's `openAsBlob` returns a `Blob` that is read from the disk when it is sent. */
export type UploadableFile = Blob | Uint8Array | ReactNativeFile;

export interface OpenFile {
  name: string;
  type: string;
  size: number;
  /** Recognizes the same file after a reload of the page, or null if the file has nothing to recognize it by. */
  fingerprint: string | null;
  /** The value of the field `file` of a form. */
  formPart: Blob | ReactNativeFile;
  blob(): Promise<Blob>;
}

const DEFAULT_NAME = "image";

export function isReactNative(): boolean {
  return typeof navigator !== "undefined" && navigator.product === "ReactNative";
}

/** Throws TypeError if the value is not a file. */
export async function openFile(file: UploadableFile, filename?: string): Promise<OpenFile> {
  if (file instanceof Uint8Array) return openBlob(new Blob([file as Uint8Array<ArrayBuffer>]), filename);
  if (file instanceof Blob) return openBlob(file, filename);
  if (typeof file?.uri !== "string") throw new TypeError("Expected a Blob, a File, a Uint8Array or {uri, name, type}.");
  const blob = async () => (await fetch(file.uri)).blob();
  const size = file.size ?? (await blob()).size;
  const name = filename ?? file.name;
  const fingerprint = JSON.stringify([name, size, file.uri]);
  // A form of React Native takes the description of a file, a form of browsers and Node its content.
  const formPart = isReactNative() ? { ...file, name } : await blob();
  return { name, type: file.type, size, fingerprint, formPart, blob };
}

function openBlob(blob: Blob, filename?: string): OpenFile {
  const { name, lastModified } = blob as Partial<File>;
  const { type, size } = blob;
  return {
    name: filename ?? name ?? DEFAULT_NAME,
    type,
    size,
    fingerprint: lastModified === undefined ? null : JSON.stringify([name, size, lastModified]),
    formPart: blob,
    blob: async () => blob,
  };
}
