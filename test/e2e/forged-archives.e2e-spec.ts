import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DocumentSums, encodeNamespaceEnd } from '../../libs/archive/index.ts';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { smallPayload, type TestFrame } from '../support/archives.ts';
import { ended, idOf, restoreStart, seedShop, withDatabase } from '../support/backup-calls.ts';
import { type ForgedContent, forgeFor } from '../support/forged-uploads.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { uploadFile } from '../support/upload-calls.ts';

let app: TestApp;
let admin: GraphqlClient;
let tenant: TestTenant;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
  tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 50));
});
afterAll(() => app?.stop());

interface Plan {
  readonly id: string;
  readonly confirmName: string;
  readonly checks: readonly { readonly key: string; readonly ok: boolean; readonly message: string }[];
}

async function planOf(uploadId: string, fullRead: boolean): Promise<Plan> {
  const { restorePlanCreate } = await admin.run<{ restorePlanCreate: { plan: Plan } }>(
    'mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id confirmName checks { key ok message } } } }', { input: { tenantId: tenant.id, source: { uploadId }, fullRead } });
  return restorePlanCreate.plan;
}

const content = smallPayload();
const last = content.frames.length - 1;

function withLast(change: (payload: Buffer) => Buffer): ForgedContent {
  return { ...content, frames: content.frames.map(([index, payload], at): TestFrame => [index, at === last ? change(payload) : payload]) };
}

/** The end of the last namespace with the CRC of no documents. */
function withWrongCrc(payload: Buffer): Buffer {
  const end = encodeNamespaceEnd('acme', 'invoices', new DocumentSums().crc);
  return Buffer.concat([payload.subarray(0, payload.length - end.length), end]);
}

function damaged(bytes: Buffer): Buffer {
  bytes[Math.floor(bytes.length / 2)]! ^= 0x55;
  return bytes;
}

const countsOneMore = content.namespaces.map((namespace) => (namespace.name === 'invoices' ? { ...namespace, documents: namespace.documents + 1 } : namespace));

describe('an archive under the right key', () => {
  it('is restored when it is right', async () => {
    const own = await createTestTenant(admin);
    const { upload } = await uploadFile(admin, own.id, 'acme.gz.enc', forgeFor(own, content));
    const { restorePlanCreate: { plan } } = await admin.run<{ restorePlanCreate: { plan: Plan } }>(
      'mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id confirmName } } }', { input: { tenantId: own.id, source: { uploadId: upload!.id } } });
    expect(await ended(admin, idOf(await restoreStart(admin, plan.id, plan.confirmName)))).toMatchObject({ state: 'COMPLETED' });
    expect(await withDatabase(own, (db) => db.collection('orders').countDocuments())).toBe(40);
  });

  it.each<[string, ForgedContent, RegExp]>([
    ['whose compressed data are damaged', { ...content, pack: (payload, index) => (index === last ? damaged(gzipSync(payload)) : gzipSync(payload)) }, /frame|gzip|damaged/],
    ['one of whose collections has another CRC', withLast(withWrongCrc), /CRC of collection "acme\.invoices"/],
    ['one of whose documents claims 2 GiB', withLast((payload) => Buffer.concat([payload.subarray(0, payload.length - 4), Buffer.from([0xff, 0xff, 0xff, 0x7f])])), /16 MiB/],
    ['whose trailer counts other documents', { ...content, namespaces: countsOneMore }, /invoices/],
  ])('%s ends its restore in VERIFY, every collection as it was', async (_name, forged, message) => {
    const before = await withDatabase(tenant, fingerprint);
    const { upload, userErrors } = await uploadFile(admin, tenant.id, 'acme.gz.enc', forgeFor(tenant, forged));
    expect(userErrors).toEqual([]);
    const looked = await planOf(upload!.id, true);
    expect(looked.checks.find(({ key }) => key === 'integrity')).toMatchObject({ ok: false, message: expect.stringMatching(message) });
    expect(await restoreStart(admin, looked.id, looked.confirmName)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_BLOCKED' }] });

    const blind = await planOf(upload!.id, false);
    const failed = await ended(admin, idOf(await restoreStart(admin, blind.id, blind.confirmName)));
    expect(failed).toMatchObject({ state: 'FAILED', phase: 'VERIFY', safetyBackup: null, failure: { code: 'ARCHIVE_CORRUPT', message: expect.stringMatching(message), hints: [expect.any(String)] } });
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);
  });
});
