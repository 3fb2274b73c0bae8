import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import type { ProcessIdentity } from '../scripts/bootstrap/process-identity.mjs';
import { StoryApi } from '../scripts/demo/story-api.ts';
import { EmbeddedPostgres, postgresFolder } from '../scripts/servers/postgres.ts';
import { freePort } from '../scripts/servers/server-process.ts';
import { NodeChild } from '../scripts/supervisor/node-child.ts';
import type { BenchEnvironment } from './environment.ts';
import type { BenchCodec, BenchOptions } from './options.ts';
import { peakMemoryOf } from './process-figures.ts';

/** One operation as a user sees it. */
export interface OperationRun {
  readonly kind: 'backup' | 'restore';
  readonly codec: BenchCodec;
  /** From the mutation to the event that says COMPLETED. */
  readonly ms: number;
  readonly steps: readonly { readonly phase: string; readonly ms: number }[];
}

export interface OperationFigures {
  readonly runs: readonly OperationRun[];
  /** Highest of all runs, of the process with HOLDFAST_ROLE=worker and of the one with HOLDFAST_ROLE=api. */
  readonly workerPeakBytes: number | null;
  readonly apiPeakBytes: number | null;
}

type Role = 'api' | 'worker';

const program = fileURLToPath(new URL('../dist/src/main.js', import.meta.url));
const admin = { email: 'admin@bench.example', password: 'only for this bench' };
const confirmName = 'Bench';
/** Nobody stands beside these runs whom they could be compared with. */
const mostRounds = 2;

/** Whole operations on a control plane of their own: PostgreSQL, one API process, one worker. */
export async function measureOperations(environment: BenchEnvironment, options: BenchOptions, say: (line: string) => void): Promise<OperationFigures> {
  const postgresData = join(environment.folder, 'postgres');
  const postgres = await EmbeddedPostgres.start({ dataDir: postgresData });
  const processes: Record<Role, ServerOfOurs | null> = { api: null, worker: null };
  const stop = environment.own(async () => {
    await processes.worker?.child.stop();
    await processes.api?.child.stop();
    await postgres.stop();
    await rm(postgresFolder(postgresData), { recursive: true, force: true });
  });
  try {
    const databaseUrl = await postgres.ensureDatabase('holdfast');
    const api = (processes.api = await startServer('api', environment.folder, databaseUrl, say));
    const worker = (processes.worker = await startServer('worker', environment.folder, databaseUrl, say));
    const client = await StoryApi.login(api.url, admin.email, admin.password);
    const tenantId = await createTenant(client, environment);
    const runs: OperationRun[] = [];
    for (let round = 1; round <= Math.min(options.pairs, mostRounds); round += 1) {
      for (const codec of options.codecs) {
        await environment.settle();
        const { run, backupId } = await backUp(client, tenantId, codec);
        await environment.settle();
        const restored = await restore(client, tenantId, backupId, codec);
        await environment.requireUnchanged(`the worker (${codec})`);
        for (const one of [run, restored]) say(describe(one, round));
        runs.push(run, restored);
      }
    }
    return { runs, workerPeakBytes: peakMemoryOf(worker.pid), apiPeakBytes: peakMemoryOf(api.pid) };
  } finally {
    await stop();
  }
}

interface ServerOfOurs {
  readonly child: NodeChild;
  readonly url: string;
  readonly pid: number;
}

async function startServer(role: Role, folder: string, databaseUrl: string, say: (line: string) => void): Promise<ServerOfOurs> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let identity: ProcessIdentity | null = null;
  const child = new NodeChild({
    name: role,
    args: [program],
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
    },
    logFile: join(folder, `${role}.log`),
    readyUrl: `${url}/readyz`,
    onStart: (started) => {
      identity = started;
    },
    say,
  });
  await child.start();
  const started = identity as ProcessIdentity | null;
  if (started === null) throw new Error(`The ${role} has no process`);
  return { child, url, pid: started.pid };
}

interface Refusable {
  readonly userErrors: readonly { readonly code: string; readonly message: string }[];
}

function accepted<T extends Refusable>(payload: T): T {
  const [problem] = payload.userErrors;
  if (problem !== undefined) throw new Error(`${problem.code}: ${problem.message}`);
  return payload;
}

async function createTenant(client: StoryApi, { server }: BenchEnvironment): Promise<string> {
  const { uri, database } = server.target;
  const { tenantCreate } = await client.request<{ tenantCreate: Refusable & { tenant: { id: string } } }>(
    'mutation ($input: TenantCreateInput!) { tenantCreate(input: $input) { tenant { id } userErrors { code message } } }',
    { input: { slug: 'bench', name: confirmName, environment: 'SANDBOX', timeZone: 'UTC', target: { engine: 'MONGODB', uri, database } } },
  );
  return accepted(tenantCreate).tenant.id;
}

async function backUp(client: StoryApi, tenantId: string, codec: BenchCodec): Promise<{ readonly run: OperationRun; readonly backupId: string }> {
  const began = performance.now();
  const { backupCreate } = await client.request<{ backupCreate: Refusable & { backup: { id: string }; operation: { id: string } } }>(
    'mutation ($input: BackupCreateInput!) { backupCreate(input: $input) { backup { id } operation { id } userErrors { code message } } }',
    { input: { tenantId, codec: codec.toUpperCase() } },
  );
  const { backup, operation } = accepted(backupCreate);
  return { run: await follow(client, 'backup', codec, operation.id, began), backupId: backup.id };
}

async function restore(client: StoryApi, tenantId: string, backupId: string, codec: BenchCodec): Promise<OperationRun> {
  const { restorePlanCreate } = await client.request<{ restorePlanCreate: Refusable & { plan: { id: string } } }>(
    'mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id } userErrors { code message } } }',
    { input: { tenantId, source: { backupId } } },
  );
  const { plan } = accepted(restorePlanCreate);
  const began = performance.now();
  const { restoreStart } = await client.request<{ restoreStart: Refusable & { operation: { id: string } } }>(
    'mutation ($input: RestoreStartInput!) { restoreStart(input: $input) { operation { id } userErrors { code message } } }',
    { input: { planId: plan.id, confirmName } },
  );
  return follow(client, 'restore', codec, accepted(restoreStart).operation.id, began);
}

async function follow(client: StoryApi, kind: OperationRun['kind'], codec: BenchCodec, operationId: string, began: number): Promise<OperationRun> {
  for await (const { state, failure } of client.watch(operationId)) {
    if (state === 'FAILED' || state === 'CANCELED') throw new Error(`The ${kind} ended ${state}: ${failure?.code ?? ''} ${failure?.message ?? ''}`);
    if (state === 'COMPLETED') break;
  }
  const ms = performance.now() - began;
  const { operation } = await client.request<{ operation: { steps: readonly { phase: string; startedAt: string | null; finishedAt: string | null }[] } }>(
    'query ($id: ID!) { operation(id: $id) { steps { phase startedAt finishedAt } } }',
    { id: operationId },
  );
  const steps = operation.steps.map(({ phase, startedAt, finishedAt }) => ({ phase, ms: startedAt === null || finishedAt === null ? 0 : Date.parse(finishedAt) - Date.parse(startedAt) }));
  return { kind, codec, ms, steps };
}

function describe({ kind, codec, ms, steps }: OperationRun, round: number): string {
  return `  whole ${kind} ${round} ${codec} ${Math.round(ms)} ms (${steps.map((step) => `${step.phase} ${Math.round(step.ms)}`).join(', ')})`;
}
