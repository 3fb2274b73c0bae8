import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BenchEnvironment } from './environment.ts';
import { type JobResult, runJob } from './job.ts';
import type { BenchCodec, BenchOptions } from './options.ts';
import type { PublicTools } from './peers.ts';

export type Contestant = BenchCodec | 'peer';
export type Work = 'backup' | 'restore';

export interface Run {
  readonly work: Work;
  readonly contestant: Contestant;
  readonly round: number;
  readonly ms: number;
  readonly phases: JobResult['phases'];
  /** Processor time of the contestant, and of mongod meanwhile. */
  readonly cpuMs: number | null;
  readonly serverCpuMs: number | null;
  readonly peakBytes: number | null;
  readonly archiveBytes: number;
}

/** The engine alone and the public tools, turn by turn on one server; every second round in the opposite order. */
export async function contest(environment: BenchEnvironment, peers: PublicTools | null, options: BenchOptions, say: (line: string) => void): Promise<Run[]> {
  const runs: Run[] = [];
  const contestants: readonly Contestant[] = [...options.codecs, ...(peers === null ? [] : (['peer'] as const))];
  for (const work of ['backup', 'restore'] as const) {
    for (let round = 1; round <= options.pairs; round += 1) {
      for (const contestant of round % 2 === 0 ? contestants.toReversed() : contestants) {
        await environment.settle();
        const before = environment.serverCpuMs;
        const cost = contestant === 'peer' ? await runPeer(environment, peers, work) : await runOurs(environment, work, contestant, round, options);
        const after = environment.serverCpuMs;
        const run: Run = { work, contestant, round, ...cost, serverCpuMs: before === null || after === null ? null : after - before };
        if (work === 'restore') await environment.requireUnchanged(contestant);
        runs.push(run);
        say(describe(run));
      }
    }
  }
  return runs;
}

type Cost = Omit<Run, 'work' | 'contestant' | 'round' | 'serverCpuMs'>;

function runOurs({ server }: BenchEnvironment, work: Work, codec: BenchCodec, round: number, options: BenchOptions): Promise<Cost> {
  const { target } = server;
  const profile = round === options.pairs ? options.profileFolder : null;
  return runJob(work === 'backup' ? { kind: 'backup', target, codec } : { kind: 'restore', target, codec, number: round }, profile);
}

async function runPeer({ server, folder }: BenchEnvironment, peers: PublicTools | null, work: Work): Promise<Cost> {
  if (peers === null) throw new Error('The public tools were not found');
  const { uri, database } = server.target;
  const file = join(folder, 'peer.gz.enc');
  const result = await peers[work](uri, database, file);
  return { ...result, phases: [], archiveBytes: (await stat(file)).size };
}

function describe({ work, contestant, round, ms, phases, peakBytes, archiveBytes, cpuMs, serverCpuMs }: Run): string {
  const parts = phases.map(({ name, ms: part }) => `${name} ${Math.round(part)}`).join(', ');
  const processor = `cpu ${Math.round(cpuMs ?? 0)} + ${Math.round(serverCpuMs ?? 0)}`;
  const memory = peakBytes === null ? '' : `, ${Math.round(peakBytes / 2 ** 20)} MiB`;
  return `  ${work} ${round} ${contestant.padEnd(5)} ${Math.round(ms)} ms, ${processor}${memory}, archive ${(archiveBytes / 1e6).toFixed(1)} MB${parts === '' ? '' : ` (${parts})`}`;
}
