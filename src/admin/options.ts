import { parseArgs, type ParseArgsConfig } from 'node:util';
import { UsageError } from './admin-command.js';

/** `parseArgs` for a subcommand: what it cannot read is a wrong usage. */
export function parseOptions<const Options extends NonNullable<ParseArgsConfig['options']>>(args: readonly string[], options: Options) {
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
