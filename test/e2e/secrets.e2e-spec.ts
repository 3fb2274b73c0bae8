import { afterAll, describe, expect, it } from '@jest/globals';
import { createTestTenant, startTestApp, testAdmin } from '../support/app.ts';
import { startMongod } from '../support/servers.ts';

describe('secrets', () => {
  const stops: (() => Promise<void>)[] = [];
  afterAll(async () => {
    for (const stop of stops.reverse()) await stop();
  });

  it('reach neither an answer nor a log line, whatever goes wrong', async () => {
    const server = await startMongod({ auth: true });
    stops.push(() => server.stop());
    const written: string[] = [];
    const app = await startTestApp({ env: { HOLDFAST_LOG_LEVEL: 'trace' }, onLogLine: (line) => written.push(line) });
    stops.push(() => app.stop());
    const admin = await app.loginAsAdmin();
    const tenant = await createTestTenant(admin, { uri: server.uri, database: 'shop' });
    const answers: unknown[] = [
      await admin.send('query ($id: ID!) { tenant(id: $id) { id name database { name error } auditEvents { edges { node { action detail { name value } } } } } }', { id: tenant.id }),
      await app.anonymous.send('mutation ($input: LoginInput!) { login(input: $input) { userErrors { message } } }', { input: { email: testAdmin.email, password: 'hunter2-wrong' } }),
    ];
    await server.kill('SIGKILL');
    answers.push(await admin.send('query ($id: ID!) { tenant(id: $id) { database { error } } }', { id: tenant.id }));
    answers.push(
      await admin.send('mutation ($input: TenantUpdateInput!) { tenantUpdate(input: $input) { userErrors { message hint } } }', {
        input: { tenantId: tenant.id, target: { uri: server.uri.replace('root-password', 'hunter2-wrong').replace('/?', '/?serverSelectionTimeoutMS=500&'), database: 'shop' } },
      }),
    );
    const everything = JSON.stringify(answers) + written.join('');
    for (const secret of ['root-password', 'hunter2-wrong', testAdmin.password, admin.accessToken ?? '?']) expect(everything).not.toContain(secret);
    // nestjs-pino keeps one logger for a whole process: in a file with other applications this one would log through theirs.
    expect(written.length).toBeGreaterThan(5);
  });
});
