import type { INestApplicationContext } from '@nestjs/common';
import type { DataSource } from 'typeorm';
import type { AppConfig } from '../config/app-config.js';

export const exitCodes = { done: 0, failed: 1, usage: 2 } as const;

/** What a command works with; whatever it opens is closed after it. */
export interface AdminContext {
  readonly config: AppConfig;
  /** The control plane as it is: nothing is migrated. */
  database(): Promise<DataSource>;
  /** Every service of the program, migrated and connected, without HTTP and without taking up work. */
  application(): Promise<INestApplicationContext>;
  print(line: string): void;
}

/** One subcommand of `holdfast-admin`: a file of its own, and a line in `commands.ts`. */
export interface AdminCommand {
  readonly name: string;
  /** Without the name: `[--json]`. */
  readonly options: string;
  readonly summary: string;
  /** Returns the exit code; what it throws is printed, and exits with 1. */
  run(context: AdminContext, args: readonly string[]): Promise<number>;
}

/** Ends with exit code 2 and the usage. */
export class UsageError extends Error {}
