import type { Writable } from 'node:stream';

/** One stored object, open for reading. Structurally an `ArchiveSource` of libs/archive. */
export interface StoredObject {
  readonly sizeBytes: number;
  /** Exactly `length` bytes from `offset`; throws ARCHIVE_TRUNCATED when the object is shorter, STORAGE_UNAVAILABLE naming the object when it cannot be read. */
  read(offset: number, length: number): Promise<Buffer>;
  /** Bytes from `start` up to, not including, `end` (default: the end of the object), in chunks of at most 1 MiB. */
  stream(start?: number, end?: number): AsyncIterable<Buffer>;
  close(): Promise<void>;
}

export interface ObjectInfo {
  readonly key: string;
  readonly sizeBytes: number;
  readonly modifiedAt: Date;
}

/** What was begun, in one go or in pieces, and neither finished nor discarded. */
export interface IncompleteObject {
  readonly key: string;
  /** The latest time of it that the store knows: its beginning at the least. */
  readonly touchedAt: Date;
}

/** A write under way. Nothing is visible under the key until `commit` has resolved. */
export interface ObjectUpload {
  /** Backpressure comes from the stream, which is done with the bytes of a write when it calls back; a failure destroys it with a coded AppError (STORAGE_FULL, STORAGE_UNAVAILABLE). */
  readonly body: Writable;
  /** Ends the body, makes the bytes durable (file and folder fsynced, or multipart completed) and visible, atomically. */
  commit(): Promise<void>;
  /** Removes what was written; idempotent; never throws because there was nothing to remove. */
  abort(): Promise<void>;
}

export interface AppendResult {
  /** Bytes that are durable now, from the object's first one on. */
  readonly receivedBytes: number;
  /** Why `body` ended early; null when it was taken whole. */
  readonly brokenOff: unknown;
}

/**
 * Objects that arrive over many requests, days and processes. What has arrived stays until it is published or discarded
 * (`discardIncomplete`); that only one writer is at work is for the caller to see to.
 */
export interface ResumableObjects {
  /** Bytes that have arrived, or the size of the published object; 0 before the first. */
  received(key: string): Promise<number>;
  /**
   * Writes on at `offset`, which must be what has arrived (else UPLOAD_CONFLICT), up to `limitBytes` in all. A `body` that breaks off
   * leaves what arrived until then and is told in the result, not thrown.
   *
   * @throws AppError UPLOAD_CONFLICT, STORAGE_FULL, STORAGE_UNAVAILABLE
   */
  append(key: string, offset: number, limitBytes: number, body: AsyncIterable<Buffer>): Promise<AppendResult>;
  /** Makes the object visible under its key, durable and atomically; idempotent. Throws ARCHIVE_MISSING when nothing has arrived. */
  publish(key: string): Promise<void>;
}

export interface DirectParts {
  /** Of each part but the last. */
  readonly partBytes: number;
  /** In the order of the parts; each takes exactly as many bytes as its part has, by PUT, without a login. */
  readonly urls: readonly string[];
}

/** Objects whose bytes a client sends to the store itself. They end as resumable ones do: `received`, `publish`, `discardIncomplete`. */
export interface DirectUploads {
  begin(key: string, sizeBytes: number, expiresInSeconds: number): Promise<DirectParts>;
}

/** From the moment at which an object is written nobody deletes it for so many days: under COMPLIANCE nobody at all, under GOVERNANCE nobody but whom the store gives the right to. Holdfast never uses that right. */
export interface ObjectLock {
  readonly mode: 'GOVERNANCE' | 'COMPLIANCE';
  readonly days: number;
}

/** By which a store is known again: one small object, written once, that no key names and no listing shows. */
export interface StoreMark {
  /** Null where there is none. @throws AppError STORAGE_UNAVAILABLE */
  read(): Promise<string | null>;
  /** Durable when it resolves; false, and nothing written, where there is one. @throws AppError STORAGE_FULL, STORAGE_UNAVAILABLE */
  create(text: string): Promise<boolean>;
}

/**
 * Where archives lie. Keys are relative paths of `[A-Za-z0-9._-]` segments of at most 200 characters, none beginning with a dot, joined by `/`; anything
 * else is refused (BAD_USER_INPUT). An object is replaced whole by a later `commit` under its key.
 * Adapters: a local folder, S3.
 */
export interface ArchiveStore {
  /** For people and logs: no credentials. */
  readonly location: string;
  readonly resumable: ResumableObjects;
  /** Null where clients cannot reach the store. */
  readonly direct: DirectUploads | null;
  /** What `create` writes has it; null: none. What is resumable or direct has none until it is protected. */
  readonly lock: ObjectLock | null;
  readonly mark: StoreMark;
  create(key: string): Promise<ObjectUpload>;
  /** Gives an object that is there the store's lock, counted from now, where it has a shorter one or none. Never shortens one. Does nothing where the store has no lock. */
  protect(key: string): Promise<void>;
  /** Throws OBJECT_LOCK_UNFIT where the store is to lock and cannot. */
  requireLock(): Promise<void>;
  /** Throws ARCHIVE_MISSING when there is no such object. */
  open(key: string): Promise<StoredObject>;
  stat(key: string): Promise<ObjectInfo | null>;
  /**
   * For good: also where the store keeps older versions, and those that are hidden. Idempotent; true when something was deleted. Throws `StorageLocked` for what
   * the store holds, when everything else is gone.
   */
  delete(key: string): Promise<boolean>;
  /** In the order of the keys; uploads under way are left out. */
  list(prefix: string): AsyncIterable<ObjectInfo>;
  /** Keys under which bytes lie, also such that only older versions or hidden ones do; a key may come more than once. */
  allKeys(prefix: string): AsyncIterable<string>;
  /** Removes what an interrupted `create(key)` left, whichever process began it; idempotent. */
  discardIncomplete(key: string): Promise<void>;
  /** In no order, a key more than once where several were begun; those of other users of the store's place, too. */
  incomplete(): AsyncIterable<IncompleteObject>;
  /** Bytes still free, or null where the store cannot know (S3). */
  freeBytes(): Promise<number | null>;
  /** Writes, reads and deletes a probe object; throws STORAGE_FULL, STORAGE_UNAVAILABLE or OBJECT_LOCK_UNFIT with the reason. */
  check(): Promise<void>;
}
