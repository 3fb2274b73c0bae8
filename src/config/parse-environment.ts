import { readFileSync } from 'node:fs';
import { type Environment, checkTogether, environmentSchema, type VariableName, variableNames, variableNotes } from './env.schema.js';

export type RawEnvironment = Readonly<Record<string, string | undefined>>;

/** All that is wrong with the environment, each line naming its variable and never showing a secret. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  constructor(readonly problems: readonly string[]) {
    super(`The configuration has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
  }
}

export interface ParsedEnvironment {
  readonly values: Environment;
  readonly warnings: readonly string[];
}

/**
 * Reads the whole environment at once.
 *
 * An empty value counts as unset, as compose files and CI systems write it, but for `BACKUP_ENCRYPTION_KEY`, whose
 * empty value says "no key, on purpose".
 *
 * @throws ConfigurationError with every problem, not the first alone
 */
export function parseEnvironment(raw: RawEnvironment, readFile: (path: string) => string = (path) => readFileSync(path, 'utf8')): ParsedEnvironment {
  const problems: string[] = [];
  const warnings: string[] = [];
  const input: Record<string, string> = {};
  const unread = new Set<string>();

  for (const name of variableNames) {
    const value = raw[name];
    if (value !== undefined && (value !== '' || name === 'BACKUP_ENCRYPTION_KEY')) input[name] = value;
    const file = raw[`${name}_FILE`];
    if (!variableNotes(name).secret || file === undefined || file === '') continue;
    if (value !== undefined && value !== '') {
      problems.push(`${name}_FILE: set together with ${name}; set one of them`);
      continue;
    }
    try {
      input[name] = readFile(file).replace(/\r?\n$/, '');
    } catch (error) {
      unread.add(name);
      problems.push(`${name}_FILE: the file ${file} cannot be read (${reason(error)})`);
    }
  }

  for (const name of Object.keys(raw)) {
    if (!name.startsWith('HOLDFAST_') || raw[name] === undefined || isKnown(name)) continue;
    const nearest = nearestName(name);
    if (nearest === null) warnings.push(`${name}: no such variable; it is ignored`);
    else problems.push(`${name}: no such variable; did you mean ${nearest}?`);
  }

  const parsed = environmentSchema.safeParse(input);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) {
      const name = String(path[0]);
      if (unread.has(name)) continue;
      problems.push(input[name] === undefined ? `${name}: must be set` : `${name}: ${message}`);
    }
  }
  problems.push(...checkTogether(parsed.success ? parsed.data : input));
  if (problems.length > 0 || !parsed.success) throw new ConfigurationError([...new Set(problems)]);
  return { values: parsed.data, warnings };
}

function reason(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown reason';
}

function isKnown(name: string): boolean {
  if (name in environmentSchema.shape) return true;
  const withoutSuffix = name.replace(/_FILE$/, '');
  return withoutSuffix !== name && withoutSuffix in environmentSchema.shape && variableNotes(withoutSuffix as VariableName).secret === true;
}

/** A slip of the pen: at most two letters away. Anything further off may belong to another program or version. */
function nearestName(name: string): string | null {
  const candidates = variableNames.flatMap((known) => (variableNotes(known).secret ? [known, `${known}_FILE`] : [known]));
  let nearest: string | null = null;
  let best = 3;
  for (const candidate of candidates) {
    const distance = editDistance(name, candidate);
    if (distance < best) [nearest, best] = [candidate, distance];
  }
  return nearest;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substituted, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}
