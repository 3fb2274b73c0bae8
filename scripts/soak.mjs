// `npm run soak`. Free of dependencies: nothing may be installed yet.
import { join } from 'node:path';
import { handOver } from './bootstrap/hand-over.mjs';
import { root } from './bootstrap/prepare.mjs';

await handOver(() => ({
  args: ['--disable-warning=ExperimentalWarning', '--import', './test/support/typescript-hooks.mjs', join(root, 'test', 'soak', 'main.ts'), ...process.argv.slice(2)],
}));
