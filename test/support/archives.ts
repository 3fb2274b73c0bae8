import { serialize, type Document } from 'bson';
import { Writable } from 'node:stream';
import {
  ArchiveWriter,
  deriveTenantKey,
  DocumentSums,
  encodeNamespaceEnd,
  encodeNamespaceHeader,
  encodePrelude,
  formatCollectionMetadata,
  KeyRing,
  terminator,
  type ArchiveSummary,
  type ArchiveWriterOptions,
  type ManifestInput,
  type NamespaceSummary,
} from '../../libs/archive/index.js';

/** Archives for tests: small, made on the spot, with a fixed key and tenant. */
export const tenantId = '11111111-2222-4333-8444-555555555555';
export const testKeyText = `k-here:${Buffer.alloc(32, 5).toString('base64')}`;
export const testKeys = KeyRing.parse(testKeyText);

export type TestFrame = readonly [namespaceIndex: number, payload: Buffer];

export function writerOptions(more: Partial<ArchiveWriterOptions>): ArchiveWriterOptions {
  const current = testKeys.current!;
  return {
    keyId: current.id,
    tenantKey: deriveTenantKey(current, tenantId),
    context: { tenant: tenantId, backup: 'b-test', label: 'manual', createdAt: '2026-01-02T03:04:05Z' },
    codec: 'gzip',
    payloadType: 'mongodump',
    ...more,
  };
}

export function manifestInput(namespaces: readonly NamespaceSummary[]): ManifestInput {
  return {
    producer: { name: 'holdfast', version: '0.1.0' },
    tenant: { id: tenantId, slug: 'acme', name: 'Acme' },
    backup: { id: 'b-test', label: 'manual', trigger: 'MANUAL', scope: 'ALL', createdAt: '2026-01-02T03:04:05Z' },
    engine: { name: 'mongodb', version: '6.0.5', featureCompatibility: '6.0' },
    consistency: { level: 'snapshot', clusterTime: '1767323045.1' },
    namespaces,
  };
}

/** A destination that keeps what it gets. */
export function memoryDestination(): { readonly body: Writable; bytes(): Buffer } {
  const chunks: Buffer[] = [];
  const body = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      chunks.push(Buffer.from(chunk));
      callback();
    },
  });
  return { body, bytes: () => Buffer.concat(chunks) };
}

export async function makeArchive(
  frames: readonly TestFrame[],
  options: Partial<ArchiveWriterOptions>,
  namespaces: readonly NamespaceSummary[] = [],
  more?: (writer: ArchiveWriter) => Promise<void>,
  manifest: ManifestInput = manifestInput(namespaces),
): Promise<{ readonly file: Buffer; readonly summary: ArchiveSummary }> {
  const destination = memoryDestination();
  const writer = new ArchiveWriter(destination.body, writerOptions(options));
  await Promise.all(frames.map(([namespaceIndex, payload]) => writer.writeFrame(namespaceIndex, payload)));
  await more?.(writer);
  const summary = await writer.finish(manifest);
  return { file: destination.bytes(), summary };
}

export async function collectBytes(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

export interface TestPayload {
  readonly payload: Buffer;
  readonly frames: readonly TestFrame[];
  readonly namespaces: readonly NamespaceSummary[];
}

/** A mongodump payload of two collections whose frames interleave, and a view. */
export function smallPayload(documentsEach = 40): TestPayload {
  const db = 'acme';
  const document = (value: Document): Buffer => Buffer.from(serialize(value));
  const orders = Array.from({ length: documentsEach }, (_, index) => document({ _id: index, total: index * 1.25, customer: `customer ${index % 7}` }));
  const invoices = Array.from({ length: documentsEach }, (_, index) => document({ _id: `i-${index}`, paid: index % 2 === 0 }));
  const idIndex = '{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}';
  const uuid = '0123456789abcdef0123456789abcdef';
  const definitions = [
    { collection: 'orders', kind: 'collection', options: null, indexes: [idIndex], uuid },
    { collection: 'invoices', kind: 'collection', options: null, indexes: [idIndex], uuid },
    { collection: 'paid', kind: 'view', options: '{"viewOn":"invoices","pipeline":[]}', indexes: [], uuid: null },
  ] as const;
  const header = { concurrentCollections: 2, version: '0.1', serverVersion: '6.0.5', toolVersion: 'test' };
  const prelude = encodePrelude(header, definitions.map((definition) => ({ db, collection: definition.collection, kind: definition.kind, metadata: formatCollectionMetadata(definition) })));
  const half = documentsEach / 2;
  const block = (name: string, documents: readonly Buffer[]): Buffer => Buffer.concat([encodeNamespaceHeader(db, name), ...documents, terminator]);
  const sums = definitions.map(() => new DocumentSums());
  for (const one of orders) sums[0]!.add(one);
  for (const one of invoices) sums[1]!.add(one);
  const end = (index: number): Buffer => encodeNamespaceEnd(db, definitions[index]!.collection, sums[index]!.crc);
  const frames: TestFrame[] = [
    [-1, prelude],
    [0, block('orders', orders.slice(0, half))],
    [1, block('invoices', invoices.slice(0, half))],
    [0, Buffer.concat([block('orders', orders.slice(half)), end(0)])],
    [2, Buffer.concat([block('paid', []), end(2)])],
    [1, Buffer.concat([block('invoices', invoices.slice(half)), end(1)])],
  ];
  const namespaces = definitions.map(({ collection, kind, indexes }, index) => {
    const { documents, bytes, crc64, sum } = sums[index]!;
    return { name: collection, kind, documents, bytes, crc64, sum, indexes: indexes.length };
  });
  return { payload: Buffer.concat(frames.map(([, bytes]) => bytes)), frames, namespaces };
}
