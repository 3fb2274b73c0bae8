import 'reflect-metadata';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DataSource } from 'typeorm';
import { AppModule } from '../app.module.js';
import type { AppConfig } from '../config/app-config.js';
import { ConfigurationError } from '../config/parse-environment.js';
import { dataSourceOptions } from '../platform/database/data-source.js';
import { type AdminCommand, exitCodes, UsageError } from './admin-command.js';
import { commands as allCommands } from './commands.js';
import { explain } from './explain.js';

export interface AdminOutput {
  print(line: string): void;
  complain(line: string): void;
}

/** The command line without its process; returns the exit code. */
export async function run(argv: readonly string[], loadConfig: () => AppConfig, output: AdminOutput, commands: readonly AdminCommand[] = allCommands): Promise<number> {
  const [name, ...args] = argv;
  if (name === undefined || name === '--help' || name === '-h') {
    output.print(help(commands));
    return name === undefined ? exitCodes.usage : exitCodes.done;
  }
  const command = commands.find((one) => one.name === name);
  if (command === undefined) {
    output.complain(`There is no command ${name}\n\n${help(commands)}`);
    return exitCodes.usage;
  }
  const open: (() => Promise<void>)[] = [];
  let databaseUrl: string | null = null;
  try {
    const config = loadConfig().withoutWork();
    databaseUrl = config.databaseUrl;
    return await command.run({ config, database: () => connect(config, open), application: () => boot(config, open), print: (line) => output.print(line) }, args);
  } catch (error) {
    output.complain(`holdfast-admin: ${explain(error, databaseUrl)}`);
    return error instanceof UsageError || error instanceof ConfigurationError ? exitCodes.usage : exitCodes.failed;
  } finally {
    for (const close of open.reverse()) await close();
  }
}

async function connect(config: AppConfig, open: (() => Promise<void>)[]): Promise<DataSource> {
  const dataSource = await new DataSource(dataSourceOptions(config.databaseUrl)).initialize();
  open.push(() => dataSource.destroy());
  return dataSource;
}

async function boot(config: AppConfig, open: (() => Promise<void>)[]): Promise<INestApplicationContext> {
  const application = await NestFactory.createApplicationContext(AppModule.forRoot(config), { abortOnError: false, logger: ['error', 'warn'] });
  open.push(() => application.close());
  return application;
}

function help(commands: readonly AdminCommand[]): string {
  const width = Math.max(...commands.map(({ name, options }) => name.length + options.length + 1));
  const lines = commands.map(({ name, options, summary }) => `  ${`${name} ${options}`.padEnd(width)}  ${summary}`);
  return ['Usage: holdfast-admin <command> [options], with the environment of the server', '', ...lines, '', 'Exit codes: 0 done and good, 1 failed or not good, 2 wrong usage or configuration'].join('\n');
}
