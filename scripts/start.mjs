// `npm start` and, with the word "demo", `npm run demo`. Free of dependencies: nothing may be installed yet.
import { join } from 'node:path';
import { handOver } from './bootstrap/hand-over.mjs';
import { root } from './bootstrap/prepare.mjs';

await handOver(() => ({ args: ['--disable-warning=ExperimentalWarning', join(root, 'scripts', process.argv[2] === 'demo' ? 'demo.ts' : 'supervise.ts'), ...process.argv.slice(2)] }));
