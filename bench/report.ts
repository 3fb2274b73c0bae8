import type { Contestant, Run, Work } from './contest.ts';
import type { DataSet } from './data-set.ts';
import { limits } from './limits.ts';
import type { JobResult, Rate, SelectionResult } from './job.ts';
import type { OperationFigures, OperationRun } from './operations.ts';
import type { BenchCodec, BenchOptions } from './options.ts';
import { ratiosOf, spreadOf } from './statistics.ts';

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
  readonly mongod: string;
  /** Null: not found. */
  readonly tools: string | null;
}

export interface Measured {
  readonly options: BenchOptions;
  readonly dataSet: DataSet;
  readonly rates: readonly Rate[];
  readonly runs: readonly Run[];
  readonly selection: JobResult | null;
  readonly operations: OperationFigures | null;
  readonly machine: Machine;
  readonly at: Date;
  /** Processes that wanted a processor, over the minute before the first run and over the last minute of the runs. */
  readonly load: { readonly before: number; readonly after: number };
}

export const labels: Readonly<Record<Contestant, string>> = { gzip: 'gzip -6', zstd: 'zstd -3', none: 'no codec', peer: 'public tools' };
const notFound = 'not found';

/** Markdown. */
export function reportOf(measured: Measured): string {
  const { runs, rates, selection, operations } = measured;
  return [
    setting(measured),
    ...(runs.length > 0 ? [workTable(measured, 'backup'), workTable(measured, 'restore'), phaseTable(measured)] : []),
    ...(selection?.selection === undefined ? [] : [selectionText(selection, selection.selection)]),
    ...(operations === null ? [] : [operationTable(operations, measured.options)]),
    ...(rates.length > 0 ? [rateTable(rates)] : []),
    ...(rates.length > 0 && runs.length > 0 ? [nearnessTable(measured)] : []),
  ].join('\n\n');
}

function setting({ options, dataSet, machine, at, load }: Measured): string {
  const tools = machine.tools === null ? `mongodump, mongorestore: ${notFound}` : `mongodump and mongorestore ${machine.tools} with openssl`;
  return [
    `Measured ${at.toISOString().slice(0, 16).replace('T', ' ')} UTC by \`${options.command}\`: ${dataSet.documents.toLocaleString('en')} documents, ${megabytes(dataSet.bytes)} of BSON in ${dataSet.collections} collections with ${dataSet.indexes} secondary indexes; ${options.pairs} ${options.pairs === 1 ? 'round' : 'rounds'}.`,
    `Machine: ${machine.cores} × ${machine.processor}, ${Math.round(machine.memoryBytes / 2 ** 30)} GiB, ${machine.system}; everything, mongod included, on it. Node ${machine.node}, mongod ${machine.mongod} (a replica set of one, cache ${options.cacheMegabytes} MB), ${tools}.`,
    `Load average before the first run ${load.before.toFixed(1)}, at the end ${load.after.toFixed(1)}${load.before > machine.cores / 4 ? ': others were using the machine, so times are longer than they need be, and the processor time says more' : ''}.`,
  ].join('\n\n');
}

const of = (runs: readonly Run[], work: Work, contestant: Contestant): readonly Run[] => runs.filter((run) => run.work === work && run.contestant === contestant);
const phaseMs = (run: Run, name: string): number => run.phases.find((phase) => phase.name === name)?.ms ?? 0;

function workTable({ runs, options, dataSet, machine }: Measured, work: Work): string {
  const peers = of(runs, work, 'peer').map(({ ms }) => ms);
  const row = (name: string, own: readonly Run[], cost: (run: Run) => number): string => {
    const times = own.map(cost);
    const peaks = own.flatMap(({ peakBytes }) => (peakBytes === null ? [] : [peakBytes]));
    return cells([
      name,
      seconds(times),
      `${Math.round(dataSet.bytes / 1e3 / spreadOf(times).median)} MB/s`,
      peers.length === 0 ? notFound : ratio(ratiosOf(times, peers)),
      megabytes(spreadOf(own.map(({ archiveBytes }) => archiveBytes)).median),
      processor(own),
      peaks.length === 0 ? 'unknown' : `${Math.round(Math.max(...peaks) / 2 ** 20)} MiB`,
    ]);
  };
  const rows = options.codecs.flatMap((codec) => {
    const own = of(runs, work, codec);
    const whole = row(`Holdfast, ${labels[codec]}`, own, ({ ms }) => ms);
    if (work === 'backup') return [whole];
    return [whole, row(`Holdfast, ${labels[codec]}, without CHECK's re-read`, own, (run) => run.ms - phaseMs(run, 'check'))];
  });
  const pipeline = work === 'backup' ? '`mongodump --gzip --archive \\| openssl enc`' : '`openssl enc -d \\| mongorestore --gzip --archive --drop`';
  const peer = machine.tools === null ? cells([pipeline, notFound, notFound, '', notFound, notFound, notFound]) : row(pipeline, of(runs, work, 'peer'), ({ ms }) => ms);
  return [
    work === 'backup' ? '### Engine alone: backup' : '### Engine alone: restore',
    '',
    cells([work === 'backup' ? 'Database to encrypted archive' : 'Encrypted archive to live database', 'Time', 'BSON', 'Times as fast as the public tools', 'Archive', 'CPU: own + mongod', 'Peak RSS']),
    cells(['---', '---:', '---:', '---:', '---:', '---:', '---:']),
    ...rows,
    peer,
  ].join('\n');
}

function phaseTable({ runs, options }: Measured): string {
  const lines = (['backup', 'restore'] as const).flatMap((work) =>
    options.codecs.map((codec) => {
      const own = of(runs, work, codec);
      const names = own[0]?.phases.map(({ name }) => name) ?? [];
      const parts = names.map((name) => `${name} ${Math.round(spreadOf(own.map((run) => phaseMs(run, name))).median)}`);
      return cells([`${work}, ${labels[codec]}`, parts.join(' · ')]);
    }),
  );
  return ['### Where the time goes', '', cells(['Work', 'Phases, median ms']), cells(['---', '---']), ...lines].join('\n');
}

function selectionText({ ms, archiveBytes }: JobResult, { bytes, ofBytes, bytesRead, bytesAsked }: SelectionResult): string {
  const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(2)} %`;
  return [
    '### Selective restore',
    '',
    `One collection of ${megabytes(bytes)}, ${percent(bytes, ofBytes)} of all, verified, staged and checked in ${(ms / 1000).toFixed(2)} s. It takes ${megabytes(bytesRead)} of the archive (\`RestoreResult.bytesRead\`), ${percent(bytesRead, archiveBytes)}; with reading them twice, to verify and to stage, the store was asked for ${megabytes(bytesAsked)}, ${percent(bytesAsked, archiveBytes)}.`,
  ].join('\n');
}

function operationTable({ runs, workerPeakBytes, apiPeakBytes }: OperationFigures, { codecs }: BenchOptions): string {
  const stepMs = (run: OperationRun, phase: string): number => run.steps.find((step) => step.phase === phase)?.ms ?? 0;
  const rows = (kind: OperationRun['kind'], codec: BenchCodec): string[] => {
    const own = runs.filter((run) => run.kind === kind && run.codec === codec);
    const phases = (own[0]?.steps ?? []).map(({ phase }) => `${phase} ${Math.round(spreadOf(own.map((run) => stepMs(run, phase))).median)}`);
    const whole = cells([`${kind}, ${labels[codec]}`, seconds(own.map(({ ms }) => ms)), phases.join(' · ')]);
    return kind === 'backup' ? [whole] : [whole, cells([`${kind}, ${labels[codec]}, without its safety backup`, seconds(own.map((run) => run.ms - stepMs(run, 'SAFETY_BACKUP'))), ''])];
  };
  const peak = (bytes: number | null): string => (bytes === null ? 'unknown' : `${Math.round(bytes / 2 ** 20)} MiB`);
  return [
    '### Whole operations, as a user sees them',
    '',
    'From the mutation to the event that says COMPLETED, with one API process, one worker and PostgreSQL on the same machine. A backup includes reading it back from the store, a restore its safety backup.',
    '',
    cells(['Operation', 'Time', 'Phases, median ms']),
    cells(['---', '---:', '---']),
    ...(['backup', 'restore'] as const).flatMap((kind) => codecs.flatMap((codec) => rows(kind, codec))),
    '',
    `Peak RSS over all ${runs.length} operations: the worker (\`HOLDFAST_ROLE=worker\`) ${peak(workerPeakBytes)}, the API process ${peak(apiPeakBytes)}.`,
  ].join('\n');
}

function rateTable(rates: readonly Rate[]): string {
  const lines = rates.map(({ name, megabytesPerSecond }) => cells([name, `${Math.round(megabytesPerSecond)} MB/s`]));
  return ['### Physical limits, in the same run', '', cells(['Limit', 'BSON']), cells(['---', '---:']), ...lines].join('\n');
}

type Stage = { readonly limit: string; readonly onEveryCore: boolean };
const onOne = (limit: string): Stage => ({ limit, onEveryCore: false });
const onAll = (limit: string): Stage => ({ limit, onEveryCore: true });

/** What every byte passes through, and whether more cores do it side by side. */
const stages: Readonly<Record<Work, Readonly<Record<BenchCodec, readonly Stage[]>>>> = {
  backup: {
    gzip: [onOne(limits.cursors), onAll(limits.gzip), onOne(limits.hash), onOne(limits.sums)],
    zstd: [onOne(limits.cursors), onAll(limits.zstd), onOne(limits.hash), onOne(limits.sums)],
    none: [onOne(limits.cursors), onAll(limits.cipher), onOne(limits.hash), onOne(limits.sums), onOne(limits.disk)],
  },
  restore: {
    gzip: [onAll(limits.gunzip), onOne(limits.hash), onOne(limits.sums), onOne(limits.inserts)],
    zstd: [onAll(limits.unzstd), onOne(limits.hash), onOne(limits.sums), onOne(limits.inserts)],
    none: [onAll(limits.cipher), onOne(limits.hash), onOne(limits.sums), onOne(limits.inserts)],
  },
};

function nearnessTable({ runs, rates, options, dataSet, machine }: Measured): string {
  const rateOf = ({ limit, onEveryCore }: Stage): number => (rates.find(({ name }) => name === limit)?.megabytesPerSecond ?? Infinity) * (onEveryCore ? machine.cores : 1);
  const percent = (part: number): string => `${Math.round(100 * part)} %`;
  const lines = (['backup', 'restore'] as const).flatMap((work) =>
    options.codecs.map((codec) => {
      const own = of(runs, work, codec);
      const reached = dataSet.bytes / 1e3 / spreadOf(own.map(({ ms }) => ms)).median;
      const slowest = stages[work][codec].toSorted((a, b) => rateOf(a) - rateOf(b))[0];
      const busy = own.flatMap(({ ms, cpuMs, serverCpuMs }) => (cpuMs === null || serverCpuMs === null ? [] : [(cpuMs + serverCpuMs) / machine.cores / ms]));
      const bound = slowest === undefined ? ['unknown', ''] : [`${slowest.limit}${slowest.onEveryCore ? `, on ${machine.cores}` : ''}: ${Math.round(rateOf(slowest))} MB/s`, percent(reached / rateOf(slowest))];
      return cells([`${work}, ${labels[codec]}`, `${Math.round(reached)} MB/s`, ...bound, busy.length === 0 ? 'unknown' : percent(spreadOf(busy).median)]);
    }),
  );
  return [
    '### How near the limits each is',
    '',
    'The slowest of what every byte passes through, as if it had the machine to itself; and how much of all cores was in use, mongod included: at 100 % only less work is faster.',
    '',
    cells(['Work', 'BSON', 'Slowest limit on its way', 'Share of it', 'Cores in use']),
    cells(['---', '---:', '---', '---:', '---:']),
    ...lines,
  ].join('\n');
}

function processor(runs: readonly Run[]): string {
  const median = (values: readonly (number | null)[]): string => {
    const known = values.flatMap((value) => (value === null ? [] : [value / 1000]));
    return known.length === 0 ? 'unknown' : spreadOf(known).median.toFixed(1);
  };
  return `${median(runs.map(({ cpuMs }) => cpuMs))} + ${median(runs.map(({ serverCpuMs }) => serverCpuMs))} s`;
}

const cells = (texts: readonly string[]): string => `| ${texts.join(' | ')} |`;
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

function seconds(times: readonly number[]): string {
  const { median, lowest, highest } = spreadOf(times.map((ms) => ms / 1000));
  return times.length === 1 ? `${median.toFixed(2)} s` : `${median.toFixed(2)} s (${lowest.toFixed(2)}–${highest.toFixed(2)})`;
}

function ratio(ratios: readonly number[]): string {
  const { median, lowest, highest } = spreadOf(ratios);
  return ratios.length === 1 ? `${median.toFixed(2)}` : `${median.toFixed(2)} (${lowest.toFixed(2)}–${highest.toFixed(2)})`;
}
