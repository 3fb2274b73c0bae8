#!/usr/bin/env node
import { run } from './run.js';

// Written through `pipeline`, which reports errors; this keeps a late EPIPE from ending the process as a crash.
process.stdout.on('error', () => undefined);

process.exitCode = await run(process.argv.slice(2), {
  env: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
});
