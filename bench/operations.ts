import { performance } from 'node:perf_hooks';
import type { StoryApi } from '../scripts/demo/story-api.ts';
import { accepted, ControlPlane, type Refusable } from './control-plane.ts';
import type { BenchEnvironment } from './environment.ts';
import type { BenchCodec, BenchCutover, BenchOptions } from './options.ts';
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

const confirmName = 'Bench';
/** Nobody stands beside these runs whom they could be compared with. */
const mostRounds = 2;

/** Whole operations on a control plane of their own: PostgreSQL, one API process, one worker. */
export async function measureOperations(environment: BenchEnvironment, options: BenchOptions, say: (line: string) => void): Promise<OperationFigures> {
  const plane = await ControlPlane.start(environment, 1, say, options.profileFolder);
  try {
    const { client, api, workers } = plane;
    const tenantId = await plane.createTenant('bench', confirmName, { uri: environment.server.target.uri, database: environment.server.target.database });
    if (options.limitBytesPerSecond !== null) await plane.limitRate(tenantId, options.limitBytesPerSecond);
    const runs: OperationRun[] = [];
    for (let round = 1; round <= Math.min(options.pairs, mostRounds); round += 1) {
      for (const codec of options.codecs) {
        await environment.settle();
        const { run, backupId } = await backUp(plane, tenantId, codec);
        await environment.settle();
        const restored = await restore(client, tenantId, backupId, codec, options.cutover);
        await environment.requireUnchanged(`the worker (${codec})`, await databaseOf(client, tenantId));
        for (const one of [run, restored]) say(describe(one, round));
        runs.push(run, restored);
      }
    }
    return { runs, workerPeakBytes: workers[0] === undefined ? null : peakMemoryOf(workers[0].pid), apiPeakBytes: peakMemoryOf(api.pid) };
  } finally {
    await plane.stop();
  }
}

async function backUp(plane: ControlPlane, tenantId: string, codec: BenchCodec): Promise<{ readonly run: OperationRun; readonly backupId: string }> {
  const began = performance.now();
  const { backupId, operationId } = await plane.startBackup(tenantId, codec);
  return { run: await follow(plane.client, 'backup', codec, operationId, began), backupId };
}

async function restore(client: StoryApi, tenantId: string, backupId: string, codec: BenchCodec, cutover: BenchCutover): Promise<OperationRun> {
  const { restorePlanCreate } = await client.request<{ restorePlanCreate: Refusable & { plan: { id: string } } }>(
    'mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id } userErrors { code message } } }',
    { input: { tenantId, source: { backupId }, cutover: cutover.toUpperCase() } },
  );
  const { plan } = accepted(restorePlanCreate);
  const began = performance.now();
  const { restoreStart } = await client.request<{ restoreStart: Refusable & { operation: { id: string } } }>(
    'mutation ($input: RestoreStartInput!) { restoreStart(input: $input) { operation { id } userErrors { code message } } }',
    { input: { planId: plan.id, confirmName } },
  );
  return follow(client, 'restore', codec, accepted(restoreStart).operation.id, began);
}

/** Another one after a restore with REPOINT. */
async function databaseOf(client: StoryApi, tenantId: string): Promise<string> {
  const { tenant } = await client.request<{ tenant: { database: { name: string } } }>('query ($id: ID!) { tenant(id: $id) { database { name } } }', { id: tenantId });
  return tenant.database.name;
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
