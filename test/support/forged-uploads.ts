import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { KeyRing } from '../../libs/archive/index.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import type { TestTenant } from './app.ts';
import { manifestInput, type TestPayload } from './archives.ts';
import { forge } from './forge.ts';

const master = KeyRing.parse(Buffer.alloc(32, 9).toString('base64')).current!;

export interface ForgedContent extends Pick<TestPayload, 'frames' | 'namespaces'> {
  readonly engineVersion?: string;
  /** How a frame is stored; by default as it should be. */
  readonly pack?: (payload: Buffer, index: number) => Buffer;
}

/** An archive of the workspace under the key of test applications: its tags are right, whatever it holds. */
export function forgeFor(tenant: TestTenant, { frames, namespaces, engineVersion = '6.0.5', pack = (payload) => gzipSync(payload) }: ForgedContent): Buffer {
  const tenantId = parseGlobalId(tenant.id)!.uuid;
  const input = manifestInput(namespaces);
  const packed = frames.map(([, payload], index) => pack(payload, index));
  const payload = Buffer.concat(frames.map(([, bytes]) => bytes));
  const startsOf = (parts: readonly Buffer[]): number[] => parts.map((_, index) => parts.slice(0, index).reduce((sum, { length }) => sum + length, 0));
  const [inFile, inPayload] = [startsOf(packed), startsOf(frames.map(([, bytes]) => bytes))];
  const compressed = Buffer.concat(packed);
  return forge({
    masterKey: master.key,
    keyId: master.id,
    tenantId,
    codec: 1,
    segmentSize: 1 << 20,
    segments: [compressed],
    manifest: {
      ...input,
      formatVersion: 1,
      tenant: { ...input.tenant, id: tenantId },
      engine: { ...input.engine, version: engineVersion },
      payload: { segments: 1, compressedBytes: compressed.length, bytes: payload.length, sha256: createHash('sha256').update(payload).digest('hex') },
      frames: frames.map(([namespaceIndex], index) => [inFile[index], inPayload[index], namespaceIndex]),
    },
  }).file;
}
