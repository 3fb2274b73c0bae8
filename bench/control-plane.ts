import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ProcessIdentity } from '../scripts/bootstrap/process-identity.mjs';
import { StoryApi } from '../scripts/demo/story-api.ts';
import { EmbeddedPostgres, postgresFolder } from '../scripts/servers/postgres.ts';
import { freePort } from '../scripts/servers/server-process.ts';
import { NodeChild } from '../scripts/supervisor/node-child.ts';
import type { BenchEnvironment } from './environment.ts';
import { profileFlags } from './job.ts';

export type Role = 'api' | 'worker';

export interface ServerOfOurs {
  readonly child: NodeChild;
  readonly url: string;
  readonly pid: number;
}

const program = fileURLToPath(new URL('../dist/src/main.js', import.meta.url));
const admin = { email: 'admin@bench.example', password: 'only for this bench' };

/** PostgreSQL, one API process and workers, in a folder of their own. */
export class ControlPlane {
  readonly databaseUrl: string;
  readonly api: ServerOfOurs;
  readonly workers: readonly ServerOfOurs[];
  readonly client: StoryApi;
  private readonly stopAll: () => Promise<void>;

  private constructor(databaseUrl: string, api: ServerOfOurs, workers: readonly ServerOfOurs[], client: StoryApi, stopAll: () => Promise<void>) {
    this.databaseUrl = databaseUrl;
    this.api = api;
    this.workers = workers;
    this.client = client;
    this.stopAll = stopAll;
  }

  /** @param profileFolder for CPU profiles of its processes, written when they are stopped; null: none */
  static async start(environment: BenchEnvironment, workerCount: number, say: (line: string) => void, profileFolder: string | null, env: Readonly<Record<string, string>> = {}): Promise<ControlPlane> {
    const { folder } = environment;
    const postgresData = join(folder, 'postgres');
    const postgres = await EmbeddedPostgres.start({ dataDir: postgresData });
    const started: ServerOfOurs[] = [];
    const stopAll = environment.own(async () => {
      for (const { child } of started.reverse()) await child.stop();
      await postgres.stop();
      await rm(postgresFolder(postgresData), { recursive: true, force: true });
    });
    try {
      const databaseUrl = await postgres.ensureDatabase('holdfast');
      const start = async (role: Role, name: string): Promise<ServerOfOurs> => {
        const server = await startServer(role, name, folder, databaseUrl, say, profileFolder, env);
        started.push(server);
        return server;
      };
      const api = await start('api', 'api');
      const workers: ServerOfOurs[] = [];
      for (let number = 1; number <= workerCount; number += 1) workers.push(await start('worker', workerCount === 1 ? 'worker' : `worker-${number}`));
      return new ControlPlane(databaseUrl, api, workers, await StoryApi.login(api.url, admin.email, admin.password), stopAll);
    } catch (error) {
      await stopAll();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.stopAll();
  }

  /** A tenant on this database; its id. */
  async createTenant(slug: string, name: string, target: { readonly uri: string; readonly database: string }): Promise<string> {
    const { tenantCreate } = await this.client.request<{ tenantCreate: Refusable & { tenant: { id: string } } }>(
      'mutation ($input: TenantCreateInput!) { tenantCreate(input: $input) { tenant { id } userErrors { code message } } }',
      { input: { slug, name, environment: 'SANDBOX', timeZone: 'UTC', target: { engine: 'MONGODB', ...target } } },
    );
    return accepted(tenantCreate).tenant.id;
  }

  /** 0: none. */
  async limitRate(tenantId: string, bytesPerSecond: number): Promise<void> {
    const { tenantUpdate } = await this.client.request<{ tenantUpdate: Refusable }>('mutation ($input: TenantUpdateInput!) { tenantUpdate(input: $input) { userErrors { code message } } }', {
      input: { tenantId, maxBytesPerSecond: String(bytesPerSecond) },
    });
    accepted(tenantUpdate);
  }

  async startBackup(tenantId: string, codec: string): Promise<{ readonly backupId: string; readonly operationId: string }> {
    const { backupCreate } = await this.client.request<{ backupCreate: Refusable & { backup: { id: string }; operation: { id: string } } }>(
      'mutation ($input: BackupCreateInput!) { backupCreate(input: $input) { backup { id } operation { id } userErrors { code message } } }',
      { input: { tenantId, codec: codec.toUpperCase() } },
    );
    const { backup, operation } = accepted(backupCreate);
    return { backupId: backup.id, operationId: operation.id };
  }

  /** Resolves when it is COMPLETED; throws for another end. */
  async completed(operationId: string): Promise<void> {
    for await (const { state, failure } of this.client.watch(operationId)) {
      if (state === 'FAILED' || state === 'CANCELED') throw new Error(`An operation ended ${state}: ${failure?.code ?? ''} ${failure?.message ?? ''}`);
    }
  }
}

export interface Refusable {
  readonly userErrors: readonly { readonly code: string; readonly message: string }[];
}

export function accepted<T extends Refusable>(payload: T): T {
  const [problem] = payload.userErrors;
  if (problem !== undefined) throw new Error(`${problem.code}: ${problem.message}`);
  return payload;
}

async function startServer(role: Role, name: string, folder: string, databaseUrl: string, say: (line: string) => void, profileFolder: string | null, env: Readonly<Record<string, string>>): Promise<ServerOfOurs> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let identity: ProcessIdentity | null = null;
  const child = new NodeChild({
    name,
    args: [...(profileFolder === null ? [] : profileFlags(profileFolder, name)), program],
    env: {
      PATH: process.env['PATH'],
      DATABASE_URL: databaseUrl,
      HOLDFAST_ROLE: role,
      HOLDFAST_PORT: String(port),
      HOLDFAST_DATA_DIR: join(folder, 'holdfast'),
      HOLDFAST_SECRET_KEY: Buffer.alloc(32, 1).toString('base64'),
      BACKUP_ENCRYPTION_KEY: Buffer.alloc(32, 2).toString('base64'),
      HOLDFAST_ADMIN_EMAIL: admin.email,
      HOLDFAST_ADMIN_PASSWORD: admin.password,
      ...env,
    },
    logFile: join(folder, `${name}.log`),
    readyUrl: `${url}/readyz`,
    onStart: (started) => {
      identity = started;
    },
    say,
  });
  await child.start();
  const started = identity as ProcessIdentity | null;
  if (started === null) throw new Error(`The ${name} has no process`);
  return { child, url, pid: started.pid };
}
