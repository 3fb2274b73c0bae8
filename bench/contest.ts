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
  readonly cpuMs: number | null;
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
        const run = contestant === 'peer' && peers !== null ? await runPeer(environment, peers, work, round) : await runOurs(environment, work, contestant as BenchCodec, round, options);
        if (work === 'restore') await environment.requireUnchanged(contestant);
        runs.push(run);
        say(describe(run));
      }
    }
  }
  return runs;
}

async function runOurs({ server }: BenchEnvironment, work: Work, codec: BenchCodec, round: number, options: BenchOptions): Promise<Run> {
  const { target } = server;
  const profile = round === options.pairs ? options.profileFolder : null;
  const result = await runJob(work === 'backup' ? { kind: 'backup', target, codec } : { kind: 'restore', target, codec, number: round }, profile);
  return { work, contestant: codec, round, ...result };
}

async function runPeer({ server, folder }: BenchEnvironment, peers: PublicTools, work: Work, round: number): Promise<Run> {
  const { uri, database } = server.target;
  const file = join(folder, 'peer.gz.enc');
  const result = await peers[work](uri, database, file);
  return { work, contestant: 'peer', round, ...result, phases: [], cpuMs: null, archiveBytes: (await stat(file)).size };
}

function describe({ work, contestant, round, ms, phases, peakBytes, archiveBytes }: Run): string {
  const parts = phases.map(({ name, ms: part }) => `${name} ${Math.round(part)}`).join(', ');
  const memory = peakBytes === null ? '' : `, ${Math.round(peakBytes / 2 ** 20)} MiB`;
  return `  ${work} ${round} ${contestant.padEnd(5)} ${Math.round(ms)} ms${memory}, archive ${(archiveBytes / 1e6).toFixed(1)} MB${parts === '' ? '' : ` (${parts})`}`;
}
