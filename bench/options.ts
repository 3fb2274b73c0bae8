import { parseArgs } from 'node:util';
import { bytesPerDocument, type DataPlan, dataShapes } from './data-set.ts';

const codecs = ['gzip', 'zstd', 'none'] as const;
export type BenchCodec = (typeof codecs)[number];

const parts = ['limits', 'engine', 'operations'] as const;
export type Part = (typeof parts)[number];

const scaleParts = ['catalogue', 'tenants', 'subscribers', 'writer'] as const;
export type ScalePart = (typeof scaleParts)[number];

const cutovers = ['swap', 'repoint'] as const;
export type BenchCutover = (typeof cutovers)[number];

export interface BenchOptions {
  readonly data: DataPlan;
  /** Rounds; in each round every contestant runs once. */
  readonly pairs: number;
  readonly codecs: readonly BenchCodec[];
  readonly parts: ReadonlySet<Part>;
  /** How whole operations put restored data in place. */
  readonly cutover: BenchCutover;
  /** The tenant's limit in whole operations; null: none. */
  readonly limitBytesPerSecond: number | null;
  /** Many tenants, subscribers and rows instead of one big database; null: not asked for. */
  readonly scale: { readonly parts: ReadonlySet<ScalePart>; readonly subscribers: number; readonly tenants: number } | null;
  readonly cacheMegabytes: number;
  readonly quick: boolean;
  /** Only say what the options are. */
  readonly help: boolean;
  /** Write the table and the plot into docs/. */
  readonly write: boolean;
  /** Folder for CPU profiles of our own processes. */
  readonly profileFolder: string | null;
  /** As it was typed, for the report. */
  readonly command: string;
}

const defaultDocuments = 400_000;
const quickDocuments = 40_000;
const defaultCollections = 10_000;
const defaultSubscribers = 1_000;
const defaultTenants = 200;

export const usage = `npm run bench -- [options]
  --documents <n>     size of the data set; default ${defaultDocuments} (about 214 MB)
  --megabytes <n>     the same in MB of BSON
  --size <n>          the same with a unit, as 3gb or 200mb
  --shape <name>      mixed, many (collections), one (collection) or large (documents of 16 MiB); default mixed
  --collections <n>   of the shape many; default ${defaultCollections}
  --pairs <n>         rounds; default 5 (whole operations: 2 at most)
  --codecs <list>     of ${codecs.join(',')}; default all
  --parts <list>      of ${parts.join(',')}; default all
  --cutover <name>    of whole restores: swap or repoint; default swap
  --limit <n>         of whole operations, in MB a second; default none
  --cache <n>         mongod's cache in MB; default 1024
  --profile <folder>  write CPU profiles of our own processes there
  --scale             many tenants, subscribers and rows instead: --parts of ${scaleParts.join(',')}
  --subscribers <n>   that part alone, with so many; default ${defaultSubscribers}
  --tenants <n>       that part alone, with so many; default ${defaultTenants}
  --no-write          leave docs/ as it is
  --quick             a small set, one round, nothing written: under a minute`;

/** Throws an Error whose message is meant for whoever typed the command. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    allowNegative: true,
    options: {
      documents: { type: 'string' },
      megabytes: { type: 'string' },
      size: { type: 'string' },
      shape: { type: 'string' },
      collections: { type: 'string' },
      pairs: { type: 'string' },
      codecs: { type: 'string' },
      parts: { type: 'string' },
      cutover: { type: 'string' },
      limit: { type: 'string' },
      cache: { type: 'string' },
      profile: { type: 'string' },
      scale: { type: 'boolean' },
      subscribers: { type: 'string' },
      tenants: { type: 'string' },
      write: { type: 'boolean' },
      quick: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  const quick = values.quick ?? false;
  const megabytes = values.size === undefined ? (values.megabytes === undefined ? null : count('megabytes', values.megabytes)) : megabytesOf(values.size);
  const shape = list('shape', values.shape, ['mixed'], dataShapes)[0] ?? 'mixed';
  const wanted = megabytes === null ? null : Math.round((megabytes * 1e6) / bytesPerDocument[shape]);
  const asked = scaleParts.filter((part) => (part === 'subscribers' || part === 'tenants') && values[part] !== undefined);
  const isScale = values.scale === true || asked.length > 0;
  return {
    data: {
      documents: values.documents === undefined ? (wanted ?? (quick ? quickDocuments : defaultDocuments)) : count('documents', values.documents),
      shape,
      collections: values.collections === undefined ? defaultCollections : count('collections', values.collections),
    },
    pairs: values.pairs === undefined ? (quick ? 1 : 5) : count('pairs', values.pairs),
    codecs: list('codecs', values.codecs, quick ? ['gzip', 'zstd'] : codecs, codecs),
    parts: new Set(isScale ? [] : list('parts', values.parts, parts, parts)),
    scale: isScale
      ? {
          parts: new Set(list('parts', values.parts, values.scale === true ? scaleParts : asked, scaleParts)),
          subscribers: values.subscribers === undefined ? defaultSubscribers : count('subscribers', values.subscribers),
          tenants: values.tenants === undefined ? defaultTenants : count('tenants', values.tenants),
        }
      : null,
    cutover: list('cutover', values.cutover, ['swap'], cutovers)[0] ?? 'swap',
    limitBytesPerSecond: values.limit === undefined ? null : count('limit', values.limit) * 1e6,
    cacheMegabytes: values.cache === undefined ? 1024 : count('cache', values.cache),
    quick,
    help: values.help ?? false,
    write: values.write ?? !quick,
    profileFolder: values.profile ?? null,
    command: ['npm run bench', ...(args.length === 0 ? [] : ['--', ...args])].join(' '),
  };
}

function megabytesOf(text: string): number {
  const [, number = '', unit = ''] = /^(\d+)(mb|gb)$/i.exec(text) ?? [];
  if (number === '') throw new Error(`--size takes a number with a unit, as 3gb or 200mb, not ${text}`);
  return count('size', number) * (unit.toLowerCase() === 'gb' ? 1_000 : 1);
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name} takes a whole number from 1, not ${text}`);
  return value;
}

function list<T extends string>(name: string, text: string | undefined, usual: readonly T[], known: readonly T[]): readonly T[] {
  if (text === undefined) return usual;
  return text.split(',').map((word) => {
    const found = known.find((one) => one === word.trim());
    if (found === undefined) throw new Error(`--${name} takes ${known.join(', ')}, not ${word}`);
    return found;
  });
}
