/** Immutable bytes by key. Keys are relative POSIX paths; the first write of a key wins. */
export interface Blobs {
  put(key: string, bytes: Uint8Array): Promise<"written" | "existed">;
  /** Null: there is no such key. */
  get(key: string): Promise<Uint8Array | null>;
  /** Keys under a folder, sorted. The slash is in the type: `runs/1/` never lists `runs/10/`. */
  list(folder: `${string}/`): Promise<string[]>;
}
