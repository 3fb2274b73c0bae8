#!/usr/bin/env node
import { loadConfig } from '../config/load-config.js';
import { run } from './run.js';

process.exitCode = await run(process.argv.slice(2), loadConfig, {
  print: (line) => void process.stdout.write(`${line}\n`),
  complain: (line) => void process.stderr.write(`${line}\n`),
});
