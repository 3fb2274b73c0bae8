import { createCipheriv, createHash, hkdfSync } from 'node:crypto';
import { gzipSync } from 'node:zlib';

/**
 * Builds DBK1 files from docs/archive-format.md with Node's crypto alone, not with the code under test, so that a test can make
 * what no honest writer makes: authentic, and wrong.
 */
export interface Forgery {
  readonly masterKey: Buffer;
  readonly keyId: string;
  readonly tenantId: string;
  readonly context?: unknown;
  readonly codec?: number;
  readonly payloadType?: number;
  readonly segmentSize?: number;
  readonly salt?: Buffer;
  /** Plaintext of the segments, cut as given. */
  readonly segments: readonly Buffer[];
  /** An object becomes gzip'ed JSON; a Buffer stands in the trailer as it is. */
  readonly manifest: unknown;
}

export interface Forged {
  readonly header: Buffer;
  /** Length, ciphertext and tag of each segment. */
  readonly records: readonly Buffer[];
  readonly trailer: Buffer;
  readonly file: Buffer;
  readonly keys: { readonly tenantKey: Buffer; readonly keyCheck: Buffer; readonly archiveKey: Buffer };
}

const uint = (value: number, bytes: number): Buffer => {
  const buffer = Buffer.alloc(bytes);
  if (bytes === 8) buffer.writeBigUInt64BE(BigInt(value));
  else buffer.writeUIntBE(value, 0, bytes);
  return buffer;
};

export function footerOf(trailerOffset: number): Buffer {
  return Buffer.concat([uint(trailerOffset, 8), Buffer.from('DBKE')]);
}

export function assemble(header: Buffer, records: readonly Buffer[], trailer: Buffer): Buffer {
  const offset = header.length + records.reduce((sum, record) => sum + record.length, 0);
  return Buffer.concat([header, ...records, trailer, footerOf(offset)]);
}

export function forge(input: Forgery): Forged {
  const salt = input.salt ?? Buffer.alloc(32, 3);
  const derive = (key: Buffer, saltOf: Buffer, info: Buffer, length: number): Buffer => Buffer.from(hkdfSync('sha256', key, saltOf, info, length));
  const tenantKey = derive(input.masterKey, Buffer.alloc(0), Buffer.from(`DBK1 tenant\0${input.tenantId}`), 32);
  const keyCheck = derive(tenantKey, salt, Buffer.from('DBK1 check'), 16);
  const context = Buffer.from(JSON.stringify(input.context ?? { tenant: input.tenantId, backup: 'b-test', label: 'manual', createdAt: '2026-01-02T03:04:05Z' }));
  const header = Buffer.concat([
    Buffer.from('DBK1'), Buffer.from([1, 1, input.codec ?? 0, input.payloadType ?? 1]), uint(input.segmentSize ?? 4096, 4), Buffer.from([input.keyId.length]), Buffer.from(input.keyId),
    keyCheck, salt, uint(context.length, 2), context,
  ]);
  const archiveKey = derive(tenantKey, salt, Buffer.concat([Buffer.from('DBK1 archive\0'), createHash('sha256').update(header).digest()]), 32);
  const seal = (type: number, index: number, plain: Buffer): Buffer => {
    const cipher = createCipheriv('aes-256-gcm', archiveKey, Buffer.concat([Buffer.from([type, 0, 0, 0]), uint(index, 8)]));
    return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  };
  const records = input.segments.map((plain, index) => {
    const sealed = seal(0, index, plain);
    return Buffer.concat([uint(sealed.length, 4), sealed]);
  });
  const manifest = Buffer.isBuffer(input.manifest) ? input.manifest : gzipSync(Buffer.from(JSON.stringify(input.manifest)));
  const sealed = seal(1, records.length, manifest);
  const trailer = Buffer.concat([uint(0x80000000 + sealed.length, 4), sealed]);
  return { header, records, trailer, file: assemble(header, records, trailer), keys: { tenantKey, keyCheck, archiveKey } };
}
