import { spawn } from 'node:child_process';
import { prepare, root, SetupError } from './prepare.mjs';

const oldestNode = 20;

/**
 * What `npm start`, `npm run demo` and `npm test` have in common: prepare the clone, then run the rest on the Node 24
 * that was installed. Ends the process with the exit code of what it ran.
 *
 * @param {(node: string) => { args: string[], env?: Record<string, string> }} command
 */
export async function handOver(command) {
  if (Number(process.versions.node.split('.')[0]) < oldestNode) {
    fail(`Node ${oldestNode} or newer is needed to begin; this is ${process.versions.node}`);
    return;
  }
  try {
    const node = await prepare((line) => process.stderr.write(`holdfast: ${line}\n`));
    const { args, env = {} } = command(node);
    // By the channel the child learns of our end, even by SIGKILL, and stops what it started.
    const child = spawn(node, args, { cwd: root, stdio: ['inherit', 'inherit', 'inherit', 'ipc'], env: { ...process.env, ...env } });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
    child.once('error', (error) => fail(error.message));
    child.once('exit', (code, signal) => {
      process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
      process.disconnect?.();
      process.exit();
    });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    fail(error.message);
  }
}

function fail(message) {
  process.stderr.write(`holdfast: ${message}\n`);
  process.exitCode = 1;
}
