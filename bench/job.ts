import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { allocator, collectorFlags } from '../src/config/lean-process.ts';
import type { BenchCodec } from './options.ts';

/** One run of ours, in a process of its own: its peak memory is then the run's own, and nothing is warm. */
export type Job =
  | { readonly kind: 'backup'; readonly target: JobTarget; readonly codec: BenchCodec }
  | { readonly kind: 'restore'; readonly target: JobTarget; readonly codec: BenchCodec; readonly number: number }
  | { readonly kind: 'selection'; readonly target: JobTarget; readonly codec: BenchCodec; readonly number: number; readonly collection: string }
  | { readonly kind: 'limits'; readonly target: JobTarget };

export interface JobTarget {
  readonly uri: string;
  readonly database: string;
  /** Of the archive store. */
  readonly folder: string;
}

export interface JobResult {
  /** From opening the connection to the last byte or the last command. */
  readonly ms: number;
  readonly phases: readonly { readonly name: string; readonly ms: number }[];
  readonly peakBytes: number | null;
  readonly cpuMs: number;
  readonly archiveBytes: number;
  readonly rates: readonly Rate[];
  /** Of a selective restore. */
  readonly selection?: SelectionResult;
}

export interface SelectionResult {
  /** BSON of the collection, and of the whole archive. */
  readonly bytes: number;
  readonly ofBytes: number;
  /** Of the file: as a restore's result says it, each byte once; and as the store was asked for them. */
  readonly bytesRead: number;
  readonly bytesAsked: number;
}

/** A limit of the machine or the server. */
export interface Rate {
  readonly name: string;
  /** MB of payload a second. */
  readonly megabytesPerSecond: number;
}

export type JobReply = { readonly result: JobResult } | { readonly failure: string };

/** A worker's heap of 65 MB may grow by 20 before V8 collects it whole; that of a run, of 15 MB, would be collected after every 5 MB of buffers. */
const asInWorker = '--heap-growing-percent=100';

export async function runJob(job: Job, profileFolder: string | null = null): Promise<JobResult> {
  const execArgv = ['--disable-warning=ExperimentalWarning', ...collectorFlags, asInWorker, ...(profileFolder === null ? [] : profileFlags(profileFolder, `${job.kind}-${'codec' in job ? job.codec : 'all'}`))];
  const child = fork(fileURLToPath(new URL('job-process.ts', import.meta.url)), [JSON.stringify(job)], { execArgv, env: { ...process.env, ...allocator }, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  let reply: JobReply | null = null;
  child.on('message', (message) => {
    reply = message as JobReply;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  const said = reply as JobReply | null;
  if (said !== null && 'failure' in said) throw new Error(`The ${job.kind} failed: ${said.failure}`);
  if (code !== 0 || said === null) throw new Error(`The process of the ${job.kind} ended with ${code}`);
  return said.result;
}

/** The profile is written when the process ends. */
export function profileFlags(folder: string, name: string): string[] {
  return ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${name}.cpuprofile`];
}
