import type { Environment } from '../../src/config/env.schema.ts';
import type { RawEnvironment } from '../../src/config/parse-environment.ts';

/** What the person who typed the command can mend; its message is all there is to say. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

export interface Settings {
  readonly values: Environment;
  readonly warnings: readonly string[];
  /** The variable as it was given, by value or by file; undefined where Holdfast itself has to provide it. */
  readonly given: ReadonlySet<string>;
}

/** Stand-ins for what the supervisor provides later, so that everything else can be checked first and at once. */
const provided = { DATABASE_URL: 'postgresql://embedded/holdfast', HOLDFAST_SECRET_KEY: Buffer.alloc(32).toString('base64') } as const;

/** Reads the environment with the very schema that the server uses (compiled, as the build comes first). */
export async function readSettings(raw: RawEnvironment): Promise<Settings> {
  const compiled = new URL('../../dist/src/config/parse-environment.js', import.meta.url).href;
  const { parseEnvironment, ConfigurationError } = (await import(compiled)) as typeof import('../../src/config/parse-environment.ts');
  const given = new Set(Object.keys(raw).filter((name) => raw[name] !== undefined && (raw[name] !== '' || name === 'BACKUP_ENCRYPTION_KEY')).map((name) => name.replace(/_FILE$/, '')));
  const missing = Object.fromEntries(Object.entries(provided).filter(([name]) => !given.has(name)));
  try {
    const { values, warnings } = parseEnvironment({ ...raw, ...missing });
    if (values.NODE_ENV === 'production') refuseInProduction(given);
    return { values, warnings, given };
  } catch (error) {
    if (error instanceof ConfigurationError) throw new StartError(error.message, { cause: error });
    throw error;
  }
}

function refuseInProduction(given: ReadonlySet<string>): void {
  const wanted = {
    DATABASE_URL: 'a PostgreSQL of yours',
    HOLDFAST_SECRET_KEY: 'base64 of 32 bytes, as `openssl rand -base64 32` prints it',
    BACKUP_ENCRYPTION_KEY: 'the same, another one; empty for a server that takes no backups',
  };
  const missing = Object.entries(wanted).filter(([name]) => !given.has(name));
  if (missing.length === 0) return;
  throw new StartError(['With NODE_ENV=production there are no embedded servers, no generated keys and no demo workspace. Set:', ...missing.map(([name, what]) => `  - ${name} (or ${name}_FILE): ${what}`)].join('\n'));
}
