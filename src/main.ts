import { createServer } from 'node:net';
import { loadConfig } from './config/load-config.js';
import { garbageBytes, leanProcess, releaseStartMemory } from './config/lean-process.js';
import { ConfigurationError } from './config/parse-environment.js';
import { redact } from '#errors';

async function main(): Promise<void> {
  const config = loadConfig();
  await requireFreePort(config.port, config.host);
  if (!config.runsApi) leanProcess();
  const { createApp } = await import('./bootstrap.js');
  const app = await createApp(config);
  app.enableShutdownHooks();
  await app.listen(config.port, config.host);
  if (config.runsApi) return;
  const { collectEach } = await import('#archive');
  collectEach(garbageBytes);
  releaseStartMemory();
}

/** Before anything is connected or migrated, so that a second start by mistake says one line and does nothing. */
async function requireFreePort(port: number, host: string): Promise<void> {
  const probe = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  probe.once('error', reject).listen(port, host, resolve);
  await promise;
  await new Promise((closed) => probe.close(closed));
}

/** What a person can act on, in one line where it is one thing. */
function explain(error: unknown): string {
  if (error instanceof ConfigurationError) return error.message;
  if (!(error instanceof Error)) return String(error);
  if ('code' in error) {
    if (error.code === 'EADDRINUSE') return `HOLDFAST_PORT: the port is taken by another program (${error.message}); stop it or set another port`;
    if (error.code === 'EACCES' && 'syscall' in error && error.syscall === 'listen') return `HOLDFAST_PORT: this user may not listen on the port (${error.message}); set a port above 1023`;
    if (error.code === 'ECONNREFUSED' || error.code === 'ENOTFOUND' || error.code === '28P01' || error.code === '3D000') {
      return `DATABASE_URL: PostgreSQL cannot be reached (${redact(error.message || String(error.code))})`;
    }
  }
  return redact(error.stack ?? error.message);
}

main().catch((error: unknown) => {
  process.stderr.write(`holdfast: ${explain(error)}\n`);
  process.exit(1);
});
