import { AppError } from '#errors';
import { createHash, hkdfSync } from 'node:crypto';

/** One master key. `key` is 32 bytes and never leaves the process. */
export interface MasterKey {
  readonly id: string;
  readonly key: Buffer;
}

/** What opens archives: the master keys of an installation, or one tenant's own keys. */
export interface TenantKeys {
  /** 32 bytes; null where this key, or this tenant's, is not there. */
  tenantKey(keyId: string, tenantId: string): Buffer | null;
}

const keyBytes = 32;
const idPattern = /^[A-Za-z0-9._-]{1,64}$/;

/**
 * The master keys of the installation: the current one encrypts, the old ones only read. Built from the texts of
 * BACKUP_ENCRYPTION_KEY and BACKUP_ENCRYPTION_KEYS_OLD.
 */
export class KeyRing implements TenantKeys {
  private readonly keys = new Map<string, MasterKey>();

  private constructor(readonly current: MasterKey | null) {
    if (current !== null) this.keys.set(current.id, current);
  }

  /**
   * `current` is one entry, `old` a comma-separated list. An entry is `<base64 of 32 bytes>` or `<id>:<base64>`; without an id
   * it is "k-" and the first 8 hex digits of the key's SHA-256. Empty or absent means no key. Throws
   * ENCRYPTION_KEY_MISSING for a malformed entry or an id that stands twice; the message names variable and entry, never a value.
   */
  static parse(current?: string, old?: string): KeyRing {
    const text = current?.trim() ?? '';
    const ring = new KeyRing(text === '' ? null : parseEntry(text, 'BACKUP_ENCRYPTION_KEY'));
    const entries = (old ?? '').trim() === '' ? [] : (old ?? '').split(',');
    entries.forEach((entry, index) => ring.add(entry.trim(), `Entry ${index + 1} of BACKUP_ENCRYPTION_KEYS_OLD`));
    return ring;
  }

  /** Keys out of a file: an entry a line, the current key first; empty lines and lines that begin with # do not count. Throws as `parse`. */
  static parseFile(text: string): KeyRing {
    const lines = text.split('\n').map((line, index) => ({ entry: line.trim(), where: `Line ${index + 1} of the key file` }));
    const [first, ...others] = lines.filter(({ entry }) => entry !== '' && !entry.startsWith('#'));
    const ring = new KeyRing(first === undefined ? null : parseEntry(first.entry, first.where));
    for (const { entry, where } of others) ring.add(entry, where);
    return ring;
  }

  private add(entry: string, where: string): void {
    const key = parseEntry(entry, where);
    if (this.keys.has(key.id)) throw new AppError('ENCRYPTION_KEY_MISSING', `${where} has the same id as another key: ${key.id}`);
    this.keys.set(key.id, key);
  }

  find(id: string): MasterKey | null {
    return this.keys.get(id) ?? null;
  }

  tenantKey(keyId: string, tenantId: string): Buffer | null {
    const masterKey = this.find(keyId);
    return masterKey === null ? null : deriveTenantKey(masterKey, tenantId);
  }

  /** Ids of all keys, the current one first. */
  get ids(): readonly string[] {
    return [...this.keys.keys()];
  }

  get isEmpty(): boolean {
    return this.keys.size === 0;
  }
}

function parseEntry(entry: string, where: string): MasterKey {
  const colon = entry.indexOf(':');
  const id = colon === -1 ? null : entry.slice(0, colon);
  const base64 = entry.slice(colon + 1);
  if (id !== null && !idPattern.test(id)) {
    throw new AppError('ENCRYPTION_KEY_MISSING', `${where} has a malformed id: use 1 to 64 letters, digits, dots, dashes or underscores before the colon`);
  }
  const key = Buffer.from(base64, 'base64');
  if (key.length !== keyBytes || key.toString('base64') !== base64) {
    throw new AppError('ENCRYPTION_KEY_MISSING', `${where} is malformed: expected <base64 of 32 bytes> or <id>:<base64 of 32 bytes>`);
  }
  return { id: id ?? `k-${createHash('sha256').update(key).digest('hex').slice(0, 8)}`, key };
}

const empty = Buffer.alloc(0);
const tenantLabel = Buffer.from('DBK1 tenant\0');
const checkLabel = Buffer.from('DBK1 check');
const archiveLabel = Buffer.from('DBK1 archive\0');

function hkdf(key: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, info, length));
}

/** The key of one tenant; `tenantId` is its id as it stands in the archive's context, a UUID in lower case. */
export function deriveTenantKey(masterKey: MasterKey, tenantId: string): Buffer {
  return hkdf(masterKey.key, empty, Buffer.concat([tenantLabel, Buffer.from(tenantId)]), keyBytes);
}

/** 16 bytes in the header that tell a wrong key from a damaged file. */
export function deriveKeyCheck(tenantKey: Buffer, salt: Buffer): Buffer {
  return hkdf(tenantKey, salt, checkLabel, 16);
}

/** The key of one archive: its salt makes it unique, its header is bound into it. */
export function deriveArchiveKey(tenantKey: Buffer, salt: Buffer, headerSha256: Buffer): Buffer {
  return hkdf(tenantKey, salt, Buffer.concat([archiveLabel, headerSha256]), keyBytes);
}
