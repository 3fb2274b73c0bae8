// `npm run bench`. Free of dependencies: nothing may be installed yet.
import { join } from 'node:path';
import { handOver } from '../scripts/bootstrap/hand-over.mjs';
import { root } from '../scripts/bootstrap/prepare.mjs';

await handOver(() => ({ args: ['--disable-warning=ExperimentalWarning', join(root, 'bench', 'main.ts'), ...process.argv.slice(2)] }));
