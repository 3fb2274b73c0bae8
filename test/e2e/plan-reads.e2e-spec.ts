import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ArchiveStore, StoredObject } from '../../libs/storage/index.ts';
import { ARCHIVE_STORE } from '../../src/platform/storage/storage.module.ts';
import { RestorePlanner } from '../../src/restore/restore-planner.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import type { PlanAnswer, UserErrorAnswer } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { uploadFile } from '../support/upload-calls.ts';

const pieceBytes = 20_000;

let app: TestApp;
let admin: GraphqlClient;
let tenant: TestTenant;
let uploadId: string;
/** What happens before each piece of a file. */
let wait: () => Promise<unknown> = () => Promise.resolve();

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
  tenant = await createTestTenant(admin);
  const dump = gunzipSync(Buffer.from(readFileSync(join(import.meta.dirname, '../fixtures/mongodump/every-shape.archive.gz.base64'), 'utf8'), 'base64'));
  uploadId = (await uploadFile(admin, tenant.id, 'shop.archive', dump)).upload!.id;
  const store = app.nest.get<ArchiveStore>(ARCHIVE_STORE);
  const open = store.open.bind(store);
  store.open = async (key): Promise<StoredObject> => {
    const object = await open(key);
    return {
      sizeBytes: object.sizeBytes,
      read: (offset, length) => object.read(offset, length),
      async *stream(start, end) {
        for await (const chunk of object.stream(start, end)) {
          for (let at = 0; at < chunk.length; at += pieceBytes) {
            await wait();
            yield chunk.subarray(at, at + pieceBytes);
          }
        }
      },
      close: () => object.close(),
    };
  };
  app.nest.get(RestorePlanner, { strict: false }).quietForMs = 1_000;
});
afterAll(() => app?.stop());

async function plan(): Promise<{ readonly plan: PlanAnswer | null; readonly userErrors: readonly UserErrorAnswer[] }> {
  const { restorePlanCreate } = await admin.run<{ restorePlanCreate: { plan: PlanAnswer | null; userErrors: UserErrorAnswer[] } }>(
    'mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id checks { key ok blocking message hint } changes { name } } userErrors { code message } } }',
    { input: { tenantId: tenant.id, source: { uploadId } } },
  );
  return restorePlanCreate;
}

describe('the plan of an archive that is read whole', () => {
  it('takes as long as it takes while bytes come', async () => {
    let pieces = 0;
    wait = () => delay((pieces += 1) > 40 ? 0 : 50);
    const beganMs = performance.now();
    const made = await plan();
    expect(performance.now() - beganMs).toBeGreaterThan(1_500);
    expect(made).toMatchObject({ userErrors: [], plan: { checks: expect.arrayContaining([expect.objectContaining({ key: 'integrity', ok: true })]) } });
  });

  it('says that the archive could not be read when no more bytes come, and leaves nothing behind', async () => {
    const { promise: bytesCome, resolve } = Promise.withResolvers<void>();
    wait = () => bytesCome;
    const stuck = { key: 'integrity', ok: false, blocking: true, message: 'Nothing of the archive could be read for 1 seconds', hint: expect.stringContaining('too slow') };
    try {
      for (let time = 0; time < 2; time++) expect(await plan()).toMatchObject({ userErrors: [], plan: { checks: expect.arrayContaining([stuck]) } });
      // Those reads still hold what they took of the store.
      await expect(plan()).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    } finally {
      resolve();
    }
    wait = () => Promise.resolve();
    for (;;) {
      const answer = await plan().catch((error: unknown) => error);
      if ((answer as { readonly code?: unknown }).code === 'RATE_LIMITED') continue;
      expect(answer).toMatchObject({ plan: { checks: expect.arrayContaining([expect.objectContaining({ key: 'integrity', ok: true })]) } });
      break;
    }
  });
});
