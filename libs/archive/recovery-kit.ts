import { AppError } from '#errors';
import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto';
import type { TenantKeys } from './keys.js';

/** The keys of one tenant, as they leave the installation: under a passphrase, without the master keys that they come from. */
export interface RecoveryKitContent {
  readonly tenant: { readonly id: string; readonly slug: string; readonly name: string };
  readonly keys: readonly { readonly id: string; readonly tenantKey: Buffer }[];
}

interface RecoveryKitFile {
  readonly format: typeof format;
  readonly version: 1;
  readonly tenant: RecoveryKitContent['tenant'];
  readonly keyIds: readonly string[];
  readonly kdf: { readonly name: 'scrypt'; readonly salt: string; readonly n: number; readonly r: number; readonly p: number };
  readonly nonce: string;
  readonly sealed: string;
}

const format = 'holdfast-recovery-kit';
const tenantKeyBytes = 32;
const tagBytes = 16;
const cost = { n: 2 ** 17, r: 8, p: 1 } as const;
const memoryBytes = 256 * 1024 * 1024;
const shortestPassphrase = 12;

/** JSON for a file, or a sheet of paper: AES-256-GCM under scrypt of the passphrase; what is readable in it is authenticated. */
export function sealRecoveryKit({ tenant, keys }: RecoveryKitContent, passphrase: string): string {
  if (passphrase.length < shortestPassphrase) throw new AppError('BAD_USER_INPUT', `The passphrase must have at least ${shortestPassphrase} characters`);
  const [salt, nonce] = [randomBytes(32), randomBytes(12)];
  const open = { format, version: 1, tenant, keyIds: keys.map(({ id }) => id), kdf: { name: 'scrypt', salt: salt.toString('base64'), ...cost }, nonce: nonce.toString('base64') } as const;
  const cipher = createCipheriv('aes-256-gcm', derive(passphrase, salt, cost), nonce).setAAD(authenticated(open));
  const sealed = Buffer.concat([cipher.update(Buffer.concat(keys.map(({ tenantKey }) => tenantKey))), cipher.final(), cipher.getAuthTag()]);
  return `${JSON.stringify({ ...open, sealed: sealed.toString('base64') } satisfies RecoveryKitFile, null, 2)}\n`;
}

/** @throws AppError ENCRYPTION_KEY_MISSING for a file that is no kit, KEY_MISMATCH for a wrong passphrase or a changed kit */
export function openRecoveryKit(text: string, passphrase: string): RecoveryKitContent & TenantKeys {
  const file = parse(text);
  const { sealed: base64, ...open } = file;
  const sealed = Buffer.from(base64, 'base64');
  const key = derive(passphrase, Buffer.from(file.kdf.salt, 'base64'), file.kdf);
  const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(file.nonce, 'base64')).setAAD(authenticated(open)).setAuthTag(sealed.subarray(-tagBytes));
  let plain: Buffer;
  try {
    plain = Buffer.concat([decipher.update(sealed.subarray(0, -tagBytes)), decipher.final()]);
  } catch (cause) {
    throw new AppError('KEY_MISMATCH', 'The passphrase does not open the recovery kit, or the kit was changed', { cause });
  }
  const keys = file.keyIds.map((id, index) => ({ id, tenantKey: plain.subarray(index * tenantKeyBytes, (index + 1) * tenantKeyBytes) }));
  return {
    tenant: file.tenant,
    keys,
    tenantKey: (keyId, tenantId) => (tenantId === file.tenant.id ? (keys.find(({ id }) => id === keyId)?.tenantKey ?? null) : null),
  };
}

function parse(text: string): RecoveryKitFile {
  const refused = (cause?: unknown): AppError => new AppError('ENCRYPTION_KEY_MISSING', 'The file is no recovery kit of this version', { cause });
  let file: Partial<RecoveryKitFile>;
  try {
    file = (JSON.parse(text) ?? {}) as Partial<RecoveryKitFile>;
  } catch (error) {
    throw refused(error);
  }
  const { kdf, keyIds, tenant } = file;
  const isKit =
    file.format === format && file.version === 1 && kdf?.name === 'scrypt' && [kdf.salt, file.nonce, file.sealed, tenant?.id, tenant?.slug, tenant?.name].every((one) => typeof one === 'string') &&
    Array.isArray(keyIds) && keyIds.every((id) => typeof id === 'string') && Buffer.from(file.nonce ?? '', 'base64').length === 12 && Buffer.from(file.sealed ?? '', 'base64').length === keyIds.length * tenantKeyBytes + tagBytes;
  // A forged cost must not take the machine's memory.
  if (!isKit || kdf.n !== cost.n || kdf.r !== cost.r || kdf.p !== cost.p) throw refused();
  return file as RecoveryKitFile;
}

function derive(passphrase: string, salt: Buffer, { n, r, p }: { readonly n: number; readonly r: number; readonly p: number }): Buffer {
  return scryptSync(passphrase.normalize('NFC'), salt, 32, { N: n, r, p, maxmem: memoryBytes });
}

function authenticated({ tenant, keyIds, kdf, nonce }: Omit<RecoveryKitFile, 'sealed'>): Buffer {
  return Buffer.from(JSON.stringify([format, 1, tenant.id, tenant.slug, tenant.name, keyIds, kdf.salt, nonce]));
}
