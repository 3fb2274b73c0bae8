import type { AddressInfo } from 'node:net';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { createApp } from '../../src/bootstrap.ts';
import { AppConfig } from '../../src/config/app-config.ts';
import { FaultPoints } from '../../src/operations/fault-points.ts';
import { GraphqlClient } from './graphql-client.ts';
import { runFolder, testDatabaseUrl, testMongo } from './servers.ts';

export const testAdmin = { email: 'admin@holdfast.test', password: 'correct horse battery staple' } as const;

export interface TestAppOptions {
  /** Environment of the application, over the defaults of the tests. */
  readonly env?: Readonly<Record<string, string>>;
  /** A control plane that another application of the same test made. */
  readonly databaseUrl?: string;
  /** Gets every log line instead of standard output. */
  readonly onLogLine?: (line: string) => void;
}

/** The whole program in this process, on a free port, with a control plane of its own. */
export class TestApp {
  private constructor(
    readonly nest: NestExpressApplication,
    readonly config: AppConfig,
    readonly url: string,
  ) {}

  static async start(options: TestAppOptions = {}): Promise<TestApp> {
    const dataDir = join(runFolder(), `data-${randomBytes(6).toString('hex')}`);
    const config = AppConfig.from({
      NODE_ENV: 'test',
      DATABASE_URL: options.databaseUrl ?? (await testDatabaseUrl()),
      HOLDFAST_DATA_DIR: dataDir,
      HOLDFAST_SECRET_KEY: Buffer.alloc(32, 7).toString('base64'),
      BACKUP_ENCRYPTION_KEY: Buffer.alloc(32, 9).toString('base64'),
      HOLDFAST_ADMIN_EMAIL: testAdmin.email,
      HOLDFAST_ADMIN_PASSWORD: testAdmin.password,
      HOLDFAST_SHUTDOWN_GRACE_SECONDS: '0',
      HOLDFAST_LOG_LEVEL: process.env['TEST_LOG_LEVEL'] ?? 'silent',
      ...options.env,
    });
    const { onLogLine } = options;
    const nest = await createApp(config, onLogLine === undefined ? undefined : { write: onLogLine });
    try {
      await nest.listen(0, '127.0.0.1');
    } catch (error) {
      await nest.close();
      throw error;
    }
    const { port } = nest.getHttpServer().address() as AddressInfo;
    return new TestApp(nest, config, `http://127.0.0.1:${port}`);
  }

  /** A client that sends no token. */
  get anonymous(): GraphqlClient {
    return new GraphqlClient(this.url, null);
  }

  clientFor(accessToken: string): GraphqlClient {
    return new GraphqlClient(this.url, accessToken);
  }

  async login(email: string, password: string): Promise<GraphqlClient> {
    const { login } = await this.anonymous.run<{ login: { accessToken: string | null; userErrors: { code: string }[] } }>(
      'mutation ($input: LoginInput!) { login(input: $input) { accessToken userErrors { code } } }',
      { input: { email, password } },
    );
    if (login.accessToken === null) throw new Error(`${email} cannot log in: ${login.userErrors.map(({ code }) => code).join()}`);
    return this.clientFor(login.accessToken);
  }

  loginAsAdmin(): Promise<GraphqlClient> {
    return this.login(testAdmin.email, testAdmin.password);
  }

  /** Awaited where an operation of this process reaches the point; returns how to take it off again. */
  at(point: string, work: (signal?: AbortSignal) => Promise<void>): () => void {
    return this.nest.get(FaultPoints, { strict: false }).on(point, work);
  }

  async stop(): Promise<void> {
    await this.nest.close();
  }
}

export function startTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  return TestApp.start(options);
}

export interface TestTenant {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  /** Of the shared MongoDB. */
  readonly uri: string;
  readonly database: string;
}

export interface TestTenantOptions {
  readonly slug?: string;
  readonly name?: string;
  readonly uri?: string;
  readonly database?: string;
}

/** Makes a tenant through the API, by default on a database of its own on the shared MongoDB; the database is still empty. */
export async function createTestTenant(admin: GraphqlClient, options: TestTenantOptions = {}): Promise<TestTenant> {
  const mongo = options.uri !== undefined && options.database !== undefined ? { uri: options.uri, database: options.database } : await testMongo();
  const slug = options.slug ?? `t-${randomBytes(4).toString('hex')}`;
  const name = options.name ?? `Tenant ${slug}`;
  const target = { engine: 'MONGODB', uri: options.uri ?? mongo.uri, database: options.database ?? mongo.database };
  const { tenantCreate } = await admin.run<{ tenantCreate: { tenant: { id: string } | null; userErrors: { code: string; message: string }[] } }>(
    'mutation ($input: TenantCreateInput!) { tenantCreate(input: $input) { tenant { id } userErrors { code message } } }',
    { input: { slug, name, environment: 'SANDBOX', timeZone: 'Europe/Berlin', target } },
  );
  if (tenantCreate.tenant === null) throw new Error(`No tenant: ${tenantCreate.userErrors.map(({ code, message }) => `${code} ${message}`).join()}`);
  return { id: tenantCreate.tenant.id, slug, name, uri: target.uri, database: target.database };
}

export type TestRole = 'OWNER' | 'ADMIN' | 'OPERATOR' | 'RESTORER' | 'VIEWER';

/** Invites a member with a password and logs it in. */
export async function createTestMember(app: TestApp, inviter: GraphqlClient, tenantId: string, role: TestRole): Promise<GraphqlClient & { readonly email: string }> {
  const email = `${role.toLowerCase()}-${randomBytes(4).toString('hex')}@holdfast.test`;
  const password = `password of ${email}`;
  const { memberInvite } = await inviter.run<{ memberInvite: { userErrors: { code: string; message: string }[] } }>(
    'mutation ($input: MemberInviteInput!) { memberInvite(input: $input) { userErrors { code message } } }',
    { input: { tenantId, email, name: role, role, password } },
  );
  if (memberInvite.userErrors.length > 0) throw new Error(`No member: ${memberInvite.userErrors.map(({ code, message }) => `${code} ${message}`).join()}`);
  return Object.assign(await app.login(email, password), { email });
}
